//! Who else may read what is in this process's memory? No other process of the same user, no core file, and, where the
//! machine lets us, no swap device.

use crate::cli::exit;
use crate::report::{Failure, Problem, plain};
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};
use std::io;

/// Shuts this process's memory to other processes of its user, and to core files. It comes before anything is read that
/// could be a secret.
///
/// # Errors
///
/// The kernel refuses it, and nothing that may come to hold a secret goes on.
pub(crate) fn shut() -> Result<(), Failure> {
    told(shut_to_others())
}

/// Leaves no core file, and no more: for the client's hook, which knows only what its box knows. In a box of tier B the
/// supervisor connects its socket for it, and an ordinary user's may not reach into a process that is shut.
///
/// # Errors
///
/// The kernel refuses it.
pub(crate) fn leave_no_core() -> Result<(), Failure> {
    told(no_core())
}

fn told(done: io::Result<()>) -> Result<(), Failure> {
    done.map_err(|error| {
        let what = format!("cannot shut our own memory to others: {}", plain(&error));
        let hint =
            "a filter of system calls around Bartizan may forbid prctl or prlimit64; allow both";
        Failure::new(exit::UNAVAILABLE, Problem::new(what).hint(hint))
    })
}

fn shut_to_others() -> io::Result<()> {
    no_core()?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

fn no_core() -> io::Result<()> {
    // A limit of 1 byte stops what 0 does not: a core that the kernel pipes into a program (core(5), `core_pattern`).
    let Rlimit { maximum, .. } = getrlimit(Resource::Core);
    let current = Some(maximum.map_or(1, |maximum| maximum.min(1)));
    Ok(setrlimit(Resource::Core, Rlimit { current, maximum })?)
}

/// Whether what this process holds can reach a swap device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Swap {
    /// All of it stays in memory, and so does all that it will come to hold.
    Never,
    /// The machine does not let us lock that much.
    Possible,
}

impl Swap {
    /// The word that the log has for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Never => "locked",
            Self::Possible => "swappable",
        }
    }
}

/// Locks what this process holds and will hold, each page from its first use on, if it may.
pub(crate) fn lock() -> Swap {
    let limit = getrlimit(Resource::Memlock).current;
    // Under a limit that we have not reached yet the lock would succeed, and an allocation fail later.
    if limit.is_some_and(|limit| mapped().is_none_or(|ours| ours <= limit)) {
        return Swap::Possible;
    }
    let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    if mlockall(all).is_ok() { Swap::Never } else { Swap::Possible }
}

/// How many bytes this process has mapped: the first field of `/proc/self/statm`, in pages (proc(5)).
fn mapped() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').next()?.parse().ok()?;
    pages.checked_mul(u64::try_from(rustix::param::page_size()).ok()?)
}
