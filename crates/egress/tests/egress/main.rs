//! Does the way out hold against real sockets, and does honest traffic pass?

#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod aws;
mod court;
mod credentials;
mod dns;
mod frames;
mod front;
mod model;
mod model_key;
mod planted;
mod real_clients;
mod renewal;
mod requests;
mod returning;
mod support;
mod tls;
mod tunnel;
