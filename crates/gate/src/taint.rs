//! What has this session read, and whose words stand in a call's arguments?
//!
//! Doors say what they see: [`Pipeline::heard`](crate::pipeline::Pipeline::heard) the person's own words,
//! [`Pipeline::read`](crate::pipeline::Pipeline::read) whatever else comes in. For each call the gate works out from
//! that where the values come from that say whom or what it acts on. Policies read both as `context.taint` and
//! `context.provenance`.

mod index;
mod memory;
mod spell;
mod trace;

pub(crate) use memory::Memory;
pub(crate) use trace::trace;

use bartizan_store::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Who vouches for a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "a fifth kind must break the memory")]
pub enum Trust {
    /// Nobody need: it says only what the agent itself has said.
    Nothing,
    /// The operator: nobody outside can write into it. `"trusted"` in a tool's definition.
    #[serde(rename = "trusted")]
    Operator,
    /// The person chose the workspace, and need not have read it.
    Workspace,
    /// Nobody: anyone may have written it.
    #[default]
    Untrusted,
}

/// A text that a session has read.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "whoever tells of a text must say all of it")]
pub struct Reading<'a> {
    /// Where it comes from, in a few words for people: `result of WebFetch`.
    pub source: &'a str,
    /// Who vouches for it.
    pub trust: Trust,
    /// The text.
    pub text: &'a str,
}

/// What the detector says of a text that a session had not read before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Impression {
    /// How much it looks like orders, 0 to 100.
    pub score: u8,
    /// The ids of what speaks for that, each once.
    pub signals: BTreeSet<&'static str>,
    /// The part that scored highest, in bytes of the text.
    pub worst: Option<Range<usize>>,
    /// By what [`Pipeline::advised`](crate::pipeline::Pipeline::advised) knows the text.
    pub text: Option<Digest>,
}

/// What a session has read so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Taint {
    /// Whether anything that nobody vouches for.
    pub tainted: bool,
    /// How much the most suspicious text looks like orders, 0 to 100.
    pub score: u8,
    /// From where, the first few.
    pub sources: Arc<BTreeSet<String>>,
}

impl Taint {
    fn add(&mut self, source: &str, trust: Trust, score: u8) {
        self.score = self.score.max(score);
        if trust != Trust::Untrusted {
            return;
        }
        self.tainted = true;
        if self.sources.len() < SOURCES_MAX && !self.sources.contains(source) {
            Arc::make_mut(&mut self.sources).insert(source.to_owned());
        }
    }
}

/// Where a value comes from; the later ones are the worse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "a new origin must break whoever ranks them")]
pub enum Origin {
    /// There is no such value in the call.
    None,
    /// A policy, the configuration, or a tool whose results the operator trusts names it.
    Policy,
    /// The person said it in their own words, or has endorsed it.
    Person,
    /// It stands in the workspace.
    Workspace,
    /// Nobody is known to have said it: the model made it, or made it out of parts.
    #[default]
    Unknown,
    /// It stands in text that nobody vouches for, and nowhere better.
    Untrusted,
}

impl Origin {
    /// The word for it, in policies and on the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Policy => "policy",
            Self::Person => "person",
            Self::Workspace => "workspace",
            Self::Unknown => "unknown",
            Self::Untrusted => "untrusted",
        }
    }

    /// Whether nobody who may has named the value.
    pub fn is_unnamed(self) -> bool {
        match self {
            Self::None | Self::Policy | Self::Person => false,
            Self::Workspace | Self::Unknown | Self::Untrusted => true,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a traced value is in its call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The value of an argument that the tool's definition lists under `authority`.
    Argument(String),
    /// The command.
    Command,
    /// The host, however the call names it.
    Host,
    /// The path.
    Path,
    /// The whole address of which `Host` is the host.
    Url,
}

impl Part {
    /// Its name for people.
    pub fn name(&self) -> &str {
        match self {
            Self::Argument(name) => name,
            Self::Command => "command",
            Self::Host => "host",
            Self::Path => "path",
            Self::Url => "url",
        }
    }
}

/// One value that says whom or what a call acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traced {
    /// What it is in the call.
    pub part: Part,
    /// The value.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
    /// Whether orders stand near it where it was read.
    pub ordered: bool,
    /// Where it was read, the worst first.
    pub sources: Vec<Seen>,
}

