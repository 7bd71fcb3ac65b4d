//! Who has the session's changes when the supervisor is killed?
//!
//! The layer that holds them is in memory and lives as long as someone has it open. A keeper is a second process of ours, outside the box, that
//! holds it too and otherwise sleeps. When the supervisor is gone without a word, the keeper waits for the box to be dead and puts what was not
//! written back on the shelf, where a person finds it. It lands nothing.

use super::journal::PLAN;
use super::{Options, WritebackError, list, shelve};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// A keeper, seen from the supervisor.
#[derive(Debug)]
pub struct Keeper {
    child: Child,
    line: Option<ChildStdin>,
}

/// What a keeper is started with, apart from the layer itself.
#[derive(Debug, Clone, Copy)]
pub struct Charge<'a> {
    /// Our own program.
    pub program: &'a Path,
    /// The words that make it a keeper.
    pub argv: &'a [OsString],
    /// The person's home directory; nothing else of the environment is handed on.
    pub home: &'a Path,
}

impl Keeper {
    /// Starts a keeper of this layer, which was laid over this workspace.
    ///
    /// # Errors
    /// When no process can be had.
    pub fn start(
        charge: Charge<'_>,
        upper: BorrowedFd<'_>,
        workspace: BorrowedFd<'_>,
    ) -> io::Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "our own program, outside the box")]
        let mut command = Command::new(charge.program);
        command.args(charge.argv).env_clear().env("HOME", charge.home).current_dir("/");
        // Three descriptors reach it: the line to us, the layer and the workspace.
        command.stdin(Stdio::piped()).stdout(upper.try_clone_to_owned()?);
        command.stderr(workspace.try_clone_to_owned()?);
        let mut child = command.spawn()?;
        let line = child.stdin.take();
        Ok(Self { child, line })
    }

    /// Sends it home: the changes are where they belong.
    pub fn dismiss(mut self) {
        if let Some(mut line) = self.line.take() {
            // It is gone already when this fails.
            drop(line.write_all(DISMISSED));
        }
        drop(self.child.wait());
    }
}

/// What a keeper is to do.
pub struct Watch<'a> {
    /// The box's first process, as the host numbers it.
    pub pid: i32,
    /// When the session began ([`super::session_start`]).
    pub since: SystemTime,
    /// Where and for whom it keeps what it finds.
    pub options: Options<'a>,
    /// Whether there is room for so many bytes in so many files. What an agent wrote must not fill the disk because its
    /// supervisor is gone.
    pub has_room: &'a dyn Fn(u64, u64) -> bool,
}

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("pid", &self.pid).finish_non_exhaustive()
    }
}

/// Keeps watch, in a process that [`Keeper::start`] started. Gives what it put on the shelf, or `None` when it was not needed.
///
/// # Errors
/// When the changes cannot be read or kept, or there is no room for them.
pub fn keep(watch: Watch<'_>) -> Result<Option<super::Applied>, WritebackError> {
    // Out of reach of the terminal's signals; it fails where we lead a session already.
    let _session = rustix::process::setsid();
    let alive = Pid::from_raw(watch.pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let mut word = Vec::new();
    let heard = io::stdin().lock().take(DISMISSED.len() as u64).read_to_end(&mut word);
    if heard.is_ok() && word == DISMISSED {
        return Ok(None);
    }
    if let Some(pidfd) = alive {
        let patience = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
        let mut waited = [PollFd::new(&pidfd, PollFlags::IN)];
        // The kernel ends the box with its supervisor; what it might still write meanwhile is only kept, never landed.
        let _ended = rustix::io::retry_on_intr(|| poll(&mut waited, Some(&patience)));
    }
    let Watch { since, options, has_room, .. } = watch;
    if options.journal.join(PLAN).exists() {
        // It was being landed: the next start finishes that.
        return Ok(None);
    }
    if options.journal.exists() {
        super::discard(options.journal)?;
    }
    let (upper, workspace) = (io::stdout(), io::stderr());
    let changes = list(upper.as_fd(), workspace.as_fd(), since)?;
    let (bytes, files) = changes.weight();
    let began = Instant::now();
    while !has_room(bytes, files) {
        if began.elapsed() > ROOM_PATIENCE {
            return Err(WritebackError::NoRoom { bytes, files });
        }
        std::thread::sleep(ROOM_PAUSE);
    }
    shelve(&changes, upper.as_fd(), workspace.as_fd(), options).map(Some)
}

const DISMISSED: &[u8] = b"done";
/// How long the kernel may take to end the box.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a full disk is waited for: the changes are memory of the machine's meanwhile.
const ROOM_PATIENCE: Duration = Duration::from_mins(1);
const ROOM_PAUSE: Duration = Duration::from_secs(2);
