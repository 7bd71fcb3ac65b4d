//! How often may a tool be called? What stands under `[[limits]]`.

use super::Config;
use super::page::{Page, name_flaw};
use super::raw::{At, RawLimit};
use super::settings::Role;
use crate::report::{Excerpt, Problem, did_you_mean};
pub(super) use bartizan_gate::limit::Limits;
use bartizan_gate::limit::{Counted, Most};
use bartizan_gate::name::RoleName;
use std::collections::BTreeMap;
use std::num::NonZeroU32;

/// The limits of the layers so far, before it is known which roles there are.
#[derive(Debug, Default)]
pub(super) struct Draft {
    limits: Limits,
    named: Vec<(RoleName, Excerpt)>,
}

impl Draft {
    /// Reads one layer's limits. Of two for the same calls the smaller holds.
    pub(super) fn read(&mut self, page: &mut Page<'_>, raw: &[At<RawLimit>]) {
        for entry in raw {
            let RawLimit { role, tool, per_minute, per_session, per_day } = entry.get_ref();
            if role.is_none() && tool.is_none() {
                let problem = Problem::new("a limit names a tool, a role, or both");
                let hint = "such as tool = \"mcp__shop__refund\"; every tool is tool = \"*\"";
                page.complain(entry.span(), problem.hint(hint));
            }
            if [per_minute, per_session, per_day].iter().all(|said| said.is_none()) {
                let problem = Problem::new("a limit says how many");
                let hint = "at least one of per_minute, per_session, per_day";
                page.complain(entry.span(), problem.hint(hint));
            }
            let most = Most {
                per_minute: number(page, per_minute.as_ref(), MINUTE_MAX),
                per_session: number(page, per_session.as_ref(), COUNT_MAX),
                per_day: number(page, per_day.as_ref(), COUNT_MAX),
            };
            let tools = tool.as_ref().map(|tool| page.take(tool, |text| pattern(text)));
            let parsed = |text: &String| RoleName::parse(text).map_err(|error| name_flaw(&error));
            let name = page.take_option(role.as_ref(), parsed);
            self.named.extend(name.clone().zip(role.as_ref().map(|role| page.at(role.span()))));
            let every = || Some("*".to_owned());
            if let Some(tools) = tools.unwrap_or_else(every)
                && (name.is_some() || role.is_none())
            {
                self.limits.add(Counted::new(name, tools), most);
            }
        }
    }

    /// The limits, when each role that they name is one.
    pub(super) fn finish(
        self,
        roles: &BTreeMap<RoleName, Role>,
        problems: &mut Vec<Problem>,
    ) -> Limits {
        for (name, at) in self.named.into_iter().filter(|(name, _)| !roles.contains_key(name)) {
            let problem = Problem::new(format!("there is no role `{name}`")).at(at);
            let likely = did_you_mean(name.as_str(), roles.keys().map(RoleName::as_str));
            problems.push(match likely {
                Some(likely) => problem.hint(format!("did you mean `{likely}`?")),
                None => problem.hint(format!("define it: [roles.{name}]")),
            });
        }
        self.limits
    }
}

impl Config {
    /// How often tools may be called; a role has the limits of those it extends.
    pub(crate) fn limits(&self) -> Limits {
        self.limits.inherited(self.roles.keys().map(|name| (name, self.above(name))))
    }

    /// The roles that this one extends, by however many steps.
    fn above<'c>(&'c self, role: &'c RoleName) -> Vec<&'c RoleName> {
        let mut above = vec![role];
        let mut next = 0;
        while let Some(role) = above.get(next).and_then(|name| self.roles.get(*name)) {
            above.extend(
                role.parents.iter().filter(|parent| !above.contains(parent)).collect::<Vec<_>>(),
            );
            next += 1;
        }
        above.remove(0);
        above
    }
}

fn number(page: &mut Page<'_>, said: Option<&At<u64>>, most: u32) -> Option<NonZeroU32> {
    page.take_option(said, |said| {
        let fits = u32::try_from(*said).ok().filter(|said| *said <= most).and_then(NonZeroU32::new);
        fits.ok_or_else(|| {
            let hint = "where it is never to be called, `deny` it";
            (format!("`{said}` is not between 1 and {most}"), Some(hint.to_owned()))
        })
    })
}

fn pattern(text: &str) -> Result<String, super::check::Flaw> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '*');
    if text.is_empty() || text.len() > 200 || !text.chars().all(fits) {
        let hint =
            "the name of a tool, in which `*` stands for anything: mcp__shop__refund, mcp__shop__*";
        return Err((format!("`{}` names no tool", text.escape_debug()), Some(hint.to_owned())));
    }
    Ok(text.to_owned())
}

/// A bucket is counted in whole microseconds.
const MINUTE_MAX: u32 = 60_000;
const COUNT_MAX: u32 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::super::tests::world;
    use super::*;

    fn shown(limits: &Limits) -> String {
        format!("{limits:?}")
    }

    #[test]
    fn limits_are_read_and_hold_for_roles_that_extend_the_one_they_name() {
        let world = world();
        world.user(
            "[roles.base]\n[roles.support]\nextends = [\"base\"]\n\
             [[limits]]\nrole = \"base\"\ntool = \"mcp__shop__*\"\nper_minute = 30\nper_day = 500\n\
             [[limits]]\ntool = \"mcp__shop__refund\"\nper_session = 3\n\
             [[limits]]\nrole = \"support\"\nper_day = 9\n",
        );
        let limits = shown(&world.load().limits());
        for part in ["\"base\"", "\"support\"", "mcp__shop__*", "mcp__shop__refund", "\"*\""] {
            assert!(limits.contains(part), "{part}: {limits}");
        }
        assert_eq!(limits.matches("per_minute: Some(30)").count(), 2, "{limits}");
    }

    #[test]
    fn a_project_can_lower_a_limit_and_never_raise_one() {
        let world = world();
        let base = "[roles.base]\n[[limits]]\ntool = \"Bash\"\nper_day = 10\n";
        for (said, holds) in [("7", "Some(7)"), ("70", "Some(10)")] {
            world.user(base).project(&format!("[[limits]]\ntool = \"Bash\"\nper_day = {said}\n"));
            assert!(shown(&world.load().limits()).contains(holds), "{said}");
        }
        world.project("[[limits]]\nrole = \"bose\"\nper_day = 1\n");
        assert!(world.errors().contains("did you mean `base`?"));
    }

    #[test]
    fn a_limit_that_says_nothing_or_nonsense_is_refused_where_it_stands() {
        let cases = [
            ("[[limits]]\nper_day = 1\n", "a limit names a tool, a role, or both"),
            ("[[limits]]\ntool = \"Bash\"\n", "a limit says how many"),
            ("[[limits]]\ntool = \"Bash\"\nper_day = 0\n", "`0` is not between 1 and"),
            ("[[limits]]\ntool = \"Bash\"\nper_minute = 60001\n", "between 1 and 60000"),
            ("[[limits]]\ntool = \"Bash(ls)\"\nper_day = 1\n", "`Bash(ls)` names no tool"),
            ("[[limits]]\nrole = \"nobody\"\nper_day = 1\n", "there is no role `nobody`"),
        ];
        for (text, what) in cases {
            let world = world();
            world.user(text);
            let errors = world.errors();
            assert!(errors.contains(what) && errors.contains("bartizan.toml:"), "{text}: {errors}");
        }
    }
}
