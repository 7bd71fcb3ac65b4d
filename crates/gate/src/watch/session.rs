//! What have the rules seen of one session? Bounded, whatever an agent does.

use super::rule::{Rule, Severity, values};
use super::{Flag, OnFlag, Rules};
use bartizan_store::{Entry, Event};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What has been seen of one session.
#[derive(Debug, Default)]
pub(super) struct Session {
    key: RandomState,
    /// Calls so far.
    calls: usize,
    /// For each rule, the calls in which it held, and the value by which they differ.
    hits: BTreeMap<String, VecDeque<(usize, u64)>>,
    /// Values that a field had before.
    known: HashSet<u64>,
    /// What has been flagged: the same call, made again, is no news.
    told: HashSet<u64>,
    /// How often each rule has flagged.
    flagged: BTreeMap<String, usize>,
}

impl Session {
    /// Looks at one more record. `stops` is whether a rule of high severity would hold the session now.
    pub(super) fn see(
        &mut self,
        (rules, stops): (&[Rule], bool),
        event: Event,
        body: &Map<String, Value>,
    ) -> Vec<Flag> {
        if matches!(event, Event::Call | Event::Refusal) && text(body, "tool") != MODEL_REQUEST {
            self.calls += 1;
        }
        let mut news = Vec::new();
        let mut flags = Vec::new();
        for rule in rules {
            let mut is_new = true;
            if let Some(field) = &rule.first {
                let mark = self.mark(body, field, "first");
                is_new = !self.known.contains(&mark);
                if is_call(event) {
                    news.push(mark);
                }
            }
            if is_new
                && rule.fits(event, body)
                && self.enough(rule, body)
                && self.is_news(rule, body)
            {
                let times = self.flagged.entry(rule.id.clone()).or_default();
                *times += 1;
                // What holds the session is told each time, and people say how often that is; what tells again of one that
                // is held, or that nothing holds, would let an agent fill the disk, and its people's eyes.
                if *times <= FLAGS_MAX || rule.severity == Severity::High && stops {
                    flags.push(rule.flag());
                }
            }
        }
        if self.known.len() < KNOWN_MAX {
            self.known.extend(news);
        }
        flags
    }

    /// Counts one record for a rule, and says whether there are enough. What is enough begins a new count.
    fn enough(&mut self, rule: &Rule, body: &Map<String, Value>) -> bool {
        if rule.count == 1 {
            return true;
        }
        let mark = rule.distinct.as_ref().map(|field| self.mark(body, field, "distinct"));
        let now = self.calls;
        let hits = self.hits.entry(rule.id.clone()).or_default();
        hits.retain(|(at, old)| at + rule.within > now && Some(*old) != mark);
        hits.push_back((now, mark.unwrap_or(0)));
        let enough = hits.len() >= rule.count;
        if enough {
            hits.clear();
        }
        enough
    }

    /// Whether this rule has not flagged the same before. A rule that counts begins anew by itself.
    fn is_news(&mut self, rule: &Rule, body: &Map<String, Value>) -> bool {
        if rule.count > 1 || self.told.len() >= KNOWN_MAX {
            return true;
        }
        let what = if body.contains_key("arguments") { "arguments" } else { "*" };
        let mark = self.key.hash_one((&rule.id, text(body, "tool"), self.mark(body, what, "told")));
        self.told.insert(mark)
    }

    fn mark(&self, body: &Map<String, Value>, field: &str, what: &str) -> u64 {
        let mut all = Vec::new();
        values(body, field, &mut |value| all.push(value.to_string()));
        self.key.hash_one((what, field, all))
    }
}

impl Rule {
    fn flag(&self) -> Flag {
        Flag { rule: self.id.clone(), says: self.says.clone(), severity: self.severity }
    }
}

const fn is_call(event: Event) -> bool {
    matches!(event, Event::Call | Event::Refusal)
}

fn text<'a>(body: &'a Map<String, Value>, field: &str) -> &'a str {
    body.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The sessions that a gate watches.
#[derive(Debug)]
pub(crate) struct Watches {
    rules: Arc<Rules>,
    sessions: Mutex<Sessions>,
}

#[derive(Debug, Default)]
struct Sessions {
    open: BTreeMap<String, Watched>,
    /// What was flagged in those that have ended last.
    ended: VecDeque<(String, Vec<Flag>)>,
}

#[derive(Debug, Default)]
struct Watched {
    session: Session,
    raised: Vec<Flag>,
    /// How many flags so far may stop the run; each is a question of its own.
    stops: u64,
    /// The flag that holds it, until a person says otherwise.
    held: Option<Held>,
}

