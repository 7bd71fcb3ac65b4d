//! How does the list of system calls become a filter that the kernel runs?
//!
//! A small assembler: the architecture is checked first, then the x32 numbers (which would reach the same calls under
//! numbers no list names), then a binary search over ranges of equal answer.
use super::syscalls::{Answer, Check, ENTRIES, Entry, SHARED, UNCOUNTED};
use libc::sock_filter;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The filter for this architecture, for a box whose memory is counted as a whole or not. Assembled once.
pub(crate) fn program(memory_counted: bool) -> Vec<sock_filter> {
    static COUNTED: LazyLock<Vec<sock_filter>> = LazyLock::new(|| assemble(true, &[]));
    static UNCOUNTED: LazyLock<Vec<sock_filter>> = LazyLock::new(|| assemble(false, &[]));
    (if memory_counted { &COUNTED } else { &UNCOUNTED }).to_vec()
}

/// The filter as bytes, in the form that the kernel and other tools take it, so that they can be compared with the box.
pub fn filter_bytes(memory_counted: bool) -> Vec<u8> {
    let parts = |i: sock_filter| {
        let [k0, k1, k2, k3] = i.k.to_ne_bytes();
        let [c0, c1] = i.code.to_ne_bytes();
        [c0, c1, i.jt, i.jf, k0, k1, k2, k3]
    };
    program(memory_counted).into_iter().flat_map(parts).collect()
}

/// The filter for a box that shares the host's namespaces.
pub(crate) fn shared_program(memory_counted: bool) -> Vec<sock_filter> {
    assemble(memory_counted, SHARED)
}

fn assemble(memory_counted: bool, further: &[Entry]) -> Vec<sock_filter> {
    let mut code = vec![
        load(ARCH_OFFSET),
        jump(BPF_JEQ, AUDIT_ARCH, 1, 0),
        answer(SECCOMP_RET_KILL_PROCESS),
        load(NUMBER_OFFSET),
        // x32 calls carry this bit; on arm64 no number is that high, so the check costs nothing but stays.
        jump(BPF_JGE, X32_BIT, 0, 1),
        answer(SECCOMP_RET_ERRNO | ENOSYS),
    ];
    let mut answers = answers(ENTRIES);
    if !memory_counted {
        answers.extend(self::answers(UNCOUNTED));
    }
    answers.extend(self::answers(further));
    code.extend(search(&ranges(&answers)));
    code
}

/// The rules of the filter in words: how calls of a kind are answered, and why. What no rule names does
/// not exist. The last rules hold only where no control group counts the box's memory, and in tier B.
pub fn filter_rules() -> impl Iterator<Item = (&'static str, &'static str)> {
    ENTRIES.iter().chain(UNCOUNTED).chain(SHARED).map(|entry| {
        let answer = match entry.answer {
            Answer::Absent => "absent",
            Answer::Allow => "allowed",
            Answer::Ask => "made by the supervisor",
            Answer::Check(_) => "checked",
            Answer::Refuse => "refused",
        };
        (answer, entry.reason)
    })
}

fn answers(entries: &[Entry]) -> BTreeMap<u32, Answer> {
    let mut answers = BTreeMap::new();
    for entry in entries {
        let numbers = entry.calls.iter().filter_map(|&call| u32::try_from(call).ok());
        answers.extend(numbers.map(|number| (number, entry.answer)));
    }
    answers
}

/// Answers by first number, covering every number: calls next to each other with one answer share a range.
fn ranges(answers: &BTreeMap<u32, Answer>) -> Vec<(u32, Answer)> {
    let mut ranges = vec![(0, Answer::Absent)];
    for (&number, &answer) in answers {
        push(&mut ranges, number, answer);
        if !answers.contains_key(&(number + 1)) {
            push(&mut ranges, number + 1, Answer::Absent);
        }
    }
    ranges
}

fn push(ranges: &mut Vec<(u32, Answer)>, start: u32, answer: Answer) {
    match ranges.last_mut() {
        Some(last) if last.1 == answer => {}
        Some(last) if last.0 == start => last.1 = answer,
        _ => ranges.push((start, answer)),
    }
}

