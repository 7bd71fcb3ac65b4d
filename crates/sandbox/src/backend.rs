//! Who turns a plan into a running box?
//!
//! The host's own kernel does, with the walls of this crate, and so far nobody else. A stronger box (gVisor, a microVM, a
//! pod) would be another [`Backend`] beside it, with the same [`Plan`] as its input: what to show, what to limit, what to
//! capture. It would live in this crate, since a [`Running`] box, with its life and its report, is made nowhere else.
use crate::error::SpawnError;
use crate::plan::Plan;
use crate::running::Running;

/// Something that runs plans. What it cannot enforce it refuses, or names in the report of the box that it returns.
pub trait Backend: std::fmt::Debug + Send + Sync {
    /// A stable name, for reports and logs.
    fn name(&self) -> &'static str;

    /// Starts the box. Returns once the program has been executed, or with nothing left running.
    fn start(&self, plan: &Plan) -> Result<Running, SpawnError>;
}

/// The walls of the host's kernel, as [`spawn`](crate::spawn) raises them.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostKernel;

impl Backend for HostKernel {
    fn name(&self) -> &'static str {
        "host kernel"
    }

    fn start(&self, plan: &Plan) -> Result<Running, SpawnError> {
        crate::spawn(plan)
    }
}
