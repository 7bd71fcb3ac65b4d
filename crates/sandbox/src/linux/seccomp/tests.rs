//! Does the filter answer as the list says? Run through an interpreter of the few instructions it uses.
use super::*;

const ALLOWED: u32 = SECCOMP_RET_ALLOW;
const REFUSED: u32 = SECCOMP_RET_ERRNO | EPERM;
const MISSING: u32 = SECCOMP_RET_ERRNO | ENOSYS;
const NO_SPACE: u32 = SECCOMP_RET_ERRNO | ENOSPC;
const PRETENDED: u32 = SECCOMP_RET_ERRNO;

fn run(arch: u32, number: u32, arguments: [u64; 6]) -> u32 {
    decide(&program(true), arch, number, arguments)
}

fn decide(program: &[sock_filter], arch: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let mut data = [0_u8; 64];
    data[0..4].copy_from_slice(&number.to_le_bytes());
    data[4..8].copy_from_slice(&arch.to_le_bytes());
    for (place, value) in arguments.iter().enumerate() {
        data[16 + 8 * place..24 + 8 * place].copy_from_slice(&value.to_le_bytes());
    }
    let (mut at, mut a) = (0, 0_u32);
    loop {
        let i = program[at];
        at += 1;
        let skip = |truth| usize::from(if truth { i.jt } else { i.jf });
        match i.code {
            BPF_LD_W_ABS => {
                let offset = i.k as usize;
                a = u32::from_le_bytes(data[offset..offset + 4].try_into().unwrap());
            }
            BPF_JA => at += i.k as usize,
            BPF_JEQ => at += skip(a == i.k),
            BPF_JGE => at += skip(a >= i.k),
            BPF_JSET => at += skip(a & i.k != 0),
            BPF_AND => a &= i.k,
            BPF_RET => return i.k,
            other => panic!("instruction {other:#x}"),
        }
    }
}

