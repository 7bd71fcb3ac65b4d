//! What holds when the whole house stands: the built program, real processes, real sockets, and the
//! real Claude Code client.

#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first surprise"
)]

mod approvals;
mod budgets;
mod call_opinion;
mod canary;
mod certified;
mod changes;
mod claude_code;
mod claude_mcp;
mod clouds;
mod codex;
mod codex_mcp;
#[expect(dead_code, reason = "the tests of the command line need more of it")]
#[path = "../cli/collector.rs"]
mod collector;
mod console;
mod database;
mod deferred;
mod direct;
mod endings;
mod faults;
mod gemini;
mod gemini_client;
mod held;
mod hostile_model;
mod interactive;
mod leaks;
mod limits;
mod managed;
mod mcp;
mod mcp_words;
mod model_door;
mod model_key;
mod notify;
mod off_switches;
mod parallel;
mod plain_box;
mod profiles;
mod reload;
mod resume;
mod roundabout;
mod searches;
mod second_opinion;
mod servers;
mod settings_live;
mod side_by_side;
mod support;
mod tier_b;
mod toolchains;
mod trusted_path;
mod way_out;
mod words;
