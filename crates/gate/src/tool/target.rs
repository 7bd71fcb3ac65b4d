//! What does an argument point at, and what may policies know of it?

use super::CatalogueError;
use crate::shape::Shape;
use serde::Deserialize;
use std::fmt;

/// What an argument points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new kind must break the gate that turns targets into facts"
)]
pub enum TargetKind {
    /// How much: a number with at most two decimals.
    Amount,
    /// Text that a shell or the kernel executes.
    Command,
    /// A list whose length counts.
    Count,
    /// Mail addresses.
    Email,
    /// A host name or address.
    Host,
    /// An IP address or a block of them.
    Ip,
    /// The name of something: an account, a branch, a channel.
    Name,
    /// A file or directory.
    Path,
    /// An `http` or `https` address.
    Url,
}

impl TargetKind {
    /// Every kind, by its word.
    pub const ALL: [(&'static str, Self); 9] = [
        ("amount", Self::Amount),
        ("command", Self::Command),
        ("count", Self::Count),
        ("email", Self::Email),
        ("host", Self::Host),
        ("ip", Self::Ip),
        ("name", Self::Name),
        ("path", Self::Path),
        ("url", Self::Url),
    ];

    /// The kind of this word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == word).map(|(_, kind)| kind)
    }

    fn word(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, kind)| *kind == self).map_or("target", |(word, _)| word)
    }

    /// What policies know it by.
    pub(crate) fn fact(self) -> Fact {
        match self {
            Self::Amount => Fact::Amount,
            Self::Command => Fact::Command,
            Self::Count => Fact::Count,
            Self::Email => Fact::Email,
            Self::Host | Self::Url => Fact::Host,
            Self::Ip => Fact::Ip,
            Self::Name => Fact::Name,
            Self::Path => Fact::Path,
        }
    }
}

impl fmt::Display for TargetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// An argument that points at something outside the call: a file, a host, a person.
///
/// A list of texts points at each of them, and several arguments may be of one kind: the call is
/// judged for each target by itself, and the strictest verdict holds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    field: String,
    kind: TargetKind,
}

impl Target {
    /// The argument `field` points at something of this kind.
    pub fn new(field: impl Into<String>, kind: TargetKind) -> Self {
        Self { field: field.into(), kind }
    }

    /// The name of the top-level argument.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What it points at.
    pub fn kind(&self) -> TargetKind {
        self.kind
    }

    /// Whether it says whom or what the call acts on, in a word of its own.
    pub(super) fn is_authority(&self) -> bool {
        matches!(self.kind.fact(), Fact::Amount | Fact::Email | Fact::Ip | Fact::Name)
    }

    /// What policies know the target by.
    pub(crate) fn fact(&self) -> Fact {
        self.kind.fact()
    }
}

/// A group of facts in a policy's context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Fact {
    Amount,
    Command,
    Count,
    Email,
    Host,
    Ip,
    Name,
    Path,
}

impl Fact {
    /// Whether a short form's pattern can be compared with it.
    pub(super) fn has_pattern(self) -> bool {
        !matches!(self, Self::Amount | Self::Count)
    }

    /// Whether a call without such an argument has no such fact, instead of an empty one.
    fn may_be_absent(self) -> bool {
        matches!(self, Self::Amount | Self::Email | Self::Ip | Self::Name)
    }
}

/// Whether a call of the tool may come without this fact, because no argument that gives it is required.
pub(super) fn is_optional(fact: Fact, targets: &[Target], shape: &Shape) -> bool {
    let mut own = targets.iter().filter(|target| target.fact() == fact);
    fact.may_be_absent() && own.all(|target| !shape.needs(&target.field))
}

/// Refuses a target that no argument of the shape can be.
pub(super) fn check(name: &str, targets: &[Target], shape: &Shape) -> Result<(), CatalogueError> {
    for (at, target) in targets.iter().enumerate() {
        let fault = |wants: &'static str| CatalogueError::Target {
            name: name.to_owned(),
            field: target.field.clone(),
            wants,
        };
        if targets.iter().take(at).any(|earlier| earlier.field == target.field) {
            return Err(fault("a target once"));
        }
        let fits = match target.kind {
            TargetKind::Amount => shape.has_number(&target.field),
            TargetKind::Count => shape.has_list(&target.field),
            TargetKind::Command => shape.has_text(&target.field),
            TargetKind::Email
            | TargetKind::Host
            | TargetKind::Ip
            | TargetKind::Name
            | TargetKind::Path
            | TargetKind::Url => shape.has_texts(&target.field),
        };
        if !fits {
            return Err(fault(match target.kind {
                TargetKind::Amount => "an argument that is a number",
                TargetKind::Count => "an argument that is a list",
                TargetKind::Command => "an argument of type string",
                _ => "an argument of type string, or a list of them",
            }));
        }
    }
    Ok(())
}
