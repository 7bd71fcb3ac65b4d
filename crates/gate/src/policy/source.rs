//! Where does a policy come from, and whom does it speak of?

use crate::name::RoleName;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use thiserror::Error;

/// How near to the agent a source stands. Nearer ones are trusted less: what lies in a project may
/// only narrow what the others permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "a new layer must break every place that ranks them")]
pub enum Layer {
    /// Part of Bartizan.
    Builtin,
    /// The machine's configuration, `/etc/bartizan`.
    System,
    /// The person's own configuration.
    User,
    /// A trusted project's `.bartizan/`.
    Project,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Builtin => "builtin",
            Self::System => "system",
            Self::User => "user",
            Self::Project => "project",
        })
    }
}

/// A file of Cedar policies.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "the configuration builds it")]
pub struct Source {
    /// Where it stands.
    pub layer: Layer,
    /// The file's path, as a person would write it.
    pub path: String,
    /// Its whole text.
    pub text: String,
}

/// One entry of an `allow`, `ask` or `deny` list in `bartizan.toml`.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "the configuration builds it")]
pub struct ShortForm {
    /// Where its file stands.
    pub layer: Layer,
    /// The role that it is about; `None` = every role.
    pub role: Option<RoleName>,
    /// Which list it is in.
    pub verdict: RuleVerdict,
    /// The tool, with an optional pattern: `Read(src/*)`.
    pub pattern: String,
    /// What else must hold: a Cedar expression over `context`, as in a policy's `when`.
    pub when: Option<String>,
    /// The entry's own place.
    pub place: Place,
}

/// What a short form says of the calls that it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "allow, ask and deny are all there is")]
pub enum RuleVerdict {
    /// They may happen.
    Allow,
    /// They may happen once so many different people have said yes, 1 to 5.
    Ask {
        /// How many.
        quorum: u32,
    },
    /// They may not happen, whatever else permits them.
    Deny,
}

impl RuleVerdict {
    pub(crate) fn list(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask { .. } => "ask",
            Self::Deny => "deny",
        }
    }
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "the configuration builds it")]
pub struct Place {
    /// The file's path, as a person would write it.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A policy by its id and its place, for people and the log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[non_exhaustive]
pub struct PolicyRef {
    /// `roles.coder.allow[0]` for a short form, the `@id` of a Cedar policy, else its `file:line`.
    pub id: String,
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
}

impl PolicyRef {
    /// `file:line`.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}

/// The roles that exist, and which others each of them extends.
///
/// A role may do what the roles it extends may do, and may not what they may not. Two roles always
/// exist: [`Roles::BASIC`] and [`Roles::DEFAULT`], for which the built-in policies are written.
#[derive(Debug, Clone)]
pub struct Roles(BTreeMap<RoleName, BTreeSet<RoleName>>);

/// Why a set of roles makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RolesError {
    /// Roles that extend each other.
    #[error("role `{0}` extends itself by way of others; break the circle")]
    Circle(RoleName),
    /// The same role twice.
    #[error("role `{0}` is described twice; merge the two")]
    Duplicate(RoleName),
    /// A role that is extended and not there.
    #[error("role `{role}` extends `{parent}`, which does not exist; define it or leave it out")]
    Unknown {
        /// The role.
        role: RoleName,
        /// What it extends.
        parent: RoleName,
    },
}

impl Roles {
    /// The role whose tools stay inside the client: task lists, questions, tool search.
    pub const BASIC: &'static str = "basic";
    /// The role of an agent when nothing is configured: free inside the box, asked for what leaves it.
    pub const DEFAULT: &'static str = "default";

    /// Takes each role with the roles that it extends. `default` and `basic` are there in any case;
    /// describing them adds to them.
    pub fn new(
        roles: impl IntoIterator<Item = (RoleName, Vec<RoleName>)>,
    ) -> Result<Self, RolesError> {
        let builtin = |name: &str| RoleName::parse(name).ok();
        let mut described = BTreeMap::new();
        for (role, parents) in roles {
            if described.contains_key(&role) {
                return Err(RolesError::Duplicate(role));
            }
            described.insert(role, parents.into_iter().collect::<BTreeSet<_>>());
        }
        if let (Some(basic), Some(default)) = (builtin(Self::BASIC), builtin(Self::DEFAULT)) {
            described.entry(basic.clone()).or_default();
            described.entry(default).or_default().insert(basic);
        }
        let roles = Self(described);
        for (role, parents) in &roles.0 {
            if let Some(parent) = parents.iter().find(|parent| !roles.0.contains_key(*parent)) {
                return Err(RolesError::Unknown { role: role.clone(), parent: parent.clone() });
            }
            if parents.iter().any(|parent| roles.lineage(parent).contains(role)) {
                return Err(RolesError::Circle(role.clone()));
            }
        }
        Ok(roles)
    }

    /// All roles, by name.
    pub fn names(&self) -> impl Iterator<Item = &RoleName> {
        self.0.keys()
    }

    /// Whether there is such a role.
    pub fn contains(&self, role: &RoleName) -> bool {
        self.0.contains_key(role)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&RoleName, &BTreeSet<RoleName>)> {
        self.0.iter()
    }

    /// The role and everything that it extends, near or far.
    pub(crate) fn lineage(&self, role: &RoleName) -> BTreeSet<RoleName> {
        let mut seen = BTreeSet::new();
        let mut next = vec![role];
        while let Some(role) = next.pop() {
            if seen.insert(role.clone()) {
                next.extend(self.0.get(role).into_iter().flatten());
            }
        }
        seen
    }
}

/// One thing that is wrong with the policies.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message} ({file}:{line}:{column})")]
#[non_exhaustive]
pub struct PolicyError {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// Everything that is wrong with the policies, in the order of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyErrors(pub(crate) Vec<PolicyError>);

impl PolicyErrors {
    /// The errors; never none.
    pub fn iter(&self) -> impl Iterator<Item = &PolicyError> {
        self.0.iter()
    }
}

impl fmt::Display for PolicyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n" };
            write!(f, "{gap}{error}\n  hint: {}", error.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for PolicyErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str) -> RoleName {
        RoleName::parse(name).unwrap()
    }

    #[test]
    fn a_circle_of_roles_is_refused() {
        let circle = [
            (role("a"), vec![role("b")]),
            (role("b"), vec![role("c")]),
            (role("c"), vec![role("a")]),
        ];
        assert!(matches!(Roles::new(circle), Err(RolesError::Circle(_))));
        assert!(matches!(Roles::new([(role("a"), vec![role("a")])]), Err(RolesError::Circle(_))));
        // `default` extends `basic`, so `basic` may not extend `default`.
        assert!(Roles::new([(role("basic"), vec![role("default")])]).is_err());
    }

    #[test]
    fn a_role_that_is_not_there_cannot_be_extended() {
        let unknown = Roles::new([(role("a"), vec![role("b")])]).unwrap_err();
        assert_eq!(
            unknown.to_string(),
            "role `a` extends `b`, which does not exist; define it or leave it out"
        );
        assert!(Roles::new([(role("a"), vec![]), (role("a"), vec![])]).is_err());
    }

    #[test]
    fn a_diamond_of_roles_is_fine() {
        let roles = Roles::new([
            (role("a"), vec![role("b"), role("c")]),
            (role("b"), vec![role("d")]),
            (role("c"), vec![role("d")]),
            (role("d"), vec![]),
        ]);
        assert_eq!(roles.unwrap().lineage(&role("a")).len(), 4);
    }
}
