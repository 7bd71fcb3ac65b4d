//! Which control groups can hold a box here, and how is one made, filled, read and removed?
//!
//! Version 2 where a directory above us is delegated to this user, version 1 as root, or none: then `setrlimit` bounds each
//! process and a watchdog the whole. Only files are written; the kernel's groups need no library.
use crate::spec::Limits;
use rustix::io::Errno;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Where a box's groups can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nowhere; the words say why.
    None(&'static str),
    /// Version 1: the directories of the controllers, each a parent for ours.
    V1 { memory: Option<PathBuf>, cpu: Option<PathBuf>, pids: Option<PathBuf> },
    /// Version 2: a directory that hands its children memory and pids, and perhaps cpu.
    V2 { parent: PathBuf, cpu: bool },
}

impl Place {
    /// Looks where we are, given what is mounted.
    pub(crate) fn find(mounts: &str) -> Self {
        let Ok(own) = fs::read_to_string("/proc/self/cgroup") else {
            return Self::None("/proc/self/cgroup cannot be read");
        };
        let found = Found::parse(&own, mounts);
        if let Some(place) = found.unified.as_deref().and_then(delegated) {
            return place;
        }
        let writable = |path: Option<PathBuf>| path.filter(|path| may_write(path));
        let (memory, cpu, pids) =
            (writable(found.memory), writable(found.cpu), writable(found.pids));
        if memory.is_none() && cpu.is_none() && pids.is_none() {
            return Self::None("no control group is delegated to this user");
        }
        Self::V1 { memory, cpu, pids }
    }

    /// The same for a box with a user namespace of its own, whose processes `setrlimit` counts as well as a version 1 group.
    pub(crate) fn of_own_user(&self) -> Self {
        match self {
            Self::V1 { memory: None, cpu: None, .. } => {
                Self::None("no control group is delegated to this user")
            }
            Self::V1 { memory, cpu, .. } => {
                Self::V1 { memory: memory.clone(), cpu: cpu.clone(), pids: None }
            }
            other => other.clone(),
        }
    }

    /// Whether the memory of a whole box is counted by the kernel.
    pub(crate) const fn counts_memory(&self) -> bool {
        matches!(self, Self::V2 { .. } | Self::V1 { memory: Some(_), .. })
    }

    /// Whether its processes are.
    pub(crate) const fn counts_pids(&self) -> bool {
        matches!(self, Self::V2 { .. } | Self::V1 { pids: Some(_), .. })
    }

    /// Whether its CPU time is.
    pub(crate) const fn counts_cpu(&self) -> bool {
        matches!(self, Self::V2 { cpu: true, .. } | Self::V1 { cpu: Some(_), .. })
    }
}

/// The groups of one box, removed when dropped.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    version2: bool,
    memory: Option<PathBuf>,
    directories: Vec<PathBuf>,
}

impl Groups {
    /// Makes the groups, with limits set and nothing inside. Clears away what boxes of ended supervisors have left.
    pub(crate) fn make(place: &Place, name: &str, limits: &Limits) -> io::Result<Self> {
        let mut groups = Self::default();
        match place {
            Place::None(_) => {}
            Place::V2 { parent, cpu } => groups.make_v2(parent, *cpu, name, limits)?,
            Place::V1 { memory, cpu, pids } => {
                groups.make_v1([memory, cpu, pids].map(Option::as_deref), name, limits)?;
            }
        }
        Ok(groups)
    }

    fn make_v2(&mut self, parent: &Path, cpu: bool, name: &str, limits: &Limits) -> io::Result<()> {
        let own = self.directory(parent, name)?;
        self.version2 = true;
        limit_v2(&own, limits, cpu)?;
        self.memory = Some(own);
        Ok(())
    }

    fn make_v1(
        &mut self,
        [memory, cpu, pids]: [Option<&Path>; 3],
        name: &str,
        limits: &Limits,
    ) -> io::Result<()> {
        if let Some(parent) = memory {
            let own = self.directory(parent, name)?;
            let bytes = limits.memory_bytes.to_string();
            write(&own, "memory.limit_in_bytes", &bytes)?;
            write_if_there(&own, "memory.memsw.limit_in_bytes", &bytes)?;
            self.memory = Some(own);
        }
        if let (Some(parent), Some(percent)) = (cpu, limits.cpu_percent) {
            let own = self.directory(parent, name)?;
            write(&own, "cpu.cfs_period_us", &PERIOD_US.to_string())?;
            write(&own, "cpu.cfs_quota_us", &quota_us(percent).to_string())?;
        }
        if let Some(parent) = pids {
            let own = self.directory(parent, name)?;
            write(&own, "pids.max", &pids_max(limits))?;
        }
        Ok(())
    }

