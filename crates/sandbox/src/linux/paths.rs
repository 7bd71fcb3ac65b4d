//! Which paths of the host does every box see, and which of its fresh `/proc` does none?
//!
//! Data only.
use std::path::Path;

/// Every host path a plan may ask about besides the specification's own.
pub(crate) fn looked_at() -> impl Iterator<Item = &'static Path> {
    SYSTEM.iter().chain(ETC_TREES).map(Path::new)
}

/// Trees of the operating system that every program needs; a symlink among them is reproduced.
pub(crate) const SYSTEM: &[&str] =
    &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"];

/// Trees of `/etc` without secrets. Not `/etc/ssl` itself: it holds `private`.
pub(crate) const ETC_TREES: &[&str] = &[
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/chromium",
    "/etc/chromium.d",
    "/etc/crypto-policies",
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf.d",
    "/etc/pki/ca-trust/extracted",
    "/etc/pki/tls/certs",
    "/etc/profile.d",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/static/ssl/certs",
    "/etc/terminfo",
];

/// Directories of `/etc` whose names carry a version.
pub(crate) const ETC_VERSIONED: &[&str] = &["java-", "perl", "python", "php"];

/// Small files of `/etc` that are copied, if anyone may read them.
pub(crate) const ETC_FILES: &[&str] = &[
    "bash.bashrc",
    "debian_version",
    "ethertypes",
    "gai.conf",
    "host.conf",
    "inputrc",
    "ld.so.conf",
    "locale.alias",
    "locale.conf",
    "localtime",
    "login.defs",
    "lsb-release",
    "magic",
    "mime.types",
    "os-release",
    "profile",
    "protocols",
    "rpc",
    "services",
    "shells",
    "timezone",
];

/// Files of a fresh `/proc` that tell about the host or its kernel beyond what programs need.
pub(crate) const PROC_FILES_MASKED: &[&str] = &[
    "cmdline",
    "config.gz",
    "interrupts",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "modules",
    "sysrq-trigger",
    "timer_list",
];

/// Directories of a fresh `/proc` of the same kind.
pub(crate) const PROC_TREES_MASKED: &[&str] =
    &["acpi", "asound", "bus", "driver", "fs", "irq", "scsi"];

/// What of the host's own `/proc` a box that shares it may read: the machine, never a process.
pub(crate) const PROC_PLAIN: &[&str] = &[
    "cpuinfo",
    "filesystems",
    "loadavg",
    "meminfo",
    "stat",
    "sys/crypto/fips_enabled",
    "sys/fs/file-max",
    "sys/fs/nr_open",
    "sys/fs/pipe-max-size",
    "sys/kernel/cap_last_cap",
    "sys/kernel/ngroups_max",
    "sys/kernel/osrelease",
    "sys/kernel/ostype",
    "sys/kernel/pid_max",
    "sys/kernel/random/boot_id",
    "sys/kernel/random/uuid",
    "sys/kernel/threads-max",
    "sys/net/core/somaxconn",
    "sys/vm/max_map_count",
    "sys/vm/overcommit_memory",
    "uptime",
    "version",
];

pub(crate) const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];
pub(crate) const DEVICE_LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("ptmx", "pts/ptmx"),
    ("stderr", "/proc/self/fd/2"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
];
