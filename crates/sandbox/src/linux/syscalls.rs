//! Which system calls may a program in the box make, and why?
//!
//! Data only. What is not listed here does not exist for the program (`ENOSYS`); each entry gives the reason it is treated
//! as it is. Numbers come from `libc` for the architecture that is built for.
mod shared;

use libc::c_long;
pub(crate) use shared::SHARED;

/// How calls are answered, and why.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) reason: &'static str,
    pub(crate) answer: Answer,
    pub(crate) calls: &'static [c_long],
}

/// How a call is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// As if the kernel did not know it, so that libraries take their older path.
    Absent,
    Allow,
    /// The supervisor makes the call, or refuses it; the kernel never does.
    Ask,
    /// Depends on the arguments.
    Check(Check),
    /// `EPERM`.
    Refuse,
}

/// What is looked at in the arguments. Only values, never what a pointer leads to: that can change after the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// No namespace flag (in argument 0).
    NoNamespace(u32),
    /// Not one of the requests that reach beyond one's own terminal.
    Ioctl,
    /// The mode in this argument has neither setuid nor setgid.
    Mode(u32),
    /// The same, when the flags in the first argument make a file with the mode in the second.
    Open { flags: u32, mode: u32 },
    /// The mode in this argument names a file, fifo or socket, without setuid and setgid.
    Node(u32),
    /// Only the plain personality, or the question which it is.
    Personality,
    /// The core-size limit is not really changed; the caller is told that it was.
    CoreLimit { resource: u32, new: Option<u32> },
    /// The number in this argument is not above that one.
    AtMost { argument: u32, most: u32 },
    /// Unix, IPv4 and IPv6 (TCP and UDP), and routing netlink.
    Socket,
    /// Unix only.
    SocketPair,
    /// Each of these arguments has this value.
    Equal(&'static [(u32, u32)]),
    /// None of these bits is set.
    NoBits { argument: u32, bits: u32 },
    /// The sizes of a socket's buffers are not really changed; the caller is told that they were.
    BufferSizes,
    /// As [`Check::BufferSizes`], and not the option that makes a later write connect.
    NoDeferredConnect,
    /// As [`Check::CoreLimit`] for `prlimit64`, of the caller itself only.
    OwnCoreLimit,
    /// As [`Check::Ioctl`], and none that changes a file which is only open for reading.
    SharedIoctl,
    /// Unix streams and packets, TCP.
    SharedSocket,
    /// Pairs of unix streams and packets.
    SharedPair,
}

