//! What does a server say that is somewhere else and that nobody asked? A request of its own, which it answers for as long
//! as it likes.

use super::resume::Mark;
use super::{Away, Failed};
use bartizan_gate::call::Outcome;
use bartizan_gate::effect::{Content, Effector, Warrant};
use bartizan_mcp::events::Events;
use bartizan_mcp::wire::Limits;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// How one stream ended.
enum End {
    /// The server has no such stream.
    Never,
    /// It has ended, as streams do, after something was said or not.
    Over(bool),
}

impl Away {
    /// Listens, and again when a stream breaks, later each time that nothing was said.
    pub(super) async fn attend(self: Arc<Self>) {
        let (mut pause, mut mark) = (PAUSE, Mark::default());
        loop {
            match self.stream(&mut mark).await {
                Ok(End::Never) => return,
                Ok(End::Over(true)) => pause = PAUSE,
                Ok(End::Over(false)) | Err(_) => pause = (pause * 2).min(PAUSE_MAX),
            }
            sleep(pause.max(mark.pause.unwrap_or_default())).await;
        }
    }

    async fn stream(&self, mark: &mut Mark) -> Result<End, Failed> {
        let replaced = self.parts.gate.replaced();
        // Who may not ask has nothing to hear.
        let Ok(authorized) = self.judged(("GET", self.spot()), 0, None) else {
            return Ok(End::Never);
        };
        let gate = self.parts.gate.pipeline();
        let executed = tokio::select! {
            executed = gate.perform(authorized, News { away: self, mark }) => executed,
            // What is dropped here is closed, and its record says that it was abandoned.
            () = self.withdrawn(replaced) => return Ok(End::Over(false)),
        };
        let released = gate.release(executed).map_err(|refused| refused.to_string())?;
        released.into_output().0
    }

    async fn listen(&self, warrant: &Warrant<'_>, mark: &mut Mark) -> Result<(u16, End), Failed> {
        let (status, stream) = self.open_stream(warrant, mark).await?;
        let Some(mut answer) = stream else {
            return Ok((status, if status < 500 { End::Never } else { End::Over(false) }));
        };
        let mut events = Events::new(Limits::default().bytes);
        let mut said = false;
        while let Some(piece) = answer.piece().await {
            // A stream may break; what follows is asked for anew.
            let Ok(piece) = piece else { break };
            for event in events.feed(&piece).map_err(|why| why.to_string())? {
                if !event.data.trim_ascii().is_empty() {
                    self.hear(&event.data, None).await?;
                    said = true;
                }
            }
            mark.moves(&events);
        }
        Ok((status, End::Over(said)))
    }
}

/// One stream.
struct News<'a> {
    away: &'a Away,
    mark: &'a mut Mark,
}

/// How it ended, or why there is none, in words of ours.
struct Ended(Result<End, Failed>);

impl Content for Ended {
    fn scrub(self, scrub: &dyn Fn(&str) -> String) -> Self {
        Self(self.0.map_err(|why| scrub(&why)))
    }
}

impl Effector for News<'_> {
    type Output = Ended;

    async fn run(self, warrant: &Warrant<'_>) -> (Outcome, Ended) {
        match self.away.listen(warrant, self.mark).await {
            Ok((status, end)) => (Outcome::succeeded(json!({ "status": status })), Ended(Ok(end))),
            Err(why) => {
                (Outcome::failed("upstream-failed", json!({ "why": why })), Ended(Err(why)))
            }
        }
    }
}

/// The pause before a stream that broke is asked for anew; each that said nothing doubles it.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_mins(1);
