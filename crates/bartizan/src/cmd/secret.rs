//! Which secrets are there, and can they be had? Values go in sealed, and never come out here.

mod keyring;

use super::{Desk, here, outside_a_box};
use crate::cli::{SecretCommand, SecretListArgs, SecretTestArgs, exit};
use crate::config::{self, Config, Places, Purpose};
use crate::memory;
use crate::report::{Failure, Paint, Problem, Voice, did_you_mean, safe};
use bartizan_egress::vault::{Fault, FaultKind, Folder, Lease, LeaseBook};
use bartizan_egress::{SecretRef, SecretValue, Vault};
use bartizan_gate::name::SecretName;
use bartizan_store::Store;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use serde_json::json;
use std::fs::File;
use std::io::{IsTerminal, Read};
use std::os::fd::AsFd;
use std::sync::Arc;

/// `bartizan secret …`.
pub(super) fn run(command: &SecretCommand, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    outside_a_box("handling secrets")?;
    memory::lock();
    match command {
        SecretCommand::Set(args) => set(&args.name, desk),
        SecretCommand::List(args) => list(args, desk),
        SecretCommand::Rm(args) => remove(&args.name, desk),
        SecretCommand::Test(args) => test(args, desk),
    }
}

/// The vault over everything configured, for an agent that works in `workspace` if there is one.
pub(crate) fn vault(
    config: &Config,
    places: &Places,
    workspace: Option<&std::path::Path>,
    store: &Store,
) -> Vault {
    let book = Arc::new(Book(store.clone()));
    let mut builder = Vault::builder().folder(Folder::new(&places.user)).leases(book);
    if let Some(server) = &config.server {
        builder = builder.server(server.clone());
    }
    if let Some(workspace) = workspace {
        builder = builder.workspace(workspace.to_path_buf());
    }
    for (name, secret) in &config.secrets {
        builder = builder.declare(name.clone(), secret.declared.clone());
    }
    builder.build()
}

/// Takes back what runs that were killed have left behind.
pub(crate) async fn recover(vault: &Vault, voice: &mut Voice) -> Result<(), Failure> {
    let (gone, faults) = vault.recover().await;
    if gone > 0 {
        voice.say(&format!("{gone} credentials of runs that were killed were taken back"))?;
    }
    for (fault, times) in each_once(&faults) {
        let what = "a credential of a run that has ended is still out";
        voice.say(&format!("{what}{times}: {fault}"))?;
    }
    Ok(())
}

/// Each of these in its words, and how often, where it is more than once.
fn each_once(faults: &[Fault]) -> Vec<(String, String)> {
    let mut said: Vec<(String, usize)> = Vec::new();
    for fault in faults.iter().map(Fault::to_string) {
        match said.iter_mut().find(|(known, _)| *known == fault) {
            Some((_, times)) => *times += 1,
            None => said.push((fault, 1)),
        }
    }
    let times = |times| if times > 1 { format!(" ({times} of them)") } else { String::new() };
    said.into_iter().map(|(fault, many)| (fault, times(many))).collect()
}

/// Takes back what was minted. What cannot be stands in the store for the next start.
pub(crate) async fn take_back(vault: &Vault, voice: &mut Voice) -> Result<bool, Failure> {
    let faults = vault.close().await;
    for (fault, times) in each_once(&faults) {
        voice.say(&format!("a credential that was minted is still out{times}: {fault}"))?;
    }
    Ok(faults.is_empty())
}

/// The store, as the vault sees it.
struct Book(Store);

impl LeaseBook for Book {
    fn write(&self, lease: &Lease) -> Result<(), String> {
        self.0.write_lease(&to_store(lease)).map_err(|error| error.to_string())
    }

    fn strike(&self, id: &str) -> Result<(), String> {
        self.0.strike_lease(id).map_err(|error| error.to_string())
    }

    fn orphans(&self) -> Result<Vec<Lease>, String> {
        let found = self.0.orphaned_leases().map_err(|error| error.to_string())?;
        let lease = |left: bartizan_store::Lease| {
            let bartizan_store::Lease { id, back_end, subject, handle } = left;
            Lease { id, back_end, subject, handle }
        };
        Ok(found.into_iter().map(lease).collect())
    }

