//! How does a freshly cloned process become the keeper of a box of tier B, and its child the program?
//!
//! INVARIANT: as in `child`: until the exec, nothing here allocates, frees, panics or takes a lock.
use super::keeper;
use crate::child::{PATH_ONLY, limit, say};
use crate::linux::landlock::{self, Rule};
use crate::op::{Resource, Tag};
use crate::sys::{self, Image};
use crate::wire::{MAX_DESCRIPTORS, Message};
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, IoSlice};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::pipe::PipeFlags;
use rustix::process::{DumpableBehavior, Signal};
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

/// What the supervisor laid out before the clone.
pub(crate) struct Setup<'a> {
    pub(crate) socket: RawFd,
    /// Files that lead into the box's control groups.
    pub(crate) entrances: &'a [RawFd],
    /// Every descriptor to keep, in rising order, none below 3.
    pub(crate) keep: &'a [RawFd],
    pub(crate) stdio: [RawFd; 3],
    /// Whether the standard streams are a terminal, which then becomes the program's own.
    pub(crate) terminal: Option<RawFd>,
    pub(crate) image: &'a Image,
    pub(crate) program: &'a CStr,
    pub(crate) cwd: &'a CStr,
    pub(crate) wall: Option<Duration>,
    pub(crate) limits: &'a [(Resource, u64)],
    pub(crate) rules: &'a [Rule],
    pub(crate) held: &'a [Rule],
    /// File rights and scopes that this kernel's Landlock knows.
    pub(crate) rights: u64,
    pub(crate) scopes: u64,
    pub(crate) filter: &'a [libc::sock_filter],
    /// The box's own user, when we are root.
    pub(crate) user: Option<u32>,
}

/// The acts, by the number under which a failed one is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Step {
    Leave = 0,
    Rules = 1,
    User = 2,
    Fork = 3,
    Streams = 4,
    Directory = 5,
    Limits = 6,
    NoNewPrivileges = 7,
    Landlock = 8,
    Filter = 9,
    HandOver = 10,
}

impl Step {
    pub(crate) const ALL: [Self; 11] = [
        Self::Leave,
        Self::Rules,
        Self::User,
        Self::Fork,
        Self::Streams,
        Self::Directory,
        Self::Limits,
        Self::NoNewPrivileges,
        Self::Landlock,
        Self::Filter,
        Self::HandOver,
    ];
}

type Failed = (Step, Errno);

fn at(step: Step) -> impl Fn(Errno) -> Failed {
    move |errno| (step, errno)
}

/// Becomes the keeper.
pub(crate) fn run(setup: &Setup<'_>) -> ! {
    sys::default_signals();
    let socket = sys::inherited(setup.socket);
    match begin(setup, socket) {
        Ok(Begun { program, held }) => {
            keeper::keep(setup.socket, program, setup.wall, setup.user.is_some(), &held)
        }
        Err(Some((step, errno))) => {
            say(socket, Message::Fault { step: step as u32, errno: errno.raw_os_error() });
            sys::exit(1)
        }
        // The program's side has said why.
        Err(None) => sys::exit(1),
    }
}

struct Begun {
    program: i32,
    held: [Option<OwnedFd>; MOST_HELD],
}

