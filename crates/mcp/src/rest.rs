//! What if nobody needs a server for a while? It is ended, and another is begun for the next request, in the words in which
//! its client began with the first.
//!
//! It stands between [`Upstream`](crate::upstream::Upstream) and the [bridge](crate::bridge), so that the conversation lasts
//! while servers come and go. A server is not ended while it owes an answer or is owed one, nor once it holds something for its
//! client. What another one says of itself at its beginning must be what the first said: that is what the client agreed to.

use crate::stdio::{Flawed, Line};
use crate::wire::{INTERNAL_ERROR, Id, Kind, Message};
use bartizan_scan::json::View;
use std::collections::HashSet;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

/// A server that has started: the two ways to it. It is to end when this goes.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "whoever starts a server has all of it")]
pub struct Life {
    /// To the server.
    pub to: Sender<Message>,
    /// From the server.
    pub from: Receiver<Line>,
    /// Goes with the life, which is how whoever keeps the server learns that it is over.
    pub over: oneshot::Sender<()>,
}

/// Where another life is asked for.
pub type Births = Sender<oneshot::Sender<Life>>;

/// Carries what a conversation has `sent` to one server after the other, and what they say to `lines`, until one ends by
/// itself or cannot be begun. One that nobody has needed for `after` is ended.
pub async fn carry(
    mut sent: Receiver<Message>,
    lines: Sender<Line>,
    after: Duration,
    births: Births,
) {
    let mut known = Known::default();
    let mut waiting: Option<Message> = None;
    loop {
        let (birth, born) = oneshot::channel();
        if births.send(birth).await.is_err() {
            return;
        }
        let Ok(mut life) = born.await else { return };
        if let Some(message) = waiting.take() {
            if let Err(why) = known.begin_again(&mut life, &lines).await {
                let why = format!("the server was at rest, and cannot be begun with again: {why}");
                drop(lines.send(Err(Flawed::Over(why))).await);
                return;
            }
            known.outward(&message);
            say(&life.to, message, &lines).await;
        }
        match known.live(&mut life, &mut sent, (&lines, after)).await {
            End::Over => return,
            End::Rested => drop(life),
        }
        // Nothing but a request needs a server: what it would be told, another is told at its beginning.
        waiting = loop {
            match sent.recv().await {
                None => return,
                Some(message) if matches!(message.kind(), Kind::Request { .. }) => {
                    break Some(message);
                }
                Some(_) => {}
            }
        };
    }
}

enum End {
    /// The server has ended, or the conversation has.
    Over,
    /// Nobody has needed it.
    Rested,
}

/// What is known of a conversation with a server.
#[derive(Default)]
struct Known {
    /// How the client began, and what the server said of itself then.
    hello: Option<Message>,
    said: Option<String>,
    /// That the client had heard that.
    initialized: Option<Message>,
    /// What the client wants to hear of.
    level: Option<Message>,
    /// Requests to the server without an answer, and questions of the server's.
    open: HashSet<Id>,
    asked: HashSet<Id>,
    /// What the server holds for its client would be gone with it.
    holds: bool,
}

impl Known {
    async fn live(
        &mut self,
        life: &mut Life,
        sent: &mut Receiver<Message>,
        (lines, after): (&Sender<Line>, Duration),
    ) -> End {
        let mut last = Instant::now();
        loop {
            let busy = self.holds || !self.open.is_empty() || !self.asked.is_empty();
            tokio::select! {
                message = sent.recv() => {
                    let Some(message) = message else { return End::Over };
                    self.outward(&message);
                    say(&life.to, message, lines).await;
                }
                line = life.from.recv() => {
                    let Some(line) = line else { return End::Over };
                    if let Ok(message) = &line {
                        self.inward(message);
                    }
                    if lines.send(line).await.is_err() {
                        return End::Over;
                    }
                }
                () = sleep_until(last + after), if !busy => return End::Rested,
            }
            last = Instant::now();
        }
    }

