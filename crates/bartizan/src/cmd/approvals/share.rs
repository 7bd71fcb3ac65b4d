//! `bartizan approvals share`: where do other users of this machine answer? At a socket, until it is told to stop.

use super::Desk;
use crate::cli::{ApprovalsShareArgs, exit};
use crate::cmd::here;
use crate::cmd::run::runtime;
use crate::config::{self, Purpose};
use crate::desk::answering::local_user;
use crate::desk::counter::Counter;
use crate::doors::hook::bind;
use crate::report::{Failure, Problem};
use bartizan_store::{Durability, Entry, Event, Ledger as _, Store, StoreError};
use rustix::net::sockopt::socket_peercred;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Serves the socket until it is told to stop.
pub(super) fn run(args: &ApprovalsShareArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let config = config::load_own(&desk.places, &here()?, Purpose::Look)?;
    if config.approvers.is_empty() {
        let problem = Problem::new("nobody is named who may answer");
        let hint = "name them: [approvers] people = [\"local:anna\", \"local:ben\"]";
        return Err(Failure::new(exit::CONFIG, problem.hint(hint)));
    }
    let store = Store::open(&desk.places.state)?;
    let listener = listen(&args.socket)?;
    let began = Entry::new(Event::ConfigChange)
        .with("act", "share")
        .with("listen", args.socket.display().to_string())
        .with("by", local_user());
    let recorded = store.append(began, Durability::Durable);
    let _receipt = recorded.map_err(|error| Failure::from(StoreError::from(error)))?;
    desk.voice.say(&format!("listening at {}", args.socket.display()))?;
    let counter = Arc::new(Counter { store, places: desk.places.clone(), folder: here()? });
    let served = runtime()?.block_on(serve(listener, counter));
    fs::remove_file(&args.socket).ok();
    served?;
    Ok(exit::DONE)
}

/// Makes the socket, in a folder where nobody else could have put another in its place.
fn listen(socket: &Path) -> Result<std::os::unix::net::UnixListener, Failure> {
    let folder = socket.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let found = fs::metadata(folder).map_err(|error| Failure::file("read", folder, &error))?;
    let us = rustix::process::geteuid().as_raw();
    if found.uid() != us || found.mode() & 0o022 != 0 {
        let what = format!("others could put a socket of theirs into `{}`", folder.display());
        let hint = "name one in a folder that is yours, and that nobody else can write to: mkdir -m 755 FOLDER";
        return Err(Failure::new(exit::UNAVAILABLE, Problem::new(what).hint(hint)));
    }
    let is_stale = fs::symlink_metadata(socket).is_ok_and(|found| found.file_type().is_socket())
        && std::os::unix::net::UnixStream::connect(socket).is_err();
    if is_stale {
        fs::remove_file(socket).map_err(|error| Failure::file("remove", socket, &error))?;
    }
    bind(socket).map_err(|error| Failure::file("make", socket, &error))
}

async fn serve(
    listener: std::os::unix::net::UnixListener,
    counter: Arc<Counter>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let stream = tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        let (Ok((stream, _)), Ok(place)) = (stream, Arc::clone(&places).try_acquire_owned()) else {
            // Whoever comes while it is full is turned away, and comes again.
            tokio::time::sleep(BREATH).await;
            continue;
        };
        let counter = Arc::clone(&counter);
        drop(tokio::spawn(async move {
            drop(timeout(PATIENCE, one(stream, counter)).await);
            drop(place);
        }));
    }
}

/// One question and its answer. Who asks is who opened the connection, whatever they say.
async fn one(mut stream: UnixStream, counter: Arc<Counter>) -> io::Result<()> {
    let uid = socket_peercred(&stream)?.uid.as_raw();
    let (reading, mut writing) = stream.split();
    let mut line = Vec::new();
    BufReader::new(reading.take(LINE_MAX)).read_until(b'\n', &mut line).await?;
    let reply = tokio::task::spawn_blocking(move || counter.reply(uid, &line)).await;
    let mut text = serde_json::to_vec(&reply.map_err(io::Error::other)?)?;
    text.push(b'\n');
    writing.write_all(&text).await?;
    writing.shutdown().await
}

/// How many are served at once, and for how long one is.
const AT_ONCE: usize = 16;
const PATIENCE: Duration = Duration::from_secs(30);
const BREATH: Duration = Duration::from_millis(10);
/// A reason has 2 KiB at the most, and may be written in escapes.
const LINE_MAX: u64 = 32 * 1024;
