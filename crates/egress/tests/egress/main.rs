//! Does the way out hold against real sockets, and does honest traffic pass?

#![forbid(unsafe_code)]

mod dns;
mod front;
mod model;
mod support;
mod tls;
mod tunnel;
