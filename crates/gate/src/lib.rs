//! May this happen? The one path that every proposal of an agent takes, whatever door it came in by.
//!
//! A door makes a [`call::Proposed`]. [`pipeline::Pipeline::decide`] leads it through the gates, in the
//! order of `gates.rs`: who asks, is the tool on the list, do the arguments fit and what do they point
//! at, can it be undone, what would it get, was it called too often, does policy permit it and did a person say yes. Then the
//! intent goes on the audit log, and only then is there a [`call::Authorized`], which an
//! [`effect::Effector`] performs under a [`effect::Warrant`]. What it returns is unreadable until
//! [`pipeline::Pipeline::release`] has scrubbed it and recorded the outcome.
//!
//! This crate opens no file and no socket, starts no thread and has no runtime: what it must know of
//! the world comes in as facts, or through the store's traits.
#![forbid(unsafe_code)]

pub mod address;
pub mod call;
pub mod effect;
mod gates;
pub mod limit;
pub mod name;
pub mod pipeline;
pub mod policy;
mod record;
pub mod refusal;
pub mod seat;
pub mod shape;
pub mod taint;
pub mod tool;
pub mod url_path;
pub mod watch;
