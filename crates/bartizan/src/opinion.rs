//! What does somebody else say of a text that our own detector is not sure of? A model that the person has named is
//! asked, from outside the box; what it says can only add to what is known, and is on the log.
//!
//! The texts are hostile, and so may the answers be. Nothing here clears a text, and whoever is not asked, for whatever
//! reason, leaves things as they were. The same model may be asked about the [`calls`] of a session that has read such.

mod calls;

use crate::config::second_opinion::SecondOpinion;
use bartizan_egress::{Adviser, Dispatch, SecretValue, Silence, Vault};
use bartizan_gate::taint::Impression;
use bartizan_scan::Redactor;
use bartizan_store::Digest;
use calls::Calls;
use serde_json::{Map, Value, json};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

/// Asks for second opinions, within bounds.
pub(crate) struct Opinions {
    settings: SecondOpinion,
    adviser: Adviser,
    vault: Vault,
    redactor: Redactor,
    kept: Mutex<Kept>,
    calls: Mutex<Calls>,
}

impl std::fmt::Debug for Opinions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opinions").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What came of a text that was to be asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opinion {
    /// It was said how much it looks like orders, 0 to 100.
    Said(u8),
    /// There is none, for this reason.
    None(&'static str),
}

#[derive(Debug, Default)]
struct Kept {
    /// What was said of which text.
    said: HashMap<Digest, u8>,
    pace: Pace,
}

impl Opinions {
    /// Asks whom `settings` name. No text is shown with a value in it that `redactor` knows.
    pub(crate) fn new(settings: SecondOpinion, vault: Vault, redactor: Redactor) -> Self {
        let way = Dispatch::new(settings.to.clone(), settings.internal);
        let adviser = Adviser::new(way, settings.model.clone(), settings.time);
        let (kept, calls) = Default::default();
        Self { settings, adviser, vault, redactor, kept, calls }
    }

    /// What is said of a text, if it is one to ask about and there is anything to tell. It waits for the answer: what the
    /// agent does with the text is to be judged with it.
    pub(crate) fn of(&self, text: &str, impression: &Impression) -> Option<Opinion> {
        if !self.settings.band.contains(&impression.score) {
            return None;
        }
        let shown = part(
            text,
            impression.worst.as_ref().map_or(0, |worst| worst.start),
            self.settings.bytes,
        );
        let shown = self.redactor.redact(shown).text;
        let digest = Digest::of(shown.as_bytes());
        match self.lock().turn(digest, self.settings.per_minute, Instant::now()) {
            Turn::Known(score) => return Some(Opinion::Said(score)),
            Turn::Pass(why) => return why.map(Opinion::None),
            Turn::Ask => {}
        }
        let said = self.ask(&shown);
        let mut kept = self.lock();
        Some(match said {
            Ok(score) => {
                kept.keep(digest, score);
                Opinion::Said(score)
            }
            Err(why) => {
                kept.pace.rest(Instant::now());
                Opinion::None(why)
            }
        })
    }

    /// What the log says of it.
    pub(crate) fn record(&self, source: &str, score: u8, opinion: Opinion) -> Map<String, Value> {
        let mut about = Map::new();
        let mut put = |name: &str, value: Value| about.insert(name.to_owned(), value);
        put("kind", json!("second-opinion"));
        put("source", json!(source));
        put("score", json!(score));
        put("by", json!(self.settings.model));
        put("host", json!(self.settings.to.target().to_string()));
        match opinion {
            Opinion::Said(said) => put("said", json!(said)),
            Opinion::None(why) => put("none", json!(why)),
        };
        about
    }

    fn ask(&self, text: &str) -> Result<u8, &'static str> {
        self.waited(async |key| self.adviser.ask(&key, text).await)
    }

    /// What comes of a question that is put with the key. It waits for that.
    fn waited(
        &self,
        put: impl AsyncFnOnce(Arc<SecretValue>) -> Result<u8, Silence>,
    ) -> Result<u8, &'static str> {
        let Ok(runtime) = Handle::try_current() else { return Err("no-runtime") };
        block_in_place(|| {
            runtime.block_on(async {
                let key = self.vault.named(&self.settings.secret).await;
                let key = key.map_err(|_| "secret-unavailable")?;
                put(key).await.map_err(Silence::code)
            })
        })
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a text is asked about now.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Ask,
    /// It was asked about before.
    Known(u8),
    /// It is not; why is told when it begins.
    Pass(Option<&'static str>),
}

impl Kept {
    fn turn(&mut self, text: Digest, most: usize, now: Instant) -> Turn {
        match self.said.get(&text) {
            Some(score) => Turn::Known(*score),
            None => self.pace.turn(most, now),
        }
    }

    fn keep(&mut self, text: Digest, score: u8) {
        if self.said.len() >= KEPT {
            self.said.clear();
        }
        self.said.insert(text, score);
    }
}

/// How often is asked: an agent that is fed with suspicious texts is neither to be held up by that nor to cost a fortune.
#[derive(Debug, Default)]
struct Pace {
    asked: VecDeque<Instant>,
    resting: Option<Instant>,
    told: bool,
}

impl Pace {
    fn turn(&mut self, most: usize, now: Instant) -> Turn {
        while self.asked.front().is_some_and(|then| now.duration_since(*then) >= MINUTE) {
            self.asked.pop_front();
        }
        let resting = self.resting.is_some_and(|until| now < until);
        if !resting && self.asked.len() < most {
            self.asked.push_back(now);
            (self.resting, self.told) = (None, false);
            return Turn::Ask;
        }
        let news = !std::mem::replace(&mut self.told, true);
        Turn::Pass(news.then_some(if resting { "resting" } else { "too-many" }))
    }

    /// Whoever did not answer is not waited for again at once.
    fn rest(&mut self, now: Instant) {
        self.resting = now.checked_add(REST);
    }
}

/// At most `most` bytes of a text, round the place that matters.
fn part(text: &str, place: usize, most: usize) -> &str {
    let start = place.saturating_sub(most / 4).min(text.len().saturating_sub(most));
    let start = text.floor_char_boundary(start);
    let end = text.floor_char_boundary(start.saturating_add(most));
    text.get(start..end).unwrap_or_default()
}

const MINUTE: Duration = Duration::from_mins(1);
const REST: Duration = Duration::from_secs(30);
const KEPT: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_asked_about_in_a_minute_and_why_not_is_told_once() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert_eq!([pace.turn(2, start), pace.turn(2, start)], [Turn::Ask, Turn::Ask]);
        assert_eq!(pace.turn(2, start), Turn::Pass(Some("too-many")));
        assert_eq!(pace.turn(2, start), Turn::Pass(None));
        assert_eq!(pace.turn(2, start + MINUTE), Turn::Ask);
        pace.rest(start + MINUTE);
        assert_eq!(pace.turn(2, start + MINUTE), Turn::Pass(Some("resting")));
        assert_eq!(pace.turn(2, start + MINUTE + REST), Turn::Ask);
    }

    #[test]
    fn what_is_shown_is_the_stretch_that_matters() {
        let text = format!("{}é{}", "a".repeat(999), "b".repeat(999));
        assert_eq!(part(&text, 0, 100), "a".repeat(100));
        assert!(part(&text, 1000, 100).contains('é'));
        assert_eq!(part(&text, 1999, 100), "b".repeat(100));
        assert_eq!(part("short", 3, 100), "short");
        for place in 900..1100 {
            assert!(part(&text, place, 7).len() <= 7);
        }
    }
}
