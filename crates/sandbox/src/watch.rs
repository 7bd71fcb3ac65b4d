//! Who keeps a box within its memory and its processes where the kernel counts no group?
//!
//! A thread that adds up the box's processes a few times a second and ends the box when a sum is too high. Weaker than a
//! control group: between two looks a box can take more, and memory shared by a fork is counted more than once. What the
//! kernel keeps for a box and no process has, it is charged for by what it can come to: page tables as they are, sockets
//! beyond a few by what can wait in one. Of the rest only the sum for the whole machine is known ([`kernel`]).
mod kernel;

use kernel::Memory;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, LazyLock, OnceLock, Weak};
use std::time::Duration;

/// A watch over one box. Ends with the box.
#[derive(Debug)]
pub(crate) struct Watch {
    seen: Arc<Seen>,
    bounds: Bounds,
}

/// How much a box may have; what is `None` is counted by the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) bytes: Option<u64>,
    /// Whether the box has a network of its own, so that its sockets can be told from others.
    pub(crate) sockets: bool,
    /// Processes and threads, without pid 1.
    pub(crate) processes: Option<u64>,
}

/// Which bound a box was ended for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Bytes,
    Processes,
}

/// What a watch saw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watched {
    /// Where it looked at memory.
    pub(crate) peak_bytes: Option<u64>,
    pub(crate) over: Option<Over>,
}

#[derive(Debug, Default)]
struct Seen {
    peak_bytes: AtomicU64,
    over: OnceLock<Over>,
}

impl Watch {
    /// Watches the box for as long as somebody else holds `pidfd`, or until it has ended.
    pub(crate) fn start(
        pidfd: &Arc<OwnedFd>,
        pid: i32,
        bounds: Bounds,
        signal: Signal,
    ) -> io::Result<Self> {
        static WATCHER: OnceLock<Result<Sender<Watching>, io::ErrorKind>> = OnceLock::new();
        let watcher = WATCHER.get_or_init(|| start_watcher().map_err(|e| e.kind()));
        let watcher = watcher.as_ref().map_err(|kind| io::Error::from(*kind))?;
        let seen = Arc::new(Seen::default());
        let pidfd = Arc::downgrade(pidfd);
        watcher
            .send(Watching {
                pidfd,
                pid,
                bounds,
                signal,
                seen: Arc::clone(&seen),
                machine: bounds.bytes.and_then(|_| Memory::look()),
                look_at_machine: Memory::look,
            })
            .map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(Self { seen, bounds })
    }

    /// What was seen so far.
    pub(crate) fn told(&self) -> Watched {
        Watched {
            peak_bytes: self.bounds.bytes.map(|_| self.seen.peak_bytes.load(Ordering::SeqCst)),
            over: self.seen.over.get().copied(),
        }
    }
}

/// A box under watch, as the watching thread knows it.
struct Watching {
    pidfd: Weak<OwnedFd>,
    pid: i32,
    bounds: Bounds,
    /// What ends the box.
    signal: Signal,
    seen: Arc<Seen>,
    /// The machine's memory when the box began, and what tells how it is now.
    machine: Option<Memory>,
    look_at_machine: fn() -> Option<Memory>,
}

/// One thread for all boxes: it sleeps while there are none.
fn start_watcher() -> io::Result<Sender<Watching>> {
    let (sender, newcomers) = channel::<Watching>();
    std::thread::Builder::new().name("bartizan-watch".into()).spawn(move || {
        let mut boxes: Vec<Watching> = Vec::new();
        loop {
            if boxes.is_empty() {
                let Ok(newcomer) = newcomers.recv() else { return };
                boxes.push(newcomer);
            }
            std::thread::sleep(INTERVAL);
            boxes.extend(newcomers.try_iter());
            boxes.retain(Watching::look);
        }
    })?;
    Ok(sender)
}

