//! What holds a box of tier B, and what is lost against tier A?
use super::plan::{Copied, Layout};
use crate::host::HostFacts;
use crate::linux::cgroup::Place;
use crate::spec::{BoxSpec, Reach, WorkspaceMode};
use crate::status::{Enforcement, Strength};

/// The report of a box that has started.
pub(crate) fn report(spec: &BoxSpec, facts: &HostFacts, layout: &Layout) -> Enforcement {
    let mut report = Enforcement::tier_b();
    let abi = facts.landlock_abi;
    report.add(
        "landlock",
        Strength::Kernel,
        format!("ABI {abi}: an allow-list of files, no TCP, no signal beyond the box"),
    );
    report.add(
        "seccomp",
        Strength::Kernel,
        "allow-list, narrower than tier A's; unknown calls do not exist",
    );
    report.add("capabilities", Strength::Kernel, "none; no new privileges");
    let user = match facts.private_uid {
        Some(uid) => format!("host user {uid}, of this box alone"),
        None => "the caller's own, without capabilities".to_owned(),
    };
    report.add("user", Strength::Kernel, user);
    let network = match spec.network {
        Reach::Captured => {
            "TCP and names over TCP, connected by the supervisor alone; no datagrams"
        }
        Reach::Loopback => "none but its own servers, connected by the supervisor; no datagrams",
    };
    report.add("network", Strength::Kernel, network);
    let path = layout.workspace.display();
    let workspace = match layout.copied {
        Some(Copied::Writable { .. }) => {
            format!("a copy at `{path}`; its changes go through the write-back gate")
        }
        Some(Copied::ReadOnly) => format!("a read-only copy at `{path}`"),
        None if spec.workspace_mode == WorkspaceMode::ReadOnly => {
            "the folder itself, read-only".to_owned()
        }
        None => "the folder itself, without the write-back gate".to_owned(),
    };
    report.add("workspace", Strength::Kernel, workspace);
    resources(&mut report, spec, facts);
    for (name, what) in LOST {
        report.add(name, Strength::Absent, *what);
    }
    for (path, why) in &layout.left_out {
        report.add("left out", Strength::Absent, format!("`{}` {why}", path.display()));
    }
    report
}

fn resources(report: &mut Enforcement, spec: &BoxSpec, facts: &HostFacts) {
    let limits = &spec.limits;
    let mib = limits.memory_bytes >> 20;
    if facts.cgroup.counts_memory() {
        report.add(
            "memory",
            Strength::Kernel,
            format!("{mib} MiB for the whole box, by control group"),
        );
    } else {
        let why =
            if let Place::None(why) = &facts.cgroup { why } else { "no memory control group" };
        report.add("memory", Strength::Watched, format!("{mib} MiB, looked at every 50 ms; {why}"));
    }
    let exact = facts.cgroup.counts_pids() || facts.private_uid.is_some();
    let how = if exact {
        "for the whole box"
    } else {
        "counted with this user's other processes, as many as they were at the start"
    };
    report.add("processes", Strength::Kernel, format!("{}, {how}", limits.pids));
    match limits.cpu_percent {
        Some(percent) if facts.cgroup.counts_cpu() => {
            report.add(
                "cpu",
                Strength::Kernel,
                format!("{percent} % of one core, by control group"),
            );
        }
        Some(_) => report.add("cpu", Strength::Absent, "no CPU control group can be had here"),
        None => {}
    }
    report.add(
        "files",
        Strength::Kernel,
        format!("{} MiB a file, {} open", limits.file_size >> 20, limits.open_files),
    );
    report.add(
        "disk space",
        Strength::Watched,
        "no file system of its own: what it writes is added up as the disk fills",
    );
    if let Some(wall) = limits.wall {
        report.add(
            "wall clock",
            Strength::Watched,
            format!("{} s, by the box's keeper", wall.as_secs()),
        );
    }
}

/// What tier A has and this has not, each with what it means.
const LOST: &[(&str, &str)] = &[
    (
        "namespaces",
        "no view of its own: names, sizes and times of files anywhere can be seen where their directory lets this user by, their contents cannot",
    ),
    (
        "processes seen",
        "process numbers of the host can be seen; environment, memory, files and command lines of its processes cannot",
    ),
    (
        "own /tmp",
        "`/tmp`, `/dev/shm` and the usual home directory cannot be used; TMPDIR and HOME lead to the box's own",
    ),
    (
        "datagrams",
        "no UDP: programs that ask for names themselves need the proxy variables; the C library asks over TCP",
    ),
    (
        "shared memory",
        "no SysV and POSIX shared memory, semaphores and queues, no abstract unix sockets, no terminals of its own making",
    ),
    (
        "loopback",
        "the box's own servers listen on the host's loopback, where others on this machine can call them",
    ),
    (
        "end of the box",
        "by its keeper instead of the kernel: if supervisor and keeper are both killed with KILL at once, a daemonised process stays, without network",
    ),
];
