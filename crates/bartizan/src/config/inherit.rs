//! Who extends whom, and what comes of it? Each role with its parents' words under its own.

use super::budget::Limits;
use super::enclosure::BoxDraft;
use super::settings::Role;
use super::way_out::WayOut;
use crate::report::{Excerpt, Problem, did_you_mean};
use bartizan_gate::name::RoleName;
use std::collections::BTreeMap;

/// What the layers say of a role.
#[derive(Debug, Default, Clone)]
pub(super) struct RoleDraft {
    pub(super) extends: Vec<(String, Excerpt)>,
    pub(super) subagents: BTreeMap<String, (String, Excerpt)>,
    pub(super) enclosure: BoxDraft,
    pub(super) budget: Limits,
    pub(super) way_out: WayOut,
}

/// Every role with what it inherits.
pub(super) fn resolved(
    drafts: &BTreeMap<RoleName, RoleDraft>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<RoleName, Role> {
    let mut resolver = Resolver { drafts, done: BTreeMap::new(), problems };
    for name in drafts.keys() {
        resolver.resolve(name, &mut Vec::new());
    }
    resolver.done.into_iter().map(|(name, resolved)| (name, resolved.into())).collect()
}

/// Follows `extends`, parents first.
struct Resolver<'a> {
    drafts: &'a BTreeMap<RoleName, RoleDraft>,
    done: BTreeMap<RoleName, Resolved>,
    problems: &'a mut Vec<Problem>,
}

/// A role with what it inherits, and not yet with the defaults.
struct Resolved {
    parents: Vec<RoleName>,
    subagents: BTreeMap<String, RoleName>,
    enclosure: BoxDraft,
    budget: Limits,
    way_out: WayOut,
}

impl Resolver<'_> {
    /// `path` is how we came here, so that a circle is noticed.
    fn resolve(&mut self, name: &RoleName, path: &mut Vec<RoleName>) {
        let Some(draft) = self.drafts.get(name).filter(|_| !self.done.contains_key(name)) else {
            return;
        };
        path.push(name.clone());
        let mut resolved = Resolved {
            parents: Vec::new(),
            subagents: BTreeMap::new(),
            enclosure: draft.enclosure.clone(),
            budget: draft.budget,
            way_out: draft.way_out.clone(),
        };
        for (kind, (text, place)) in &draft.subagents {
            if let Some(role) = known_role(self.drafts, text, place, self.problems) {
                resolved.subagents.insert(kind.clone(), role);
            }
        }
        for (text, place) in &draft.extends {
            let Some(parent) = known_role(self.drafts, text, place, self.problems) else {
                continue;
            };
            if path.contains(&parent) {
                let what = format!("role `{name}` extends `{parent}`, which extends it in turn");
                self.problems.push(Problem::new(what).at(place.clone()));
                continue;
            }
            self.resolve(&parent, path);
            if let Some(above) = self.done.get(&parent) {
                resolved.enclosure.inherit(&above.enclosure);
                resolved.budget.inherit(&above.budget);
                resolved.way_out.inherit(&above.way_out);
                for (kind, role) in &above.subagents {
                    resolved.subagents.entry(kind.clone()).or_insert_with(|| role.clone());
                }
                resolved.parents.push(parent);
            }
        }
        path.pop();
        self.done.insert(name.clone(), resolved);
    }
}

impl From<Resolved> for Role {
    fn from(resolved: Resolved) -> Self {
        let Resolved { parents, subagents, enclosure, budget, way_out } = resolved;
        Self { parents, subagents, enclosure: enclosure.settings(), budget, way_out }
    }
}

/// The role of this name, or a problem that says which was likely meant.
pub(super) fn known_role(
    drafts: &BTreeMap<RoleName, RoleDraft>,
    text: &str,
    place: &Excerpt,
    problems: &mut Vec<Problem>,
) -> Option<RoleName> {
    let role = RoleName::parse(text).ok().filter(|role| drafts.contains_key(role));
    if role.is_none() {
        let problem = Problem::new(format!("there is no role `{text}`")).at(place.clone());
        let likely = did_you_mean(text, drafts.keys().map(RoleName::as_str));
        problems.push(match likely {
            Some(likely) => problem.hint(format!("did you mean `{likely}`?")),
            None => problem.hint(format!("define it: [roles.{text}]")),
        });
    }
    role
}
