//! What is a box where user namespaces are refused, and what can it not do?
//!
//! The program shares the host's namespaces and is held by three walls of the kernel that any user may raise against her
//! own processes: Landlock (an allow-list of the same view, no TCP, no signal beyond the box), a filter of system calls
//! narrower than tier A's, and *connect on behalf*: a call that would name somebody else (`connect`, `bind`) or change a
//! file past Landlock (`chmod`, `utimensat`) is never made by the program. The supervisor hears of it, takes the very
//! socket or file, and makes the call itself on what it took, or refuses. Nothing is let through after a look, since what a
//! pointer leads to can change between the look and the act.
//!
//! The workspace is a private copy below the state directory. What became of it is told in the overlay's own language, so
//! the write-back gate judges it by the same rules.
mod behalf;
mod child;
mod copy;
mod difference;
mod disk;
mod files;
mod folder;
mod keeper;
mod origins;
mod own;
mod plan;
mod report;
mod start;

pub(crate) use disk::DiskWatch;
pub use folder::Folder;
pub use origins::Origins;
pub(crate) use start::{Settling, start};
