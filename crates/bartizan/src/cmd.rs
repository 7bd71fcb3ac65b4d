//! What did the person ask for? One room per subcommand; each reads, writes and reports, and none judges an agent's call.

mod agent;
mod approvals;
mod audit;
mod changes;
mod console;
mod detect;
mod doctor;
mod effects;
pub(crate) mod init;
mod keeper;
mod notify;
mod pages;
pub(crate) mod policy;
pub(crate) mod run;
mod scan;
pub(crate) mod secret;
mod serve;
pub(crate) mod servers;
mod tool;
mod trust;

use crate::cli::{Cli, Command, HookCommand, exit};
use crate::config::Places;
use crate::doors::mcp::entry;
use crate::doors::{commands, hook};
use crate::report::{Failure, Problem, Voice};
use bartizan_store::StoreError;
use std::env;
use std::io::{self, BufRead, IsTerminal};
use std::path::{Path, PathBuf};

/// What every command stands on.
#[derive(Debug)]
struct Desk<'a> {
    /// Where configuration and state are.
    places: Places,
    /// Where data and messages go.
    voice: &'a mut Voice,
}

impl Desk<'_> {
    /// Asks on the terminal; without one, typing the command was the answer.
    fn confirms(&mut self, question: &str) -> Result<bool, Failure> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Ok(true);
        }
        self.voice.say(&format!("{question} [y/N]"))?;
        let mut answer = String::new();
        stdin.lock().read_line(&mut answer)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }
}

/// Carries out a command, and says what to exit with.
pub(crate) fn dispatch(cli: &Cli, voice: &mut Voice) -> Result<u8, Failure> {
    let mut desk = match &cli.command {
        Command::Run(args) => return run::run(&cli.global, args, voice).map_err(before_start),
        Command::Mcp(args) => return run::mcp::run(&cli.global, args, voice).map_err(before_start),
        Command::Hook(command) => return hook(command, voice),
        Command::Scan(args) => return scan::run(args, voice),
        _ => Desk { places: Places::find(&cli.global)?, voice },
    };
    let desk = &mut desk;
    match &cli.command {
        Command::Init(args) => init::run(args, desk),
        Command::Policy(command) => policy::run(command, desk),
        Command::Audit(command) => audit::run(command, desk),
        Command::Approvals(args) => approvals::run(args, desk),
        Command::Console(args) => console::run(args, desk),
        Command::Changes(command) => changes::run(command, desk),
        Command::Notify(args) => notify::run(args, desk),
        Command::Keeper(args) => keeper::run(args, desk),
        Command::Serve(args) => serve::run(&cli.global, args, desk),
        Command::Agent(command) => agent::run(command, desk),
        Command::Secret(command) => secret::run(command, desk),
        Command::Tool(command) => tool::run(command, desk),
        Command::Detect(command) => detect::run(command, desk),
        Command::Effects(command) => effects::run(command, desk),
        Command::Servers(command) => servers::run(command, desk),
        Command::Doctor(args) => doctor::run(args, desk),
        Command::Trust(args) => trust::run(args, desk),
        Command::Completions(args) => pages::completions(args, desk),
        Command::Man(args) => pages::man(args, desk),
        Command::Run(_) | Command::Mcp(_) | Command::Hook(_) | Command::Scan(_) => Ok(exit::DONE),
    }
}

/// Whatever stops a run before its command starts has one code, so that a script can tell it from
/// the command's own.
fn before_start(failure: Failure) -> Failure {
    let own = [exit::NOT_STARTED, exit::REFUSED, exit::NOT_FOUND, exit::USAGE];
    let code = if own.contains(&failure.code) { failure.code } else { exit::NOT_STARTED };
    Failure { code, ..failure }
}

/// The client in the box reads the exit code, one line of standard error, and what it shall do instead.
fn hook(command: &HookCommand, voice: &mut Voice) -> Result<u8, Failure> {
    let (code, sentence) = match command {
        HookCommand::ClaudeCode => {
            let heard = hook::ask(Path::new(hook::SOCKET));
            if let Some(instead) = heard.instead {
                writeln!(voice.out(), "{instead}")?;
            }
            (heard.code, heard.sentence)
        }
        HookCommand::Codex | HookCommand::GeminiCli => {
            let heard = hook::ask(Path::new(hook::SOCKET));
            // In their dialects no other call stands in for one.
            let other = heard
                .instead
                .map(|_| "hook-dialect: this client cannot be told of another call".to_owned());
            let code = if other.is_some() { hook::DENY } else { heard.code };
            (code, heard.sentence.or(other))
        }
        HookCommand::Server { name } => match entry::carry(Path::new(entry::SOCKET), name) {
            Ok(()) => (exit::DONE, None),
            Err(error) => (exit::UNAVAILABLE, Some(format!("the gateway is not there: {error}"))),
        },
        HookCommand::Command { token } => commands::hand_over(Path::new(commands::SOCKET), token),
    };
    if let Some(sentence) = sentence {
        voice.say(&sentence)?;
    }
    Ok(code)
}

/// Refuses what only a person outside may do. The state directory is absent in a box anyway; this
/// says why.
fn outside_a_box(what: &str) -> Result<(), Failure> {
    if env::var_os("BARTIZAN_BOX").is_none() {
        return Ok(());
    }
    let problem = Problem::new(format!("{what} is not possible from inside a box"));
    Err(Failure::new(
        exit::UNAVAILABLE,
        problem.hint("a person does this in a terminal of their own"),
    ))
}

/// The current directory, with every symlink followed.
fn here() -> Result<PathBuf, Failure> {
    let found = env::current_dir().and_then(|dir| dir.canonicalize());
    found.map_err(|error| Failure::file("find", ".".as_ref(), &error))
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let code = match error {
            StoreError::Directory { .. } | StoreError::Database { .. } | StoreError::Ledger(_) => {
                exit::STATE
            }
            _ => exit::NO,
        };
        let problem = Problem::from_text(&error.to_string());
        let listed = match error {
            StoreError::NotFound { what, .. } => whereabouts(what),
            _ => None,
        };
        Self::new(code, listed.into_iter().fold(problem, Problem::hint))
    }
}

/// Where what was looked for would be listed.
fn whereabouts(what: &str) -> Option<&'static str> {
    Some(match what {
        "question" => "see what waits: bartizan approvals list",
        "session" => "see the newest: bartizan audit list --event session_start",
        "token" => "see those that are good: bartizan agent token list",
        "passkey" => "see them: bartizan console passkeys",
        "effect" => "see them all: bartizan effects list --all",
        _ => return None,
    })
}
