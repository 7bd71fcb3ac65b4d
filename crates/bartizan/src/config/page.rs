//! Which value stands where, and what is wrong with it? One file while it is read into what it means.

use super::check::Flaw;
use super::files::Source;
use super::raw::{At, RawBox, RawRule};
use crate::report::{Excerpt, Problem};
use bartizan_gate::name::{NameError, RoleName};
use bartizan_gate::policy::{Layer, Place, RuleVerdict, ShortForm};
use std::ops::Range;

/// The name under `[roles]` that stands for every role.
pub(super) const EVERY_ROLE: &str = "*";

/// Whom a table of rules speaks of.
#[derive(Debug)]
pub(super) enum Subject {
    /// Every role there is.
    EveryRole,
    /// This one, and those that extend it.
    Role(RoleName),
}

impl Subject {
    fn role(&self) -> Option<&RoleName> {
        match self {
            Self::EveryRole => None,
            Self::Role(role) => Some(role),
        }
    }
}

/// One file while it is read: where it is, and what is wrong with it so far.
#[derive(Debug)]
pub(super) struct Page<'a> {
    source: &'a Source,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Page<'a> {
    pub(super) fn new(source: &'a Source) -> Self {
        Self { source, problems: Vec::new() }
    }

    pub(super) fn at(&self, span: Range<usize>) -> Excerpt {
        Excerpt::new(&self.source.path, &self.source.text, span.start, span.end)
    }

    pub(super) fn complain(&mut self, span: Range<usize>, problem: Problem) {
        let excerpt = self.at(span);
        self.problems.push(problem.at(excerpt));
    }

    /// Parses a value, or notes what is wrong with it where it stands.
    pub(super) fn take<T, U>(
        &mut self,
        value: &At<T>,
        parse: impl FnOnce(&T) -> Result<U, Flaw>,
    ) -> Option<U> {
        match parse(value.get_ref()) {
            Ok(parsed) => Some(parsed),
            Err((what, hint)) => {
                let problem = Problem::new(what);
                self.complain(value.span(), hint.into_iter().fold(problem, Problem::hint));
                None
            }
        }
    }

    /// The same for a text that may be a secret, pasted by mistake: its line is not shown.
    pub(super) fn take_unshown<U>(
        &mut self,
        value: &At<String>,
        parse: impl FnOnce(&String) -> Result<U, Flaw>,
    ) -> Option<U> {
        let before = self.problems.len();
        let parsed = self.take(value, parse);
        for problem in self.problems.iter_mut().skip(before) {
            problem.hide_text();
        }
        parsed
    }

    pub(super) fn take_option<T, U>(
        &mut self,
        value: Option<&At<T>>,
        parse: impl FnOnce(&T) -> Result<U, Flaw>,
    ) -> Option<U> {
        value.and_then(|value| self.take(value, parse))
    }

    /// Whom a key of `[roles]` speaks of.
    pub(super) fn subject(&mut self, name: &At<String>) -> Option<Subject> {
        if name.get_ref() == EVERY_ROLE {
            return Some(Subject::EveryRole);
        }
        self.take(name, |text| {
            RoleName::parse(text).map(Subject::Role).map_err(|error| name_flaw(&error))
        })
    }

    /// One list of short forms.
    pub(super) fn rules(
        &mut self,
        layer: Layer,
        subject: &Subject,
        list: &str,
        entries: &[At<RawRule>],
    ) -> Vec<ShortForm> {
        let mut rules = Vec::new();
        for entry in entries {
            let Some(verdict) = self.verdict(list, entry.get_ref()) else { continue };
            if entry.get_ref().tool.trim().is_empty() {
                self.complain(
                    entry.span(),
                    Problem::new("a rule names a tool")
                        .hint("such as \"Read\" or \"net(github.com:443)\""),
                );
                continue;
            }
            let line = u32::try_from(self.at(entry.span()).line()).unwrap_or(u32::MAX);
            let place = Place { file: self.source.path.display().to_string(), line };
            rules.push(ShortForm {
                layer,
                role: subject.role().cloned(),
                verdict,
                pattern: entry.get_ref().tool.clone(),
                when: entry.get_ref().when.clone(),
                place,
            });
        }
        rules
    }

    /// What a box without a network, or with the model's alone, forbids whatever else permits it.
    pub(super) fn network_rules(
        &self,
        layer: Layer,
        subject: &Subject,
        raw: &RawBox,
    ) -> Vec<ShortForm> {
        let Some(network) = &raw.network else { return Vec::new() };
        let denied: &[&str] = match network.get_ref().as_str() {
            "none" => &["net.connect", "model.request"],
            "model" => &["net.connect"],
            _ => &[],
        };
        let line = u32::try_from(self.at(network.span()).line()).unwrap_or(u32::MAX);
        let file = self.source.path.display().to_string();
        let rule = |tool: &&str| ShortForm {
            layer,
            role: subject.role().cloned(),
            verdict: RuleVerdict::Deny,
            pattern: (*tool).to_owned(),
            when: None,
            place: Place { file: file.clone(), line },
        };
        denied.iter().map(rule).collect()
    }

    /// The hosts that a server may reach, as rules of its own role.
    pub(super) fn host_rules(
        &self,
        layer: Layer,
        subject: &Subject,
        hosts: &[At<String>],
    ) -> Vec<ShortForm> {
        let rule = |host: &At<String>| self.host_rule(layer, subject, host.get_ref(), host.span());
        hosts.iter().map(rule).collect()
    }

    /// The rule that lets `subject` reach a host that was written at `span`.
    pub(super) fn host_rule(
        &self,
        layer: Layer,
        subject: &Subject,
        host: &str,
        span: Range<usize>,
    ) -> ShortForm {
        ShortForm {
            layer,
            role: subject.role().cloned(),
            verdict: RuleVerdict::Allow,
            pattern: format!("net({host})"),
            when: None,
            place: Place {
                file: self.source.path.display().to_string(),
                line: u32::try_from(self.at(span).line()).unwrap_or(u32::MAX),
            },
        }
    }

    fn verdict(&mut self, list: &str, rule: &RawRule) -> Option<RuleVerdict> {
        let quorum = match (&rule.quorum, list) {
            (None, _) => 1,
            (Some(quorum), "ask") => self.take(quorum, |quorum| match u32::try_from(*quorum) {
                Ok(quorum @ 1..=5) => Ok(quorum),
                _ => Err(("a quorum is 1 to 5 people".to_owned(), None)),
            })?,
            (Some(quorum), _) => {
                self.complain(
                    quorum.span(),
                    Problem::new("only an `ask` rule has a quorum").hint("move the rule to `ask`"),
                );
                return None;
            }
        };
        Some(match list {
            "allow" => RuleVerdict::Allow,
            "ask" => RuleVerdict::Ask { quorum },
            _ => RuleVerdict::Deny,
        })
    }

    pub(super) fn list<U>(
        &mut self,
        list: Option<&At<Vec<At<String>>>>,
        parse: impl Fn(&String) -> Result<U, Flaw>,
    ) -> Option<Vec<U>> {
        let entries = list?.get_ref();
        Some(entries.iter().filter_map(|entry| self.take(entry, &parse)).collect())
    }
}

/// A name's own error, as a flaw.
pub(super) fn name_flaw(error: &NameError) -> Flaw {
    (error.to_string(), None)
}
