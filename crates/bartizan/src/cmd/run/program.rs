//! Which program is meant, and what is wrong when there is none?

use super::surroundings::Surroundings;
use crate::cli::{Cli, RunArgs, exit};
use crate::report::{Failure, Problem, did_you_mean, safe};
use clap::CommandFactory as _;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// The program of the command, as a shell would find it.
pub(super) fn program(around: &Surroundings, args: &RunArgs) -> Result<PathBuf, Failure> {
    let name = args.command.first().map_or(OsStr::new(""), OsString::as_os_str);
    around.find(name).ok_or_else(|| missing(around, name))
}

fn missing(around: &Surroundings, name: &OsStr) -> Failure {
    let shown = safe(&name.to_string_lossy());
    if shown.starts_with('-') {
        return misspelt(&shown);
    }
    if !shown.contains('/') {
        let problem = Problem::new(format!("there is no program `{shown}` on the search path"));
        return Failure::new(exit::NOT_FOUND, problem.hint("give its path, or install it first"));
    }
    if around.root.join(name).is_file() {
        let problem = Problem::new(format!("`{shown}` may not be executed"));
        let hint = format!("chmod +x {shown}, or name what runs it, such as: bash {shown}");
        return Failure::new(exit::NOT_FOUND, problem.hint(hint));
    }
    Failure::new(exit::NOT_FOUND, Problem::new(format!("there is no program `{shown}`")))
}

/// What stands before the command and begins with a dash was meant for us.
fn misspelt(given: &str) -> Failure {
    let problem = Problem::new(format!("there is no option `{given}`"));
    let cli = Cli::command();
    let known: Vec<String> = ["run", "mcp"]
        .iter()
        .filter_map(|name| cli.find_subcommand(name))
        .flat_map(clap::Command::get_arguments)
        .filter_map(clap::Arg::get_long)
        .map(|long| format!("--{long}"))
        .collect();
    let hint = match did_you_mean(given, known.iter().map(String::as_str)) {
        Some(likely) => format!("did you mean `{likely}`?"),
        None => "see those that there are with --help".to_owned(),
    };
    Failure::new(exit::USAGE, problem.hint(hint))
}