fn search(ranges: &[(u32, Answer)]) -> Vec<sock_filter> {
    if let [(_, only)] = ranges {
        return leaf(*only);
    }
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let pivot = high.first().map_or(0, |range| range.0);
    let low = search(low);
    let mut code = match u8::try_from(low.len()) {
        Ok(skip) => vec![jump(BPF_JGE, pivot, skip, 0)],
        // Conditional jumps reach 255 instructions, so a farther side is reached by an unconditional one.
        Err(_) => vec![jump(BPF_JGE, pivot, 0, 1), always(low.len())],
    };
    code.extend(low);
    code.extend(search(high));
    code
}

fn leaf(which: Answer) -> Vec<sock_filter> {
    match which {
        Answer::Absent => vec![answer(SECCOMP_RET_ERRNO | ENOSYS)],
        Answer::Allow => vec![answer(SECCOMP_RET_ALLOW)],
        Answer::Ask => vec![answer(SECCOMP_RET_USER_NOTIF)],
        Answer::Check(check) => inspect(check),
        Answer::Refuse => vec![REFUSE],
    }
}

fn inspect(check: Check) -> Vec<sock_filter> {
    match check {
        Check::NoNamespace(flags) => {
            vec![load(low(0)), jump(BPF_JSET, flags, 0, 1), REFUSE, ALLOW]
        }
        Check::Ioctl => refuse_equal(1, &[TIOCSTI, TIOCLINUX, TIOCCONS, TIOCSETD]),
        Check::Mode(mode) => vec![load(low(mode)), jump(BPF_JSET, SET_ID, 0, 1), REFUSE, ALLOW],
        Check::Open { flags, mode } => vec![
            load(low(flags)),
            jump(BPF_JSET, MAKES_FILE, 0, 3),
            load(low(mode)),
            jump(BPF_JSET, SET_ID, 0, 1),
            REFUSE,
            ALLOW,
        ],
        Check::Node(mode) => vec![
            load(low(mode)),
            jump(BPF_JSET, SET_ID, 4, 0),
            and(FILE_TYPE),
            jump(BPF_JEQ, CHARACTER_DEVICE, 2, 0),
            jump(BPF_JEQ, BLOCK_DEVICE, 1, 0),
            ALLOW,
            REFUSE,
        ],
        Check::Personality => {
            vec![load(low(0)), jump(BPF_JEQ, 0, 1, 0), jump(BPF_JEQ, u32::MAX, 0, 1), ALLOW, REFUSE]
        }
        Check::AtMost { argument, most } => vec![
            load(low(argument) + 4),
            jump(BPF_JEQ, 0, 0, 2),
            load(low(argument)),
            jump(BPF_JGE, most + 1, 0, 1),
            answer(SECCOMP_RET_ERRNO | ENOSPC),
            ALLOW,
        ],
        Check::CoreLimit { resource, new } => core_limit(resource, new),
        Check::Socket => socket(),
        Check::BufferSizes => buffer_sizes(),
        shared => inspect_shared(shared),
    }
}

/// The checks of a box that shares the host's namespaces.
fn inspect_shared(check: Check) -> Vec<sock_filter> {
    match check {
        Check::Equal(wanted) => {
            let mut code = Vec::new();
            for (argument, value) in wanted {
                code.extend([load(low(*argument)), jump(BPF_JEQ, *value, 1, 0), REFUSE]);
            }
            code.push(ALLOW);
            code
        }
        Check::NoBits { argument, bits } => {
            vec![load(low(argument)), jump(BPF_JSET, bits, 0, 1), REFUSE, ALLOW]
        }
        Check::NoDeferredConnect => no_deferred_connect(),
        Check::OwnCoreLimit => {
            let mut code = vec![load(low(0)), jump(BPF_JEQ, 0, 1, 0), REFUSE];
            code.extend(core_limit(1, Some(2)));
            code
        }
        Check::SharedIoctl => refuse_equal(
            1,
            &[
                TIOCSTI,
                TIOCLINUX,
                TIOCCONS,
                TIOCSETD,
                FS_IOC_SETFLAGS,
                FS_IOC32_SETFLAGS,
                FS_IOC_FSSETXATTR,
                FS_IOC_ENABLE_VERITY,
                FS_IOC_SET_ENCRYPTION_POLICY,
            ],
        ),
        Check::SharedSocket => shared_socket(),
        Check::SharedPair => vec![
            load(low(0)),
            jump(BPF_JEQ, AF_UNIX, 0, 4),
            load(low(1)),
            and(0xf),
            jump(BPF_JEQ, SOCK_STREAM, 2, 0),
            jump(BPF_JEQ, SOCK_SEQPACKET, 1, 0),
            answer(SECCOMP_RET_ERRNO | EAFNOSUPPORT),
            ALLOW,
        ],
        Check::SocketPair => vec![
            load(low(0)),
            jump(BPF_JEQ, AF_UNIX, 0, 1),
            ALLOW,
            answer(SECCOMP_RET_ERRNO | EAFNOSUPPORT),
        ],
        // Every other check is laid out by `inspect`.
        _ => vec![REFUSE],
    }
}

