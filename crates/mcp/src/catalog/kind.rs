//! What is it that a server says something of? A tool, a prompt, a resource, a template of resources; each is known by a
//! name that no other can have.

use serde_json::Value;

/// What an item of a server's is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a new kind must be judged by whoever lists items")]
pub enum Kind {
    /// It is called.
    Tool,
    /// It is gotten.
    Prompt,
    /// It is read.
    Resource,
    /// It says how the addresses of resources are made.
    Template,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tool, Self::Prompt, Self::Resource, Self::Template];

    /// The request for the list of all that a server has.
    pub fn method(self) -> &'static str {
        match self {
            Self::Tool => "tools/list",
            Self::Prompt => "prompts/list",
            Self::Resource => "resources/list",
            Self::Template => "resources/templates/list",
        }
    }

    /// Where the list stands in the answer.
    pub fn list(self) -> &'static str {
        match self {
            Self::Tool => "tools",
            Self::Prompt => "prompts",
            Self::Resource => "resources",
            Self::Template => "resourceTemplates",
        }
    }

    /// The field that says which one an entry of the list is.
    pub fn key(self) -> &'static str {
        match self {
            Self::Tool | Self::Prompt => "name",
            Self::Resource => "uri",
            Self::Template => "uriTemplate",
        }
    }

    /// The name of an item among all that a server has: a tool's own, and any other's with what it is before it.
    pub fn item(self, own: &str) -> String {
        match self {
            // A tool that is called as if it were no tool stays one.
            Self::Tool if Self::of(own) == (Self::Tool, own) => own.to_owned(),
            _ => format!("{}{own}", self.prefix()),
        }
    }

    /// What an item of this name is, and its own name.
    pub fn of(item: &str) -> (Self, &str) {
        let prefixed = Self::ALL.into_iter().find_map(|kind| {
            let own = item.strip_prefix(kind.prefix())?;
            Some((kind, own))
        });
        prefixed.unwrap_or((Self::Tool, item))
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Tool => "tool:",
            Self::Prompt => "prompt:",
            Self::Resource => "resource:",
            Self::Template => "template:",
        }
    }

    /// What of an entry a person accepts: all of it, but for what changes as a resource does and says nothing.
    pub(super) fn accepted_part(self, entry: &Value) -> Value {
        let mut part = entry.clone();
        let (Self::Resource | Self::Template, Some(fields)) = (self, part.as_object_mut()) else {
            return part;
        };
        if fields.get("size").is_some_and(Value::is_number) {
            fields.remove("size");
        }
        if let Some(notes) = fields.get_mut("annotations").and_then(Value::as_object_mut)
            && notes.get("lastModified").and_then(Value::as_str).is_some_and(is_moment)
        {
            notes.remove("lastModified");
        }
        part
    }
}

/// Whether it is a moment in time as ISO 8601 writes it, and nothing that could be read as anything else.
fn is_moment(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_digit() || matches!(c, '-' | ':' | '.' | '+' | 'T' | 'Z');
    text.len() <= 40 && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn two_items_never_have_one_name() {
        let owns = ["x", "prompt:x", "tool:x", "tool:prompt:x", "resource:", "", "a:b", "(x)"];
        let mut names = Vec::new();
        for kind in Kind::ALL {
            for own in owns {
                let item = kind.item(own);
                assert_eq!(Kind::of(&item), (kind, own));
                names.push(item);
            }
        }
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        assert_eq!(Kind::of("(instructions)").0, Kind::Tool);
    }

    #[test]
    fn what_says_nothing_may_change_and_words_in_its_place_may_not() {
        let entry = |size: Value, moment: &str| json!({ "uri": "u:1", "name": "n", "size": size, "annotations": { "priority": 1, "lastModified": moment } });
        let part = |entry: &Value| Kind::Resource.accepted_part(entry);
        let plain = entry(json!(7), "2026-01-12T15:00:58Z");
        assert_eq!(part(&plain), part(&entry(json!(8), "2027-01-12T15:00:58+01:00")));
        assert_eq!(part(&plain)["annotations"], json!({ "priority": 1 }));
        for words in [entry(json!("obey"), "2026-01-12"), entry(json!(7), "obey me")] {
            assert_ne!(part(&plain), part(&words));
        }
        assert_eq!(Kind::Prompt.accepted_part(&plain), plain);
    }
}