    fn directory(&mut self, parent: &Path, name: &str) -> io::Result<PathBuf> {
        sweep(parent);
        let own = parent.join(format!("{PREFIX}{}-{name}", std::process::id()));
        fs::create_dir(&own).map_err(|e| at(&own, &e))?;
        self.directories.push(own.clone());
        Ok(own)
    }

    /// Files through which a process with one thread enters by writing `0`. Opened here, so with the rights of the
    /// supervisor; and a process that moves only itself does not make the kernel wait for every fork of the machine,
    /// which takes many milliseconds.
    pub(crate) fn entrances(&self) -> io::Result<Vec<OwnedFd>> {
        // Version 2 has no `tasks`; there a box is cloned into its group where possible, and comes here where not.
        let file = if self.version2 { "cgroup.procs" } else { "tasks" };
        self.directories.iter().map(|directory| open(directory, file).map(OwnedFd::from)).collect()
    }

    /// The group that a box can be cloned into, where there is one for everything.
    pub(crate) fn home(&self) -> Option<OwnedFd> {
        let [directory] = self.directories.as_slice() else { return None };
        self.version2.then(|| fs::File::open(directory).ok().map(OwnedFd::from))?
    }

    /// Most bytes used at once.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        let file = if self.version2 { "memory.peak" } else { "memory.max_usage_in_bytes" };
        fs::read_to_string(self.memory.as_ref()?.join(file)).ok()?.trim().parse().ok()
    }

    /// Most processes and threads at once. Only version 2 counts them for a box.
    pub(crate) fn peak_pids(&self) -> Option<u64> {
        let own = self.memory.as_ref().filter(|_| self.version2)?;
        fs::read_to_string(own.join("pids.peak")).ok()?.trim().parse().ok()
    }

    /// Forks refused by the limit.
    pub(crate) fn refused_forks(&self) -> Option<u64> {
        let own = self.memory.as_ref().filter(|_| self.version2)?;
        let events = fs::read_to_string(own.join("pids.events")).ok()?;
        events.lines().find_map(|line| line.strip_prefix("max ")?.trim().parse().ok())
    }

    /// Processes killed for want of memory.
    pub(crate) fn oom_kills(&self) -> Option<u64> {
        let file = if self.version2 { "memory.events" } else { "memory.oom_control" };
        let events = fs::read_to_string(self.memory.as_ref()?.join(file)).ok()?;
        events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
    }
}

fn limit_v2(own: &Path, limits: &Limits, cpu: bool) -> io::Result<()> {
    for (file, value) in settings_v2(limits, cpu) {
        write(own, file, &value)?;
    }
    // Not every kernel is built with these.
    write_if_there(own, "memory.swap.max", "0")?;
    write_if_there(own, "memory.oom.group", "1")
}

/// What a version 2 group must be told.
fn settings_v2(limits: &Limits, cpu: bool) -> Vec<(&'static str, String)> {
    let mut settings =
        vec![("memory.max", limits.memory_bytes.to_string()), ("pids.max", pids_max(limits))];
    if let Some(percent) = limits.cpu_percent.filter(|_| cpu) {
        settings.push(("cpu.max", format!("{} {PERIOD_US}", quota_us(percent))));
    }
    settings
}

impl Drop for Groups {
    fn drop(&mut self) {
        for directory in &self.directories {
            // A group is busy for a moment after its last process has gone; the next start sweeps what stays.
            for _ in 0..50 {
                match rustix::fs::rmdir(directory) {
                    Err(Errno::BUSY) => std::thread::sleep(std::time::Duration::from_millis(1)),
                    _ => break,
                }
            }
        }
    }
}

/// Removes empty groups of supervisors that are gone. The kernel refuses for any that still holds a process.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // Busy or gone already: somebody else's next start tries again.
            drop(fs::remove_dir(entry.path()));
        }
    }
}

/// The highest directory from our own upwards that is ours to make groups in and hands on memory and pids.
fn delegated(own: &Path) -> Option<Place> {
    own.ancestors()
        .take_while(|path| may_write(path))
        .filter_map(|path| {
            let handed = fs::read_to_string(path.join("cgroup.subtree_control")).ok()?;
            let has = |name| handed.split_whitespace().any(|controller| controller == name);
            (has("memory") && has("pids"))
                .then(|| Place::V2 { parent: path.to_owned(), cpu: has("cpu") })
        })
        .last()
}

fn may_write(directory: &Path) -> bool {
    [directory.to_owned(), directory.join("cgroup.procs")]
        .iter()
        .all(|path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok())
}

/// One more for pid 1.
fn pids_max(limits: &Limits) -> String {
    limits.pids.saturating_add(1).to_string()
}

