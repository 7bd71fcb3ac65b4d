//! What is said to a server without sessions, and what has it still to answer? Where it needs more of the client in the middle
//! of a request, the client is asked and the request made again.

use super::Out;
use super::listening::Listening;
use super::translate::{self, Client, Input};
use crate::era;
use crate::wire::{INTERNAL_ERROR, INVALID_PARAMS, Id, Kind, METHOD_NOT_FOUND, Message};
use bartizan_scan::json::{Edits, View, quoted};
use std::collections::{BTreeMap, HashMap};
use tokio::time::Instant;

/// One server.
pub(super) struct Server {
    client: Client,
    /// What it answered to `server/discover`, as `{"result":…}`.
    discovered: Message,
    next: i64,
    /// What it has still to answer, by our ids.
    open: HashMap<i64, Open>,
    /// What waits for answers of the client's, by the ids of the conversation.
    rounds: BTreeMap<Id, Round>,
    listening: Listening,
    level: Option<String>,
}

struct Open {
    /// The conversation's id.
    id: Id,
    /// The request as it was made, unless it goes as it is.
    asked: Option<Asked>,
}

struct Asked {
    message: Message,
    rounds: u32,
}

/// A request in the middle of which the client is asked.
struct Round {
    asked: Asked,
    state: Option<String>,
    /// The server's words for what is asked, by the ids of our questions, and whether a person is.
    waiting: HashMap<Id, (String, bool)>,
    answers: Vec<(String, String)>,
}

impl Server {
    pub(super) fn new(hello: &Message, discovered: View<'_>) -> Self {
        let listening = Listening::to(discovered.get("capabilities"));
        let kept = Message::success(&Id::Number(0), discovered.raw());
        let discovered = kept.unwrap_or_else(|| hello.clone());
        let client = Client::of(hello);
        let (open, rounds) = Default::default();
        Self { client, discovered, next: 0, open, rounds, listening, level: None }
    }

