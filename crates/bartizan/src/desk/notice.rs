//! What is somebody elsewhere told of a question or a flag? Names and a target, made safe to show; no argument, and
//! nothing that a chat would take for a link, a mention or a command.

use super::burst::Crowd;
use super::telling::{brief, short};
use crate::clock::{date, now_ms};
use crate::config::notify::{Notify, Occasion};
use bartizan_scan::{Redactor, display_line};
use bartizan_store::{Desk as _, Event, QuestionState, Record, Store};
use serde_json::{Value, json};
use std::time::Duration;

/// What is told of one record.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Notice {
    /// The same each time that it is told.
    pub(super) id: String,
    /// Of what kind it is.
    pub(super) occasion: Occasion,
    /// In one sentence.
    pub(super) text: String,
    /// In full.
    pub(super) body: Value,
    /// When it came to pass.
    time_ms: u64,
}

/// What a notice is made with.
pub(super) struct Scribe<'a> {
    pub(super) store: &'a Store,
    pub(super) redactor: &'a Redactor,
    pub(super) notify: &'a Notify,
}

impl Notice {
    /// For how long it has waited.
    pub(super) fn age(&self) -> Duration {
        Duration::from_millis(now_ms().saturating_sub(self.time_ms))
    }
}

impl Scribe<'_> {
    /// What a record is an occasion of, if it still is one: a question that was settled meanwhile is none any more.
    pub(super) fn occasion(&self, record: &Record) -> Option<Occasion> {
        let value = record.value();
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
        match text("event").parse() {
            Ok(Event::Pending) => {
                let question = self.store.question(text("question")).ok()?;
                (question.state == QuestionState::Pending).then_some(Occasion::Question)
            }
            Ok(Event::Flag) if text("act") == "raise" => Some(weight(text("severity"))),
            _ => None,
        }
    }

    /// What is told of many at once: how many they are, and where they wait.
    pub(super) fn summary(&self, crowd: &Crowd) -> Notice {
        let Crowd { questions, notes, runs, places, time_ms } = crowd;
        let (first, last) = places.unwrap_or_default();
        let id = format!("{}-{first}-{last}", self.store.public_key().log_id());
        let link = self.link("");
        let text = format!(
            "Bartizan has {questions} more questions and {notes} more notes, of {} runs; they wait at the desk",
            runs.len()
        );
        let whole = link.as_ref().map_or_else(|| text.clone(), |link| format!("{text}\n{link}"));
        let body = json!({
            "type": "summary", "id": id, "time": date(*time_ms), "text": whole, "session": null, "link": link,
            "summary": { "questions": questions, "notes": notes, "runs": runs.len() },
        });
        Notice { id, occasion: Occasion::Question, text, body, time_ms: *time_ms }
    }

    /// What is told of a record, if anything is: a question that was settled meanwhile is none any more.
    pub(super) fn notice(&self, record: &Record) -> Option<Notice> {
        let value = record.value();
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
        match text("event").parse() {
            Ok(Event::Pending) => self.question(record, text("question")),
            Ok(Event::Flag) if text("act") == "raise" => Some(self.flag(record, &value)),
            _ => None,
        }
    }

    fn question(&self, record: &Record, id: &str) -> Option<Notice> {
        let question = self.store.question(id).ok()?;
        if question.state != QuestionState::Pending {
            return None;
        }
        let target = self.words(&brief_target(&question), TARGET);
        let (agent, tool) = (self.words(&question.agent, NAME), self.words(&question.tool, NAME));
        let effect = question.shown.get("effect").and_then(Value::as_str).unwrap_or("irreversible");
        let effect = self.words(effect, NAME);
        let link =
            self.link(&format!("open/{}", self.store.link(&question.id, question.expires_ms)));
        let on = if target.is_empty() { String::new() } else { format!(" on `{target}`") };
        let many = if question.quorum > 1 {
            format!(", {} people", question.quorum)
        } else {
            String::new()
        };
        let asked = short(&question.id);
        let text =
            format!("Bartizan asks [{asked}]: `{agent}` wants `{tool}` ({effect}{many}){on}");
        let about = json!({
            "id": question.id, "agent": agent, "tool": tool, "effect": effect, "target": target,
            "quorum": question.quorum, "expires": date(question.expires_ms),
        });
        Some(self.told(
            record,
            Occasion::Question,
            &question.session,
            (text, "question", about),
            link.as_deref(),
        ))
    }

    fn flag(&self, record: &Record, value: &Value) -> Notice {
        let field = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
        let occasion = weight(field("severity"));
        let (rule, says) = (self.words(field("rule"), NAME), self.words(field("says"), TARGET));
        let session = field("session");
        let link = self.link(&format!("runs/{session}"));
        let text = format!("Bartizan flags run `{}`: {says} [{rule}]", self.words(session, NAME));
        let about = json!({ "rule": rule, "says": says, "severity": field("severity") });
        self.told(record, occasion, session, (text, "flag", about), link.as_deref())
    }

    fn told(
        &self,
        record: &Record,
        occasion: Occasion,
        session: &str,
        (text, about_key, about): (String, &str, Value),
        link: Option<&str>,
    ) -> Notice {
        let id = format!("{}-{}", self.store.public_key().log_id(), record.seq);
        let time_ms = record.value().get("time_ms").and_then(Value::as_u64).unwrap_or_default();
        let whole = link.map_or_else(|| text.clone(), |link| format!("{text}\n{link}"));
        let mut body = json!({
            "type": occasion.as_str(), "id": id, "time": date(time_ms), "text": whole,
            "session": self.words(session, NAME), "link": link,
        });
        if let Value::Object(fields) = &mut body {
            fields.insert(about_key.to_owned(), about);
        }
        Notice { id, occasion, text, body, time_ms }
    }

    fn link(&self, path: &str) -> Option<String> {
        self.notify.console.as_ref().map(|console| format!("{console}/{path}"))
    }

    /// What an agent may have chosen: without secrets, controls and markup, and no longer than `most` characters.
    fn words(&self, text: &str, most: usize) -> String {
        let hidden = self.redactor.redact(text).text;
        let markup = |c: char| match c {
            '<' => '\u{2039}',
            '>' => '\u{203a}',
            '&' => '\u{ff06}',
            '`' => '\u{2bb}',
            '@' => '\u{ff20}',
            c => c,
        };
        display_line(&hidden, most).chars().map(markup).collect()
    }
}

fn weight(severity: &str) -> Occasion {
    if severity == "high" { Occasion::Flag } else { Occasion::Note }
}

/// The target, if one is named. Arguments stay where they are.
fn brief_target(question: &bartizan_store::Question) -> String {
    let named =
        ["target", "host"].iter().any(|key| question.shown.get(*key).is_some_and(Value::is_string));
    if named { brief(question) } else { String::new() }
}

const NAME: usize = 64;
const TARGET: usize = 200;
