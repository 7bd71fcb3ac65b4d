//! How often may a tool be called, and by whom? What was configured, and which of it a call is held against.

use crate::name::{RoleName, SessionId, ToolName};
use crate::policy::glob;
use bartizan_store::{Allowance, Per};
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;

/// What is counted together: the calls of a role, or of all roles, of the tools that a pattern names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counted {
    role: Option<RoleName>,
    tools: String,
}

/// How many calls of them there may be. Nothing said is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Most {
    /// In a minute: so many at once, then evenly.
    pub per_minute: Option<NonZeroU32>,
    /// In one session.
    pub per_session: Option<NonZeroU32>,
    /// In one day, which begins at midnight UTC.
    pub per_day: Option<NonZeroU32>,
}

/// Every limit there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits(BTreeMap<Counted, Most>);

impl Counted {
    /// The calls of `role`, or of all roles together, of the tools that `tools` names; `*` stands for any run of
    /// characters.
    pub fn new(role: Option<RoleName>, tools: impl Into<String>) -> Self {
        Self { role, tools: tools.into() }
    }

    /// A pattern that has no dot speaks of an agent's tools alone, not of what the doors propose for it.
    fn covers(&self, role: &RoleName, tool: &ToolName) -> bool {
        let tool = tool.as_str();
        let spoken = self.tools.contains('.') || !tool.contains('.');
        self.role.as_ref().is_none_or(|named| named == role) && spoken && glob(&self.tools, tool)
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.role {
            Some(role) => write!(f, "calls of `{}` by role `{role}`", self.tools),
            None => write!(f, "calls of `{}` by all roles", self.tools),
        }
    }
}

impl Most {
    /// The smaller of each.
    fn and(self, other: Self) -> Self {
        let smaller = |one: Option<NonZeroU32>, two| one.into_iter().chain(two).min();
        Self {
            per_minute: smaller(self.per_minute, other.per_minute),
            per_session: smaller(self.per_session, other.per_session),
            per_day: smaller(self.per_day, other.per_day),
        }
    }
}

impl Limits {
    /// Adds a limit. Of two for the same calls the smaller holds, so this can only narrow.
    pub fn add(&mut self, counted: Counted, most: Most) {
        let known = self.0.entry(counted).or_default();
        *known = known.and(most);
    }

    /// Adds all of another's.
    pub fn add_all(&mut self, other: Self) {
        other.0.into_iter().for_each(|(counted, most)| self.add(counted, most));
    }

    /// The same limits, and for each role those of the roles that it extends, counted for it alone.
    #[must_use = "the limits themselves stay as they are"]
    pub fn inherited<'r>(
        &self,
        roles: impl IntoIterator<Item = (&'r RoleName, Vec<&'r RoleName>)>,
    ) -> Self {
        let mut all = self.clone();
        for (role, above) in roles {
            let of_above = |counted: &Counted| {
                counted.role.as_ref().is_some_and(|named| above.contains(&named))
            };
            for (counted, most) in self.0.iter().filter(|(counted, _)| of_above(counted)) {
                all.add(Counted::new(Some(role.clone()), &*counted.tools), *most);
            }
        }
        all
    }

    /// What a call of `tool` is counted under, when agents of these roles answer for it.
    pub(crate) fn on(
        &self,
        roles: &[&RoleName],
        tool: &ToolName,
        session: &SessionId,
    ) -> Vec<Allowance> {
        let covered = |counted: &Counted| roles.iter().any(|role| counted.covers(role, tool));
        self.0
            .iter()
            .filter(|(counted, _)| covered(counted))
            .flat_map(|(counted, most)| {
                let of = |per: Per, most: Option<NonZeroU32>| {
                    most.map(|most| Allowance { key: counted.to_string(), per, most })
                };
                let session = Per::Session(session.to_string());
                [
                    of(Per::Minute, most.per_minute),
                    of(session, most.per_session),
                    of(Per::Day, most.per_day),
                ]
            })
            .flatten()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str) -> RoleName {
        RoleName::parse(name).unwrap()
    }

    fn most(per_day: u32) -> Most {
        Most { per_day: NonZeroU32::new(per_day), ..Most::default() }
    }

    /// What is counted when these roles answer for a call of `tool`.
    fn on(limits: &Limits, roles: &[&str], tool: &str) -> Vec<(String, u32)> {
        let roles: Vec<RoleName> = roles.iter().map(|name| role(name)).collect();
        let (tool, session) = (ToolName::parse(tool).unwrap(), SessionId::parse("s1").unwrap());
        let all = limits.on(&roles.iter().collect::<Vec<_>>(), &tool, &session);
        all.into_iter().map(|one| (one.key, one.most.get())).collect()
    }

    #[test]
    fn a_call_is_counted_for_its_tool_its_role_and_the_pair() {
        let mut limits = Limits::default();
        limits.add(Counted::new(None, "mcp__shop__refund"), most(10));
        limits.add(Counted::new(Some(role("support")), "*"), most(100));
        limits.add(Counted::new(Some(role("support")), "mcp__shop__*"), most(5));
        let counted = |roles: &[&str], tool: &str| on(&limits, roles, tool).len();
        assert_eq!(counted(&["support"], "mcp__shop__refund"), 3);
        assert_eq!(counted(&["coder"], "mcp__shop__refund"), 1);
        assert_eq!(counted(&["coder", "support"], "mcp__shop__find"), 2, "a parent's count too");
        assert_eq!(counted(&["coder"], "mcp__shop__find"), 0);
        assert_eq!(counted(&["support", "support"], "Bash"), 1, "once for a role");
    }

    #[test]
    fn what_the_doors_propose_counts_where_it_is_named() {
        let mut limits = Limits::default();
        limits.add(Counted::new(None, "*"), most(1));
        assert_eq!(on(&limits, &["coder"], "model.request"), []);
        limits.add(Counted::new(None, "net.*"), most(2));
        assert_eq!(on(&limits, &["coder"], "net.request").len(), 1);
        assert_eq!(on(&limits, &["coder"], "Bash").len(), 1);
    }

    #[test]
    fn of_two_limits_for_the_same_the_smaller_holds_and_a_role_has_those_it_extends() {
        let mut limits = Limits::default();
        for per_day in [7, 3, 9] {
            limits.add(Counted::new(Some(role("base")), "Bash"), most(per_day));
        }
        let (base, coder) = (role("base"), role("coder"));
        let limits = limits.inherited([(&coder, vec![&base])]);
        assert_eq!(
            on(&limits, &["coder"], "Bash"),
            [("calls of `Bash` by role `coder`".to_owned(), 3)]
        );
        assert_eq!(
            on(&limits, &["base"], "Bash"),
            [("calls of `Bash` by role `base`".to_owned(), 3)]
        );
    }
}
