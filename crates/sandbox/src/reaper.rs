//! What does pid 1 of a box do while the program runs?
//!
//! It buries the dead, watches the clock and the supervisor, and ends, which ends every process of the box. It stands on its
//! own stack alone: the rest of the memory that the clone copied from the supervisor is given back first.
use crate::child::say;
use crate::sys;
use crate::wire::Message;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::process::WaitOptions;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

/// Keeps the box until the program has ended, its time is up, or the supervisor is gone.
pub(crate) fn keep(socket: RawFd, program: i32, wall: Option<Duration>) -> ! {
    let socket = sys::inherited(socket);
    let deadline = wall.map(|wall| now().saturating_add(wall));
    let Ok(children) = sys::child_signals() else { sys::exit(2) };
    say(socket, Message::Started);
    leave_the_rest(socket, &children);
    forget_supervisor();
    loop {
        if let Some(status) = bury(program) {
            say(socket, Message::Ended { status });
            end_the_rest(&children);
            sys::exit(0);
        }
        let left = deadline.map(|deadline| deadline.saturating_sub(now()));
        if left == Some(Duration::ZERO) {
            say(socket, Message::TimeUp);
            end_the_rest(&children);
            sys::exit(0);
        }
        wait(socket, &children, left);
    }
}

/// Closes every descriptor but the two that are used: those kept for the program's streams, and mounts made by root.
pub(crate) fn leave_the_rest(socket: BorrowedFd<'_>, children: &OwnedFd) {
    let (socket, children) =
        (sys::number(socket).cast_unsigned(), sys::number(children).cast_unsigned());
    let (low, high) = (socket.min(children), socket.max(children));
    for (first, last) in [(3, low - 1), (low + 1, high - 1), (high + 1, u32::MAX)] {
        if first <= last {
            sys::close_range(first, last).ok();
        }
    }
}

/// Sleeps until a child has changed or the time is over; ends the box when the supervisor's end of the socket is closed.
fn wait(socket: BorrowedFd<'_>, children: &OwnedFd, left: Option<Duration>) {
    let mut fds =
        [PollFd::from_borrowed_fd(socket, PollFlags::IN), PollFd::new(children, PollFlags::IN)];
    let left = left.and_then(|left| Timespec::try_from(left).ok());
    if rustix::event::poll(&mut fds, left.as_ref()).is_err() {
        return;
    }
    let [supervisor, signals] = &fds;
    // The supervisor says nothing after the start, so any sign of it is its end.
    if !supervisor.revents().is_empty() {
        sys::exit(3);
    }
    if signals.revents().contains(PollFlags::IN) {
        let mut signal = [0_u8; 128];
        // What it says does not matter: the dead are counted by waiting for them.
        rustix::io::read(children, &mut signal).ok();
    }
}

/// Ends and buries what is left, so that its CPU time is counted. What this does not get in time, the kernel ends when this
/// process does.
fn end_the_rest(children: &OwnedFd) {
    for _ in 0..LAST_ROUNDS {
        sys::kill_all();
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
        let mut ended = [PollFd::new(children, PollFlags::IN)];
        if rustix::event::poll(&mut ended, Some(&LAST_ROUND_TIME)).is_ok_and(|ready| ready > 0) {
            rustix::io::read(children, &mut [0_u8; 128]).ok();
        }
    }
}

/// Takes in every child that has ended; the wait status of the program if it was among them.
fn bury(program: i32) -> Option<i32> {
    let mut ended = None;
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if pid.as_raw_nonzero().get() == program {
            ended = Some(status.as_raw());
        }
    }
    ended
}

pub(crate) fn now() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(now).unwrap_or_default()
}

/// Gives back the anonymous memory copied from the supervisor: its heap may hold secrets, and it would count as the box's.
pub(crate) fn forget_supervisor() {
    let Ok(maps) =
        rustix::fs::open(c"/proc/self/maps", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    else {
        return;
    };
    let mut buffer = [0_u8; 16384];
    let mut held = 0;
    let mut before = Mapping { end: 0, file: true };
    while let Some(free) = buffer.get_mut(held..) {
        let Ok(read @ 1..) = rustix::io::read(&maps, free) else { return };
        held += read;
        let mut done = 0;
        while let Some(line) =
            buffer.get(done..held).and_then(|rest| rest.split_inclusive(|b| *b == b'\n').next())
            && line.ends_with(b"\n")
        {
            done += line.len();
            before = look(line, &before);
        }
        if done == 0 {
            return;
        }
        buffer.copy_within(done..held, 0);
        held -= done;
    }
}

/// The mapping a line told of, as far as the next line needs to know.
struct Mapping {
    end: usize,
    file: bool,
}

/// Reads one line of `maps`, and gives the mapping back if it is the supervisor's writable anonymous memory: not this
/// stack and thread-local block, and not what follows directly on a mapped file, which is a library's own data.
fn look(line: &[u8], before: &Mapping) -> Mapping {
    let mut fields = line.split(|b| matches!(b, b' ' | b'\n')).filter(|field| !field.is_empty());
    let range = fields.next().unwrap_or_default();
    let writable = fields.next() == Some(b"rw-p");
    let inode = fields.nth(2);
    let mut ends = range.split(|b| *b == b'-').map(hexadecimal);
    let (Some(Some(start)), Some(Some(end))) = (ends.next(), ends.next()) else {
        return Mapping { end: 0, file: true };
    };
    let follows_file = before.file && before.end == start;
    let file = inode != Some(b"0") || follows_file;
    let (stack, local) = sys::standing_on();
    let stood_on = [stack, local].iter().any(|address| (start..end).contains(address));
    if writable && !file && !stood_on {
        // A mapping that cannot be given back stays unreadable all the same: this process is not dumpable.
        sys::forget(start, end).ok();
    }
    Mapping { end, file }
}

fn hexadecimal(digits: &[u8]) -> Option<usize> {
    digits.iter().try_fold(0_usize, |value, digit| {
        let digit = usize::try_from(char::from(*digit).to_digit(16)?).ok()?;
        value.checked_mul(16)?.checked_add(digit)
    })
}

const LAST_ROUNDS: u32 = 16;
const LAST_ROUND_TIME: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
