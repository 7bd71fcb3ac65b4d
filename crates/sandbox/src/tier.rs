//! Which tier does a box get?
//!
//! The strongest that this host carries. Tier B only when the host refuses what tier A is made of, and only when the caller
//! accepts it: a failure of any other kind stays a failure.
use crate::error::{Mechanism, SpawnError, StartError};
use crate::host::HostFacts;
use crate::plan::Plan;
use crate::running::Running;
use crate::spawn::spawn;
use crate::spec::BoxSpec;
use crate::tierb;
use std::path::PathBuf;

/// Which tiers a caller accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accept {
    /// Tier A, or nothing.
    OnlyA,
    /// Tier B too, where tier A cannot be had; the box's folder is made in `folders`, a directory of ours.
    OrB {
        /// Where folders of boxes are made.
        folders: PathBuf,
    },
}

/// Starts the strongest box that can be had here, if it is one that the caller accepts. [`Running::report`] tells which.
pub fn start(spec: &BoxSpec, accept: &Accept) -> Result<Running, StartError> {
    let facts = HostFacts::gather(spec)?;
    let plan = Plan::from_spec(spec, &facts)?;
    let refusal = match spawn(&plan) {
        Ok(running) => return Ok(running),
        Err(error) => error,
    };
    match accept {
        Accept::OrB { folders } if withheld(&refusal) => tierb::start(spec, &facts, folders)
            .map_err(|b| StartError::NoTier { a: Box::new(refusal.into()), b: Box::new(b) }),
        _ => Err(refusal.into()),
    }
}

/// Whether the host refuses the very things that tier A is made of.
fn withheld(error: &SpawnError) -> bool {
    let SpawnError::Refused { mechanism, fault, .. } = error else { return false };
    let namespaces = matches!(
        mechanism,
        Mechanism::IdMappedMount
            | Mechanism::Mounts
            | Mechanism::Namespaces
            | Mechanism::Network
            | Mechanism::UserMapping
    );
    let refused =
        [libc::EACCES, libc::EINVAL, libc::ENOSPC, libc::ENOSYS, libc::EPERM, libc::EUSERS];
    namespaces && fault.errno().is_some_and(|errno| refused.contains(&errno))
}