fn quota_us(percent: u32) -> u64 {
    u64::from(percent).saturating_mul(PERIOD_US) / 100
}

fn write(directory: &Path, file: &str, value: &str) -> io::Result<()> {
    io::Write::write_all(&mut open(directory, file)?, value.as_bytes())
        .map_err(|e| at(&directory.join(file), &e))
}

fn open(directory: &Path, file: &str) -> io::Result<fs::File> {
    let path = directory.join(file);
    let opened = fs::OpenOptions::new().write(true).custom_flags(libc::O_CLOEXEC).open(&path);
    opened.map_err(|e| at(&path, &e))
}

fn write_if_there(directory: &Path, file: &str, value: &str) -> io::Result<()> {
    if directory.join(file).exists() { write(directory, file, value) } else { Ok(()) }
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

/// Where this process stands in each hierarchy, as host paths.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    unified: Option<PathBuf>,
    memory: Option<PathBuf>,
    cpu: Option<PathBuf>,
    pids: Option<PathBuf>,
}

impl Found {
    fn parse(own: &str, mountinfo: &str) -> Self {
        let mut found = Self::default();
        for line in own.lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
            for controller in controllers.split(',') {
                let slot = match controller {
                    "" => &mut found.unified,
                    "memory" => &mut found.memory,
                    "cpu" => &mut found.cpu,
                    "pids" => &mut found.pids,
                    _ => continue,
                };
                *slot = mount_point(mountinfo, controller).map(|point| {
                    let below = path.trim_start_matches('/');
                    if below.is_empty() { point } else { point.join(below) }
                });
            }
        }
        found
    }
}

/// Where the hierarchy of `controller` (empty: version 2) is mounted from its root.
fn mount_point(mountinfo: &str, controller: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (root, point) = (mount.next()?, mount.next()?);
        let mut kind = file_system.split(' ');
        let (name, options) = (kind.next()?, kind.nth(1)?);
        let fits = match controller {
            "" => name == "cgroup2",
            wanted => name == "cgroup" && options.split(',').any(|option| option == wanted),
        };
        (fits && root == "/").then(|| PathBuf::from(point))
    })
}

