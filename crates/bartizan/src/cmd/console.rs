//! `bartizan console`: how is a person let into the pages of their own store?

use super::Desk;
use super::run::runtime;
use crate::cli::{ConsoleArgs, exit};
use crate::console::Console;
use crate::desk::answering::local_user;
use crate::doors::serve::crowd::{self, Crowd, Places};
use crate::report::{Failure, Problem};
use bartizan_store::{Durability, Entry, Event, Ledger as _, Store, StoreError};
use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Shows the console until it is told to stop.
pub(super) fn run(args: &ConsoleArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    super::outside_a_box("the console")?;
    if !args.listen.ip().is_loopback() {
        let problem = Problem::new(format!("`{}` is not a loopback address", args.listen));
        let hint = "from another machine, forward the port: ssh -L PORT:127.0.0.1:PORT HOST";
        return Err(Failure::new(exit::USAGE, problem.hint(hint)));
    }
    // The link is worth an approver's word: it goes to a person's eyes, and into no pipe or file.
    if !io::stdout().is_terminal() {
        let problem = Problem::new("the console's link is shown on a terminal only");
        let hint = "start it in a terminal, with its output going there";
        return Err(Failure::new(exit::UNAVAILABLE, problem.hint(hint)));
    }
    let store = Store::open(&desk.places.state)?;
    let runtime = runtime()?;
    runtime.block_on(open(args, store, desk))?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(exit::DONE)
}

async fn open(args: &ConsoleArgs, store: Store, desk: &mut Desk<'_>) -> Result<(), Failure> {
    let listener = TcpListener::bind(args.listen).await.map_err(|error| {
        let problem = Problem::new(format!("cannot listen at {}: {error}", args.listen));
        Failure::new(exit::UNAVAILABLE, problem)
    })?;
    let address = listener.local_addr()?;
    let began = Entry::new(Event::ConfigChange)
        .with("act", "console")
        .with("listen", address.to_string())
        .with("by", local_user());
    let recorded = store.append(began, Durability::Durable);
    let _receipt = recorded.map_err(|error| Failure::from(StoreError::from(error)))?;
    let console = Console::new(address, store, (desk.places.clone(), super::here()?));
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut keys = io::stdin().is_terminal().then(|| BufReader::new(tokio::io::stdin()).lines());
    show(&console, desk)?;
    let places = Places::new(CROWD);
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            () = entered(&mut keys) => show(&console, desk)?,
            (stream, place) = crowd::admit(&listener, &places) => {
                let console = Arc::clone(&console);
                drop(tokio::spawn(async move {
                    console.serve(stream).await;
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
