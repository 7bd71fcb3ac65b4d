//! Why could a box not be made, and what can a person do about it?
use crate::child;
use crate::error::{Fault, Mechanism, SpawnError};
use crate::host::Obstacle;
use crate::plan::Plan;
use std::io;

/// Names the act that failed.
pub(super) fn fault(plan: &Plan, step: u32, errno: i32) -> SpawnError {
    let source = io::Error::from_raw_os_error(errno);
    let op = usize::try_from(step).ok().and_then(|step| plan.ops.get(step));
    match op {
        Some(op) => refused(plan, op.mechanism(), op.to_string(), source),
        None if step == child::ENTERING => {
            refused(plan, Mechanism::Namespaces, "going into the box around".into(), source)
        }
        None => {
            refused(plan, Mechanism::Namespaces, "leaving the supervisor behind".into(), source)
        }
    }
}

pub(super) fn refused(
    plan: &Plan,
    mechanism: Mechanism,
    step: String,
    source: io::Error,
) -> SpawnError {
    let remedy = remedy(plan, mechanism, source.raw_os_error());
    SpawnError::Refused { mechanism, fault: Fault { step, source }, remedy }
}

/// What a person can do about a wall that could not be raised.
fn remedy(plan: &Plan, mechanism: Mechanism, errno: Option<i32>) -> String {
    let denied = matches!(errno, Some(libc::EPERM | libc::EACCES));
    match (mechanism, plan.obstacle) {
        (Mechanism::Mounts | Mechanism::Namespaces | Mechanism::UserMapping | Mechanism::Network, Some(obstacle)) => {
            match obstacle {
                Obstacle::AppArmor => "this system's AppArmor withholds user namespaces; load an AppArmor profile for this \
                    program that grants `userns,` (see `bartizan doctor`), or set the sysctl kernel.apparmor_restrict_unprivileged_userns to 0",
                Obstacle::Debian => "set the sysctl kernel.unprivileged_userns_clone to 1",
                Obstacle::MaxUserNamespaces => "set the sysctl user.max_user_namespaces above 0 (for example 15000)",
            }
            .into()
        }
        (Mechanism::Namespaces, None) if errno == Some(libc::ENOSPC) || errno == Some(libc::EUSERS) => {
            "this system's limit of namespaces is reached; raise the sysctls user.max_*_namespaces or run outside another box".into()
        }
        (Mechanism::Namespaces | Mechanism::UserMapping, None) if denied => {
            "user namespaces are refused here, perhaps by a container; run outside it, or allow unshare, mount and clone in its profile".into()
        }
        (Mechanism::Mounts, None) if denied => {
            "mounting is refused here, perhaps by a container that hides parts of /proc; run outside it, or give the container an unmasked /proc".into()
        }
        (Mechanism::Mounts, None) if errno == Some(libc::ESTALE) => "a path changed while the box was being made; try again".into(),
        (Mechanism::IdMappedMount, _) => {
            "the workspace's file system cannot be mapped to the box's own user; run as an ordinary user instead of root".into()
        }
        _ if errno == Some(libc::ENOSYS) => "this kernel is too old: Linux 5.14 or newer is needed".into(),
        _ => "run `bartizan doctor`".into(),
    }
}