    fn is_news(&self, lease: &Lease, why: &str) -> bool {
        // A store that cannot say is no reason to say nothing.
        self.0.lease_fault(&lease.id, why).unwrap_or(true)
    }
}

fn to_store(lease: &Lease) -> bartizan_store::Lease {
    let Lease { id, back_end, subject, handle } = lease.clone();
    bartizan_store::Lease { id, back_end, subject, handle }
}

fn set(name: &str, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    if let Some(place) = keyring::place(name)? {
        return keyring::set(&place, desk);
    }
    let folder = Folder::new(&desk.places.user);
    folder.path(name).map_err(|fault| failure(&fault))?;
    let value = given(name, desk)?;
    folder.set(name, &value).map_err(|fault| failure(&fault))?;
    config::files::obeyed_directory(&desk.places.user)
        .map_err(|problem| Failure::new(exit::CONFIG, problem))?;
    desk.voice.say(&format!("sealed `{name}`"))?;
    let config = load(desk)?;
    if !config.secrets.values().any(|secret| file_name(secret) == Some(name)) {
        let hint = format!("  hint: use it with [secrets.{name}] from = \"file://{name}\"");
        desk.voice.say(&hint)?;
    }
    Ok(exit::DONE)
}

fn given(name: &str, desk: &mut Desk<'_>) -> Result<SecretValue, Failure> {
    if std::io::stdin().is_terminal() { typed(name, desk) } else { piped() }
}

/// The sealed file that a secret is found in.
fn file_name(secret: &config::Secret) -> Option<&str> {
    secret.declared.from.reference().and_then(SecretRef::file_name)
}

fn remove(name: &str, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    if let Some(place) = keyring::place(name)? {
        return keyring::remove(&place, desk);
    }
    let folder = Folder::new(&desk.places.user);
    if folder.remove(name).map_err(|fault| failure(&fault))? {
        desk.voice.say(&format!("removed `{name}`"))?;
        return Ok(exit::DONE);
    }
    let problem = Problem::new(format!("there is no sealed secret `{}`", safe(name)));
    let names = folder.list().map_err(|fault| failure(&fault))?;
    let hint = match did_you_mean(name, names.iter().map(String::as_str)) {
        Some(likely) => format!("did you mean `{likely}`?"),
        None => "see those that are: bartizan secret list".to_owned(),
    };
    Err(Failure::new(exit::NO, problem.hint(hint)))
}

fn list(args: &SecretListArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let config = load(desk)?;
    let sealed = Folder::new(&desk.places.user).list().map_err(|fault| failure(&fault))?;
    let used =
        |name: &String| config.secrets.values().any(|secret| file_name(secret) == Some(name));
    let unused: Vec<&String> = sealed.iter().filter(|name| !used(name)).collect();
    if args.json {
        let rows: Vec<_> = config
            .secrets
            .iter()
            .map(|(name, secret)| {
                json!({
                    "name": name,
                    "from": secret.declared.from.to_string(),
                    "placeholder": secret.placeholder,
                })
            })
            .collect();
        writeln!(desk.voice.out(), "{}", json!({ "secrets": rows, "unused_files": unused }))?;
        return Ok(exit::DONE);
    }
    if config.secrets.is_empty() && sealed.is_empty() {
        desk.voice.say("no secret is configured; docs/secrets.md says how")?;
    }
    for (name, secret) in &config.secrets {
        let from = safe(&secret.declared.from.to_string());
        writeln!(desk.voice.out(), "{:<20} {from}", name.as_str())?;
    }
    for name in unused {
        writeln!(desk.voice.out(), "{:<20} sealed, and used by no [secrets.NAME]", safe(name))?;
    }
    Ok(exit::DONE)
}