impl Watching {
    /// Looks once, and ends the box if it has taken too much. Returns whether there is anything left to watch.
    fn look(&self) -> bool {
        let Some(pidfd) = self.pidfd.upgrade() else { return false };
        let mut ended = [PollFd::new(&*pidfd, PollFlags::IN)];
        if rustix::event::poll(&mut ended, Some(&Timespec::default())).is_ok_and(|ended| ended > 0)
        {
            return false;
        }
        let taken = Taken::of_tree(self.pid, self.bounds);
        self.seen.peak_bytes.fetch_max(taken.bytes, Ordering::SeqCst);
        let above = |taken: u64, bound: Option<u64>| bound.is_some_and(|bound| taken > bound);
        let machine_is_out = || {
            let (then, now) = (self.machine?, (self.look_at_machine)()?);
            Some(now.is_taken_since(&then))
        };
        let over = if above(taken.bytes, self.bounds.bytes) || machine_is_out() == Some(true) {
            Some(Over::Bytes)
        } else if above(taken.processes, self.bounds.processes) {
            Some(Over::Processes)
        } else {
            None
        };
        if let Some(over) = over {
            self.seen.over.get_or_init(|| over);
            // The box is gone already, or the next look tries again.
            rustix::process::pidfd_send_signal(&*pidfd, self.signal).ok();
        }
        true
    }
}

/// What a box has taken.
#[derive(Default)]
struct Taken {
    bytes: u64,
    processes: u64,
}

impl Taken {
    /// What all processes below one have. Orphans hang on pid 1, so none is missed.
    fn of_tree(root: i32, bounds: Bounds) -> Self {
        let mut waiting = vec![root];
        let mut met = BTreeSet::new();
        let mut taken = Self::default();
        while let Some(pid) = waiting.pop() {
            if met.len() >= MOST_PROCESSES || !met.insert(pid) {
                continue;
            }
            let (threads, children) = threads_and_children(pid);
            waiting.extend(children);
            // The first process is ours; its copy of the supervisor's memory is not the box's doing.
            if pid != root {
                taken.processes = taken.processes.saturating_add(threads);
                if bounds.bytes.is_some() {
                    taken.bytes = taken.bytes.saturating_add(own_bytes(pid));
                }
            }
        }
        if bounds.bytes.is_some() && bounds.sockets {
            taken.bytes = taken.bytes.saturating_add(socket_bytes(root));
        }
        taken
    }
}

/// Anonymous and shared memory, in swap too, and the tables that map it; a mapped file is not the box's own.
fn own_bytes(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    };
    let kib = ["RssAnon:", "RssShmem:", "VmSwap:", "VmPTE:"]
        .into_iter()
        .fold(0, |sum: u64, name| sum.saturating_add(field(name).unwrap_or(0)));
    kib.saturating_mul(1024)
}

/// What can wait in the sockets of the network that this process is in, but for the first few; those too that are on their
/// way from one process to another, and that nobody holds.
fn socket_bytes(pid: i32) -> u64 {
    static ROOM: LazyLock<u64> = LazyLock::new(|| {
        let size = |which| {
            let text = fs::read_to_string(format!("/proc/sys/net/core/{which}_default")).ok()?;
            text.trim().parse::<u64>().ok()
        };
        let sizes = ["wmem", "rmem"].into_iter().filter_map(size);
        sizes.max().unwrap_or(USUAL_ROOM)
    });
    let told = fs::read_to_string(format!("/proc/{pid}/net/sockstat")).unwrap_or_default();
    let used = told.lines().find_map(|line| line.strip_prefix("sockets: used "));
    let used = used.and_then(|used| used.trim().parse::<u64>().ok()).unwrap_or(0);
    used.saturating_sub(FREE_SOCKETS).saturating_mul(*ROOM)
}

fn threads_and_children(pid: i32) -> (u64, Vec<i32>) {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return (0, Vec::new()) };
    let (mut count, mut children) = (0, Vec::new());
    for thread in threads.flatten() {
        count += 1;
        let list = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        children.extend(list.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
    }
    (count, children)
}

const INTERVAL: Duration = Duration::from_millis(50);
/// So many sockets nobody is charged for: what programs need that do not serve thousands.
const FREE_SOCKETS: u64 = 256;
/// What can wait in a socket where the kernel does not say: its own default.
const USUAL_ROOM: u64 = 212_992;
const MOST_PROCESSES: usize = 10_000;

#[cfg(test)]
mod tests;
