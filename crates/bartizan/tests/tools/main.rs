//! Do declared tools do what they say, and nothing wider? Each example that ships, tried through the binary against a
//! real server, with its attacks beside it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    clippy::indexing_slicing,
    reason = "the helpers of tests fail as tests do"
)]

mod attacks;
mod doubt;
mod examples;
mod world;