    /// Notes what goes to the server.
    fn outward(&mut self, message: &Message) {
        match message.kind() {
            Kind::Request { id, method } => {
                self.open.insert(id.clone());
                self.holds |= holds(message);
                match method {
                    "initialize" => self.hello = Some(message.clone()),
                    "logging/setLevel" => self.level = Some(message.clone()),
                    _ => {}
                }
            }
            Kind::Notification { method: "notifications/initialized" } => {
                self.initialized = Some(message.clone());
            }
            Kind::Notification { method: "notifications/cancelled" } => {
                // No answer need follow.
                let id = message.params().and_then(|params| params.get("requestId"));
                let id = id.and_then(|id| id.raw().parse().ok());
                id.map(|id| self.open.remove(&Id::Number(id)));
            }
            Kind::Response { id: Some(id) } => drop(self.asked.remove(id)),
            Kind::Notification { .. } | Kind::Response { .. } => {}
        }
    }

    /// Notes what comes from the server.
    fn inward(&mut self, message: &Message) {
        match message.kind() {
            Kind::Request { id, .. } => drop(self.asked.insert(id.clone())),
            Kind::Response { id: Some(id) } => {
                self.open.remove(id);
                let hello = self.hello.as_ref().and_then(Message::id);
                if hello == Some(id) {
                    self.said = message.result().map(said);
                }
            }
            Kind::Notification { .. } | Kind::Response { .. } => {}
        }
    }

    /// Begins with another server as the client began with the first. What it knows is not what that one knew, so whoever
    /// keeps lists is told.
    async fn begin_again(&mut self, life: &mut Life, lines: &Sender<Line>) -> Result<(), String> {
        (self.open, self.asked) = Default::default();
        let Some(hello) = &self.hello else { return Ok(()) };
        let own = Id::Text("bartizan-again".to_owned());
        let asked = hello.with_id(&own).ok_or("its beginning cannot be said again")?;
        say(&life.to, asked, lines).await;
        let answer = timeout(BEGIN, answered(life, &own, lines)).await;
        let answer = answer.map_err(|_| "it does not answer `initialize` in time")?;
        let answer = answer.ok_or("it has ended")?;
        if answer.result().map(said) != self.said {
            return Err("what it says of itself is not what it said".to_owned());
        }
        for message in [&self.initialized, &self.level].into_iter().flatten() {
            let again = match message.id() {
                Some(_) => message.with_id(&Id::Text("bartizan-level".to_owned())),
                None => Some(message.clone()),
            };
            if let Some(again) = again {
                say(&life.to, again, lines).await;
            }
        }
        for list in ["tools", "prompts", "resources"] {
            let method = format!("notifications/{list}/list_changed");
            if let Some(changed) = Message::notification(&method, None) {
                drop(lines.send(Ok(changed)).await);
            }
        }
        Ok(())
    }
}

/// What a client agrees to at the beginning: the revision, and what the server can do.
fn said(result: View<'_>) -> String {
    let part = |key: &str| result.get(key).map(View::compact).unwrap_or_default();
    format!("{} {}", part("protocolVersion"), part("capabilities"))
}

/// The answer to a request of this id. Whatever else the server says goes on.
async fn answered(life: &mut Life, own: &Id, lines: &Sender<Line>) -> Option<Message> {
    loop {
        let line = life.from.recv().await?;
        match line {
            Ok(message) if matches!(message.kind(), Kind::Response { id } if id == Some(own)) => {
                return Some(message);
            }
            line => lines.send(line).await.ok()?,
        }
    }
}

/// Says something to the server. One that does not read is no reason to wait: it may be waiting for us.
async fn say(to: &Sender<Message>, message: Message, lines: &Sender<Line>) {
    let Err(unsent) = to.try_send(message) else { return };
    if let Kind::Request { id, .. } = unsent.into_inner().kind() {
        let what = "the server does not read what it is sent";
        drop(lines.send(Ok(Message::failure(Some(id), INTERNAL_ERROR, what))).await);
    }
}

/// Whether a server is to keep something for its client from this request on: a subscription, a task.
pub fn holds(message: &Message) -> bool {
    match message.method() {
        Some("resources/subscribe") => true,
        Some(method) => {
            method.starts_with("tasks/")
                || message.params().is_some_and(|params| params.get("task").is_some())
        }
        None => false,
    }
}

/// How long another server may take to answer `initialize`.
const BEGIN: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests;
