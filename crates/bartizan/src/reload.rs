//! How is another process told that the policy has changed? By a signal that reaches it and no other, and only once it heeds
//! it: any other program would end of it.

use crate::report::{Failure, safe};
use bartizan_store::started_ticks;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A process that is to be told.
#[derive(Debug)]
pub(crate) struct Heeder {
    pid: Pid,
    /// Stands for that one process, also when its number is another's by now.
    fd: OwnedFd,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// It reads its policy anew.
    Heard,
    /// It is no process that does so, or has not come that far; nothing was sent.
    Deaf,
    /// It has ended.
    Gone,
}

impl Heeder {
    /// The process that has this number now; `None` when there is none. Who knows more of it checks that after this.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
        let fd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        Some(Self { pid, fd })
    }

    /// Tells it, once it heeds that; waits for a process that has only begun.
    pub(crate) fn tell(&self) -> Told {
        self.tell_within(BEGINS)
    }

    fn tell_within(&self, begins: Duration) -> Told {
        let begun = Instant::now();
        while !self.heeds() {
            if begun.elapsed() >= begins {
                return Told::Deaf;
            }
            std::thread::sleep(LOOK);
        }
        match pidfd_send_signal(&self.fd, Signal::USR1) {
            Ok(()) => Told::Heard,
            Err(_) => Told::Gone,
        }
    }

    /// Whether whoever has its number now has a handler for the signal. If that is another process by now, the signal goes
    /// nowhere.
    fn heeds(&self) -> bool {
        // One that is gone is told of by sending.
        let Some(status) = self.status() else { return true };
        let caught = line(&status, "SigCgt:").and_then(|mask| u64::from_str_radix(mask, 16).ok());
        caught.is_some_and(|mask| mask & (1 << (Signal::USR1.as_raw() - 1)) != 0)
    }

    /// Who started the process that has its number now.
    pub(crate) fn parent(&self) -> Option<u32> {
        line(&self.status()?, "PPid:")?.parse().ok()
    }

    fn status(&self) -> Option<String> {
        std::fs::read_to_string(format!("/proc/{}/status", self.pid.as_raw_nonzero())).ok()
    }
}

fn line<'a>(status: &'a str, key: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim)
}

/// A process of ours that heeds the signal and is no session: its entry, which it holds a lock on as long as it lives.
#[derive(Debug)]
pub(crate) struct Listed {
    entry: PathBuf,
    _lock: File,
}

impl Listed {
    /// Lists this process, in `state`, as what `what` says. Comes after it heeds the signal, or is waited for.
    pub(crate) fn here(state: &Path, what: &str) -> Result<Self, Failure> {
        let folder = state.join(LIST);
        let failed = |error: io::Error| Failure::file("write to", &folder, &error);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed)?;
        let pid = std::process::id();
        let (entry, draft) = (folder.join(pid.to_string()), folder.join(format!("{pid}.new")));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&draft).map_err(failed)?;
        // Before it has its name, so that nobody finds it without its lock.
        flock(&file, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
        let ticks = started_ticks(pid).unwrap_or(0);
        file.write_all(format!("{ticks} {what}").as_bytes()).map_err(failed)?;
        std::fs::rename(&draft, &entry).map_err(failed)?;
        Ok(Self { entry, _lock: file })
    }

    /// Those that live: number, what they are, and the way to tell them. The entries of others are removed.
    pub(crate) fn all(state: &Path) -> Vec<(u32, String, Heeder)> {
        let entries = std::fs::read_dir(state.join(LIST)).into_iter().flatten().flatten();
        entries.filter_map(|entry| Self::read(&entry.path())).collect()
    }

    /// INVARIANT: that the lock is held is seen once the process is, so that its number cannot have become another's; and when
    /// it was started, so that it is not another's in the container that this one may be in.
    fn read(entry: &Path) -> Option<(u32, String, Heeder)> {
        let pid = entry.file_name()?.to_str()?.parse().ok()?;
        let file = File::open(entry).ok()?;
        let heeder = Heeder::of(pid);
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Err(Errno::WOULDBLOCK) => {}
            Ok(()) => {
                // Who left it is gone; another who removes it first has done the same.
                drop(std::fs::remove_file(entry));
                return None;
            }
            Err(_) => return None,
        }
        let mut entry = String::new();
        file.take(LONGEST).read_to_string(&mut entry).ok()?;
        let (ticks, what) = entry.split_once(' ')?;
        let same = started_ticks(pid)? == ticks.parse::<u64>().ok()?;
        Some((pid, safe(what), heeder.filter(|_| same)?))
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        // What stays is removed by whoever looks next.
        drop(std::fs::remove_file(&self.entry));
    }
}

/// The folder of the entries, in the state directory.
const LIST: &str = "gateways";
/// An entry is a line.
const LONGEST: u64 = 4096;
/// How long a process may take from its start until it heeds the signal.
const BEGINS: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_would_end_of_the_signal_does_not_get_it() {
        #[expect(clippy::disallowed_methods, reason = "the test tells real processes")]
        let mut deaf = std::process::Command::new("/bin/sleep").arg("600").spawn().unwrap();
        let heeder = Heeder::of(deaf.id()).unwrap();
        assert_eq!(heeder.tell_within(Duration::ZERO), Told::Deaf);
        assert!(deaf.try_wait().unwrap().is_none());
        deaf.kill().unwrap();
        deaf.wait().unwrap();
        assert_eq!(heeder.tell(), Told::Gone);
    }

    #[test]
    fn an_entry_is_worth_as_much_as_its_lock() {
        let state = tempfile::tempdir().unwrap();
        let listed = Listed::here(state.path(), "a gateway\u{1b}[2J").unwrap();
        let own = std::process::id();
        let [(pid, what, _)] = &Listed::all(state.path())[..] else { panic!("not listed once") };
        assert_eq!((*pid, what.contains('\u{1b}')), (own, false));
        let entry = listed.entry.clone();
        // The same number and lock, of a process that was started at another time.
        let text = std::fs::read_to_string(&entry).unwrap();
        std::fs::write(&entry, format!("1{text}")).unwrap();
        assert!(Listed::all(state.path()).is_empty() && entry.exists());
        drop(listed);
        assert!(!entry.exists());
        // What a killed process left: its number may be anybody's by now.
        std::fs::write(&entry, "a gateway").unwrap();
        std::fs::write(entry.with_file_name("not-a-number"), "").unwrap();
        assert!(Listed::all(state.path()).is_empty());
        assert!(!entry.exists());
    }

    #[test]
    fn a_process_that_heeds_it_is_told() {
        #[expect(clippy::disallowed_methods, reason = "the test tells real processes")]
        let mut shell = std::process::Command::new("/bin/sh")
            .args(["-c", "trap 'exit 7' USR1; while :; do /bin/sleep 0.1; done"])
            .spawn()
            .unwrap();
        assert_eq!(Heeder::of(shell.id()).unwrap().tell(), Told::Heard);
        assert_eq!(shell.wait().unwrap().code(), Some(7));
    }
}
