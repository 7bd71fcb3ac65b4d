//! Does the command line keep its promises? Through the binary: exit codes, streams, and what a person reads.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the helpers of tests fail as tests do"
)]

mod answers;
mod approvals;
mod around;
mod audit;
mod collector;
mod configuring;
mod counter;
mod detect;
mod elsewhere;
mod exports;
mod log;
mod notify;
mod races;
mod scan;
#[path = "../e2e/support/schema.rs"]
mod schema;
mod services;
mod slips;
mod tokens;
mod witness;
mod world;

use world::{Done, World, ask, json_of, read, start, until, wait};
