//! `bartizan approvals share`: where do other users of this machine answer? At a socket, until it is told to stop.

use super::Desk;
use crate::cli::{ApprovalsShareArgs, exit};
use crate::cmd::here;
use crate::config::{self, Purpose};
use crate::desk::answering::local_user;
use crate::desk::counter::Counter;
use crate::doors::hook::bind;
use crate::machine::runtime;
use crate::report::{Failure, Problem};
use crate::stop::Stop;
use bartizan_store::{Durability, Entry, Event, Ledger as _, Store, StoreError};
use rustix::net::sockopt::socket_peercred;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
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
    let mut stop = Stop::heed()?;
    let seats = Arc::new(Seats::default());
    loop {
        let stream = tokio::select! {
            _ = stop.told() => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = stream else {
            tokio::time::sleep(BREATH).await;
            continue;
        };
        // Whoever comes while it is full, or has enough already, is turned away, and comes again.
        let Some((uid, seat)) = uid_of(&stream).and_then(|uid| Some((uid, seats.take(uid)?)))
        else {
            continue;
        };
        let counter = Arc::clone(&counter);
        drop(tokio::spawn(async move {
            drop(timeout(PATIENCE, one(stream, uid, counter)).await);
            drop(seat);
        }));
    }
}

/// Who opened the connection, whatever they say.
fn uid_of(stream: &UnixStream) -> Option<u32> {
    socket_peercred(stream).ok().map(|peer| peer.uid.as_raw())
}

/// Who is being served: so many at once, and of one user so few that nobody keeps the others out.
#[derive(Default)]
struct Seats(Mutex<Vec<u32>>);

/// Free again once it is dropped.
struct Seat(Arc<Seats>, u32);

impl Seats {
    fn take(self: &Arc<Self>, uid: u32) -> Option<Seat> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_this_user = taken.iter().filter(|one| **one == uid).count();
        if taken.len() >= AT_ONCE || of_this_user >= OF_ONE_USER {
            return None;
        }
        taken.push(uid);
        Some(Seat(Arc::clone(self), uid))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = taken.iter().position(|one| *one == self.1) {
            taken.swap_remove(place);
        }
    }
}

/// One question and its answer.
async fn one(mut stream: UnixStream, uid: u32, counter: Arc<Counter>) -> io::Result<()> {
    let (reading, mut writing) = stream.split();
    let mut line = Vec::new();
    BufReader::new(reading.take(LINE_MAX)).read_until(b'\n', &mut line).await?;
    let reply = tokio::task::spawn_blocking(move || counter.reply(uid, &line)).await;
    let mut text = serde_json::to_vec(&reply.map_err(io::Error::other)?)?;
    text.push(b'\n');
    writing.write_all(&text).await?;
    writing.shutdown().await
}

/// How many are served at once, how many of one user, and for how long one is.
const AT_ONCE: usize = 64;
const OF_ONE_USER: usize = 4;
const PATIENCE: Duration = Duration::from_secs(30);
const BREATH: Duration = Duration::from_millis(10);
/// A reason has 2 KiB at the most, and may be written in escapes.
const LINE_MAX: u64 = 32 * 1024;
