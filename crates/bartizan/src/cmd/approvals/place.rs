//! Where does a person answer: at their own store, or at the socket of whoever keeps the desk?

use super::{Desk, approver, nothing_asked, open};
use crate::cli::exit;
use crate::desk::answering::{Say, Word, user_name};
use crate::desk::counter::{Ask, Reply};
use crate::desk::lineup::lineup;
use crate::report::{Failure, Problem, safe};
use bartizan_store::{Desk as _, Question, Store};
use rustix::net::sockopt::socket_peercred;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where a person answers.
pub(super) enum Place {
    /// At a store that is not there yet.
    Nowhere,
    /// At their own store.
    Own(Store),
    /// At this socket.
    Socket(PathBuf),
}

impl Place {
    pub(super) fn find(socket: Option<&Path>, desk: &Desk<'_>) -> Result<Self, Failure> {
        if let Some(socket) = socket {
            return Ok(Self::Socket(socket.to_path_buf()));
        }
        Ok(open(desk)?.map_or(Self::Nowhere, Self::Own))
    }

    /// What waits; with `all`, the settled ones too.
    pub(super) fn list(&self, all: bool) -> Result<Vec<Question>, Failure> {
        match self {
            Self::Nowhere => Ok(Vec::new()),
            Self::Own(store) => Ok(lineup(store, all, (0, usize::MAX))?.questions),
            Self::Socket(socket) => Ok(ask(socket, &Ask::List { all })?.0),
        }
    }

    /// One question.
    pub(super) fn question(&self, id: &str, desk: &Desk<'_>) -> Result<Question, Failure> {
        match self {
            Self::Nowhere => Err(nothing_asked(id, desk)),
            Self::Own(store) => Ok(store.question(id)?),
            Self::Socket(socket) => one(ask(socket, &Ask::Show { id: id.to_owned() })?.0),
        }
    }

    /// As whom a person stands here, if they may answer.
    pub(super) fn approver(&self, desk: &Desk<'_>) -> Result<String, Failure> {
        match self {
            Self::Nowhere | Self::Own(_) => approver(desk),
            Self::Socket(socket) => Ok(ask(socket, &Ask::Who)?.1),
        }
    }

    /// Takes the word down.
    pub(super) fn give(
        &self,
        word: Word,
        question: &Question,
        (by, desk): (&str, &Desk<'_>),
    ) -> Result<Question, Failure> {
        let socket = match self {
            Self::Nowhere => return Err(nothing_asked(&question.id, desk)),
            Self::Own(store) => return word.give(store, question, by),
            Self::Socket(socket) => socket,
        };
        let (say, reason) = word.into_parts();
        let (yes, life, endorse) = match say {
            Say::No => (false, None, None),
            Say::Yes { life, endorse } => (true, life, endorse),
        };
        let answer = Ask::Answer {
            id: question.id.clone(),
            digest: question.digest,
            policy: question.policy,
            yes,
            life_ms: life.map(|life| u64::try_from(life.as_millis()).unwrap_or(u64::MAX)),
            endorse,
            reason,
        };
        one(ask(socket, &answer)?.0)
    }
}

fn one(questions: Vec<Question>) -> Result<Question, Failure> {
    questions.into_iter().next().ok_or_else(|| unclear(&io::ErrorKind::InvalidData.into()))
}

/// What is told at the socket, and as whom one stands there: at whose desk, the kernel says.
fn ask(socket: &Path, ask: &Ask) -> Result<(Vec<Question>, String), Failure> {
    let stream =
        UnixStream::connect(socket).map_err(|error| Failure::file("connect to", socket, &error))?;
    let keeper = socket_peercred(&stream).map_err(|error| unclear(&error.into()))?;
    let reply = exchange(stream, ask).map_err(|error| unclear(&error))?;
    match reply {
        Reply::Told { questions, by } => {
            let keeper = user_name(keeper.uid.as_raw());
            Ok((questions, safe(&format!("{by}, at the desk of {keeper}"))))
        }
        Reply::Refused { code, what, hint } => {
            let problem = Problem::new(safe(&what));
            let problem = hint.into_iter().fold(problem, |problem, hint| problem.hint(safe(&hint)));
            Err(Failure::new(code.max(exit::NO), problem))
        }
    }
}

fn exchange(mut stream: UnixStream, ask: &Ask) -> io::Result<Reply> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(ask)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    Ok(serde_json::from_slice(&reply(&stream)?)?)
}

/// One line, all of it in time: a desk that speaks byte by byte is a desk that does not answer.
fn reply(stream: &UnixStream) -> io::Result<Vec<u8>> {
    let end = Instant::now() + PATIENCE;
    let mut reading = BufReader::new(stream.take(REPLY_MAX));
    let mut reply = Vec::new();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let got = reading.fill_buf()?;
        let line = got.iter().position(|byte| *byte == b'\n');
        let (taken, is_whole) = line.map_or((got.len(), got.is_empty()), |at| (at, true));
        reply.extend_from_slice(got.get(..taken).unwrap_or_default());
        reading.consume(taken);
        if is_whole {
            return Ok(reply);
        }
    }
}

fn unclear(error: &io::Error) -> Failure {
    let problem = Problem::new(format!("the desk does not answer: {error}"));
    Failure::new(exit::UNAVAILABLE, problem.hint("does `bartizan approvals share` run there?"))
}

/// Somewhat longer than the desk takes for one.
const PATIENCE: Duration = Duration::from_secs(40);
/// A thousand questions, each with its arguments.
const REPLY_MAX: u64 = 256 * 1024 * 1024;
