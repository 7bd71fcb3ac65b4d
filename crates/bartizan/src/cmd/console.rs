//! `bartizan console`: how is a person let into the pages of their own store?

mod invite;
mod passkeys;

use super::{Desk, here, secret};
use crate::cli::{ConsoleArgs, ConsoleCommand, exit};
use crate::config::{self, Config, Purpose};
use crate::console::{At, Console, passkey_name};
use crate::desk::answering::local_user;
use crate::desk::herald::Heralds;
use crate::doors::serve::crowd::{self, Crowd, Places};
use crate::machine::runtime;
use crate::report::{Failure, Problem, plain};
use crate::stop::Stop;
use bartizan_egress::Inbound;
use bartizan_store::{Durability, Entry, Event, Ledger as _, Store, StoreError};
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};
use tokio::net::TcpListener;

/// Shows the console until it is told to stop.
pub(super) fn run(args: &ConsoleArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    super::outside_a_box("the console")?;
    match &args.command {
        Some(ConsoleCommand::Invite(args)) => return invite::run(args, desk),
        Some(ConsoleCommand::Passkeys(args)) => return passkeys::list(args, desk),
        Some(ConsoleCommand::Revoke(args)) => return passkeys::revoke(args, desk),
        None => {}
    }
    let config = config::load_own(&desk.places, &here()?, Purpose::Look)?;
    let entrance = entrance(args, &config)?;
    terminal_alone("the console's link")?;
    let store = Store::open(&desk.places.state)?;
    let runtime = runtime()?;
    // Whoever is to be told of questions is, as while a run lasts.
    let vault = secret::vault(&config, &desk.places, None, &store);
    let heralds = Heralds::begin(&config.notify, (&store, &vault), runtime.handle())?;
    runtime.block_on(open(args, entrance, store, desk))?;
    drop(heralds);
    runtime.block_on(secret::take_back(&vault, desk.voice))?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(exit::DONE)
}

/// The link is worth an approver's word: it goes to a person's eyes, and into no pipe or file.
fn terminal_alone(what: &str) -> Result<(), Failure> {
    if io::stdout().is_terminal() {
        return Ok(());
    }
    let problem = Problem::new(format!("{what} is shown on a terminal only"));
    let hint = "start it in a terminal, with its output going there";
    Err(Failure::new(exit::UNAVAILABLE, problem.hint(hint)))
}

/// How connections are taken in, and under which name. In the clear it is for this user of this machine alone.
fn entrance(args: &ConsoleArgs, config: &Config) -> Result<(Inbound, Option<String>), Failure> {
    let Some(console) = &config.console else {
        if args.listen.ip().is_loopback() {
            return Ok((Inbound::plain(), None));
        }
        let problem = Problem::new(format!("`{}` is not a loopback address", args.listen));
        let hint = "give the console a name and a certificate under [console], or forward the port from another machine: ssh -L PORT:127.0.0.1:PORT HOST";
        return Err(Failure::new(exit::USAGE, problem.hint(hint)));
    };
    if config.approvers.is_empty() {
        let problem = Problem::new("the console has an address for others, and nobody is named");
        let hint = "name who may answer: [approvers] people = [\"local:anna\", \"web:ben\"]";
        return Err(Failure::new(exit::CONFIG, problem.hint(hint)));
    }
    if console.require_passkey && passkey_name(&console.host).is_none() {
        let what = format!("passkeys are required, and `{}` can have none", console.host);
        let hint = "give the console a name as its origin; browsers use no passkey at an address of numbers";
        return Err(Failure::new(exit::CONFIG, Problem::new(what).hint(hint)));
    }
    let read =
        |path: &Path| std::fs::read(path).map_err(|error| Failure::file("read", path, &error));
    let (chain, key) = (read(&console.tls_cert)?, read(&console.tls_key)?);
    let inbound = Inbound::tls(&chain, &key).map_err(|error| {
        let (chain, key) = (console.tls_cert.display(), console.tls_key.display());
        let problem = Problem::new(format!("`{chain}` and `{key}`: {error}"));
        let hint = "both are PEM; the chain begins with the console's own certificate";
        Failure::new(exit::CONFIG, problem.hint(hint))
    })?;
    Ok((inbound, Some(console.host.clone())))
}

async fn open(
    args: &ConsoleArgs,
    (inbound, name): (Inbound, Option<String>),
    store: Store,
    desk: &mut Desk<'_>,
) -> Result<(), Failure> {
    let listener = TcpListener::bind(args.listen).await.map_err(|error| {
        let problem = Problem::new(format!("cannot listen at {}: {}", args.listen, plain(&error)));
        Failure::new(exit::UNAVAILABLE, problem)
    })?;
    let address = listener.local_addr()?;
    let began = Entry::new(Event::ConfigChange)
        .with("act", "console")
        .with("listen", address.to_string())
        .with("tls", name.is_some())
        .with("by", local_user());
    let recorded = store.append(began, Durability::Durable);
    let _receipt = recorded.map_err(|error| Failure::from(StoreError::from(error)))?;
    if name.is_some() {
        desk.voice.say(&format!("listening at {address}"))?;
    }
    if name.as_deref().is_some_and(|name| passkey_name(name).is_none()) {
        desk.voice.say("  no passkeys: browsers want a name for them, and the console's origin is an address of numbers")?;
    }
    let at = name.map_or(At::Loopback(address), At::Named);
    let console = Console::new(at, store, (desk.places.clone(), here()?))?;
    let mut stop = Stop::heed()?;
    let mut keys = io::stdin().is_terminal().then(|| BufReader::new(tokio::io::stdin()).lines());
    show(&console, desk)?;
    let places = Places::new(CROWD);
    loop {
        tokio::select! {
            _ = stop.told() => return Ok(()),
            () = entered(&mut keys) => show(&console, desk)?,
            (stream, place) = crowd::admit(&listener, &places) => {
                let (console, inbound) = (Arc::clone(&console), inbound.clone());
                drop(tokio::spawn(async move {
                    console.serve(stream, inbound).await;
                    drop(place);
                }));
            }
        }
    }
}

/// Resolves when the person presses Enter; never when there is nobody to press it.
async fn entered(keys: &mut Option<Lines<BufReader<Stdin>>>) {
    if let Some(lines) = keys
        && let Ok(Some(_)) = lines.next_line().await
    {
        return;
    }
    *keys = None;
    std::future::pending::<()>().await;
}

fn show(console: &Console, desk: &mut Desk<'_>) -> Result<(), Failure> {
    let link = console.link()?;
    writeln!(desk.voice.out(), "{link}")?;
    desk.voice
        .say("  good once, for ten minutes; Enter shows another, Control-C ends the console")?;
    desk.voice.flush()?;
    Ok(())
}

/// A few browsers, with some connections each.
const CROWD: Crowd = Crowd { total: 64, each: 64 };