    /// Answers the conversation's `initialize`.
    pub(super) async fn begin(&mut self, hello: &Message, out: &mut Out) {
        self.client = Client::of(hello);
        let begun = self.discovered.result().and_then(|said| translate::begun(hello, said));
        if let Some(begun) = begun {
            out.hear(begun).await;
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.listening.due()
    }

    /// The stream of changes is asked for anew.
    pub(super) async fn late(&mut self, out: &mut Out) {
        self.listen(out).await;
    }

    /// What the conversation says.
    pub(super) async fn outward(&mut self, message: Message, out: &mut Out) {
        match message.kind() {
            Kind::Request { id, method }
                if method != "initialize" && era::is_stateless(&message) =>
            {
                let (id, own) = (id.clone(), self.number());
                self.open.insert(own, Open { id, asked: None });
                if let Some(message) = message.with_id(&Id::Number(own)) {
                    out.send(message).await;
                }
            }
            Kind::Request { id, method } => {
                if let Some(answer) = self.alone(id, method, &message, out).await {
                    out.hear(answer).await;
                }
            }
            Kind::Notification { method: "notifications/cancelled" } => {
                self.cancel(&message, out).await;
            }
            Kind::Notification { method: "notifications/initialized" } => self.listen(out).await,
            // There is nothing else that a client tells in this revision.
            Kind::Notification { .. } => {}
            Kind::Response { id } => {
                if let Some(id) = id.cloned() {
                    self.told(&id, &message, out).await;
                }
            }
        }
    }

    /// What is answered here, if it is; everything else is translated and sent.
    async fn alone(
        &mut self,
        id: &Id,
        method: &str,
        message: &Message,
        out: &mut Out,
    ) -> Option<Message> {
        let text = |key: &str| message.params().and_then(|params| params.text_of(key));
        match method {
            "initialize" => {
                self.begin(message, out).await;
                None
            }
            "ping" => Message::success(id, "{}"),
            "logging/setLevel" => {
                self.level = text("level").map(std::borrow::Cow::into_owned);
                Message::success(id, "{}")
            }
            "resources/subscribe" | "resources/unsubscribe" => {
                let Some(uri) = text("uri") else {
                    return Some(Message::failure(Some(id), INVALID_PARAMS, "name a `uri`"));
                };
                if self.listening.want(&uri, method == "resources/subscribe") {
                    self.listen(out).await;
                }
                Message::success(id, "{}")
            }
            method if METHODS.contains(&method) => {
                let asked = Asked { message: message.clone(), rounds: 0 };
                self.ask(id.clone(), asked, None, out).await;
                None
            }
            _ => {
                let what = "there is no such method at this server";
                Some(Message::failure(Some(id), METHOD_NOT_FOUND, what))
            }
        }
    }

    async fn ask(&mut self, id: Id, asked: Asked, input: Option<&Input<'_>>, out: &mut Out) {
        let own = self.number();
        let level = self.level.as_deref();
        let params = translate::stamped(asked.message.params(), &self.client, level, input);
        let method = asked.message.method().unwrap_or_default();
        let Some(message) = Message::request(&Id::Number(own), method, Some(&params)) else {
            let what = "the request cannot be translated";
            return out.hear(Message::failure(Some(&id), INTERNAL_ERROR, what)).await;
        };
        self.open.insert(own, Open { id, asked: Some(asked) });
        out.send(message).await;
    }

    async fn cancel(&mut self, message: &Message, out: &mut Out) {
        let named = message.params().and_then(|params| params.get("requestId"));
        let Some(named) = named.map(View::raw) else { return };
        self.rounds.retain(|id, _| id.to_json() != named);
        let found = self.open.iter().find(|(_, open)| open.id.to_json() == named);
        let Some(own) = found.map(|(own, _)| *own) else { return };
        self.open.remove(&own);
        end(own, out).await;
    }

    /// Asks for the stream of what is wanted now.
    async fn listen(&mut self, out: &mut Out) {
        let own = self.number();
        if let Some(params) = self.listening.ask(own) {
            let asked = Message::success(&Id::Number(0), &params);
            let params = asked.as_ref().and_then(Message::result);
            let params = translate::stamped(params, &self.client, None, None);
            let asked = Message::request(&Id::Number(own), "subscriptions/listen", Some(&params));
            if let Some(asked) = asked {
                out.send(asked).await;
            }
        }
        for left in self.listening.left() {
            end(left, out).await;
        }
    }

    /// What the server says.
    pub(super) async fn inward(&mut self, message: Message, out: &mut Out) {
        match message.kind() {
            Kind::Response { id: Some(Id::Number(own)) } => {
                self.answered(*own, &message, out).await;
            }
            Kind::Notification { method: "notifications/subscriptions/acknowledged" } => {
                let of = message.meta().and_then(|meta| meta.get(era::SUBSCRIPTION));
                let of = of.and_then(|of| of.raw().parse().ok());
                for older in of.map(|of| self.listening.acknowledged(of)).unwrap_or_default() {
                    end(older, out).await;
                }
            }
            Kind::Notification { .. } => out.hear(message).await,
            // A server has no questions of its own in this revision.
            Kind::Response { .. } | Kind::Request { .. } => {}
        }
    }

    async fn answered(&mut self, own: i64, answer: &Message, out: &mut Out) {
        let code = answer.error().and_then(|error| error.get("code")).map(View::raw);
        let refused = code.is_some_and(|code| code != INTERNAL_ERROR.to_string());
        if self.listening.ended(own, refused) {
            return;
        }
        let Some(Open { id, asked }) = self.open.remove(&own) else { return };
        let Some(asked) = asked else {
            if let Some(answer) = answer.with_id(&id) {
                out.hear(answer).await;
            }
            return;
        };
        let wants = answer
            .result()
            .filter(|result| result.text_of("resultType").as_deref() == Some("input_required"));
        match wants {
            Some(wants) => self.asks(id, asked, wants, out).await,
            None => out.hear(translate::answered(answer, &id)).await,
        }
    }

    /// The server needs more of the client.
    async fn asks(&mut self, id: Id, asked: Asked, wants: View<'_>, out: &mut Out) {
        let requests: Vec<_> =
            wants.get("inputRequests").into_iter().flat_map(View::members).collect();
        let state = wants.get("requestState").filter(|state| state.text().is_some());
        let ends = asked.rounds >= ROUNDS_MAX || requests.len() > INPUTS_MAX;
        if ends || (requests.is_empty() && state.is_none()) {
            let what = "the server asks too much in the middle of a request";
            return out.hear(Message::failure(Some(&id), INTERNAL_ERROR, what)).await;
        }
        let asked = Asked { rounds: asked.rounds + 1, ..asked };
        let state = state.map(|state| state.raw().to_owned());
        let mut round = Round { asked, state, waiting: HashMap::new(), answers: Vec::new() };
        let mut questions = Vec::new();
        for (at, (key, request)) in requests.into_iter().enumerate() {
            let own = Id::Text(format!("{} {} {at}", id.to_json(), round.asked.rounds));
            let Some(question) = question(&own, request) else {
                let what = "the server asks something that is no question";
                return out.hear(Message::failure(Some(&id), INTERNAL_ERROR, what)).await;
            };
            let person = question.method() == Some("elicitation/create");
            round.waiting.insert(own, (key.to_owned(), person));
            questions.push(question);
        }
        self.rounds.insert(id.clone(), round);
        for question in questions {
            out.hear(question).await;
        }
        self.go_on(&id, out).await;
    }

    /// The client's answer to one of the server's questions.
    async fn told(&mut self, own: &Id, answer: &Message, out: &mut Out) {
        let found = self.rounds.iter_mut().find(|(_, round)| round.waiting.contains_key(own));
        let Some((id, round)) = found else { return };
        let Some((key, person)) = round.waiting.remove(own) else { return };
        let id = id.clone();
        match answer.result() {
            Some(result) => round.answers.push((key, result.compact())),
            // Nobody could be asked, which for the server is as if nobody wanted to say.
            None if person => round.answers.push((key, r#"{"action":"cancel"}"#.to_owned())),
            None => {
                self.rounds.remove(&id);
                let what = "the server asks something of the client that it does not get";
                return out.hear(Message::failure(Some(&id), INTERNAL_ERROR, what)).await;
            }
        }
        self.go_on(&id, out).await;
    }

    /// Makes the request again once everything is answered.
    async fn go_on(&mut self, id: &Id, out: &mut Out) {
        if self.rounds.get(id).is_none_or(|round| !round.waiting.is_empty()) {
            return;
        }
        let Some(Round { asked, state, answers, .. }) = self.rounds.remove(id) else { return };
        let input = Input { answers: &answers, state: state.as_deref() };
        self.ask(id.clone(), asked, Some(&input), out).await;
    }

    fn number(&mut self) -> i64 {
        self.next += 1;
        self.next
    }
}

/// Tells the server that nobody waits any more.
async fn end(own: i64, out: &Out) {
    let told =
        Message::notification("notifications/cancelled", Some(&format!("{{\"requestId\":{own}}}")));
    if let Some(told) = told {
        out.send(told).await;
    }
}

/// A server's question, as one in a session has it.
fn question(id: &Id, request: View<'_>) -> Option<Message> {
    let method = request.text_of("method")?;
    let params = request.get("params").map_or_else(|| "{}".to_owned(), View::compact);
    let question = Message::request(id, &method, Some(&params))?;
    let params = question.params()?;
    // Where there are sessions, a page that the person is to open has an id.
    let of_page = params.text_of("mode").as_deref() == Some("url");
    let mut edits = Edits::default();
    if of_page && params.get("elicitationId").is_none() {
        edits.append(params.node(), format!(",\"elicitationId\":{}", quoted(&id.to_string())));
    }
    question.edited(edits)
}

/// What may be asked of a server without sessions that was asked in one.
const METHODS: [&str; 8] = [
    "completion/complete",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/templates/list",
    "tools/call",
    "tools/list",
];
/// How often a server may want more in the middle of one request.
const ROUNDS_MAX: u32 = 16;
/// How much it may want at a time.
const INPUTS_MAX: usize = 8;
