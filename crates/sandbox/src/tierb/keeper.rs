//! What does the keeper of a box of tier B do while the program runs?
//!
//! It stands where pid 1 stands in tier A: it buries the dead, watches the clock and the supervisor, and ends every process
//! of the box before it ends itself. Nobody gets away: whoever loses his parent becomes the keeper's child. The program can
//! neither signal nor look into it: it is outside the program's Landlock domain.
use super::child::MOST_HELD;
use crate::child::say;
use crate::reaper::{forget_supervisor, now};
use crate::sys;
use crate::wire::Message;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, WaitOptions};
use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

/// Keeps the box until the program has ended, its time is up, the supervisor says so or is gone.
pub(crate) fn keep(
    socket: RawFd,
    program: i32,
    wall: Option<Duration>,
    own_user: bool,
    held: &[Option<OwnedFd>; MOST_HELD],
) -> ! {
    let socket = sys::inherited(socket);
    let deadline = wall.map(|wall| now().saturating_add(wall));
    let Ok(signals) = sys::end_signals() else { sys::exit(2) };
    say(socket, Message::Started);
    leave_the_rest(socket, &signals, held);
    forget_supervisor();
    loop {
        if let Some(status) = bury(program) {
            say(socket, Message::Ended { status });
            end_all(&signals, own_user);
            sys::exit(0);
        }
        let left = deadline.map(|deadline| deadline.saturating_sub(now()));
        if left == Some(Duration::ZERO) {
            say(socket, Message::TimeUp);
            end_all(&signals, own_user);
            sys::exit(0);
        }
        if wait(socket, &signals, left) {
            end_all(&signals, own_user);
            sys::exit(3);
        }
    }
}

/// Closes the program's streams and whatever else is not ours, so that their readers see them end.
fn leave_the_rest(socket: BorrowedFd<'_>, signals: &OwnedFd, held: &[Option<OwnedFd>; MOST_HELD]) {
    let kept = |number: RawFd| {
        number == sys::number(socket)
            || number == sys::number(signals)
            || held.iter().flatten().any(|held| sys::number(held) == number)
    };
    let highest = held.iter().flatten().map(sys::number).chain([sys::number(signals)]);
    let highest = highest.max().unwrap_or(0).max(sys::number(socket));
    for number in (3..highest).filter(|number| !kept(*number)) {
        sys::close_range(number.cast_unsigned(), number.cast_unsigned()).ok();
    }
    sys::close_range(highest.cast_unsigned() + 1, u32::MAX).ok();
}

/// Sleeps until a child has changed or the time is over; says whether the box must end.
fn wait(socket: BorrowedFd<'_>, signals: &OwnedFd, left: Option<Duration>) -> bool {
    let mut fds =
        [PollFd::from_borrowed_fd(socket, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
    let left = left.and_then(|left| Timespec::try_from(left).ok());
    if rustix::event::poll(&mut fds, left.as_ref()).is_err() {
        return false;
    }
    let [supervisor, _] = &fds;
    // The supervisor says nothing after the start, so any sign of it is its end.
    !supervisor.revents().is_empty() || told_to_end(signals)
}

/// Reads what signals came; the dead are counted by waiting for them.
fn told_to_end(signals: &OwnedFd) -> bool {
    let mut told = false;
    let mut signal = [0_u8; 128];
    while matches!(rustix::io::read(signals, &mut signal), Ok(128)) {
        let number = signal.first_chunk().map(|number| u32::from_ne_bytes(*number));
        told |= number == Some(libc::SIGTERM.cast_unsigned());
    }
    told
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

/// Ends every process of the box. Those whose parents die here become our children and are met in the next round.
fn end_all(signals: &OwnedFd, own_user: bool) {
    let until = now().saturating_add(LONGEST_END);
    loop {
        if own_user {
            sys::kill_user();
        } else {
            kill_children();
        }
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                // No child is left, so nobody is.
                Err(_) => return,
            }
        }
        if now() > until {
            return;
        }
        let mut ended = [PollFd::new(signals, PollFlags::IN)];
        if rustix::event::poll(&mut ended, Some(&ROUND)).is_ok_and(|ready| ready > 0) {
            told_to_end(signals);
        }
    }
}

/// Kills our children with their groups: a group never reaches beyond a session, and the box has sessions of its own.
fn kill_children() {
    let own = rustix::process::getpid();
    let mut path = [0_u8; 64];
    let pid = own.as_raw_nonzero().get();
    let Some(path) = children_path(&mut path, pid) else { return };
    let Ok(file) = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else {
        return;
    };
    let mut list = [0_u8; 16384];
    let read = rustix::io::read(&file, &mut list).unwrap_or(0);
    for word in list.get(..read).unwrap_or_default().split(|byte| *byte == b' ') {
        let Some(child) = decimal(word).and_then(Pid::from_raw) else { continue };
        if let Ok(group) = rustix::process::getpgid(Some(child))
            && rustix::process::getsid(Some(child)).is_ok_and(|session| session != own)
        {
            rustix::process::kill_process_group(group, Signal::KILL).ok();
        }
        rustix::process::kill_process(child, Signal::KILL).ok();
    }
}

fn children_path(into: &mut [u8; 64], pid: i32) -> Option<&CStr> {
    let mut digits = [0_u8; 10];
    let digits = decimal_digits(&mut digits, pid)?;
    let parts: [&[u8]; 5] = [b"/proc/", digits, b"/task/", digits, b"/children\0"];
    let mut places = into.iter_mut();
    for byte in parts.into_iter().flatten() {
        *places.next()? = *byte;
    }
    CStr::from_bytes_until_nul(into).ok()
}

/// `/proc/PID` and what follows it, laid out in a buffer.
pub(super) fn proc_path<'a>(into: &'a mut [u8; 24], pid: i32, rest: &[u8]) -> Option<&'a CStr> {
    let mut digits = [0_u8; 10];
    let digits = decimal_digits(&mut digits, pid)?;
    let mut places = into.iter_mut();
    for byte in [b"/proc/", digits, rest, b"\0"].into_iter().flatten() {
        *places.next()? = *byte;
    }
    CStr::from_bytes_until_nul(into).ok()
}

fn decimal_digits(into: &mut [u8; 10], value: i32) -> Option<&[u8]> {
    let mut value = u32::try_from(value).ok()?;
    let mut start = into.len();
    loop {
        start = start.checked_sub(1)?;
        *into.get_mut(start)? = b'0' + u8::try_from(value % 10).ok()?;
        value /= 10;
        if value == 0 {
            return into.get(start..);
        }
    }
}

fn decimal(digits: &[u8]) -> Option<i32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_i32, |value, digit| {
        let digit = i32::try_from(char::from(*digit).to_digit(10)?).ok()?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// Longer than any process that can be ended takes to end.
const LONGEST_END: Duration = Duration::from_secs(30);
const ROUND: Timespec = Timespec { tv_sec: 0, tv_nsec: 2_000_000 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_proc_are_spelled_without_an_allocation() {
        let mut short = [0; 24];
        assert_eq!(proc_path(&mut short, 1_234_567_890, b"").unwrap(), c"/proc/1234567890");
        let mut long = [0; 64];
        assert_eq!(children_path(&mut long, 7).unwrap(), c"/proc/7/task/7/children");
        assert_eq!(children_path(&mut long, -1), None);
        assert_eq!((decimal(b"907"), decimal(b""), decimal(b"9x")), (Some(907), None, None));
    }
}