const PREFIX: &str = "bartizan-";
const PERIOD_US: u64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
29 1 0:29 /deep /elsewhere rw - cgroup cgroup rw,cpu
30 1 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
31 1 0:27 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
32 1 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

    #[test]
    fn a_controller_is_found_where_it_is_mounted() {
        let found =
            Found::parse("4:memory:/user/7\n3:cpu,cpuacct:/\n8:pids:/x\n0::/init\n", MOUNTS);
        let path = |path: &str| Some(PathBuf::from(path));
        assert_eq!(found.memory, path("/sys/fs/cgroup/memory/user/7"));
        assert_eq!(found.cpu, path("/sys/fs/cgroup/cpu,cpuacct"));
        assert_eq!(found.unified, path("/sys/fs/cgroup/unified/init"));
    }

    #[test]
    fn garbage_in_proc_finds_nothing() {
        for own in ["", ":::", "nonsense", "1:memory", "0:"] {
            assert_eq!(Found::parse(own, "x - y\n - \n1 2 3 4"), Found::default(), "{own}");
        }
    }

    /// A group of version 2 as far as its files go; a real one cannot be made everywhere.
    fn fake(files: &[(&str, &str)]) -> (tempfile::TempDir, Groups) {
        let parent = tempfile::tempdir().unwrap();
        for (file, contents) in files {
            fs::write(parent.path().join(file), contents).unwrap();
        }
        let memory = Some(parent.path().to_owned());
        (parent, Groups { version2: true, memory, directories: Vec::new() })
    }

    #[test]
    fn a_version_2_group_is_told_every_limit_and_its_figures_are_read() {
        let limits = Limits { cpu_percent: Some(150), ..Limits::ordinary() };
        let told = settings_v2(&limits, true);
        let wanted =
            [("memory.max", "4294967296"), ("pids.max", "513"), ("cpu.max", "150000 100000")];
        assert_eq!(told, wanted.map(|(file, value)| (file, value.to_owned())));
        assert_eq!(settings_v2(&limits, false), told[..2]);

        let events = "low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 1\n";
        let (_parent, groups) = fake(&[("memory.peak", "4096000\n"), ("memory.events", events)]);
        assert_eq!((groups.peak_bytes(), groups.oom_kills()), (Some(4_096_000), Some(2)));
        let (_parent, groups) = fake(&[("pids.peak", "97\n"), ("pids.events", "max 31\n")]);
        assert_eq!((groups.peak_pids(), groups.refused_forks()), (Some(97), Some(31)));
        let (_parent, groups) = fake(&[("memory.events", "nonsense"), ("pids.events", "31")]);
        assert_eq!((groups.peak_bytes(), groups.oom_kills()), (None, None));
        assert_eq!((groups.peak_pids(), groups.refused_forks()), (None, None));
    }

    #[test]
    fn a_version_2_group_gets_its_limits_or_is_refused_with_the_file_s_name() {
        let files = [
            "memory.max",
            "pids.max",
            "cpu.max",
            "memory.swap.max",
            "memory.oom.group",
            "cgroup.procs",
        ];
        let (own, mut groups) = fake(&files.map(|file| (file, "")));
        let limits =
            Limits { pids: 9, memory_bytes: 4096, cpu_percent: Some(30), ..Limits::ordinary() };
        limit_v2(own.path(), &limits, true).unwrap();
        let told = files.map(|file| fs::read_to_string(own.path().join(file)).unwrap());
        assert_eq!(told, ["4096", "10", "30000 100000", "0", "1", ""]);
        groups.directories = vec![own.path().to_owned()];
        assert!(groups.entrances().unwrap().len() == 1 && groups.home().is_some());
        groups.directories.clear();
        // Without swap accounting it is as good; without a limit it is none.
        fs::remove_file(own.path().join("memory.swap.max")).unwrap();
        limit_v2(own.path(), &limits, true).unwrap();
        fs::remove_file(own.path().join("pids.max")).unwrap();
        let error = limit_v2(own.path(), &limits, true).unwrap_err().to_string();
        assert!(error.contains("pids.max"), "{error}");
    }

    #[test]
    fn a_real_version_2_group_that_cannot_limit_is_refused_and_removed() {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let parent = mount_point(&mounts, "").filter(|parent| may_write(parent));
        // Only where there is such a hierarchy, it is ours (as root), and memory is another one's.
        let Some(parent) = parent else { return };
        let controllers = fs::read_to_string(parent.join("cgroup.controllers")).unwrap();
        if controllers.split_whitespace().any(|name| name == "memory") {
            return;
        }
        assert_eq!(delegated(&parent), None);
        let place = Place::V2 { parent: parent.clone(), cpu: false };
        let error = Groups::make(&place, "cannot", &Limits::ordinary()).unwrap_err().to_string();
        assert!(error.contains("memory.max"), "{error}");
        assert!(!parent.join(format!("{PREFIX}{}-cannot", std::process::id())).exists());
    }

    #[test]
    fn groups_of_ended_supervisors_are_swept_and_no_others() {
        let parent = tempfile::tempdir().unwrap();
        let (ours, gone) = (std::process::id(), "4194304");
        let names =
            [format!("bartizan-{ours}-1"), format!("bartizan-{gone}-1"), "user.slice".into()];
        for name in &names {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        sweep(parent.path());
        let left = names.map(|name| parent.path().join(name).exists());
        assert_eq!(left, [true, false, true]);
    }

    #[test]
    fn a_process_can_be_cloned_into_a_version_2_group() {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let parent = mount_point(&mounts, "").filter(|parent| may_write(parent));
        // Only where there is such a hierarchy and it is ours: as root.
        let Some(parent) = parent else { return };
        let own = parent.join(format!("{PREFIX}{}-clone", std::process::id()));
        fs::create_dir(&own).unwrap();
        let groups = Groups { version2: true, memory: None, directories: vec![own.clone()] };
        let home = groups.home().unwrap();
        let blocked = crate::sys::block_signals();
        let side = crate::sys::clone_into(0, Some(std::os::fd::AsFd::as_fd(&home)));
        if let Ok(crate::sys::Side::Child) = side {
            loop {
                rustix::event::poll(&mut [], None).ok();
            }
        }
        drop(blocked);
        let Ok(crate::sys::Side::Parent { pid, pidfd }) = side else { panic!("no clone") };
        let told = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL).unwrap();
        crate::sys::reap(std::os::fd::AsFd::as_fd(&pidfd)).map(drop).unwrap();
        assert!(told.contains(&format!("0::/{}\n", own.file_name().unwrap().display())), "{told}");
        drop(groups);
        assert!(!own.exists());
    }

    #[test]
    fn a_directory_without_the_controllers_is_not_delegated() {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().join("a/b");
        fs::create_dir_all(&own).unwrap();
        for path in [&own, &directory.path().join("a")] {
            fs::write(path.join("cgroup.procs"), "").unwrap();
        }
        assert_eq!(delegated(&own), None);
        fs::write(own.join("cgroup.subtree_control"), "memory").unwrap();
        assert_eq!(delegated(&own), None);
        fs::write(directory.path().join("a/cgroup.subtree_control"), "cpu memory pids").unwrap();
        let parent = directory.path().join("a");
        assert_eq!(delegated(&own), Some(Place::V2 { parent, cpu: true }));
    }
}
