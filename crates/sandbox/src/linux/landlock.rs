//! Which file rights does Landlock leave, should a mount ever show more than it ought to?
//!
//! The `landlock` crate allocates and cannot be used between clone and exec of a multi-threaded process, so the rules are
//! data here and three bare calls in `sys`. Rights that this kernel does not know are left out and reported.
use crate::op::Op;
use std::ffi::CString;

/// What is allowed below a path (absolute, inside the box).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) path: CString,
    pub(crate) rights: u64,
}

/// The act that raises this wall on a kernel of `abi`, or none when it has no Landlock.
pub(crate) fn wall(abi: i32, rules: Vec<Rule>) -> Option<Op> {
    if abi < 1 {
        return None;
    }
    let known = known(abi);
    let rules: Vec<_> = rules
        .into_iter()
        .map(|rule| Rule { rights: rule.rights & known, ..rule })
        .filter(|rule| rule.rights != 0)
        .collect();
    let rules = rules.iter().filter(|rule| !is_implied(rule, &rules)).cloned().collect();
    let scoped = if abi >= 6 { SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL } else { 0 };
    Some(Op::Landlock { rights: known, scoped, rules })
}

/// Whether another rule above allows all of this one: Landlock adds up what is allowed on the way to the root.
fn is_implied(rule: &Rule, rules: &[Rule]) -> bool {
    let below = |above: &[u8]| match rule.path.as_bytes().strip_prefix(above) {
        Some(rest) => !rest.is_empty() && (above == b"/" || rest.starts_with(b"/")),
        None => false,
    };
    rules.iter().any(|other| rule.rights & !other.rights == 0 && below(other.path.as_bytes()))
}

/// What a kernel of `abi` lacks, in words for the report; empty from ABI 6 on.
pub(crate) fn lacks(abi: i32) -> &'static str {
    match abi {
        ..2 => {
            "rename across directories, truncate, device ioctl, signal and abstract-socket scopes"
        }
        2 => "truncate, device ioctl, signal and abstract-socket scopes",
        3 | 4 => "device ioctl, signal and abstract-socket scopes",
        5 => "signal and abstract-socket scopes",
        _ => "",
    }
}

pub(crate) fn known(abi: i32) -> u64 {
    let mut known = (MAKE_SYM << 1) - 1;
    if abi >= 2 {
        known |= REFER;
    }
    if abi >= 3 {
        known |= TRUNCATE;
    }
    if abi >= 5 {
        known |= IOCTL_DEV;
    }
    known
}

/// Read and execute a tree.
pub(crate) const TREE_READ: u64 = EXECUTE | READ_FILE | READ_DIR;
/// Read and execute one file.
pub(crate) const FILE_READ: u64 = EXECUTE | READ_FILE;
/// Everything in a tree but making devices.
pub(crate) const TREE_WRITE: u64 = TREE_READ
    | WRITE_FILE
    | REMOVE_DIR
    | REMOVE_FILE
    | MAKE_DIR
    | MAKE_REG
    | MAKE_SOCK
    | MAKE_FIFO
    | MAKE_SYM
    | REFER
    | TRUNCATE;
/// List directories, nothing else.
pub(crate) const LIST: u64 = READ_DIR;
/// Use one device.
pub(crate) const DEVICE: u64 = READ_FILE | WRITE_FILE | IOCTL_DEV;
/// Read one file.
pub(crate) const READ: u64 = READ_FILE;
/// Use what is in `/dev`.
pub(crate) const DEVICES: u64 = READ_FILE | READ_DIR | WRITE_FILE | TRUNCATE | IOCTL_DEV;
/// Read `/proc`.
pub(crate) const PROC: u64 = READ_FILE | READ_DIR;

const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const REMOVE_DIR: u64 = 1 << 4;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_DIR: u64 = 1 << 7;
const MAKE_REG: u64 = 1 << 8;
const MAKE_SOCK: u64 = 1 << 9;
const MAKE_FIFO: u64 = 1 << 10;
const MAKE_SYM: u64 = 1 << 12;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;
/// `LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET`.
pub(crate) const SCOPE_ABSTRACT_UNIX: u64 = 1;
/// `LANDLOCK_SCOPE_SIGNAL`.
pub(crate) const SCOPE_SIGNAL: u64 = 1 << 1;
/// `LANDLOCK_ACCESS_NET_BIND_TCP` and `…_CONNECT_TCP`.
pub(crate) const NET: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rule_grants_making_a_device() {
        for granted in [TREE_READ, FILE_READ, TREE_WRITE, LIST, DEVICES, PROC] {
            assert_eq!(granted & ((1 << 6) | (1 << 11)), 0);
        }
    }

    #[test]
    fn an_older_kernel_is_never_asked_for_rights_it_does_not_know() {
        let rule = Rule { path: c"/w".into(), rights: TREE_WRITE | IOCTL_DEV };
        assert!(wall(0, vec![rule.clone()]).is_none());
        for (abi, most) in [(1, MAKE_SYM), (2, REFER), (3, TRUNCATE), (4, TRUNCATE), (5, IOCTL_DEV)]
        {
            let Some(Op::Landlock { rights, scoped, rules }) = wall(abi, vec![rule.clone()]) else {
                panic!("abi {abi} has no wall");
            };
            assert!(
                rights < most << 1 && rules[0].rights & !rights == 0 && scoped == 0,
                "abi {abi}"
            );
        }
    }

    #[test]
    fn a_rule_goes_only_when_one_above_it_allows_as_much() {
        let rule = |path: &str, rights| Rule { path: CString::new(path).unwrap(), rights };
        let rules = vec![
            rule("/", LIST),
            rule("/etc", TREE_READ),
            rule("/etc/ssl/certs", TREE_READ),
            rule("/etc/ld.so.cache", FILE_READ),
            rule("/etcetera", FILE_READ),
            rule("/tmp", TREE_WRITE),
            rule("/tmp/project", TREE_READ),
            rule("/dev", DEVICES),
            rule("/dev/shm", TREE_WRITE),
        ];
        let Some(Op::Landlock { rules, .. }) = wall(7, rules) else { panic!("no wall") };
        let left: Vec<_> = rules.iter().map(|rule| rule.path.to_str().unwrap()).collect();
        assert_eq!(left, ["/", "/etc", "/etcetera", "/tmp", "/dev", "/dev/shm"]);
    }
}
