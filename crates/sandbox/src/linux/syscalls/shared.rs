//! Which calls are answered otherwise in a box that shares the host's namespaces (tier B), and why? Data only.

use super::{Answer, Check, Entry, FCHMODAT2};

/// The list.
pub(crate) const SHARED: &[Entry] = &[
    Entry {
        reason: "whom a socket reaches is the supervisor's to say: it connects the very socket, to its own listener",
        answer: Answer::Ask,
        calls: &[libc::SYS_connect],
    },
    Entry {
        reason: "a socket takes a name only in the box's own folders, or on loopback",
        answer: Answer::Ask,
        calls: &[libc::SYS_bind, libc::SYS_listen],
    },
    Entry {
        reason: "Landlock does not look at these, and the user's own files are all around: only the box's are changed",
        answer: Answer::Ask,
        calls: &[
            libc::SYS_fchmod,
            libc::SYS_fchmodat,
            FCHMODAT2,
            libc::SYS_fchown,
            libc::SYS_fchownat,
            libc::SYS_utimensat,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_chmod,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_chown,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_lchown,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_utime,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_utimes,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_futimesat,
        ],
    },
    Entry {
        reason: "Landlock does not look at these either, and nothing here needs them; tools take it as not supported",
        answer: Answer::Absent,
        calls: &[
            libc::SYS_setxattr,
            libc::SYS_lsetxattr,
            libc::SYS_fsetxattr,
            libc::SYS_removexattr,
            libc::SYS_lremovexattr,
            libc::SYS_fremovexattr,
        ],
    },
    Entry {
        reason: "streams reach another end by connect alone; datagrams name it in each message, unseen",
        answer: Answer::Check(Check::SharedSocket),
        calls: &[libc::SYS_socket],
    },
    Entry {
        reason: "a datagram pair can send to any name",
        answer: Answer::Check(Check::SharedPair),
        calls: &[libc::SYS_socketpair],
    },
    Entry {
        reason: "a fast open is a connect in the guise of a write",
        answer: Answer::Check(Check::NoBits { argument: 3, bits: MSG_FASTOPEN }),
        calls: &[libc::SYS_sendto, libc::SYS_sendmmsg],
    },
    Entry {
        reason: "a fast open is a connect in the guise of a write",
        answer: Answer::Check(Check::NoBits { argument: 2, bits: MSG_FASTOPEN }),
        calls: &[libc::SYS_sendmsg],
    },
    Entry {
        reason: "the option that puts a connect off until the first write",
        answer: Answer::Check(Check::NoDeferredConnect),
        calls: &[libc::SYS_setsockopt],
    },
    Entry {
        reason: "segments, semaphores and queues are those of every process of this user",
        answer: Answer::Absent,
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
        reason: "limits of one's own only: those of another process of this user would end it; and the core limit stays",
        answer: Answer::Check(Check::OwnCoreLimit),
        calls: &[libc::SYS_prlimit64],
    },
    Entry {
        reason: "scheduling of one's own only",
        answer: Answer::Check(Check::Equal(&[(0, 0)])),
        calls: &[
            libc::SYS_sched_setaffinity,
            libc::SYS_sched_setparam,
            libc::SYS_sched_setscheduler,
            libc::SYS_sched_setattr,
        ],
    },
    Entry {
        reason: "a priority of one's own only",
        answer: Answer::Check(Check::Equal(&[(0, 0), (1, 0)])),
        calls: &[libc::SYS_setpriority],
    },
    Entry {
        reason: "an I/O priority of one's own only",
        answer: Answer::Check(Check::Equal(&[(0, 1), (1, 0)])),
        calls: &[libc::SYS_ioprio_set],
    },
    Entry {
        reason: "terminal and file requests, but none that types into a terminal or seals a file it may only read",
        answer: Answer::Check(Check::SharedIoctl),
        calls: &[libc::SYS_ioctl],
    },
];

const MSG_FASTOPEN: u32 = 0x2000_0000;
