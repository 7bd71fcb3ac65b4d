//! Which ways lead to the gate? Each door turns its own wire into proposals, and what is released
//! back into its own wire; none has any power of its own.

pub(crate) mod calls;
pub(crate) mod codex;
pub(crate) mod commands;
pub(crate) mod database;
pub(crate) mod gemini;
pub(crate) mod hook;
pub(crate) mod mcp;
pub(crate) mod model;
pub(crate) mod net;
pub(crate) mod request;
pub(crate) mod run;
pub(crate) mod serve;
mod told;
pub(crate) mod tools;
#[cfg(test)]
pub(crate) mod trial;
