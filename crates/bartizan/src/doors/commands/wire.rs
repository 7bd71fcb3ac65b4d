//! What do the two halves of a boxed command say to each other? One message with the three standard streams, one answer.

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::{Deserialize, Serialize};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What the box's half asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    token: String,
    cwd: PathBuf,
}

/// What the supervisor says when the command has ended, or why it did not run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    exit: Option<u8>,
    deny: Option<String>,
}

/// The box's half: gives its standard streams to the supervisor and waits; the exit code, and a line for stderr.
pub(crate) fn hand_over(socket: &Path, token: &str) -> (u8, Option<String>) {
    match exchange(socket, token) {
        Ok(Answer { exit: Some(code), deny: None }) => (code, None),
        Ok(Answer { deny, .. }) => (REFUSED, Some(deny.unwrap_or_else(|| GONE.to_owned()))),
        Err(error) => (REFUSED, Some(format!("{GONE} ({error})"))),
    }
}

fn exchange(socket: &Path, token: &str) -> io::Result<Answer> {
    let stream = UnixStream::connect(socket)?;
    // A folder that is gone, or whose name is no text, is not one that a box could start in.
    let cwd = std::env::current_dir().ok().filter(|cwd| cwd.to_str().is_some());
    let request = Request { token: token.to_owned(), cwd: cwd.unwrap_or_else(|| "/".into()) };
    let request = serde_json::to_vec(&request)?;
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let streams = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&streams)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let sent = rustix::net::sendmsg(
        &stream,
        &[IoSlice::new(&request)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    if sent != request.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    let mut answer = Vec::new();
    stream.take(MESSAGE_MAX as u64).read_to_end(&mut answer)?;
    serde_json::from_slice(&answer).map_err(io::Error::from)
}

/// Answers each connection on a thread of its own. Any program in the box can connect: where so many wait already, it is let
/// go, which it takes for a refusal.
pub(super) fn answer<F>(listener: &UnixListener, serve: &Arc<F>)
where
    F: Fn(&UnixStream) + Send + Sync + 'static,
{
    let places = Arc::new(());
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // No descriptor is free, or the like: that passes.
            std::thread::sleep(BREATH);
            continue;
        };
        if Arc::strong_count(&places) > AT_ONCE {
            continue;
        }
        let (serve, place) = (Arc::clone(serve), Arc::clone(&places));
        let talk = move || {
            serve(&stream);
            drop(place);
        };
        // Without a thread nobody answers either.
        drop(std::thread::Builder::new().name("bartizan-command".into()).spawn(talk));
    }
}

/// The supervisor's half: reads one request and answers it when `run` has.
pub(super) fn serve(
    stream: &UnixStream,
    run: impl FnOnce(&str, &Path, [OwnedFd; 3]) -> Result<u8, String>,
) {
    let answer = match receive(stream) {
        Ok((request, streams)) => match run(&request.token, &request.cwd, streams) {
            Ok(code) => Answer { exit: Some(code), deny: None },
            Err(sentence) => Answer { exit: None, deny: Some(sentence) },
        },
        Err(_) => Answer {
            exit: None,
            deny: Some("command-unknown: this is no request for a command".to_owned()),
        },
    };
    // Whoever asked and is gone has heard nothing, and nothing more happens.
    if let Ok(answer) = serde_json::to_vec(&answer) {
        let mut stream = stream;
        drop(stream.write_all(&answer));
    }
}

fn receive(stream: &UnixStream) -> io::Result<(Request, [OwnedFd; 3])> {
    stream.set_read_timeout(Some(ASKED_WITHIN))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = vec![0_u8; MESSAGE_MAX];
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let received =
        rustix::net::recvmsg(stream, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut streams = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            streams.extend(rights);
        }
    }
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let streams: [OwnedFd; 3] = streams.try_into().map_err(|_| invalid())?;
    let text = bytes.get(..received.bytes).ok_or_else(invalid)?;
    Ok((serde_json::from_slice(text)?, streams))
}

/// What a shell says of a command that could not be run.
const REFUSED: u8 = 126;
const GONE: &str = "command-unavailable: nobody has run this command";
const MESSAGE_MAX: usize = 16 << 10;
const ASKED_WITHIN: Duration = Duration::from_secs(8);
/// Connections at once: more than there can be commands.
const AT_ONCE: usize = 64;
const BREATH: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn programs_that_connect_and_say_nothing_take_so_many_threads_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("s");
        let listener = UnixListener::bind(&at).unwrap();
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counted, seen) = (Arc::clone(&now), Arc::clone(&most));
        let serve = move |mut stream: &UnixStream| {
            seen.fetch_max(counted.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            drop(stream.read(&mut [0]));
            drop(stream.write_all(b"a"));
            counted.fetch_sub(1, Ordering::SeqCst);
        };
        drop(std::thread::spawn(move || answer(&listener, &Arc::new(serve))));
        let silent: Vec<UnixStream> =
            (0..3 * AT_ONCE).map(|_| UnixStream::connect(&at).unwrap()).collect();
        // The last of them are let go at once, though they wait for an answer.
        let mut last = silent.last().unwrap();
        last.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert_eq!(last.read(&mut [0]).unwrap(), 0);
        // A thread that has begun need not have come to count itself.
        let all = || now.load(Ordering::SeqCst) == AT_ONCE;
        let mut looked = 0;
        while !all() && looked < 2_000 {
            std::thread::sleep(BREATH);
            looked += 1;
        }
        assert_eq!(most.load(Ordering::SeqCst), AT_ONCE);
        drop(silent);
        while now.load(Ordering::SeqCst) > 0 {
            std::thread::sleep(BREATH);
        }
        // Whoever comes then is answered: a place is free at the latest when its thread has ended.
        let answered = (0..100).any(|_| {
            std::thread::sleep(BREATH);
            let mut stream = UnixStream::connect(&at).unwrap();
            drop(stream.write_all(b"x"));
            stream.read(&mut [0]).is_ok_and(|count| count == 1)
        });
        assert!(answered);
    }
}
