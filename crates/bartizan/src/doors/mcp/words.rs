//! Are a server's prompts and resources what a person accepted? What is not is neither listed nor given.

use super::call::Act;
use super::{CHANGES_MAX, Talk};
use bartizan_gate::refusal::Refusal;
use bartizan_mcp::catalog::{Judged, Kind, Reading, Standing, covers};
use bartizan_mcp::wire::Message;
use bartizan_scan::display_line;
use bartizan_scan::json::View;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Mutex;

/// Holds what a server lists of one kind against what was accepted. A door without one pins nothing.
pub(crate) type Look =
    Arc<dyn Fn(Kind, &[Message]) -> Result<Words, String> + Send + Sync + 'static>;

/// What a server lists of one kind, by its own names, and how far each may be used.
#[derive(Debug, Default)]
pub(crate) struct Words(BTreeMap<String, Word>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Accepted,
    /// Nobody has accepted it, and nothing about it is odd.
    New,
    Held,
}

impl Words {
    pub(crate) fn of(judged: &[Judged]) -> Self {
        let word = |item: &Judged| match &item.standing {
            Standing::Accepted => Word::Accepted,
            Standing::New if item.reasons.is_empty() => Word::New,
            Standing::New | Standing::Changed(_) => Word::Held,
        };
        let own = |item: &Judged| Kind::of(&item.name).1.to_owned();
        Self(judged.iter().map(|item| (own(item), word(item))).collect())
    }

    /// Whether a person accepted it as it is.
    pub(super) fn accepts(&self, own: &str) -> bool {
        self.0.get(own) == Some(&Word::Accepted)
    }

    fn all_accepted(&self) -> bool {
        self.0.values().all(|word| *word == Word::Accepted)
    }

    fn cover(&self, address: &str, accepted: bool) -> bool {
        let reading = if accepted { Reading::Narrow } else { Reading::Wide };
        let mut of_these = self.0.iter().filter(|(_, word)| (**word == Word::Accepted) == accepted);
        of_these.any(|(template, _)| covers(template, address, reading))
    }
}

/// What was last seen of a server besides its tools.
#[derive(Default)]
pub(super) struct Seen([Slot; 3]);

#[derive(Default)]
struct Slot {
    stale: AtomicBool,
    known: Mutex<Option<Known>>,
}

struct Known {
    listing: Vec<String>,
    words: Arc<Words>,
}

impl Seen {
    fn slot(&self, kind: Kind) -> Option<&Slot> {
        match kind {
            Kind::Tool => None,
            Kind::Prompt => self.0.first(),
            Kind::Resource => self.0.get(1),
            Kind::Template => self.0.get(2),
        }
    }

    /// Notes that the list of this kind is not what it was; whether that was known.
    pub(super) fn turns(&self, kind: Kind) -> bool {
        self.slot(kind).is_some_and(|slot| slot.stale.swap(true, Ordering::AcqRel))
    }
}

impl Talk {
    /// Looks at all that the server has of what this role may ask for, so that a person sees it at once.
    pub(crate) async fn look_around(&self) {
        if self.parts.look.is_none() || self.generation(None).await.is_err() {
            return;
        }
        for kind in [Kind::Prompt, Kind::Resource, Kind::Template] {
            let act = if kind == Kind::Prompt { "prompt" } else { "resource" };
            if self.may_ask_for(act) {
                // What cannot be read is not there: it is said to whoever asks for it.
                drop(self.words(kind).await);
            }
        }
    }

    /// The server's list of one kind as it is now, and what of it was accepted where that is looked at.
    pub(super) async fn looked_at(
        &self,
        kind: Kind,
    ) -> Result<(Vec<Message>, Option<Arc<Words>>), String> {
        let slot = self.seen.slot(kind).zip(self.parts.look.as_ref());
        let Some((slot, look)) = slot else {
            return Ok((self.pages(kind.method(), None).await?, None));
        };
        let mut known = slot.known.lock().await;
        slot.stale.store(false, Ordering::Release);
        // Until the list was read, nothing is known of it.
        let before = known.take();
        let pages = self.pages(kind.method(), None).await?;
        let entries = pages.iter().filter_map(|page| page.result()?.get(kind.list())?.items());
        let listing: Vec<String> = entries.flatten().map(View::compact).collect();
        let same = before.filter(|before| before.listing == listing);
        self.note_change(same.is_none())?;
        // What waits may have been accepted meanwhile.
        let words = match same.filter(|same| same.words.all_accepted()) {
            Some(same) => same.words,
            None => Arc::new(look(kind, &pages)?),
        };
        *known = Some(Known { listing, words: Arc::clone(&words) });
        Ok((pages, Some(words)))
    }