/// A text in which a value was read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seen {
    /// The text's source.
    pub source: String,
    /// What an endorsement of the text is bound to.
    pub key: Digest,
    /// The words round the value.
    pub excerpt: Option<String>,
}

impl Traced {
    /// What an endorsement of the value is bound to: the value in this part of a call.
    pub fn key(&self) -> Digest {
        let value = spell::canonical(&self.value);
        Digest::of_parts(&[b"value", self.part.name().as_bytes(), value.as_bytes()])
    }

    /// What an endorsement of the host is bound to, where the value is a web address or the host of one: every address of
    /// this host in this part of a call.
    pub fn host_key(&self) -> Option<Digest> {
        let (part, host) = match &self.part {
            // The host of an address is a value of its own, and vouched for together with it.
            Part::Host => ("url", self.value.clone()),
            Part::Url | Part::Argument(_) => (self.part.name(), spell::web_host(&self.value)?),
            Part::Command | Part::Path => return None,
        };
        Some(Digest::of_parts(&[b"host", part.as_bytes(), host.as_bytes()]))
    }
}

/// Where the values come from that say whom or what a call acts on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Provenance {
    /// Each value.
    pub values: Vec<Traced>,
    /// Whether other arguments carry a stretch of what was read.
    pub carries: bool,
    /// Whether the call reaches out by a value that nobody has said or written as it stands: the model made it, and may
    /// have put something into it.
    pub composed: bool,
    /// Whether the tool cannot be taken back and has no argument that says whom or what it acts on, so that nobody can
    /// have named it.
    pub unsaid: bool,
}

impl Provenance {
    /// The worst of all values; [`Origin::None`] when there is none and none is needed.
    pub fn worst(&self) -> Origin {
        let least = if self.unsaid { Origin::Unknown } else { Origin::None };
        self.values.iter().map(|value| value.origin).fold(least, Origin::max)
    }

    /// The worst of one part; [`Origin::None`] when the call has no such part.
    pub fn of(&self, part: &Part) -> Origin {
        let values = self.values.iter().filter(|value| value.part == *part);
        values.map(|value| value.origin).max().unwrap_or(Origin::None)
    }

    /// Whether a value was lifted from text that nobody vouches for.
    pub fn is_lifted(&self) -> bool {
        self.worst() == Origin::Untrusted
    }

    /// Whether orders stand near a value that was lifted.
    pub fn is_ordered(&self) -> bool {
        self.values.iter().any(|value| value.origin == Origin::Untrusted && value.ordered)
    }

    /// The same, with what a person has endorsed as the person's own. `keys` are those of values, of hosts
    /// and of sources.
    pub(crate) fn endorsed(&self, keys: &BTreeSet<Digest>) -> Option<Self> {
        let mut new = self.clone();
        let mut any = false;
        for value in new.values.iter_mut().filter(|value| value.origin.is_unnamed()) {
            let source = value.sources.iter().any(|seen| keys.contains(&seen.key));
            let host = value.host_key().is_some_and(|key| keys.contains(&key));
            if source || host || keys.contains(&value.key()) {
                value.origin = Origin::Person;
                any = true;
            }
        }
        any.then_some(new)
    }
}

/// What the gate knows of a call's origins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the gate builds it")]
pub struct Origins {
    /// What the session has read.
    pub taint: Taint,
    /// Where the call's values come from.
    pub provenance: Provenance,
}

/// Most sources that are told apart.
const SOURCES_MAX: usize = 32;
