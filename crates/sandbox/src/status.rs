//! What did the kernel really enforce for this box?
use crate::linux::cgroup::Place;
use crate::linux::landlock::lacks;
use crate::plan::{Kept, Plan};
use crate::spec::Reach;
use std::fmt;

/// The enforcement report of one box: one item for each wall and limit, in the order they were raised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enforcement {
    tier: Tier,
    items: Vec<Item>,
}

/// How strong a box is as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tier {
    /// Namespaces: what is not for the box is not there.
    #[default]
    A,
    /// The host's namespaces, walled off by Landlock, a filter and connects on behalf.
    B,
}

/// One wall or limit and how strongly it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The wall or limit, a stable name: `namespaces`, `landlock`, `memory`…
    pub name: &'static str,
    /// Who enforces it.
    pub strength: Strength,
    /// What exactly holds, or what is missing and how to get it.
    pub detail: String,
}

/// Who enforces a wall or limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// Nothing does; the detail says why.
    Absent,
    /// The kernel, at the moment of the act.
    Kernel,
    /// The supervisor, which looks regularly and ends the box.
    Watched,
}

impl Enforcement {
    /// The items in order.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The tier of this box.
    pub const fn tier(&self) -> Tier {
        self.tier
    }

    /// The report of a box of tier B, empty yet.
    pub(crate) fn tier_b() -> Self {
        Self { tier: Tier::B, items: Vec::new() }
    }

    /// The item called `name`.
    pub fn item(&self, name: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.name == name)
    }

    pub(crate) fn add(
        &mut self,
        name: &'static str,
        strength: Strength,
        detail: impl Into<String>,
    ) {
        self.items.push(Item { name, strength, detail: detail.into() });
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::B => "B",
        })
    }
}

impl fmt::Display for Strength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "absent",
            Self::Kernel => "kernel",
            Self::Watched => "watched",
        })
    }
}

impl fmt::Display for Enforcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "tier {}", self.tier())?;
        for Item { name, strength, detail } in &self.items {
            writeln!(f, "{name:<14} {strength:<8} {detail}")?;
        }
        Ok(())
    }
}

/// What a box started from `plan` is held by, given what its start told.
pub(crate) fn report(plan: &Plan, redirect: bool) -> Enforcement {
    let mut report = Enforcement::default();
    report.add(
        "namespaces",
        Strength::Kernel,
        "user, mount, pid, net, ipc, uts, cgroup; none can be nested",
    );
    match plan.private_uid {
        _ if plan.inner => {
            report.add(
                "user",
                Strength::Kernel,
                "that of the box around, without its capabilities",
            );
        }
        Some(uid) => {
            report.add("user", Strength::Kernel, format!("host user {uid}, of this box alone"));
        }
        None => report.add("user", Strength::Kernel, "the caller's own, without its capabilities"),
    }
    report.add("view", Strength::Kernel, "new root; read-only binds of an allow-list");
    report.add("capabilities", Strength::Kernel, "none, locked; no new privileges");
    if let Some(kept) = &plan.kept {
        report.add("write-back", Strength::Absent, direct(plan, kept));
    }
    landlock(&mut report, plan.landlock_abi);
    report.add("seccomp", Strength::Kernel, "allow-list; unknown calls do not exist");
    network(&mut report, plan, redirect);
    resources(&mut report, plan);
    for path in &plan.left_out {
        report.add("left out", Strength::Absent, format!("`{}` does not exist", path.display()));
    }
    report
}

/// What is held of a workspace that is written directly.
fn direct(plan: &Plan, kept: &Kept) -> String {
    let names = kept.read_only.iter().filter_map(|path| path.strip_prefix(&plan.workspace).ok());
    let names: Vec<_> = names.map(|name| format!("`{}`", name.display())).collect();
    let read_only = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    let repository = if kept.repository { "; `.git` goes through the gate at the end" } else { "" };
    format!(
        "the workspace itself is written; read-only in it: {read_only}{repository}; what is planted beside these is renamed at the end"
    )
}

fn network(report: &mut Enforcement, plan: &Plan, redirect: bool) {
    let ip = if plan.ipv6 { "IPv4 and IPv6" } else { "IPv4; the host has no IPv6" };
    if plan.reach == Reach::Loopback {
        report.add("network", Strength::Kernel, "none but its own loopback");
    } else if redirect {
        report.add(
            "network",
            Strength::Kernel,
            format!("all TCP and DNS captured, the rest dropped; {ip}"),
        );
    } else {
        let missing = "no nf_tables: only ports 22, 80 and 443 are captured, the rest is refused";
        report.add("network", Strength::Kernel, format!("{missing}; {ip}"));
    }
}

fn landlock(report: &mut Enforcement, abi: i32) {
    match (abi, lacks(abi)) {
        (..1, _) => report.add(
            "landlock",
            Strength::Absent,
            "this kernel has none, or it is not among its `lsm=`",
        ),
        (_, "") => report.add(
            "landlock",
            Strength::Kernel,
            format!("ABI {abi}, files, signals and abstract sockets"),
        ),
        (_, lacks) => {
            report.add("landlock", Strength::Kernel, format!("ABI {abi}, without {lacks}"));
        }
    }
}

fn resources(report: &mut Enforcement, plan: &Plan) {
    let (limits, cgroup) = (&plan.limits, &plan.cgroup);
    let mib = limits.memory_bytes >> 20;
    if cgroup.counts_memory() {
        report.add(
            "memory",
            Strength::Kernel,
            format!("{mib} MiB for the whole box, by control group"),
        );
    } else {
        let why = if let Place::None(why) = cgroup { why } else { "no memory control group" };
        report.add("memory", Strength::Watched, format!("{mib} MiB, looked at every 50 ms; {why}"));
    }
    let (strength, how) = match (cgroup.counts_pids(), plan.inner) {
        (true, _) => (Strength::Kernel, "for the whole box, by control group"),
        (false, false) => (Strength::Kernel, "for the whole box, by setrlimit"),
        (false, true) => (
            Strength::Watched,
            "looked at every 50 ms; by setrlimit three quarters of what the box around may have, counted together",
        ),
    };
    report.add("processes", strength, format!("{} {how}", limits.pids));
    match limits.cpu_percent {
        Some(percent) if cgroup.counts_cpu() => {
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
    let scratch = limits.scratch(cgroup.counts_memory()) >> 20;
    report.add(
        "scratch space",
        Strength::Kernel,
        format!("{scratch} MiB each in home, /tmp and /dev/shm"),
    );
    if let Some(wall) = limits.wall {
        report.add(
            "wall clock",
            Strength::Watched,
            format!("{} s, by pid 1 of the box", wall.as_secs()),
        );
    }
}
