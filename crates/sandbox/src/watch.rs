//! Who keeps a box within its memory where the kernel counts no group?
//!
//! A thread that adds up the box's processes a few times a second and ends the box when the sum is too high. Weaker than a
//! control group: between two looks a box can take more, and memory shared by a fork is counted more than once.
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// A watch over one box.
#[derive(Debug)]
pub(crate) struct Watch {
    seen: Arc<Seen>,
    thread: JoinHandle<()>,
}

/// What a watch saw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watched {
    pub(crate) peak_bytes: u64,
    pub(crate) over: bool,
}

#[derive(Debug, Default)]
struct Seen {
    peak_bytes: AtomicU64,
    over: AtomicBool,
}

impl Watch {
    /// Watches the box until it ends.
    pub(crate) fn start(pidfd: &OwnedFd, pid: i32, limit_bytes: u64) -> io::Result<Self> {
        let pidfd = pidfd.try_clone()?;
        let seen = Arc::new(Seen::default());
        let thread = {
            let seen = Arc::clone(&seen);
            std::thread::Builder::new().name("bartizan-watch".into()).spawn(move || {
                look_after(&pidfd, pid, limit_bytes, &seen);
            })?
        };
        Ok(Self { seen, thread })
    }

    /// What was seen, once the box has ended.
    pub(crate) fn stop(self) -> Watched {
        // The thread ends by itself with the box; if it panicked, what it saw until then counts.
        drop(self.thread.join());
        Watched {
            peak_bytes: self.seen.peak_bytes.load(Ordering::SeqCst),
            over: self.seen.over.load(Ordering::SeqCst),
        }
    }
}

fn look_after(pidfd: &OwnedFd, pid: i32, limit_bytes: u64, seen: &Seen) {
    loop {
        let mut ended = [PollFd::new(pidfd, PollFlags::IN)];
        match rustix::event::poll(&mut ended, Some(&INTERVAL)) {
            Ok(0) => {}
            Ok(_) => return,
            Err(_) => continue,
        }
        let bytes = tree_bytes(pid);
        seen.peak_bytes.fetch_max(bytes, Ordering::SeqCst);
        if bytes > limit_bytes {
            seen.over.store(true, Ordering::SeqCst);
            // The box is gone already, or the next look tries again.
            rustix::process::pidfd_send_signal(pidfd, Signal::KILL).ok();
        }
    }
}

/// The memory of a process's own and of all below it, in bytes. Orphans hang on pid 1, so none is missed.
fn tree_bytes(root: i32) -> u64 {
    let mut waiting = vec![root];
    let mut met = BTreeSet::new();
    let mut total = 0_u64;
    while let Some(pid) = waiting.pop() {
        if met.len() >= MOST_PROCESSES || !met.insert(pid) {
            continue;
        }
        // The first process is ours; its copy of the supervisor's memory is not the box's doing.
        if pid != root {
            total = total.saturating_add(own_bytes(pid));
        }
        waiting.extend(children(pid));
    }
    total
}

/// Anonymous and shared memory; a mapped file is not the box's own.
fn own_bytes(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    };
    let kib = field("RssAnon:").unwrap_or(0).saturating_add(field("RssShmem:").unwrap_or(0));
    kib.saturating_mul(1024)
}

fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()
        })
        .collect()
}

const INTERVAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
const MOST_PROCESSES: usize = 10_000;
