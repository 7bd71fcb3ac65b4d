//! What can a program reach once it runs in the box, and how does the box begin, end and account for itself?
//!
//! A box is described by a [`BoxSpec`], turned by pure code into a [`Plan`], and started by [`spawn`], the only process
//! start of the workspace. The box holds no ambient authority: a new root with an allow-list of read-only binds, its own
//! process, network, IPC, host-name and cgroup namespaces, no capability, Landlock and seccomp on top, and every
//! limit either enforced by the kernel or named as weaker in the [`Enforcement`] report. Nothing connects it to the world but
//! the sockets of [`Capture`], which are made inside and held by the supervisor.
//!
//! ```no_run
//! # fn demo(spec: bartizan_sandbox::BoxSpec) -> Result<(), Box<dyn std::error::Error>> {
//! use bartizan_sandbox::{HostFacts, Plan, spawn};
//! let facts = HostFacts::gather(&spec)?;
//! let plan = Plan::from_spec(&spec, &facts)?;
//! let mut running = spawn(&plan)?;
//! let exit = running.life.wait()?;
//! # let _ = exit; Ok(()) }
//! ```
#![deny(unsafe_code)]

mod backend;
mod child;
mod error;
mod host;
mod interpreter;
mod layer;
mod linux;
mod op;
mod plan;
mod planted;
mod reaper;
mod running;
mod sockets;
mod spawn;
mod spec;
mod status;
mod sys;
mod tier;
mod tierb;
mod watch;
mod wire;
pub mod writeback;

pub use backend::{Backend, HostKernel};
pub use error::{Fault, Mechanism, PlanError, SpawnError, StartError};
pub use host::HostFacts;
pub use layer::LayerUse;
pub use linux::seccomp::{filter_bytes, filter_rules};
pub use plan::Plan;
pub use planted::SetAside;
pub use running::{
    Capture, Exit, Foothold, Killer, Life, Peak, Reason, Running, StdioEnds, original_destination,
    resize,
};
pub use spawn::{spawn, spawn_within};
pub use spec::{
    Access, BoundSocket, BoxSpec, Limits, Reach, Stdio, Stream, SyntheticFile, WindowSize,
    WorkspaceMode,
};
pub use status::{Enforcement, Item, Strength, Tier};
pub use tier::{Accept, start};
pub use tierb::{Folder, Origins};