/// Why a session is held.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) flag: Flag,
    pub(crate) number: u64,
    pub(crate) how: OnFlag,
}

impl Watches {
    pub(crate) fn new(rules: Arc<Rules>) -> Self {
        Self { rules, sessions: Mutex::default() }
    }

    /// Looks at a record that is about to go on the log.
    pub(crate) fn see(&self, entry: &Entry) -> Vec<Flag> {
        let Some(id) = entry.session.as_ref().filter(|_| entry.event != Event::Flag) else {
            return Vec::new();
        };
        let mut sessions = self.lock();
        // An act that was abandoned with its session has its outcome when that is over.
        if entry.event == Event::Outcome && !sessions.open.contains_key(id) {
            return Vec::new();
        }
        let watched = sessions.open.entry(id.clone()).or_default();
        let is_held = watched.held.is_some() && entry.event != Event::Call;
        let stops = self.rules.on_flag != OnFlag::Note && !is_held;
        let flags = watched.session.see((&self.rules.rules, stops), entry.event, &entry.body);
        for flag in &flags {
            if watched.raised.len() < RAISED_MAX {
                watched.raised.push(flag.clone());
            }
            let how = self.rules.on_flag;
            if flag.severity == Severity::High && how != OnFlag::Note {
                watched.stops += 1;
                watched.held = Some(Held { flag: flag.clone(), number: watched.stops, how });
            }
        }
        flags
    }

    /// What holds a session, if anything does.
    pub(crate) fn held(&self, session: &str) -> Option<Held> {
        self.lock().open.get(session)?.held.clone()
    }

    /// A person has said that it may go on after this flag. A later one still holds it.
    pub(crate) fn resume(&self, session: &str, number: u64) {
        if let Some(watched) = self.lock().open.get_mut(session)
            && watched.held.as_ref().is_some_and(|held| held.number == number)
        {
            watched.held = None;
        }
    }

    /// The flags of a session so far.
    pub(crate) fn raised(&self, session: &str) -> Vec<Flag> {
        let sessions = self.lock();
        let ended = || sessions.ended.iter().rfind(|(id, _)| id == session).map(|(_, flags)| flags);
        let raised = sessions.open.get(session).map(|watched| &watched.raised).or_else(ended);
        raised.cloned().unwrap_or_default()
    }

    /// The session has ended. What was flagged in it is kept for its summary, until so many others have ended.
    pub(crate) fn close(&self, session: &str) {
        let mut sessions = self.lock();
        if let Some(Watched { raised, .. }) = sessions.open.remove(session)
            && !raised.is_empty()
        {
            if sessions.ended.len() >= ENDED_MAX {
                sessions.ended.pop_front();
            }
            sessions.ended.push_back((session.to_owned(), raised));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one call that says nothing of what an agent does.
pub(crate) const MODEL_REQUEST: &str = "model.request";
/// Most flags of one rule in one session, but for those that hold it.
const FLAGS_MAX: usize = 8;
/// Most flags of one session that are kept for its summary.
const RAISED_MAX: usize = 64;
/// Sessions that have ended whose flags are kept; a gateway has one session after the other.
const ENDED_MAX: usize = 64;
/// Most values that are remembered to tell a first one.
const KNOWN_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(session: &str) -> Entry {
        let arguments = json!({ "command": "cat ~/.ssh/id_rsa" });
        Entry::new(Event::Refusal).session(session).with("tool", "x").with("arguments", arguments)
    }

    #[test]
    fn sessions_without_end_are_forgotten_but_for_the_last_that_were_flagged() {
        let mut rules = Rules::default();
        let rule = "[[rule]]\nid = \"r\"\nsays = \"s\"\nseverity = \"low\"\non = [\"refusal\"]\nwhen = { tool = \"x\" }";
        rules.add(rule).unwrap();
        let watches = Watches::new(Arc::new(rules));
        for number in 0..500 {
            let id = format!("s-{number}");
            assert_eq!(watches.see(&refusal(&id)).len(), 1);
            watches.close(&id);
            assert_eq!(watches.raised(&id).len(), 1, "for its summary");
            assert!(watches.see(&Entry::new(Event::Outcome).session(&id)).is_empty());
        }
        assert!(watches.raised("s-0").is_empty());
        let sessions = watches.lock();
        assert_eq!((sessions.open.len(), sessions.ended.len()), (0, ENDED_MAX));
    }
}
