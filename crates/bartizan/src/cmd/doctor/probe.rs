//! Which walls does the kernel offer? Read from its own files below a root, so that a test can be any host.

use super::Finding;
use std::fs;
use std::path::Path;

/// Linux 5.13 brought Landlock; below it a box would miss a wall.
const OLDEST: (u32, u32) = (5, 13);
/// Linux 5.19 brought Landlock's right to move a file into another folder (`REFER`); below it nobody in a box may.
const MOVES: (u32, u32) = (5, 19);

/// Reads a kernel file as trimmed text.
fn read(root: &Path, path: &str) -> Option<String> {
    fs::read_to_string(root.join(path)).ok().map(|text| text.trim().to_owned())
}

/// The kernel's version.
pub(super) fn kernel(root: &Path) -> Finding {
    let release = read(root, "proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < OLDEST {
        return Finding::missing(
            "kernel",
            format!("Linux {release}"),
            "a kernel of 5.19 or newer is needed; 6.12 or newer is best",
        );
    }
    if version < MOVES {
        return Finding::weak(
            "kernel",
            format!("Linux {release}: no program in a box can move a file into another folder"),
            "use a kernel of 5.19 or newer",
        );
    }
    Finding::ok("kernel", format!("Linux {release}"))
}

/// The namespaces that an ordinary user makes a box of.
pub(super) fn user_namespaces(root: &Path) -> Finding {
    const NAME: &str = "user namespaces";
    if !root.join("proc/self/ns/user").exists() {
        return Finding::missing(NAME, "the kernel has none", "use a kernel with CONFIG_USER_NS");
    }
    if read(root, "proc/sys/user/max_user_namespaces").as_deref() == Some("0") {
        return Finding::missing(
            NAME,
            "switched off (user.max_user_namespaces is 0)",
            "sudo sysctl -w user.max_user_namespaces=15000",
        );
    }
    if read(root, "proc/sys/kernel/unprivileged_userns_clone").as_deref() == Some("0") {
        return Finding::missing(
            NAME,
            "refused to ordinary users",
            "sudo sysctl -w kernel.unprivileged_userns_clone=1",
        );
    }
    if read(root, "proc/sys/kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1") {
        return Finding::weak(
            NAME,
            "AppArmor lets only named programs have them",
            "give bartizan a profile: bartizan doctor --apparmor-profile | sudo tee /etc/apparmor.d/bartizan > /dev/null && \
             sudo apparmor_parser -r /etc/apparmor.d/bartizan\n\
             or, for every program: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        );
    }
    Finding::ok(NAME, "an ordinary user can have them")
}

/// The file system that holds a run's changes back until the write-back gate has seen them.
pub(super) fn overlay(root: &Path) -> Finding {
    let known = read(root, "proc/filesystems").unwrap_or_default();
    if known.lines().any(|line| line.split_whitespace().next_back() == Some("overlay")) {
        return Finding::ok("overlayfs", "known to the kernel");
    }
    if module(root, "overlay") {
        return Finding::weak(
            "overlayfs",
            "not loaded, and an ordinary user cannot load it",
            "sudo modprobe overlay",
        );
    }
    Finding::missing(
        "overlayfs",
        "unknown to the kernel",
        "sudo modprobe overlay, or use a kernel with CONFIG_OVERLAY_FS",
    )
}

/// What catches connections to every port, not only the usual ones.
pub(super) fn packet_filter(root: &Path) -> Finding {
    if root.join("proc/sys/net/netfilter").exists() || module(root, "nf_tables") {
        return Finding::ok("nftables", "known to the kernel");
    }
    let remedy = "sudo modprobe nf_tables nft_redir nft_chain_nat; without it connections to unusual ports fail instead of being asked about";
    Finding::weak("nftables", "not to be seen", remedy)
}

/// Whether a kernel module is loaded or built in; a module on the disk counts for nothing to a user.
fn module(root: &Path, name: &str) -> bool {
    root.join("sys/module").join(name).exists()
        || read(root, "proc/modules")
            .is_some_and(|text| text.lines().any(|line| line.split(' ').next() == Some(name)))
}

/// The second view of the files, beneath the first.
pub(super) fn landlock(root: &Path) -> Finding {
    let active = read(root, "sys/kernel/security/lsm");
    match active.as_deref().map(|list| list.split(',').any(|name| name == "landlock")) {
        Some(true) => Finding::ok("landlock", "active"),
        Some(false) => Finding::missing(
            "landlock",
            "not among the active security modules",
            "add landlock to lsm= on the kernel's command line",
        ),
        // securityfs is often not mounted in a container; the box finds out for itself.
        None => Finding::weak(
            "landlock",
            "cannot be seen from here",
            "the enforcement report of a run says whether it holds",
        ),
    }
}

/// The filter of system calls.
pub(super) fn seccomp(root: &Path) -> Finding {
    let actions = read(root, "proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    if actions.split_whitespace().any(|action| action == "errno") {
        return Finding::ok("seccomp", format!("filters with {actions}"));
    }
    Finding::missing("seccomp", "no filters", "use a kernel with CONFIG_SECCOMP_FILTER")
}

/// What counts a box's memory and processes together.
pub(super) fn cgroups(root: &Path) -> Finding {
    let own = read(root, "proc/self/cgroup").unwrap_or_default();
    let Some(group) = own.lines().find_map(|line| line.strip_prefix("0::")) else {
        return version_one(&own);
    };
    let dir = root.join("sys/fs/cgroup").join(group.trim_start_matches('/'));
    let given =
        read(root, &format!("sys/fs/cgroup/{}/cgroup.controllers", group.trim_start_matches('/')))
            .unwrap_or_default();
    let has = |name: &str| given.split_whitespace().any(|given| given == name);
    let writable =
        rustix::fs::access(dir.join("cgroup.procs"), rustix::fs::Access::WRITE_OK).is_ok();
    if has("memory") && has("pids") && writable {
        return Finding::ok("cgroups", format!("version 2, delegated: {given}"));
    }
    if own.lines().any(|line| line.contains(":memory:")) {
        return version_one(&own);
    }
    let remedy = "systemd-run --user --scope -p Delegate=yes bartizan run …; until then limits are per process, and watched";
    Finding::weak("cgroups", "version 2, not delegated to you", remedy)
}

fn version_one(own: &str) -> Finding {
    let has = |name: &str| {
        own.lines().any(|line| {
            line.split(':').nth(1).is_some_and(|list| list.split(',').any(|one| one == name))
        })
    };
    if has("memory") && has("pids") && rustix::process::geteuid().is_root() {
        return Finding::ok("cgroups", "version 1, as root");
    }
    Finding::weak(
        "cgroups",
        "version 1, or none",
        "limits are per process, and watched; version 2 with delegation counts a box as a whole",
    )
}

#[cfg(test)]
mod tests {
    use super::super::Standing;
    use super::*;
    use tempfile::TempDir;

    /// A host whose kernel files say what the test wants.
    fn host(files: &[(&str, &str)]) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn each_way_to_refuse_user_namespaces_has_its_remedy() {
        let ns = ("proc/self/ns/user", "");
        let cases = [
            ("proc/sys/user/max_user_namespaces", "0\n", Standing::Missing, "max_user_namespaces"),
            (
                "proc/sys/kernel/unprivileged_userns_clone",
                "0\n",
                Standing::Missing,
                "unprivileged_userns_clone=1",
            ),
            (
                "proc/sys/kernel/apparmor_restrict_unprivileged_userns",
                "1\n",
                Standing::Weak,
                "apparmor_parser",
            ),
        ];
        for (file, value, standing, remedy) in cases {
            let root = host(&[ns, (file, value)]);
            let finding = user_namespaces(root.path());
            assert_eq!(finding.standing, standing);
            assert!(finding.remedy.unwrap().contains(remedy));
        }
        assert_eq!(user_namespaces(host(&[ns]).path()).standing, Standing::Ok);
        assert_eq!(user_namespaces(host(&[]).path()).standing, Standing::Missing);
    }

    #[test]
    fn an_old_kernel_is_too_old() {
        let at =
            |release: &str| kernel(host(&[("proc/sys/kernel/osrelease", release)]).path()).standing;
        assert_eq!(at("5.10.0-28-amd64\n"), Standing::Missing);
        assert_eq!(at("4.19.0"), Standing::Missing);
        assert_eq!(at("5.13.0"), Standing::Weak);
        assert_eq!(at("5.19.0"), Standing::Ok);
        assert_eq!(at("6.18.5-gentoo"), Standing::Ok);
        assert_eq!(at(""), Standing::Missing);
    }

    #[test]
    fn a_missing_wall_is_told_from_one_that_cannot_be_seen() {
        let lsm = |list: &str| landlock(host(&[("sys/kernel/security/lsm", list)]).path()).standing;
        assert_eq!(lsm("lockdown,capability,landlock,yama"), Standing::Ok);
        assert_eq!(lsm("capability,landlocked"), Standing::Missing);
        assert_eq!(landlock(host(&[]).path()).standing, Standing::Weak);
        assert_eq!(
            overlay(host(&[("proc/filesystems", "nodev\toverlay\n")]).path()).standing,
            Standing::Ok
        );
        assert_eq!(
            overlay(host(&[("proc/filesystems", "nodev\tproc\n")]).path()).standing,
            Standing::Missing
        );
        assert_eq!(
            seccomp(
                host(&[("proc/sys/kernel/seccomp/actions_avail", "kill_process errno log\n")])
                    .path()
            )
            .standing,
            Standing::Ok
        );
        assert_eq!(seccomp(host(&[]).path()).standing, Standing::Missing);
    }

    #[test]
    fn only_a_delegated_group_counts() {
        let group = ("proc/self/cgroup", "0::/user.slice/a.scope\n");
        let controllers =
            ("sys/fs/cgroup/user.slice/a.scope/cgroup.controllers", "cpu memory pids\n");
        let procs = ("sys/fs/cgroup/user.slice/a.scope/cgroup.procs", "");
        assert_eq!(cgroups(host(&[group, controllers, procs]).path()).standing, Standing::Ok);
        assert_eq!(cgroups(host(&[group, controllers]).path()).standing, Standing::Weak);
        assert_eq!(cgroups(host(&[group, procs]).path()).standing, Standing::Weak);
        assert_eq!(cgroups(host(&[]).path()).standing, Standing::Weak);
    }
}