fn call(number: libc::c_long, arguments: &[u64]) -> u32 {
    let mut all = [0xdead_beef_0000_0000; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    run(AUDIT_ARCH, u32::try_from(number).unwrap(), all)
}

#[test]
fn every_listed_call_gets_its_answer_and_every_other_is_missing() {
    let mut listed = BTreeMap::new();
    for entry in ENTRIES {
        assert!(!entry.reason.is_empty() && !entry.calls.is_empty());
        for &number in entry.calls {
            listed.insert(number, entry.answer);
        }
    }
    for number in 0..1024 {
        let got = call(number, &[]);
        match listed.get(&number) {
            Some(Answer::Allow) => assert_eq!(got, ALLOWED, "call {number}"),
            Some(Answer::Ask) => panic!("a box of tier A asks nobody: call {number}"),
            Some(Answer::Refuse) => assert_eq!(got, REFUSED, "call {number}"),
            Some(Answer::Check(_)) => {}
            Some(Answer::Absent) | None => assert_eq!(got, MISSING, "call {number}"),
        }
    }
    assert_eq!(call(i64::from(X32_BIT) - 1, &[]), MISSING);
}

#[test]
fn a_call_listed_twice_has_one_answer() {
    let mut seen: BTreeMap<i64, Answer> = BTreeMap::new();
    for entry in ENTRIES {
        for &number in entry.calls {
            if let Some(before) = seen.insert(number, entry.answer) {
                assert_eq!(before, entry.answer, "call {number}");
            }
        }
    }
}

#[test]
fn another_architecture_is_killed_and_x32_does_not_exist() {
    for arch in [0x4000_0003, 0xc000_00b8, 0] {
        assert_eq!(run(arch, 0, [0; 6]), SECCOMP_RET_KILL_PROCESS);
    }
    for entry in ENTRIES {
        for &number in entry.calls {
            let number = u32::try_from(number).unwrap() | X32_BIT;
            assert_eq!(run(AUDIT_ARCH, number, [0; 6]), MISSING);
        }
    }
}

#[test]
fn clone_makes_threads_but_no_namespace() {
    assert_eq!(call(libc::SYS_clone, &[0x003d_0f00]), ALLOWED);
    for flag in
        [0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000]
    {
        assert_eq!(call(libc::SYS_clone, &[flag | 0x11]), REFUSED, "{flag:#x}");
        assert_eq!(call(libc::SYS_unshare, &[flag]), REFUSED, "{flag:#x}");
    }
    assert_eq!(call(libc::SYS_unshare, &[0x80]), REFUSED);
    assert_eq!(call(libc::SYS_unshare, &[0x400]), ALLOWED);
}

#[test]
fn only_ordinary_sockets_are_made() {
    for (family, kind, protocol) in [
        (1, 1, 0),
        (1, 2, 0),
        (1, 5, 0),
        (2, 1, 0),
        (2, 1, 6),
        (2, 0x8_0802, 17),
        (10, 1, 6),
        (10, 2, 0),
        (16, 3, 0),
    ] {
        assert_eq!(
            call(libc::SYS_socket, &[family, kind, protocol]),
            ALLOWED,
            "{family} {kind} {protocol}"
        );
    }
    for family in [0, 3, 4, 9, 17, 21, 29, 31, 38, 40, 41, 44, u64::from(u32::MAX)] {
        assert_eq!(
            call(libc::SYS_socket, &[family, 1, 0]),
            SECCOMP_RET_ERRNO | EAFNOSUPPORT,
            "{family}"
        );
    }
    for (family, kind, protocol) in
        [(2, 3, 1), (10, 3, 58), (2, 5, 132), (2, 10, 3), (16, 3, 12), (16, 3, 9), (16, 2, 15)]
    {
        assert_eq!(
            call(libc::SYS_socket, &[family, kind, protocol]),
            REFUSED,
            "{family} {kind} {protocol}"
        );
    }
    for protocol in [1, 33, 58, 132, 136, 262] {
        assert_eq!(call(libc::SYS_socket, &[2, 1, protocol]), SECCOMP_RET_ERRNO | EPROTONOSUPPORT);
    }
    assert_eq!(call(libc::SYS_socketpair, &[1]), ALLOWED);
    assert_eq!(call(libc::SYS_socketpair, &[30]), SECCOMP_RET_ERRNO | EAFNOSUPPORT);
}

#[test]
fn typing_into_a_terminal_is_refused_however_the_high_half_looks() {
    for high in [0, 1 << 32, u64::MAX << 32] {
        for request in [0x5412, 0x541c, 0x541d, 0x5423] {
            assert_eq!(call(libc::SYS_ioctl, &[0, high | request]), REFUSED);
        }
        assert_eq!(call(libc::SYS_ioctl, &[0, high | 0x5413]), ALLOWED);
    }
}

#[test]
fn no_file_becomes_setuid() {
    for (plain, set) in [(0o755, 0o4755), (0o1777, 0o2755), (0, 0o6000)] {
        assert_eq!(call(libc::SYS_fchmod, &[3, plain]), ALLOWED);
        assert_eq!(call(libc::SYS_fchmod, &[3, set]), REFUSED);
        assert_eq!(call(libc::SYS_fchmodat, &[3, 0, set]), REFUSED);
        assert_eq!(call(452, &[3, 0, set]), REFUSED);
        assert_eq!(call(libc::SYS_openat, &[3, 0, 0o101, plain]), ALLOWED);
        assert_eq!(call(libc::SYS_openat, &[3, 0, 0o101, set]), REFUSED);
        assert_eq!(call(libc::SYS_openat, &[3, 0, 0o20_200_002, set]), REFUSED);
        // Without O_CREAT the mode is whatever lay in the register.
        assert_eq!(call(libc::SYS_openat, &[3, 0, 0o200_000, set]), ALLOWED);
        assert_eq!(call(libc::SYS_mknodat, &[3, 0, 0o010_000 | plain]), ALLOWED);
        assert_eq!(call(libc::SYS_mknodat, &[3, 0, 0o100_000 | set]), REFUSED);
    }
    assert_eq!(call(libc::SYS_mknodat, &[3, 0, 0o020_666]), REFUSED);
    assert_eq!(call(libc::SYS_mknodat, &[3, 0, 0o060_666]), REFUSED);
    assert_eq!(call(libc::SYS_mknodat, &[3, 0, 0o140_666]), ALLOWED);
}

#[test]
fn the_core_limit_can_be_read_but_not_changed() {
    assert_eq!(call(libc::SYS_prlimit64, &[0, 4, 0]), ALLOWED);
    assert_eq!(call(libc::SYS_prlimit64, &[0, 4, 0x7f00_0000_0000]), PRETENDED);
    assert_eq!(call(libc::SYS_prlimit64, &[0, 4, 0x7000]), PRETENDED);
    assert_eq!(call(libc::SYS_prlimit64, &[0, 7, 0x7000]), ALLOWED);
    assert_eq!(call(libc::SYS_setrlimit, &[4, 0x7000]), PRETENDED);
    assert_eq!(call(libc::SYS_setrlimit, &[7, 0x7000]), ALLOWED);
}

#[test]
fn the_personality_is_plain() {
    assert_eq!(call(libc::SYS_personality, &[0]), ALLOWED);
    assert_eq!(call(libc::SYS_personality, &[0xffff_ffff]), ALLOWED);
    assert_eq!(call(libc::SYS_personality, &[0x0004_0000]), REFUSED);
}

#[test]
fn the_filter_fits_the_kernel() {
    assert!(program(true).len() < 4096 && program(false).len() < 4096);
}

#[test]
fn without_a_count_of_memory_what_belongs_to_no_process_is_small() {
    let ask = |counted, number, arguments| decide(&program(counted), AUDIT_ARCH, number, arguments);
    let shmget = u32::try_from(libc::SYS_shmget).unwrap();
    let memfd = u32::try_from(libc::SYS_memfd_create).unwrap();
    for (size, answer) in [
        (0, ALLOWED),
        (65536, ALLOWED),
        (65537, NO_SPACE),
        (1 << 32, NO_SPACE),
        (u64::MAX, NO_SPACE),
    ] {
        assert_eq!(ask(false, shmget, [0, size, 0, 0, 0, 0]), answer, "{size}");
        assert_eq!(ask(true, shmget, [0, size, 0, 0, 0, 0]), ALLOWED);
    }
    assert_eq!((ask(true, memfd, [0; 6]), ask(false, memfd, [0; 6])), (ALLOWED, MISSING));
}

/// The answer in a box that shares the host's namespaces.
fn shared(number: libc::c_long, arguments: &[u64]) -> u32 {
    let mut all = [0xdead_beef_0000_0000; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    decide(&shared_program(true), AUDIT_ARCH, u32::try_from(number).unwrap(), all)
}

#[test]
fn in_a_shared_network_whom_a_socket_reaches_is_always_asked() {
    for call in [
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_listen,
        libc::SYS_fchmodat,
        libc::SYS_utimensat,
    ] {
        assert_eq!(shared(call, &[]), SECCOMP_RET_USER_NOTIF, "call {call}");
    }
    let no_family = SECCOMP_RET_ERRNO | EAFNOSUPPORT;
    let (stream, datagram, raw, packet) = (1, 2, 3, 5);
    for (family, kind, protocol, answer) in [
        (1, stream, 0, ALLOWED),
        (1, stream | 0o2_000_000, 0, ALLOWED),
        (1, packet, 0, ALLOWED),
        (1, datagram, 0, REFUSED),
        (1, raw, 0, REFUSED),
        (2, stream, 0, ALLOWED),
        (2, stream | 0o4000, 6, ALLOWED),
        (10, stream, 6, ALLOWED),
        (2, stream, 262, REFUSED),
        (2, stream, 132, REFUSED),
        (2, datagram, 0, REFUSED),
        (10, datagram, 17, REFUSED),
        (2, raw, 1, REFUSED),
        (16, raw, 0, no_family),
        (40, stream, 0, no_family),
        (0, stream, 0, no_family),
    ] {
        assert_eq!(
            shared(libc::SYS_socket, &[family, kind, protocol]),
            answer,
            "{family} {kind} {protocol}"
        );
    }
    assert_eq!(shared(libc::SYS_socketpair, &[1, stream]), ALLOWED);
    assert_eq!(shared(libc::SYS_socketpair, &[1, packet]), ALLOWED);
    for (family, kind) in [(1, datagram), (1, raw), (2, stream)] {
        assert_eq!(shared(libc::SYS_socketpair, &[family, kind]), no_family);
    }
}

#[test]
fn where_nobody_counts_memory_a_socket_keeps_its_size() {
    let (uncounted, counted) = (program(false), program(true));
    let call = |program: &[sock_filter], level, option| {
        let number = u32::try_from(libc::SYS_setsockopt).unwrap();
        let junk = 0xdead_beef_0000_0000;
        decide(program, AUDIT_ARCH, number, [junk | 3, junk | level, junk | option, 0, 0, 0])
    };
    for (option, answer) in [(7, PRETENDED), (8, PRETENDED), (32, REFUSED), (33, REFUSED)] {
        assert_eq!(call(&uncounted, 1, option), answer, "{option}");
        assert_eq!(call(&shared_program(true), 1, option), answer, "{option}");
        assert_eq!(call(&counted, 1, option), ALLOWED, "a control group counts what waits");
        assert_eq!(call(&uncounted, 6, option), ALLOWED, "it is another option at another level");
    }
    for option in [2, 9, 13, 20] {
        assert_eq!(call(&uncounted, 1, option), ALLOWED, "{option}");
    }
}

#[test]
fn where_nobody_counts_memory_few_semaphores_are_made_at_once_and_no_queue() {
    let call = |counted, call, arguments: [u64; 6]| {
        decide(&program(counted), AUDIT_ARCH, u32::try_from(call).unwrap(), arguments)
    };
    for (count, answer) in [(1, ALLOWED), (32, ALLOWED), (33, NO_SPACE), (32_000, NO_SPACE)] {
        let arguments = [0, count, 0o600, 0, 0, 0];
        assert_eq!(call(false, libc::SYS_semget, arguments), answer, "{count}");
        assert_eq!(call(true, libc::SYS_semget, arguments), ALLOWED);
    }
    assert_eq!(call(false, libc::SYS_msgget, [0; 6]), MISSING);
    assert_eq!(call(true, libc::SYS_msgget, [0; 6]), ALLOWED);
}

#[test]
fn in_a_shared_network_no_write_connects() {
    let fast = u64::from(0x2000_0000_u32);
    for (call, flags) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
        let mut arguments = [0; 6];
        assert_eq!(shared(call, &arguments), ALLOWED);
        arguments[flags] = fast | 0x4000;
        assert_eq!(shared(call, &arguments), REFUSED);
    }
    assert_eq!(shared(libc::SYS_setsockopt, &[3, 6, 30]), REFUSED);
    assert_eq!(shared(libc::SYS_setsockopt, &[3, 6, 1]), ALLOWED);
    assert_eq!(shared(libc::SYS_setsockopt, &[3, 1, 30]), ALLOWED);
}

#[test]
fn in_a_shared_pid_view_only_oneself_is_changed() {
    assert_eq!(shared(libc::SYS_prlimit64, &[0, 7, 0]), ALLOWED);
    assert_eq!(shared(libc::SYS_prlimit64, &[4711, 7, 0x1000]), REFUSED);
    assert_eq!(shared(libc::SYS_prlimit64, &[0, 4, 0x1000]), PRETENDED);
    assert_eq!(shared(libc::SYS_setpriority, &[0, 0]), ALLOWED);
    for (which, who) in [(0, 4711), (1, 0), (2, 0)] {
        assert_eq!(shared(libc::SYS_setpriority, &[which, who]), REFUSED);
    }
    assert_eq!(shared(libc::SYS_sched_setaffinity, &[0]), ALLOWED);
    assert_eq!(shared(libc::SYS_sched_setaffinity, &[4711]), REFUSED);
    assert_eq!(shared(libc::SYS_ioprio_set, &[1, 0]), ALLOWED);
    assert_eq!(shared(libc::SYS_ioprio_set, &[3, 0]), REFUSED);
    for request in [0x5412, 0x4008_6602, 0x4080_6685] {
        assert_eq!(shared(libc::SYS_ioctl, &[0, request]), REFUSED);
    }
    assert_eq!(shared(libc::SYS_ioctl, &[0, 0x5401]), ALLOWED);
    for call in [libc::SYS_shmget, libc::SYS_mq_open, libc::SYS_fsetxattr, libc::SYS_clone3] {
        assert_eq!(shared(call, &[]), MISSING);
    }
    for call in [libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_pidfd_getfd] {
        assert_eq!(shared(call, &[]), REFUSED);
    }
}
