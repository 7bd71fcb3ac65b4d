//! How is another process told that the policy has changed? By a signal that reaches it and no other, and only once it heeds
//! it: any other program would end of it.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::os::fd::OwnedFd;
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
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid.as_raw_nonzero()));
        // One that is gone is told of by sending.
        let Ok(status) = status else { return true };
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        caught.is_some_and(|mask| mask & (1 << (Signal::USR1.as_raw() - 1)) != 0)
    }
}

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