/// The list.
pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        reason: "files: opened, read and written within the view that mounts and Landlock leave",
        answer: Answer::Allow,
        calls: &[
            libc::SYS_read,
            libc::SYS_write,
            libc::SYS_readv,
            libc::SYS_writev,
            libc::SYS_pread64,
            libc::SYS_pwrite64,
            libc::SYS_preadv,
            libc::SYS_pwritev,
            libc::SYS_preadv2,
            libc::SYS_pwritev2,
            libc::SYS_lseek,
            libc::SYS_close,
            libc::SYS_close_range,
            libc::SYS_sendfile,
            libc::SYS_copy_file_range,
            libc::SYS_splice,
            libc::SYS_tee,
            libc::SYS_vmsplice,
            libc::SYS_fallocate,
            libc::SYS_ftruncate,
            libc::SYS_truncate,
            libc::SYS_fsync,
            libc::SYS_fdatasync,
            libc::SYS_sync_file_range,
            libc::SYS_syncfs,
            libc::SYS_sync,
            libc::SYS_readahead,
            libc::SYS_fadvise64,
            libc::SYS_flock,
            libc::SYS_fcntl,
            libc::SYS_dup,
            libc::SYS_dup3,
            libc::SYS_pipe2,
            libc::SYS_getdents64,
            libc::SYS_umask,
            libc::SYS_fstat,
            libc::SYS_newfstatat,
            libc::SYS_statx,
            libc::SYS_statfs,
            libc::SYS_fstatfs,
            libc::SYS_faccessat,
            libc::SYS_faccessat2,
            libc::SYS_readlinkat,
            libc::SYS_getcwd,
            libc::SYS_chdir,
            libc::SYS_fchdir,
            CACHESTAT,
        ],
    },
    Entry {
        reason: "names: made, moved and removed within the view",
        answer: Answer::Allow,
        calls: &[
            libc::SYS_mkdirat,
            libc::SYS_unlinkat,
            libc::SYS_renameat,
            libc::SYS_renameat2,
            libc::SYS_linkat,
            libc::SYS_symlinkat,
            libc::SYS_utimensat,
            libc::SYS_fchown,
            libc::SYS_fchownat,
            libc::SYS_getxattr,
            libc::SYS_lgetxattr,
            libc::SYS_fgetxattr,
            libc::SYS_listxattr,
            libc::SYS_llistxattr,
            libc::SYS_flistxattr,
            libc::SYS_setxattr,
            libc::SYS_lsetxattr,
            libc::SYS_fsetxattr,
            libc::SYS_removexattr,
            libc::SYS_lremovexattr,
            libc::SYS_fremovexattr,
        ],
    },
    Entry {
        reason: "watching one's own files",
        answer: Answer::Allow,
        calls: &[libc::SYS_inotify_init1, libc::SYS_inotify_add_watch, libc::SYS_inotify_rm_watch],
    },
    Entry {
        reason: "waiting",
        answer: Answer::Allow,
        calls: &[
            libc::SYS_ppoll,
            libc::SYS_pselect6,
            libc::SYS_epoll_create1,
            libc::SYS_epoll_ctl,
            libc::SYS_epoll_pwait,
            libc::SYS_epoll_pwait2,
            libc::SYS_eventfd2,
            libc::SYS_signalfd4,
            libc::SYS_timerfd_create,
            libc::SYS_timerfd_settime,
            libc::SYS_timerfd_gettime,
            libc::SYS_nanosleep,
            libc::SYS_clock_nanosleep,
            libc::SYS_futex,
            libc::SYS_futex_waitv,
            FUTEX_WAKE,
            FUTEX_WAIT,
            FUTEX_REQUEUE,
            libc::SYS_set_robust_list,
            libc::SYS_get_robust_list,
            libc::SYS_restart_syscall,
            libc::SYS_sched_yield,
            libc::SYS_membarrier,
            libc::SYS_rseq,
        ],
    },
    Entry {
        reason: "one's own memory",
        answer: Answer::Allow,
        calls: &[
            libc::SYS_brk,
            libc::SYS_mmap,
            libc::SYS_munmap,
            libc::SYS_mremap,
            libc::SYS_mprotect,
            libc::SYS_madvise,
            libc::SYS_process_madvise,
            libc::SYS_mincore,
            libc::SYS_msync,
            libc::SYS_mlock,
            libc::SYS_mlock2,
            libc::SYS_munlock,
            libc::SYS_mlockall,
            libc::SYS_munlockall,
            libc::SYS_memfd_create,
            libc::SYS_pkey_alloc,
            libc::SYS_pkey_free,
            libc::SYS_pkey_mprotect,
            libc::SYS_mbind,
            libc::SYS_get_mempolicy,
            libc::SYS_set_mempolicy,
            libc::SYS_remap_file_pages,
            MSEAL,
            MAP_SHADOW_STACK,
        ],
    },
    Entry {
        reason: "one's own processes, which the pid namespace bounds and the pid limit counts",
        answer: Answer::Allow,
        calls: &[
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_exit,
            libc::SYS_exit_group,
            libc::SYS_wait4,
            libc::SYS_waitid,
            libc::SYS_getpid,
            libc::SYS_getppid,
            libc::SYS_gettid,
            libc::SYS_getpgid,
            libc::SYS_setpgid,
            libc::SYS_getsid,
            libc::SYS_setsid,
            libc::SYS_set_tid_address,
            libc::SYS_pidfd_open,
            libc::SYS_pidfd_send_signal,
            libc::SYS_process_mrelease,
            libc::SYS_kill,
            libc::SYS_tkill,
            libc::SYS_tgkill,
            libc::SYS_prctl,
            libc::SYS_getrusage,
            libc::SYS_times,
            libc::SYS_getrlimit,
            libc::SYS_getpriority,
            libc::SYS_setpriority,
            libc::SYS_ioprio_get,
            libc::SYS_ioprio_set,
            libc::SYS_sched_getaffinity,
            libc::SYS_sched_setaffinity,
            libc::SYS_sched_getparam,
            libc::SYS_sched_setparam,
            libc::SYS_sched_getscheduler,
            libc::SYS_sched_setscheduler,
            libc::SYS_sched_getattr,
            libc::SYS_sched_setattr,
            libc::SYS_sched_get_priority_max,
            libc::SYS_sched_get_priority_min,
            libc::SYS_sched_rr_get_interval,
            libc::SYS_getcpu,
        ],
    },
    Entry {
        reason: "signals, which the pid namespace and Landlock bound",
        answer: Answer::Allow,
        calls: &[
            libc::SYS_rt_sigaction,
            libc::SYS_rt_sigprocmask,
            libc::SYS_rt_sigreturn,
            libc::SYS_rt_sigsuspend,
            libc::SYS_rt_sigpending,
            libc::SYS_rt_sigtimedwait,
            libc::SYS_rt_sigqueueinfo,
            libc::SYS_rt_tgsigqueueinfo,
            libc::SYS_sigaltstack,
        ],
    },
    Entry {
        reason: "identity: with one mapped user and no capability these change nothing",
        answer: Answer::Allow,
        calls: &[
            libc::SYS_getuid,
            libc::SYS_geteuid,
            libc::SYS_getgid,
            libc::SYS_getegid,
            libc::SYS_getresuid,
            libc::SYS_getresgid,
            libc::SYS_getgroups,
            libc::SYS_setuid,
            libc::SYS_setgid,
            libc::SYS_setreuid,
            libc::SYS_setregid,
            libc::SYS_setresuid,
            libc::SYS_setresgid,
            libc::SYS_setgroups,
            libc::SYS_setfsuid,
            libc::SYS_setfsgid,
            libc::SYS_capget,
            libc::SYS_capset,
        ],
    },
    Entry {
        reason: "clocks are read, not set",
        answer: Answer::Allow,
        calls: &[
            libc::SYS_clock_gettime,
            libc::SYS_clock_getres,
            libc::SYS_gettimeofday,
            libc::SYS_getitimer,
            libc::SYS_setitimer,
            libc::SYS_timer_create,
            libc::SYS_timer_settime,
            libc::SYS_timer_gettime,
            libc::SYS_timer_getoverrun,
            libc::SYS_timer_delete,
        ],
    },
    Entry {
        reason: "sockets of the families that can be made, in the private network",
        answer: Answer::Allow,
        calls: &[
            libc::SYS_bind,
            libc::SYS_listen,
            libc::SYS_accept,
            libc::SYS_accept4,
            libc::SYS_connect,
            libc::SYS_shutdown,
            libc::SYS_getsockname,
            libc::SYS_getpeername,
            libc::SYS_getsockopt,
            libc::SYS_setsockopt,
            libc::SYS_sendto,
            libc::SYS_recvfrom,
            libc::SYS_sendmsg,
            libc::SYS_recvmsg,
            libc::SYS_sendmmsg,
            libc::SYS_recvmmsg,
        ],
    },
    Entry {
        reason: "shared memory, semaphores and queues in the private IPC namespace; databases need them",
        answer: Answer::Allow,
        calls: &[
            libc::SYS_shmget,
            libc::SYS_shmat,
            libc::SYS_shmdt,
            libc::SYS_shmctl,
            libc::SYS_semget,
            libc::SYS_semop,
            libc::SYS_semtimedop,
            libc::SYS_semctl,
            libc::SYS_msgget,
            libc::SYS_msgsnd,
            libc::SYS_msgrcv,
            libc::SYS_msgctl,
            libc::SYS_mq_open,
            libc::SYS_mq_unlink,
            libc::SYS_mq_timedsend,
            libc::SYS_mq_timedreceive,
            libc::SYS_mq_notify,
            libc::SYS_mq_getsetattr,
        ],
    },
    Entry {
        reason: "what machine this is, and chance",
        answer: Answer::Allow,
        calls: &[libc::SYS_uname, libc::SYS_sysinfo, libc::SYS_getrandom],
    },
    Entry {
        reason: "a filter or ruleset of one's own can only narrow: the kernel takes the strictest",
        answer: Answer::Allow,
        calls: &[
            libc::SYS_seccomp,
            libc::SYS_landlock_create_ruleset,
            libc::SYS_landlock_add_rule,
            libc::SYS_landlock_restrict_self,
        ],
    },
    #[cfg(target_arch = "x86_64")]
    Entry {
        reason: "older spellings of allowed calls",
        answer: Answer::Allow,
        calls: &[
            libc::SYS_stat,
            libc::SYS_lstat,
            libc::SYS_access,
            libc::SYS_poll,
            libc::SYS_select,
            libc::SYS_pipe,
            libc::SYS_dup2,
            libc::SYS_pause,
            libc::SYS_alarm,
            libc::SYS_fork,
            libc::SYS_vfork,
            libc::SYS_getdents,
            libc::SYS_rename,
            libc::SYS_mkdir,
            libc::SYS_rmdir,
            libc::SYS_link,
            libc::SYS_unlink,
            libc::SYS_symlink,
            libc::SYS_readlink,
            libc::SYS_chown,
            libc::SYS_lchown,
            libc::SYS_getpgrp,
            libc::SYS_utime,
            libc::SYS_utimes,
            libc::SYS_futimesat,
            libc::SYS_time,
            libc::SYS_arch_prctl,
            libc::SYS_epoll_create,
            libc::SYS_epoll_wait,
            libc::SYS_epoll_pwait,
            libc::SYS_inotify_init,
            libc::SYS_eventfd,
            libc::SYS_signalfd,
        ],
    },
    Entry {
        reason: "a new process or thread, in the same namespaces",
        answer: Answer::Check(Check::NoNamespace(NAMESPACES)),
        calls: &[libc::SYS_clone],
    },
    Entry {
        reason: "as for clone; here 0x80 is a namespace too (time)",
        answer: Answer::Check(Check::NoNamespace(NAMESPACES | 0x80)),
        calls: &[libc::SYS_unshare],
    },
    Entry {
        reason: "terminal and file requests, but no typing into a terminal (CVE-2017-5226) and no line discipline",
        answer: Answer::Check(Check::Ioctl),
        calls: &[libc::SYS_ioctl],
    },
    Entry {
        reason: "no file gains setuid or setgid: in a direct workspace it would be one on the host",
        answer: Answer::Check(Check::Mode(1)),
        calls: &[
            libc::SYS_fchmod,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_chmod,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_creat,
        ],
    },
    Entry {
        reason: "no file gains setuid or setgid",
        answer: Answer::Check(Check::Mode(2)),
        calls: &[libc::SYS_fchmodat, FCHMODAT2],
    },
    Entry {
        reason: "no file is made setuid or setgid",
        answer: Answer::Check(Check::Open { flags: 2, mode: 3 }),
        calls: &[libc::SYS_openat],
    },
    #[cfg(target_arch = "x86_64")]
    Entry {
        reason: "no file is made setuid or setgid",
        answer: Answer::Check(Check::Open { flags: 1, mode: 2 }),
        calls: &[libc::SYS_open],
    },
    Entry {
        reason: "no device, and no setuid",
        answer: Answer::Check(Check::Node(2)),
        calls: &[libc::SYS_mknodat],
    },
    #[cfg(target_arch = "x86_64")]
    Entry {
        reason: "no device, and no setuid",
        answer: Answer::Check(Check::Node(1)),
        calls: &[libc::SYS_mknod],
    },
    Entry {
        reason: "other personalities switch memory protections off",
        answer: Answer::Check(Check::Personality),
        calls: &[libc::SYS_personality],
    },
    Entry {
        reason: "a core limit of 1 keeps the host's core_pattern helper from running at all; any other value would call it",
        answer: Answer::Check(Check::CoreLimit { resource: 1, new: Some(2) }),
        calls: &[libc::SYS_prlimit64],
    },
    Entry {
        reason: "as for prlimit64",
        answer: Answer::Check(Check::CoreLimit { resource: 0, new: None }),
        calls: &[libc::SYS_setrlimit],
    },
    Entry {
        reason: "families whose reach the private network bounds; the others are kernel surface",
        answer: Answer::Check(Check::Socket),
        calls: &[libc::SYS_socket],
    },
    Entry {
        reason: "pairs are made of unix sockets",
        answer: Answer::Check(Check::SocketPair),
        calls: &[libc::SYS_socketpair],
    },
    Entry {
        reason: "flags lie behind a pointer and cannot be checked; libraries fall back to clone and openat",
        answer: Answer::Absent,
        calls: &[libc::SYS_clone3, libc::SYS_openat2],
    },
    Entry {
        reason: "io_uring performs calls that no filter sees; libraries fall back",
        answer: Answer::Absent,
        calls: &[libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register],
    },
    Entry {
        reason: "namespaces and mounts make up the box",
        answer: Answer::Refuse,
        calls: &[
            libc::SYS_setns,
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_pivot_root,
            libc::SYS_chroot,
            libc::SYS_open_tree,
            libc::SYS_move_mount,
            libc::SYS_fsopen,
            libc::SYS_fsconfig,
            libc::SYS_fsmount,
            libc::SYS_fspick,
            libc::SYS_mount_setattr,
            libc::SYS_sethostname,
            libc::SYS_setdomainname,
        ],
    },
    Entry {
        reason: "other processes' memory, descriptors and registers are theirs, also inside one box",
        answer: Answer::Refuse,
        calls: &[
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_pidfd_getfd,
            libc::SYS_kcmp,
        ],
    },
    Entry {
        reason: "kernel surface with a history of escapes and no use for a build or an agent",
        answer: Answer::Refuse,
        calls: &[
            libc::SYS_bpf,
            libc::SYS_perf_event_open,
            libc::SYS_userfaultfd,
            libc::SYS_add_key,
            libc::SYS_request_key,
            libc::SYS_keyctl,
            libc::SYS_move_pages,
            libc::SYS_migrate_pages,
            libc::SYS_fanotify_init,
            libc::SYS_fanotify_mark,
            libc::SYS_vhangup,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_modify_ldt,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_iopl,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_ioperm,
        ],
    },
    Entry {
        reason: "handles open files past the view",
        answer: Answer::Refuse,
        calls: &[libc::SYS_name_to_handle_at, libc::SYS_open_by_handle_at],
    },
    Entry {
        reason: "the machine is the host's",
        answer: Answer::Refuse,
        calls: &[
            libc::SYS_reboot,
            libc::SYS_kexec_load,
            libc::SYS_kexec_file_load,
            libc::SYS_init_module,
            libc::SYS_finit_module,
            libc::SYS_delete_module,
            libc::SYS_swapon,
            libc::SYS_swapoff,
            libc::SYS_acct,
            libc::SYS_quotactl,
            libc::SYS_quotactl_fd,
            libc::SYS_syslog,
            libc::SYS_settimeofday,
            libc::SYS_clock_settime,
            libc::SYS_clock_adjtime,
            libc::SYS_adjtimex,
        ],
    },
];