fn test(args: &SecretTestArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let config = load(desk)?;
    let names: Vec<SecretName> = match &args.name {
        Some(name) => vec![known(&config, name)?],
        None => config.secrets.keys().cloned().collect(),
    };
    let store = Store::open(&desk.places.state)?;
    let vault = vault(&config, &desk.places, None, &store);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut good = true;
    for name in &names {
        let tried = runtime.block_on(vault.named(name));
        let (paint, word, note) = match tried {
            Ok(value) if value.danger_expose(<[u8]>::len) < SHORT => (
                Paint::Yellow,
                "ok",
                ", but shorter than 8 bytes: it is not looked for in answers".to_owned(),
            ),
            Ok(_) => (Paint::Green, "ok", String::new()),
            Err(error) => {
                good = false;
                (Paint::Red, "no", format!(": {error}"))
            }
        };
        let word = desk.voice.paint(paint, word);
        writeln!(desk.voice.out(), "{word} {name}{note}")?;
    }
    good &= runtime.block_on(take_back(&vault, desk.voice))?;
    Ok(if good { exit::DONE } else { exit::NO })
}

fn known(config: &Config, name: &str) -> Result<SecretName, Failure> {
    let found = SecretName::parse(name).ok().filter(|name| config.secrets.contains_key(name));
    found.ok_or_else(|| {
        let problem = Problem::new(format!("no secret `{}` is configured", safe(name)));
        let hint = match did_you_mean(name, config.secrets.keys().map(SecretName::as_str)) {
            Some(likely) => format!("did you mean `{likely}`?"),
            None => format!("say where it is found: [secrets.{}] from = \"…\"", safe(name)),
        };
        Failure::new(exit::NO, problem.hint(hint))
    })
}

fn load(desk: &Desk<'_>) -> Result<Config, Failure> {
    config::load_own(&desk.places, &here()?, Purpose::Look)
}

/// What a pipe gives, less one line end. Read without a buffer that nobody would wipe.
fn piped() -> Result<SecretValue, Failure> {
    let mut bytes = Vec::with_capacity(LONGEST + 2);
    let stdin = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let read = stdin.take(LONGEST as u64 + 2).read_to_end(&mut bytes);
    for end in [b'\n', b'\r'] {
        bytes.pop_if(|last| *last == end);
    }
    let value = SecretValue::new(bytes);
    read?;
    Ok(value)
}

/// What a person types, unseen.
fn typed(name: &str, desk: &mut Desk<'_>) -> Result<SecretValue, Failure> {
    desk.voice.say(&format!("value of `{name}` (not shown), then Enter:"))?;
    let stdin = std::io::stdin();
    let unseen = Unseen::begin(&stdin)?;
    let mut terminal = File::from(stdin.as_fd().try_clone_to_owned()?);
    let mut bytes = Vec::with_capacity(LONGEST + 2);
    let mut key = [0];
    let ended = loop {
        match terminal.read(&mut key)? {
            0 => break true,
            _ => match key {
                [b'\r' | b'\n' | 0x04] => break true,
                [0x03] => break false,
                [0x7f | 0x08] => drop(bytes.pop()),
                [byte] if bytes.len() <= LONGEST => bytes.push(byte),
                _ => {}
            },
        }
    };
    let value = SecretValue::new(bytes);
    drop(unseen);
    if ended {
        return Ok(value);
    }
    Err(Failure::new(exit::NO, Problem::new("nothing was changed")))
}

/// A terminal that neither shows what is typed nor makes signals of it, until this is dropped.
struct Unseen {
    terminal: std::os::fd::OwnedFd,
    before: Termios,
}

impl Unseen {
    fn begin(stdin: &impl AsFd) -> Result<Self, Failure> {
        let terminal = stdin.as_fd().try_clone_to_owned()?;
        let before = tcgetattr(&terminal).map_err(std::io::Error::from)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(&terminal, OptionalActions::Flush, &quiet).map_err(std::io::Error::from)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}

fn failure(fault: &Fault) -> Failure {
    let code = match fault.kind() {
        FaultKind::Down => exit::STATE,
        FaultKind::Unsafe => exit::CONFIG,
        FaultKind::Denied
        | FaultKind::Malformed
        | FaultKind::Missing
        | FaultKind::Sealed
        | FaultKind::Slow => exit::NO,
    };
    Failure::new(code, Problem::from_text(&fault.to_string()))
}

const LONGEST: usize = 64 << 10;
/// What is shorter is found everywhere, so it is looked for nowhere.
const SHORT: usize = 8;
