//! How is an answer heard whose stream ended before it? A server may end a stream at any event that it gave an id; what comes
//! after that is asked for by a request of its own, once the server's pause is over.

use super::{Away, Ended, FORGOTTEN, Failed, Heard, streams, turned, unanswered};
use bartizan_egress::Answer;
use bartizan_gate::call::Outcome;
use bartizan_gate::effect::{Effector, Warrant};
use bartizan_mcp::events::Events;
use bartizan_mcp::wire::Message;
use std::time::Duration;
use tokio::time::sleep;

/// How far a stream was heard.
#[derive(Debug, Default)]
pub(super) struct Mark {
    /// The id of its last event, if that had one.
    pub(super) after: Option<String>,
    /// How long the server wants to be left alone.
    pub(super) pause: Option<Duration>,
}

impl Mark {
    /// Takes down how far a stream was heard.
    pub(super) fn moves(&mut self, events: &Events) {
        self.after = events.last().map(str::to_owned).or(self.after.take());
        self.pause = events.pause().or(self.pause);
    }
}

impl Away {
    /// Hears what is said to `asked` after `mark`, however often the stream ends.
    pub(super) async fn resume(&self, asked: &Message, mut mark: Mark) -> Result<(), Failed> {
        for _ in 0..TIMES {
            sleep(mark.pause.unwrap_or(PAUSE)).await;
            let authorized = self.judged(("GET", self.spot()), 0, asked.id())?;
            let gate = self.parts.gate.pipeline();
            let executed = gate.perform(authorized, Rest { away: self, asked, mark }).await;
            let released = gate.release(executed).map_err(|refused| refused.to_string())?;
            match released.into_output().0? {
                Heard::Answer => return Ok(()),
                Heard::Nothing | Heard::Turned(_) => break,
                Heard::Until(next) => mark = next,
            }
        }
        Err("the server gave no answer".to_owned())
    }

    /// The rest of a stream, or of what the server says of its own accord; `None` when it has no such stream.
    pub(super) async fn open_stream(
        &self,
        warrant: &Warrant<'_>,
        mark: &Mark,
    ) -> Result<(u16, Option<Answer>), Failed> {
        let mut errand = self.errand(warrant, ("GET", self.spot()), None);
        let after = mark.after.clone().map(|id| ("last-event-id".to_owned(), id));
        errand.headers.extend(after);
        let answer = self.parts.courier.open(warrant, errand).await.map_err(unanswered)?;
        let status = answer.status();
        if status == 404 && self.lock().session.is_some() {
            self.lose(FORGOTTEN);
        }
        Ok((status, streams(&answer).then_some(answer)))
    }
}

/// The rest of one stream.
struct Rest<'a> {
    away: &'a Away,
    asked: &'a Message,
    mark: Mark,
}

impl Effector for Rest<'_> {
    type Output = Ended;

    async fn run(self, warrant: &Warrant<'_>) -> (Outcome, Ended) {
        let heard = async {
            let (status, stream) = self.away.open_stream(warrant, &self.mark).await?;
            let mut stream = stream.ok_or_else(|| turned(status))?;
            Ok((status, self.away.hear_events(&mut stream, Some(self.asked), self.mark).await?))
        };
        Ended::of(heard.await)
    }
}

/// How often the stream of one answer is taken up.
const TIMES: usize = 64;
/// The pause of a server that names none.
const PAUSE: Duration = Duration::from_millis(500);
