//! What do an MCP client and an MCP server say to each other, and which of it passes?
//!
//! The data path is our own: [`wire`] reads one message so that no two parsers could read it differently and keeps
//! its bytes, so that what policy allows arrives as it was sent. [`method`] is the list of what may be said at all.
//! [`catalog`] holds back what is not as a person accepted it.
//! [`bridge`] speaks to servers without sessions, and [`headers`] is what their HTTP wants to see beside the message;
//! [`endpoint`] is where those of the first revision want to be sent it. [`rest`] lets one end that nobody needs, and begins anew
//! with another.
//! [`conversation`] is what a front (stdio, HTTP) and a door agree on; [`front`] is the one of HTTP; [`stateless`] lets clients of
//! the revision without sessions in. [`signed`] tells whether
//! an issuer's token is good. [`declare`] holds the tools that exist by configuration alone.
//!
//! This crate opens no socket and starts no process: streams are handed to it.
#![forbid(unsafe_code)]

pub mod bridge;
pub mod catalog;
pub mod conversation;
pub mod declare;
pub mod endpoint;
pub mod era;
pub mod events;
pub mod front;
pub mod headers;
pub mod method;
pub mod rest;
pub mod signed;
pub mod stateless;
pub mod stdio;
pub mod upstream;
pub mod way_out;
pub mod wire;
