//! Has this run turned? Rules over what goes on the log of one session; what they find is a flag on the same log.
//!
//! A rule is data (TOML): which records it looks at, what must hold in them, and how many of them within how many calls.
//! A flag of a rule of high severity can make the gate [ask](OnFlag::Ask) or [pause](OnFlag::Pause), until a person says
//! that the run may go on. Docs: `docs/detect.md`.

mod rule;
mod session;

pub use rule::{RuleError, Severity};
pub(crate) use session::{Held, MODEL_REQUEST, Watches};

use bartizan_store::Event;
use rule::Rule;
use serde::Deserialize;
use serde_json::{Map, Value};
use session::Session;

/// What happens when a rule of high severity flags a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "the gate must know each")]
pub enum OnFlag {
    /// It is on the log, and nothing else.
    #[default]
    Note,
    /// A person is asked about each call that is more than a read.
    Ask,
    /// Nothing but requests to the model goes on.
    Pause,
}

/// The rules of a run, and what follows from them.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    /// What happens when a rule of high severity flags a run.
    pub on_flag: OnFlag,
}

/// One thing that a rule found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flag {
    /// The rule's id.
    pub rule: String,
    /// What it means, for a person.
    pub says: String,
    /// How much it weighs.
    pub severity: Severity,
}

impl Rules {
    /// The rules that come with Bartizan, as text.
    pub const BUILTIN: &str = include_str!("watch/rules.toml");

    /// The rules that come with Bartizan.
    pub fn builtin() -> Result<Self, RuleError> {
        let mut rules = Self::default();
        rules.add(Self::BUILTIN)?;
        Ok(rules)
    }

    /// Adds what a file says; a rule with the id of another takes its place.
    pub fn add(&mut self, text: &str) -> Result<(), RuleError> {
        let file = rule::parse(text)?;
        self.on_flag = file.on_flag.unwrap_or(self.on_flag);
        for rule in file.rules {
            self.rules.retain(|old| old.id != rule.id);
            self.rules.push(rule);
        }
        Ok(())
    }

    /// Each rule: its id, severity, what it says, and how often it flags honest runs.
    pub fn list(&self) -> impl Iterator<Item = (&str, Severity, &str, &str)> {
        self.rules.iter().map(|rule| {
            (rule.id.as_str(), rule.severity, rule.says.as_str(), rule.false_alarms.as_str())
        })
    }

    /// What the rules find in the records of one session, in their order: the number of the record, and the flag.
    pub fn replay<'a>(
        &self,
        records: impl IntoIterator<Item = (Event, &'a Map<String, Value>)>,
    ) -> Vec<(usize, Flag)> {
        let mut session = Session::default();
        let seen = records.into_iter().enumerate();
        seen.flat_map(|(n, (event, body))| {
            session.see((&self.rules, true), event, body).into_iter().map(move |flag| (n, flag))
        })
        .collect()
    }
}

#[cfg(test)]
mod tests;