/// What is answered otherwise where no control group counts the memory of the whole box.
pub(crate) const UNCOUNTED: &[Entry] = &[
    Entry {
        reason: "what waits in a socket is no process's memory: each keeps the host's usual size, so that their number bounds it",
        answer: Answer::Check(Check::BufferSizes),
        calls: &[libc::SYS_setsockopt],
    },
    Entry {
        reason: "what is written to a memfd belongs to no process, so the watch would not see it; libraries fall back to /dev/shm",
        answer: Answer::Absent,
        calls: &[libc::SYS_memfd_create],
    },
    Entry {
        reason: "a segment that nobody has attached belongs to no process; databases need only a small one",
        answer: Answer::Check(Check::AtMost { argument: 1, most: SMALL_BYTES }),
        calls: &[libc::SYS_shmget],
    },
    Entry {
        reason: "a set of 32,000 semaphores is 2 MB of the kernel's, and there may be 32,000 sets: databases need 17 at once",
        answer: Answer::Check(Check::AtMost { argument: 1, most: 32 }),
        calls: &[libc::SYS_semget],
    },
    Entry {
        reason: "32,000 queues of 16,384 empty messages are 32 GB of the kernel's; fakeroot has a form that needs none",
        answer: Answer::Absent,
        calls: &[libc::SYS_msgget],
    },
];

/// The largest segment of shared memory where nobody counts it: there may be 4,096.
pub(super) const SMALL_BYTES: u32 = 64 << 10;
/// The flags of `clone` that make a namespace.
const NAMESPACES: u32 = 0x7e02_0000;

// Newer than the `libc` in use, or not in it for every architecture; the numbers are the same on all of them.
const CACHESTAT: c_long = 451;
pub(crate) const FCHMODAT2: c_long = 452;
const MAP_SHADOW_STACK: c_long = 453;
const FUTEX_WAKE: c_long = 454;
const FUTEX_WAIT: c_long = 455;
const FUTEX_REQUEUE: c_long = 456;
const MSEAL: c_long = 462;