fn refuse_equal(argument: u32, values: &[u32]) -> Vec<sock_filter> {
    let mut code = vec![load(low(argument))];
    for value in values {
        code.extend([jump(BPF_JEQ, *value, 0, 1), REFUSE]);
    }
    code.push(ALLOW);
    code
}

fn core_limit(resource: u32, new: Option<u32>) -> Vec<sock_filter> {
    let pretend = answer(SECCOMP_RET_ERRNO);
    let Some(new) = new else {
        return vec![load(low(resource)), jump(BPF_JEQ, RLIMIT_CORE, 0, 1), pretend, ALLOW];
    };
    vec![
        load(low(resource)),
        jump(BPF_JEQ, RLIMIT_CORE, 0, 4),
        load(low(new)),
        jump(BPF_JEQ, 0, 0, 3),
        load(low(new) + 4),
        jump(BPF_JEQ, 0, 0, 1),
        ALLOW,
        pretend,
    ]
}

fn no_deferred_connect() -> Vec<sock_filter> {
    let mut code = vec![
        load(low(1)),
        jump(BPF_JEQ, IPPROTO_TCP, 0, 3),
        load(low(2)),
        jump(BPF_JEQ, TCP_FASTOPEN_CONNECT, 0, 1),
        REFUSE,
    ];
    code.extend(buffer_sizes());
    code
}

/// Programs take a size that is not granted as they do where the host allows no larger one; what needs a capability is
/// refused as the kernel does.
fn buffer_sizes() -> Vec<sock_filter> {
    let mut code = vec![load(low(1)), jump(BPF_JEQ, SOL_SOCKET, 1, 0), ALLOW, load(low(2))];
    for option in [SO_SNDBUF, SO_RCVBUF] {
        code.extend([jump(BPF_JEQ, option, 0, 1), answer(SECCOMP_RET_ERRNO)]);
    }
    for option in [SO_SNDBUFFORCE, SO_RCVBUFFORCE] {
        code.extend([jump(BPF_JEQ, option, 0, 1), REFUSE]);
    }
    code.push(ALLOW);
    code
}

fn socket() -> Vec<sock_filter> {
    let mut code = vec![
        load(low(0)),
        jump(BPF_JEQ, AF_UNIX, 0, 1),
        ALLOW,
        jump(BPF_JEQ, AF_INET, 5, 0),
        jump(BPF_JEQ, AF_INET6, 4, 0),
        jump(BPF_JEQ, AF_NETLINK, 1, 0),
        answer(SECCOMP_RET_ERRNO | EAFNOSUPPORT),
    ];
    // Netlink: the routing family only, from which `getifaddrs` reads.
    code.extend([load(low(2)), jump(BPF_JEQ, 0, 9, 10)]);
    // Internet: stream or datagram, of the usual protocol.
    code.extend([
        load(low(1)),
        and(0xf),
        jump(BPF_JEQ, SOCK_STREAM, 1, 0),
        jump(BPF_JEQ, SOCK_DGRAM, 0, 6),
        load(low(2)),
        jump(BPF_JEQ, 0, 3, 0),
        jump(BPF_JEQ, IPPROTO_TCP, 2, 0),
        jump(BPF_JEQ, IPPROTO_UDP, 1, 0),
        answer(SECCOMP_RET_ERRNO | EPROTONOSUPPORT),
        ALLOW,
        REFUSE,
    ]);
    code
}

