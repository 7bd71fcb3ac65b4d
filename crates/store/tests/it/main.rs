//! Does the store keep what it promises, whatever happens to its process, its files and its disk?
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::string_slice,
    reason = "clippy knows the tests by their attribute, but not what they call"
)]
mod crash;
mod deferred;
mod desk;
mod dirs;
mod ledger;
mod prune;
mod reviews;
mod search;
mod second;
mod sessions;
mod tamper;
mod turns;
mod util;
mod waiting;
