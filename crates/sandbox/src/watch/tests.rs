//! Does a look end what has taken too much, and nothing else?
use super::*;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command};

/// A process in a box's place, and what watches it.
fn watched(
    bounds: Bounds,
    look_at_machine: fn() -> Option<Memory>,
) -> (Child, Arc<OwnedFd>, Watching) {
    #[expect(clippy::disallowed_methods, reason = "the test plays the box")]
    let child = Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = Pid::from_child(&child);
    let pidfd = Arc::new(pidfd_open(pid, PidfdFlags::empty()).unwrap());
    let watching = Watching {
        pidfd: Arc::downgrade(&pidfd),
        pid: pid.as_raw_nonzero().get(),
        bounds,
        signal: Signal::KILL,
        seen: Arc::default(),
        machine: Some(Memory::in_kib(16_000, 9000, 1000)),
        look_at_machine,
    };
    (child, pidfd, watching)
}

const BYTES: Bounds = Bounds { bytes: Some(u64::MAX), sockets: false, processes: None };

#[test]
fn a_box_ends_when_the_kernel_has_taken_what_the_machine_needs() {
    let (mut child, _pidfd, watching) = watched(BYTES, || Some(Memory::in_kib(16_000, 100, 9000)));
    watching.look();
    assert_eq!(watching.seen.over.get(), Some(&Over::Bytes));
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::KILL.as_raw()));
    assert!(!watching.look(), "there is nothing left to watch");
}

#[test]
fn a_box_within_its_bounds_goes_on_until_nobody_holds_it() {
    let (mut child, pidfd, watching) = watched(BYTES, || Some(Memory::in_kib(16_000, 9000, 1000)));
    assert!(watching.look() && watching.seen.over.get().is_none());
    // What the machine says is no matter of a box whose memory the kernel counts.
    let look_at_machine = || Some(Memory::in_kib(16_000, 100, 9000));
    let counted = Watching { machine: None, look_at_machine, ..watching };
    assert!(counted.look() && counted.seen.over.get().is_none());
    assert!(child.try_wait().unwrap().is_none());
    drop(pidfd);
    assert!(!counted.look());
    child.kill().unwrap();
    child.wait().unwrap();
}
