//! Does what a session did reach the workspace whole, and only what may?
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot set its scene, or finds it wrong, fails by panicking"
)]

mod afterwards;
mod commits;
mod links;
mod overlay;
mod play;
mod shelf;
#[path = "../support/table.rs"]
mod table;
mod whole;