fn begin(setup: &Setup<'_>, socket: BorrowedFd<'_>) -> Result<Begun, Option<Failed>> {
    leave(setup).map_err(at(Step::Leave)).map_err(Some)?;
    let mut held = [const { None }; MOST_HELD];
    let ruleset = rules(setup, &mut held).map_err(at(Step::Rules)).map_err(Some)?;
    unprivileged(setup.user).map_err(at(Step::User)).map_err(Some)?;
    let fork = |errno| Some((Step::Fork, errno));
    let (go_reader, go_writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(fork)?;
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(fork)?;
    let Some(program) = sys::fork().map_err(fork)? else {
        drop((go_writer, reader));
        become_program(setup, socket, &ruleset, &go_reader);
        rustix::io::write(&writer, b"x").ok();
        sys::exit(127);
    };
    drop((writer, go_reader));
    // Its own entry of `/proc`, and no other process's. Held open, or the rule would go with the entry.
    if let Some(slot) = held.iter_mut().find(|slot| slot.is_none()) {
        *slot = allow_entry(program, &ruleset);
    }
    drop(ruleset);
    rustix::io::write(&go_writer, b"g").map_err(fork)?;
    match rustix::io::retry_on_intr(|| rustix::io::read(&reader, &mut [0_u8; 1])).map_err(fork)? {
        0 => Ok(Begun { program, held }),
        _ => Err(None),
    }
}

/// Leaves the supervisor's descriptors and session behind, for the box's control groups.
fn leave(setup: &Setup<'_>) -> Result<(), Errno> {
    let mut first = 3_u32;
    for &kept in setup.keep {
        let kept = kept.cast_unsigned();
        if kept > first {
            sys::close_range(first, kept - 1)?;
        }
        first = kept + 1;
    }
    sys::close_range(first, u32::MAX)?;
    let null = rustix::fs::open(c"/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    rustix::process::setsid()?;
    // Whoever's parent ends becomes a child of the keeper: nobody gets away from it.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    for entrance in setup.entrances {
        rustix::io::write(sys::inherited(*entrance), b"0")?;
    }
    Ok(())
}

fn rules(setup: &Setup<'_>, held: &mut [Option<OwnedFd>; MOST_HELD]) -> Result<OwnedFd, Errno> {
    let ruleset = sys::landlock_ruleset(setup.rights, landlock::NET, setup.scopes)?;
    let add = |rule: &Rule| -> Result<Option<OwnedFd>, Errno> {
        let place = match rustix::fs::open(rule.path.as_c_str(), PATH_ONLY, Mode::empty()) {
            Ok(place) => place,
            // Not there, or not for us: then not for the box either.
            Err(Errno::NOENT | Errno::ACCESS | Errno::NOTDIR) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        sys::landlock_allow(ruleset.as_fd(), place.as_fd(), rule.rights & setup.rights)?;
        Ok(Some(place))
    };
    for rule in setup.rules {
        drop(add(rule)?);
    }
    for (rule, slot) in setup.held.iter().zip(held) {
        *slot = add(rule)?;
    }
    Ok(ruleset)
}

fn allow_entry(program: i32, ruleset: &OwnedFd) -> Option<OwnedFd> {
    let mut path = [0_u8; 24];
    let path = keeper::proc_path(&mut path, program, b"")?;
    let entry = rustix::fs::open(path, PATH_ONLY, Mode::empty()).ok()?;
    sys::landlock_allow(ruleset.as_fd(), entry.as_fd(), landlock::PROC).ok()?;
    Some(entry)
}

/// Gives up every privilege, for the box's own user if it has one.
fn unprivileged(user: Option<u32>) -> Result<(), Errno> {
    let mine = rustix::thread::capabilities(None)?;
    if !(mine.effective | mine.permitted).is_empty() {
        let locked = CapabilitiesSecureBits::NO_ROOT
            | CapabilitiesSecureBits::NO_ROOT_LOCKED
            | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
        rustix::thread::set_capabilities_secure_bits(locked)?;
        for number in 0..64 {
            let one = CapabilitySet::from_bits_retain(1 << number);
            match rustix::thread::remove_capability_from_bounding_set(one) {
                Ok(()) => {}
                Err(Errno::INVAL) => break,
                Err(errno) => return Err(errno),
            }
        }
    }
    if let Some(user) = user {
        rustix::thread::set_thread_groups(&[])?;
        let gid = rustix::process::Gid::from_raw(user);
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        let uid = rustix::process::Uid::from_raw(user);
        rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    }
    let none = CapabilitySet::empty();
    rustix::thread::clear_ambient_capability_set()?;
    rustix::thread::set_capabilities(
        None,
        CapabilitySets { effective: none, permitted: none, inheritable: none },
    )?;
    // The keeper stays outside the program's Landlock domain; this keeps other programs of the user out too.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

/// Becomes the program; returns when it could not, and has said so then.
fn become_program(setup: &Setup<'_>, socket: BorrowedFd<'_>, ruleset: &OwnedFd, go: &OwnedFd) {
    let failed = match confine(setup, socket, ruleset, go) {
        Ok(()) => {
            let errno = setup.image.exec(setup.program);
            Message::ExecFault { errno: errno.raw_os_error() }
        }
        Err((step, errno)) => Message::Fault { step: step as u32, errno: errno.raw_os_error() },
    };
    say(socket, failed);
}

fn confine(
    setup: &Setup<'_>,
    socket: BorrowedFd<'_>,
    ruleset: &OwnedFd,
    go: &OwnedFd,
) -> Result<(), Failed> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(at(Step::Fork))?;
    rustix::io::retry_on_intr(|| rustix::io::read(go, &mut [0_u8; 1])).map_err(at(Step::Fork))?;
    streams(setup).map_err(at(Step::Streams))?;
    sys::close_range_on_exec(3).map_err(at(Step::Streams))?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    rustix::process::chdir(setup.cwd).map_err(at(Step::Directory))?;
    match sys::new_session_keyring() {
        // A kernel without keyrings has none to share.
        Ok(()) | Err(Errno::NOSYS) => {}
        Err(errno) => return Err((Step::Limits, errno)),
    }
    for (resource, value) in setup.limits {
        limit(*resource, *value).map_err(at(Step::Limits))?;
    }
    rustix::thread::set_no_new_privs(true).map_err(at(Step::NoNewPrivileges))?;
    sys::landlock_restrict(ruleset.as_fd()).map_err(at(Step::Landlock))?;
    let listener = sys::seccomp_asking(setup.filter).map_err(at(Step::Filter))?;
    hand_over(socket, listener).map_err(at(Step::HandOver))?;
    sys::unblock_signals();
    Ok(())
}

fn streams(setup: &Setup<'_>) -> Result<(), Errno> {
    rustix::process::setsid()?;
    if let Some(terminal) = setup.terminal {
        rustix::process::ioctl_tiocsctty(sys::inherited(terminal))?;
    }
    let [stdin, stdout, stderr] = setup.stdio.map(sys::inherited);
    rustix::stdio::dup2_stdin(stdin)?;
    rustix::stdio::dup2_stdout(stdout)?;
    rustix::stdio::dup2_stderr(stderr)
}

/// Gives the supervisor the end at which our questions are heard. Until it listens, every such call waits.
fn hand_over(socket: BorrowedFd<'_>, listener: OwnedFd) -> Result<(), Errno> {
    let fds = [listener.as_fd()];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(Errno::MSGSIZE);
    }
    let mut tags = [0; MAX_DESCRIPTORS];
    if let Some(first) = tags.first_mut() {
        *first = Tag::Questions as u8;
    }
    let message = Message::Descriptors { tags, redirect: false }.encode();
    rustix::net::sendmsg(socket, &[IoSlice::new(&message)], &mut control, SendFlags::NOSIGNAL)?;
    drop(listener);
    Ok(())
}

/// Entries of `/proc` held open, the program's own among them.
pub(crate) const MOST_HELD: usize = 32;
