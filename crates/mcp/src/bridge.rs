//! Which revision does this server speak? One that has no sessions (2026-07-28) is found out, and is spoken to in its own way
//! by a conversation that has one.
//!
//! It stands between [`Upstream`](crate::upstream::Upstream) and the server's streams. A server with sessions is spoken to as
//! if there were no bridge. To one without, a request that names its own revision goes as it is; every other is translated,
//! and so is what comes back.

mod listening;
mod server;
mod translate;

use crate::conversation::Revision;
use crate::era;
use crate::stdio::Line;
use crate::wire::{INTERNAL_ERROR, Id, Kind, Message};
use bartizan_scan::json::View;
use server::Server;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::{Instant, sleep_until};
use translate::Client;

/// Where messages go: to the server, and to the conversation with it.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "a bridge has two ends")]
pub struct Ends {
    /// To the server.
    pub server: Sender<Message>,
    /// To the conversation.
    pub lines: Sender<Line>,
}

/// Carries what a conversation has `sent` to its server, and what `came` from the server back, until the server ends.
pub async fn carry(mut sent: Receiver<Message>, mut came: Receiver<Line>, ends: Ends) {
    let mut bridge =
        Bridge { out: Out { server: Some(ends.server), lines: ends.lines }, era: Era::Ahead };
    loop {
        let due = bridge.due();
        tokio::select! {
            message = sent.recv(), if bridge.out.server.is_some() => match message {
                Some(message) => bridge.outward(message).await,
                // The server reads the end of its input.
                None => bridge.out.server = None,
            },
            line = came.recv() => match line {
                Some(Ok(message)) => bridge.inward(message).await,
                Some(Err(flaw)) => drop(bridge.out.lines.send(Err(flaw)).await),
                None => return,
            },
            () = until(due) => bridge.late().await,
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

struct Bridge {
    out: Out,
    era: Era,
}

/// What is known of the server.
enum Era {
    /// Nobody has begun yet.
    Ahead,
    /// It was asked whether it speaks a revision with sessions, and before that, maybe, of the other.
    Asked { hello: Message, probed: bool },
    /// It is asked whether it speaks the one without.
    Probing(Probe),
    /// It has sessions.
    Sessions,
    /// It has none.
    Stateless(Box<Server>),
}

struct Probe {
    hello: Message,
    /// What it said to `hello`, if it was asked that first.
    failed: Option<Message>,
    /// Which time it is asked.
    time: u8,
    until: Instant,
    /// What was said meanwhile.
    waiting: Vec<Message>,
}

impl Bridge {
    /// When something is to be done though nothing is said.
    fn due(&self) -> Option<Instant> {
        match &self.era {
            Era::Probing(probe) => Some(probe.until),
            Era::Stateless(server) => server.due(),
            Era::Ahead | Era::Asked { .. } | Era::Sessions => None,
        }
    }

    async fn outward(&mut self, message: Message) {
        match &mut self.era {
            Era::Stateless(server) => return server.outward(message, &mut self.out).await,
            Era::Probing(probe) if probe.waiting.len() < WAITING => {
                return probe.waiting.push(message);
            }
            Era::Ahead if message.method() == Some("initialize") => {
                // Who has no session itself is best served without one.
                if era::is_stateless(&message) {
                    return self.probe(message, None).await;
                }
                self.era = Era::Asked { hello: message.clone(), probed: false };
            }
            Era::Ahead | Era::Asked { .. } | Era::Probing(_) | Era::Sessions => {}
        }
        self.out.send(message).await;
    }

    async fn inward(&mut self, message: Message) {
        let answers =
            |id: &Id| matches!(message.kind(), Kind::Response { id: Some(own) } if own == id);
        match &mut self.era {
            Era::Stateless(server) => return server.inward(message, &mut self.out).await,
            Era::Asked { hello, probed } if hello.id().is_some_and(answers) => {
                if message.error().is_some() && !*probed {
                    let hello = hello.clone();
                    return self.probe(hello, Some(message)).await;
                }
                self.era = Era::Sessions;
            }
            Era::Probing(probe) if answers(&probe_id(probe.time)) => {
                return self.probed(Some(&message)).await;
            }
            Era::Ahead | Era::Asked { .. } | Era::Probing(_) | Era::Sessions => {}
        }
        self.out.hear(message).await;
    }

    async fn probe(&mut self, hello: Message, failed: Option<Message>) {
        let until = Instant::now() + PROBE;
        let probe = Probe { hello, failed, time: 1, until, waiting: Vec::new() };
        self.discover(probe).await;
    }

    async fn discover(&mut self, probe: Probe) {
        let params = translate::stamped(None, &Client::of(&probe.hello), None, None);
        let id = probe_id(probe.time);
        self.era = Era::Probing(probe);
        if let Some(asked) = Message::request(&id, "server/discover", Some(&params)) {
            self.out.send(asked).await;
        }
    }

    /// What comes of it that the server was asked, and has answered or not.
    async fn probed(&mut self, answer: Option<&Message>) {
        let Era::Probing(probe) = std::mem::replace(&mut self.era, Era::Ahead) else { return };
        if probe.time == 1 && answer.is_some_and(speaks_after_all) {
            return self.discover(Probe { time: 2, ..probe }).await;
        }
        let Probe { hello, failed, waiting, .. } = probe;
        let named = |result: &View<'_>| speaks(result.get("supportedVersions"));
        let found = answer.and_then(Message::result).filter(named);
        if let Some(found) = found {
            let mut server = Server::new(&hello, found);
            server.begin(&hello, &mut self.out).await;
            self.era = Era::Stateless(Box::new(server));
        } else if let Some(failed) = failed {
            self.out.hear(failed).await;
        } else if let Some(plain) = translate::in_session(&hello) {
            self.out.send(plain).await;
            self.era = Era::Asked { hello, probed: true };
        }
        for message in waiting {
            Box::pin(self.outward(message)).await;
        }
    }

    async fn late(&mut self) {
        match &mut self.era {
            Era::Stateless(server) => server.late(&mut self.out).await,
            Era::Probing(_) => self.probed(None).await,
            Era::Ahead | Era::Asked { .. } | Era::Sessions => {}
        }
    }
}

/// Whether a list of revisions names the one that is spoken here without sessions.
fn speaks(versions: Option<View<'_>>) -> bool {
    let known = versions.and_then(View::items).into_iter().flatten();
    known.filter_map(View::text).any(|known| *known == *Revision::V2026_07_28.as_str())
}

/// Whether a server turns the revision down and names it as one that it speaks: then it is to be asked once more.
fn speaks_after_all(answer: &Message) -> bool {
    let error = answer.error();
    let code = error.and_then(|error| error.get("code")).and_then(|code| code.raw().parse().ok());
    let versions = error.and_then(|error| error.get("data")?.get("supported"));
    code == Some(era::UNSUPPORTED) && speaks(versions)
}

fn probe_id(time: u8) -> Id {
    Id::Text(format!("bartizan-discover-{time}"))
}

/// The two ends.
struct Out {
    server: Option<Sender<Message>>,
    lines: Sender<Line>,
}

impl Out {
    /// Says something to the server. One that does not read is no reason to wait: it may be waiting for us.
    async fn send(&self, message: Message) {
        let Some(to) = &self.server else { return };
        let Err(unsent) = to.try_send(message) else { return };
        if let Kind::Request { id, .. } = unsent.into_inner().kind() {
            let what = "the server does not read what it is sent";
            self.hear(Message::failure(Some(id), INTERNAL_ERROR, what)).await;
        }
    }

    /// Says something to the conversation.
    async fn hear(&self, message: Message) {
        drop(self.lines.send(Ok(message)).await);
    }
}

/// How long a server may take to say that it has no sessions.
const PROBE: Duration = Duration::from_secs(10);
/// Messages that wait until it is known.
const WAITING: usize = 256;
