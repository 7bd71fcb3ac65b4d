//! Which policies have a say in what a role does with a tool? For a person who wants to see them side by side.

use super::{Policy, PolicyRef};
use crate::name::{RoleName, ToolName};
use cedar_policy::Effect;

/// A policy that can matter to a role and a tool.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Bearing<'p> {
    /// Its id and place.
    pub at: &'p PolicyRef,
    /// Whether it permits; or else it forbids.
    pub permits: bool,
    /// What it says, as Cedar.
    pub text: &'p str,
}

impl Policy {
    /// Every policy whose scope takes in `tool` as used by `role`, in the order of the files. No other has a say, whatever
    /// the arguments are.
    pub fn bearing(&self, role: &RoleName, tool: &ToolName) -> Vec<Bearing<'_>> {
        let slice = self.index.slice(role, tool);
        let mut numbers: Vec<usize> =
            slice.map(|slice| slice.members().collect()).unwrap_or_default();
        numbers.sort_unstable();
        let entries = numbers.into_iter().filter_map(|number| self.entries.get(number));
        let bearing = entries.map(|entry| Bearing {
            at: &entry.at,
            permits: entry.cedar.effect() == Effect::Permit,
            text: &entry.text,
        });
        bearing.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Roles;
    use crate::tool::Catalogue;

    #[test]
    fn what_bears_on_a_tool_is_what_could_decide_it() {
        let catalogue = Catalogue::builtin().unwrap();
        let roles = Roles::new([]).unwrap();
        let policy =
            Policy::load(&Policy::builtin_sources(), &[], &roles, &catalogue, &[]).unwrap();
        let role = RoleName::parse("default").unwrap();
        let ids = |tool: &str| -> Vec<(String, bool)> {
            let bearing = policy.bearing(&role, &ToolName::parse(tool).unwrap());
            bearing.iter().map(|one| (one.at.id.clone(), one.permits)).collect()
        };
        let bash = ids("Bash");
        assert!(bash.contains(&("commands".to_owned(), true)), "{bash:?}");
        assert!(bash.contains(&("credentials".to_owned(), false)), "{bash:?}");
        assert!(!bash.iter().any(|(id, _)| id == "read-files"), "{bash:?}");
        assert!(ids("NoSuchTool").is_empty());
    }
}
