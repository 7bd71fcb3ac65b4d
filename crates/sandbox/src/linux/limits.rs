//! Which resource limits does each process of the box carry?
use crate::host::HostFacts;
use crate::op::{Op, Resource};
use crate::spec::Limits;

/// The limits as acts. Each is carried out as the lower of itself and the caller's own hard limit.
pub(crate) fn ops(limits: &Limits, facts: &HostFacts) -> Vec<Op> {
    let mut wanted = vec![
        // One byte, not none: only 1 keeps a core_pattern helper on the host from being run.
        ("core", Resource::Core, 1),
        ("file size", Resource::Fsize, limits.file_size),
        ("open files", Resource::Nofile, limits.open_files),
        // Counted per user namespace since Linux 5.14, so this is the box's own count. One for pid 1.
        ("processes", Resource::Nproc, limits.pids.saturating_add(1)),
        ("locked memory", Resource::Memlock, LOCKED_BYTES),
        ("message queues", Resource::Msgqueue, QUEUE_BYTES),
        ("pending signals", Resource::Sigpending, PENDING_SIGNALS),
        ("realtime priority", Resource::Rtprio, 0),
        ("nice", Resource::Nice, 0),
    ];
    if !facts.cgroup.counts_memory() {
        wanted.push(("data per process", Resource::Data, limits.memory_bytes));
    }
    wanted.into_iter().map(|(name, resource, value)| Op::Limit { name, resource, value }).collect()
}

/// Locked pages are not swapped out; 64 MiB is what browsers and databases ask for at most.
const LOCKED_BYTES: u64 = 64 << 20;
const QUEUE_BYTES: u64 = 64 << 10;
const PENDING_SIGNALS: u64 = 4096;
