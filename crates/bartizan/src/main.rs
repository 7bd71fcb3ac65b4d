//! The model proposes; Bartizan disposes. Exit codes, and nothing else.
#![forbid(unsafe_code)]

mod app;
mod cli;
mod client;
mod clock;
mod cmd;
mod config;
mod console;
mod desk;
mod doors;
mod identity;
mod machine;
mod memory;
mod opinion;
mod reload;
mod report;
mod stop;

use clap::Parser;
use cli::{Cli, Command, exit};
use report::{Failure, Voice};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut voice = Voice::standard(cli.global.color);
    let ready = match cli.command {
        Command::Hook(_) => memory::leave_no_core(),
        _ => memory::shut(),
    };
    let code = ready.and_then(|()| cmd::dispatch(&cli, &mut voice)).unwrap_or_else(|failure| {
        let code = failure.code;
        // Whoever closed our standard error does not want to hear of it.
        drop(voice.fail(&failure));
        code
    });
    match voice.flush().map_err(Failure::from) {
        // Output that did not arrive must not pass for a success.
        Err(failure) if code == exit::DONE && failure.code != exit::DONE => {
            drop(voice.fail(&failure));
            ExitCode::from(failure.code)
        }
        _ => ExitCode::from(code),
    }
}
