//! Which kernel mechanisms make the walls? One file each; all of them pure but `cgroup`.
pub(crate) mod cgroup;
pub(crate) mod landlock;
pub(crate) mod limits;
pub(crate) mod mounts;
pub(crate) mod network;
pub(crate) mod paths;
pub(crate) mod seccomp;
pub(crate) mod syscalls;
