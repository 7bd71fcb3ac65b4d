//! Who wants to hear of changes? Each such request stays open until its client ends it, and hears only what it asked for.

use super::answer::Begun;
use super::ask;
use crate::conversation::{Conversation, Outbox};
use crate::era::SUBSCRIPTION;
use crate::wire::{INVALID_PARAMS, INVALID_REQUEST, Id, Kind, Message};
use bartizan_scan::json::{Edits, View, quoted};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Listens(Mutex<Vec<Listen>>);

#[derive(Debug)]
struct Listen {
    id: Id,
    /// Which lists' changes, by the method that tells of them.
    lists: BTreeSet<&'static str>,
    /// Which resources' changes.
    resources: BTreeSet<String>,
    out: Outbox,
    ended: Arc<Notify>,
}

impl Listens {
    /// Takes up a request, tells its client what it will hear, and comes back once the client has ended it.
    pub(super) async fn attend<C: Conversation>(
        &self,
        inner: &Arc<C>,
        begun: &Begun,
        (id, message): (&Id, &Message),
        out: &Outbox,
    ) -> Result<(), Message> {
        let refuse = |code, what: &str| Message::failure(Some(id), code, what);
        let wanted = message.params().and_then(|params| params.get("notifications"));
        let wanted = wanted.filter(|wanted| wanted.is_table());
        let wanted =
            wanted.ok_or_else(|| refuse(INVALID_PARAMS, "say which `notifications` you want"))?;
        let lists = LISTS.iter().filter(|(flag, of, _)| {
            wanted.get(flag).is_some_and(|flag| flag.raw() == "true")
                && begun.says(of, "listChanged")
        });
        let lists: BTreeSet<&'static str> = lists.map(|(_, _, method)| *method).collect();
        let resources = self.subscribe(inner, begun, wanted).await;
        let ended = Arc::new(Notify::new());
        let told = acknowledged(id, &lists, &resources);
        {
            let mut all = self.lock();
            if all.len() >= LISTENS_MAX || all.iter().any(|listen| listen.id == *id) {
                return Err(refuse(
                    INVALID_REQUEST,
                    "too many streams are open, or one of this id",
                ));
            }
            let (id, out, ended) = (id.clone(), out.clone(), Arc::clone(&ended));
            // Before it is told so, that nothing is missed; what comes in between is told after.
            drop(told.map(|told| out.try_send(told)));
            all.push(Listen { id, lists, resources, out, ended });
        }
        ended.notified().await;
        self.leave(inner, id).await;
        Ok(())
    }

    /// The resources that may be heard of, of those that are wanted.
    async fn subscribe<C: Conversation>(
        &self,
        inner: &Arc<C>,
        begun: &Begun,
        wanted: View<'_>,
    ) -> BTreeSet<String> {
        let mut taken = BTreeSet::new();
        if !begun.says("resources", "subscribe") {
            return taken;
        }
        let wanted = wanted.get("resourceSubscriptions").and_then(View::items);
        for uri in wanted.into_iter().flatten().filter_map(View::text).take(RESOURCES_MAX) {
            let params = format!(r#"{{"uri":{}}}"#, quoted(&uri));
            if ask(inner, "resources/subscribe", &params).await.is_ok() {
                taken.insert(uri.into_owned());
            }
        }
        taken
    }

    /// Takes back what nobody wants to hear of any more.
    async fn leave<C: Conversation>(&self, inner: &Arc<C>, id: &Id) {
        let unheard: Vec<String> = {
            let mut all = self.lock();
            let Some(at) = all.iter().position(|listen| listen.id == *id) else { return };
            let gone = all.swap_remove(at);
            let heard = |uri: &String| all.iter().any(|listen| listen.resources.contains(uri));
            gone.resources.into_iter().filter(|uri| !heard(uri)).collect()
        };
        for uri in unheard {
            let params = format!(r#"{{"uri":{}}}"#, quoted(&uri));
            drop(ask(inner, "resources/unsubscribe", &params).await);
        }
    }

    /// Ends the one that a `notifications/cancelled` names, if it names one.
    pub(super) fn end(&self, cancelled: &Message) -> bool {
        let named = cancelled.params().and_then(|params| params.get("requestId"));
        let Some(named) = named.map(View::raw) else { return false };
        let all = self.lock();
        let found = all.iter().find(|listen| listen.id.to_json() == named);
        found.map(|listen| listen.ended.notify_one()).is_some()
    }

    /// Ends all of them.
    pub(super) fn end_all(&self) {
        self.lock().iter().for_each(|listen| listen.ended.notify_one());
    }

    /// Tells of a change those who want to hear of it. Who does not read misses it.
    pub(super) fn tell(&self, message: &Message) {
        let Kind::Notification { method } = message.kind() else { return };
        let uri = message.params().and_then(|params| params.text_of("uri"));
        for listen in &*self.lock() {
            let heard = match (method, &uri) {
                ("notifications/resources/updated", Some(uri)) => {
                    listen.resources.contains(uri.as_ref())
                }
                _ => listen.lists.contains(method),
            };
            if heard && let Some(told) = tagged(message, method, &listen.id) {
                drop(listen.out.try_send(told));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Listen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn acknowledged(
    id: &Id,
    lists: &BTreeSet<&'static str>,
    resources: &BTreeSet<String>,
) -> Option<Message> {
    let flags = LISTS.iter().filter(|(_, _, method)| lists.contains(method));
    let mut parts: Vec<String> = flags.map(|(flag, ..)| format!(r#""{flag}":true"#)).collect();
    if !resources.is_empty() {
        let uris: Vec<String> = resources.iter().map(|uri| quoted(uri)).collect();
        parts.push(format!(r#""resourceSubscriptions":[{}]"#, uris.join(",")));
    }
    let params = format!(r#"{{"_meta":{},"notifications":{{{}}}}}"#, tag(id), parts.join(","));
    Message::notification("notifications/subscriptions/acknowledged", Some(&params))
}

/// The notification as it belongs to one request.
fn tagged(message: &Message, method: &str, id: &Id) -> Option<Message> {
    let Some(params) = message.params() else {
        return Message::notification(method, Some(&format!(r#"{{"_meta":{}}}"#, tag(id))));
    };
    let others = params.members().filter(|(key, _)| *key != "_meta");
    let others = others.map(|(key, value)| format!("{}:{}", quoted(key), value.raw()));
    let parts: Vec<String> =
        [format!(r#""_meta":{}"#, tag(id))].into_iter().chain(others).collect();
    let mut edits = Edits::default();
    edits.replace(params.node(), format!("{{{}}}", parts.join(",")));
    message.edited(edits)
}

fn tag(id: &Id) -> String {
    format!(r#"{{"{SUBSCRIPTION}":{}}}"#, id.to_json())
}

/// What of a client's wishes is of which list: the wish, the server's capability, and the method that tells.
const LISTS: [(&str, &str, &str); 3] = [
    ("promptsListChanged", "prompts", "notifications/prompts/list_changed"),
    ("resourcesListChanged", "resources", "notifications/resources/list_changed"),
    ("toolsListChanged", "tools", "notifications/tools/list_changed"),
];
/// Streams of one conversation.
const LISTENS_MAX: usize = 16;
/// Resources of one stream.
const RESOURCES_MAX: usize = 64;