    /// The same, from what is known as long as the server does not say that it changed.
    async fn words(&self, kind: Kind) -> Result<Arc<Words>, String> {
        if let Some(slot) = self.seen.slot(kind)
            && !slot.stale.load(Ordering::Acquire)
            && let Some(known) = slot.known.lock().await.as_ref()
        {
            return Ok(Arc::clone(&known.words));
        }
        Ok(self.looked_at(kind).await?.1.unwrap_or_default())
    }

    fn note_change(&self, is_one: bool) -> Result<(), String> {
        let mut state = self.lock();
        state.changes += u64::from(is_one);
        if state.changes > CHANGES_MAX {
            return Err("the server has changed its lists too often".to_owned());
        }
        Ok(())
    }

    /// Why what an act asks for, which is no tool's, is not to be had: it is not, or not any more, what was accepted.
    pub(super) async fn waits(&self, act: &Act) -> Result<Option<Refusal>, String> {
        let Some((kind, _)) = self.waits_yet(act).await? else { return Ok(None) };
        // It may have been accepted since the list was read, or a template that it is one of.
        let lists: &[Kind] = match kind {
            Kind::Tool | Kind::Prompt => &[Kind::Prompt],
            Kind::Resource | Kind::Template => &[Kind::Resource, Kind::Template],
        };
        for list in lists {
            self.looked_at(*list).await?;
        }
        Ok(self.waits_yet(act).await?.map(|(_, refused)| refused))
    }

    async fn waits_yet(&self, act: &Act) -> Result<Waits, String> {
        let (method, value) = act.asked();
        let text = |value: &Value, key: &str| Some(value.get(key)?.as_str()?.to_owned());
        let (kind, of) = match method {
            "prompts/get" => ("prompt", value),
            "resources/read" | "resources/subscribe" => ("resource", value),
            "completion/complete" => ("completion", value.get("ref").unwrap_or(&Value::Null)),
            _ => return Ok(None),
        };
        // What the role may never ask for is for the gate to refuse; the server need not be asked.
        if self.parts.look.is_none() || !self.may_ask_for(kind) {
            return Ok(None);
        }
        if let Some(name) = text(of, "name")
            && let Some(refused) = self.prompt_waits(&name).await?
        {
            return Ok(Some(refused));
        }
        match text(of, "uri") {
            Some(template) if kind == "completion" => self.template_waits(&template).await,
            Some(uri) => self.resource_waits(&uri).await,
            None => Ok(None),
        }
    }

    async fn prompt_waits(&self, name: &str) -> Result<Waits, String> {
        Ok(match self.words(Kind::Prompt).await?.0.get(name) {
            Some(Word::Accepted) => None,
            Some(Word::New | Word::Held) => Some(self.held_back(Kind::Prompt, name)),
            None => {
                let tool = self.shown_name(Kind::Prompt, name);
                Some((Kind::Prompt, Refusal::ToolUnknown { tool }))
            }
        })
    }

    /// An address that the server does not list may be had where no template that waits could have made it: a tool may
    /// have pointed at it, and the server has said nothing of it that anybody could accept.
    async fn resource_waits(&self, uri: &str) -> Result<Waits, String> {
        let listed = self.words(Kind::Resource).await?.0.get(uri).copied();
        if listed == Some(Word::Accepted) {
            return Ok(None);
        }
        let templates = self.words(Kind::Template).await?;
        let waits = match listed {
            Some(Word::Held) => Some(Kind::Resource),
            _ if templates.cover(uri, true) => None,
            Some(_) => Some(Kind::Resource),
            None => templates.cover(uri, false).then_some(Kind::Template),
        };
        Ok(waits.map(|kind| self.held_back(kind, uri)))
    }

    async fn template_waits(&self, template: &str) -> Result<Waits, String> {
        match self.words(Kind::Template).await?.0.get(template) {
            Some(Word::Accepted) => Ok(None),
            Some(Word::New | Word::Held) => Ok(Some(self.held_back(Kind::Template, template))),
            None => self.resource_waits(template).await,
        }
    }

    fn held_back(&self, kind: Kind, own: &str) -> (Kind, Refusal) {
        let (tool, server) = (self.shown_name(kind, own), self.parts.server.clone());
        (kind, Refusal::ToolHeld { tool, server })
    }

    fn shown_name(&self, kind: Kind, own: &str) -> String {
        display_line(&format!("{}/{}", self.parts.server, kind.item(own)), 160)
    }
}

/// What waits for a person, if anything does.
type Waits = Option<(Kind, Refusal)>;