/// Streams only: each reaches another end by `connect` alone, which is asked about.
fn shared_socket() -> Vec<sock_filter> {
    vec![
        load(low(0)),
        jump(BPF_JEQ, AF_UNIX, 3, 0),
        jump(BPF_JEQ, AF_INET, 6, 0),
        jump(BPF_JEQ, AF_INET6, 5, 0),
        answer(SECCOMP_RET_ERRNO | EAFNOSUPPORT),
        load(low(1)),
        and(0xf),
        jump(BPF_JEQ, SOCK_STREAM, 7, 0),
        jump(BPF_JEQ, SOCK_SEQPACKET, 6, 7),
        load(low(1)),
        and(0xf),
        jump(BPF_JEQ, SOCK_STREAM, 0, 4),
        load(low(2)),
        jump(BPF_JEQ, IPPROTO_TCP, 1, 0),
        jump(BPF_JEQ, 0, 0, 1),
        ALLOW,
        REFUSE,
    ]
}

const fn load(offset: u32) -> sock_filter {
    sock_filter { code: BPF_LD_W_ABS, jt: 0, jf: 0, k: offset }
}

const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

fn always(skip: usize) -> sock_filter {
    // A filter longer than the kernel's limit of 4096 is refused as a whole, so the length always fits.
    sock_filter { code: BPF_JA, jt: 0, jf: 0, k: u32::try_from(skip).unwrap_or(u32::MAX) }
}

const fn and(mask: u32) -> sock_filter {
    sock_filter { code: BPF_AND, jt: 0, jf: 0, k: mask }
}

const fn answer(action: u32) -> sock_filter {
    sock_filter { code: BPF_RET, jt: 0, jf: 0, k: action }
}

/// Offset of the low half of an argument (both architectures are little-endian).
const fn low(argument: u32) -> u32 {
    16 + 8 * argument
}

const ALLOW: sock_filter = answer(SECCOMP_RET_ALLOW);
const REFUSE: sock_filter = answer(SECCOMP_RET_ERRNO | EPERM);

#[cfg(target_arch = "x86_64")]
const AUDIT_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCH: u32 = 0xc000_00b7;
const X32_BIT: u32 = 0x4000_0000;
const NUMBER_OFFSET: u32 = 0;
const ARCH_OFFSET: u32 = 4;
const BPF_LD_W_ABS: u16 = 0x20;
const BPF_JA: u16 = 0x05;
const BPF_JEQ: u16 = 0x15;
const BPF_JGE: u16 = 0x35;
const BPF_JSET: u16 = 0x45;
const BPF_AND: u16 = 0x54;
const BPF_RET: u16 = 0x06;
const SECCOMP_RET_KILL_PROCESS: u32 = 0x8000_0000;
const SECCOMP_RET_ERRNO: u32 = 0x0005_0000;
const SECCOMP_RET_USER_NOTIF: u32 = 0x7fc0_0000;
const SECCOMP_RET_ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 1;
const ENOSPC: u32 = 28;
const ENOSYS: u32 = 38;
const EPROTONOSUPPORT: u32 = 93;
const EAFNOSUPPORT: u32 = 97;
const AF_UNIX: u32 = 1;
const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
const AF_NETLINK: u32 = 16;
const SOCK_STREAM: u32 = 1;
const SOCK_DGRAM: u32 = 2;
const SOCK_SEQPACKET: u32 = 5;
const TCP_FASTOPEN_CONNECT: u32 = 30;
const SOL_SOCKET: u32 = 1;
const SO_SNDBUF: u32 = 7;
const SO_RCVBUF: u32 = 8;
const SO_SNDBUFFORCE: u32 = 32;
const SO_RCVBUFFORCE: u32 = 33;
const IPPROTO_TCP: u32 = 6;
const IPPROTO_UDP: u32 = 17;
const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541c;
const TIOCCONS: u32 = 0x541d;
const TIOCSETD: u32 = 0x5423;
const FS_IOC_SETFLAGS: u32 = 0x4008_6602;
const FS_IOC32_SETFLAGS: u32 = 0x4004_6602;
const FS_IOC_FSSETXATTR: u32 = 0x401c_5820;
const FS_IOC_ENABLE_VERITY: u32 = 0x4080_6685;
const FS_IOC_SET_ENCRYPTION_POLICY: u32 = 0x800c_6613;
const SET_ID: u32 = 0o6000;
/// `O_CREAT`, and the bit of `O_TMPFILE` that is not `O_DIRECTORY`.
const MAKES_FILE: u32 = 0o100 | 0o20_000_000;
const FILE_TYPE: u32 = 0o170_000;
const CHARACTER_DEVICE: u32 = 0o020_000;
const BLOCK_DEVICE: u32 = 0o060_000;
const RLIMIT_CORE: u32 = 4;

#[cfg(test)]
mod tests;
