//! What does the agent ask the model? Each request is a proposal; the key is added behind this door.

use crate::app::Gate;
use crate::doors::net::told;
use bartizan_egress::{
    Captured, Judge, ModelOutcome, ModelRequest, ModelRoute, Refusal as Told, Status, Upstream,
    model::ModelEnded,
};
use bartizan_gate::call::{Door, Outcome, Proposed};
use bartizan_gate::effect::{Effector, Warrant};
use bartizan_gate::seat::Caller;
use bartizan_scan::display_line;
use serde_json::json;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// The model door of one box.
pub(crate) struct ModelDoor {
    route: ModelRoute,
    judge: Arc<ModelJudge>,
}

impl ModelDoor {
    /// A door for the box of `caller`, onto `route`, which leads to `upstream`.
    pub(crate) fn new(
        gate: Arc<Gate>,
        caller: Caller,
        route: ModelRoute,
        upstream: &Upstream,
    ) -> Self {
        let target = upstream.target();
        let (host, port) = (target.host().to_string(), target.port());
        Self { route, judge: Arc::new(ModelJudge { gate, caller, host, port }) }
    }

    /// Serves one connection that was meant for the model.
    #[expect(clippy::disallowed_methods, reason = "each request is judged by `ModelJudge`")]
    pub(crate) async fn serve(&self, captured: Captured<TcpStream>) {
        // Each request has its own record; how the connection ended adds nothing.
        drop(self.route.serve(captured, Arc::clone(&self.judge)).await);
    }
}

#[derive(Debug)]
struct ModelJudge {
    gate: Arc<Gate>,
    caller: Caller,
    host: String,
    port: u16,
}

impl ModelJudge {
    fn proposal(&self, request: &ModelRequest) -> Proposed {
        let arguments = json!({
            "host": self.host,
            "port": self.port,
            "method": request.method(),
            "path": request.path(),
        });
        let mut proposed = Proposed::new(&self.caller, Door::Model, "model.request", arguments);
        if let Some(agent) = request.header("x-claude-code-agent-id") {
            let kind = request.header("x-claude-code-agent-type").unwrap_or("agent");
            proposed = proposed.by_subagent(kind, agent);
        }
        proposed
    }
}

impl Judge for ModelJudge {
    type Ticket = oneshot::Sender<ModelOutcome>;

    async fn before(&self, request: &ModelRequest) -> Result<Self::Ticket, Told> {
        let proposed = self.proposal(request);
        let gate = Arc::clone(&self.gate);
        let decided = tokio::task::spawn_blocking(move || gate.decide(proposed)).await;
        let failed = || Told::new(Status::Forbidden, "gate-failed", "the gate failed");
        let authorized = decided.map_err(|_| failed())?.map_err(|refused| told(&refused))?;
        let (ticket, ended) = oneshot::channel();
        let gate = Arc::clone(&self.gate);
        tokio::spawn(async move {
            let executed = gate.pipeline().perform(authorized, Passage { ended }).await;
            // A log that fails here stops the next request.
            drop(gate.pipeline().release(executed));
        });
        Ok(ticket)
    }

    fn stopped(&self, method: &str, path: &str, refusal: &Told) {
        let (gate, caller) = (Arc::clone(&self.gate), self.caller.clone());
        let what = display_line(&format!("{method} {path}: {}", refusal.sentence()), 400);
        let code = refusal.code().to_owned();
        // The log may wait for its disk, and this is called from within I/O.
        tokio::task::spawn_blocking(move || gate.unreadable(&caller, Door::Model, &code, &what));
    }

    fn after(&self, ticket: Self::Ticket, outcome: ModelOutcome) {
        // The receiver lives until it has heard; it is gone only when the session is.
        drop(ticket.send(outcome));
    }
}

/// A request that passes while its warrant is held; the route says when it has ended.
struct Passage {
    ended: oneshot::Receiver<ModelOutcome>,
}

impl Effector for Passage {
    type Output = ();

    async fn run(self, _: &Warrant<'_>) -> (Outcome, ()) {
        let Ok(outcome) = self.ended.await else {
            return (Outcome::failed("model-unknown", json!({})), ());
        };
        let details = json!({
            "status": outcome.status,
            "request_id": outcome.request_id.as_deref().map(|id| display_line(id, 128)),
            "bytes_out": outcome.bytes_out,
            "bytes_in": outcome.bytes_in,
            "first_byte_ms": outcome.first_byte.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            "took_ms": u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
        });
        match outcome.ended {
            ModelEnded::Finished => (Outcome::succeeded(details), ()),
            ended => (Outcome::failed(code(&ended), details), ()),
        }
    }
}

fn code(ended: &ModelEnded) -> String {
    display_line(&format!("model-{ended:?}").to_lowercase(), 64)
}
