//! Is this a policy set at all? Parsed, named, checked against the schema; every mistake with its place.

use super::named::{self, Name};
use super::schema::{Kind, Types};
use super::short::{self, Drafted, Flaw};
use super::source::{Layer, PolicyError, PolicyRef, RuleVerdict, ShortForm, Source};
use crate::tool::Catalogue;
use cedar_policy::{
    Effect, Policy as Cedar, PolicyId, PolicySet, Schema, ValidationMode, Validator,
};
use miette::Diagnostic;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A policy that has passed every check.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its internal id is `p` and its index.
    pub(crate) cedar: Cedar,
    pub(crate) layer: Layer,
    pub(crate) at: PolicyRef,
    pub(crate) text: String,
    /// The one target it can match, when it is a short form without wildcard.
    pub(crate) literal: Option<String>,
    /// Whether it could look at `context.input`; when no policy of a slice does, it is not built.
    pub(crate) reads_input: bool,
    /// Whether it could look at `context.taint` or `context.provenance`.
    pub(crate) reads_origins: bool,
    /// The values that it names, when it is a permit.
    pub(crate) names: Vec<Name>,
    /// Whether it could look at approvals; when none does, nobody needs to be imagined.
    pub(crate) reads_approvals: bool,
}

/// Collects policies and what is wrong with them.
pub(crate) struct Loader<'a> {
    types: &'a Types,
    names: HashMap<Kind, BTreeSet<String>>,
    catalogue: &'a Catalogue,
    entries: Vec<Entry>,
    errors: Vec<PolicyError>,
    ids: BTreeMap<String, String>,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(
        types: &'a Types,
        names: HashMap<Kind, BTreeSet<String>>,
        catalogue: &'a Catalogue,
    ) -> Self {
        Self {
            types,
            names,
            catalogue,
            entries: Vec::new(),
            errors: Vec::new(),
            ids: BTreeMap::new(),
        }
    }

    /// Cedar tells of one mistake once for each action that it could concern, in no order; a person
    /// wants it once, and the same each time.
    pub(crate) fn finish(self) -> (Vec<Entry>, Vec<PolicyError>) {
        let mut errors: Vec<PolicyError> = Vec::new();
        for error in self.errors {
            let place = |e: &PolicyError| (e.line, e.column);
            match errors.iter_mut().find(|e| e.file == error.file && place(e) == place(&error)) {
                Some(same) if error.message < same.message => *same = error,
                Some(_) => {}
                None => errors.push(error),
            }
        }
        (self.entries, errors)
    }

    /// Takes a whole file of Cedar.
    pub(crate) fn source(&mut self, source: &Source, schema: &Schema) {
        if source.text.len() > SOURCE_MAX {
            let message = format!("the file is larger than {SOURCE_MAX} bytes");
            return self.fault(source, 0, message, "split it");
        }
        let set: PolicySet = match source.text.parse() {
            Ok(set) => set,
            Err(errors) => return self.unparsed(source, &errors),
        };
        if let Some(template) = set.templates().next() {
            let at = template.as_ref().loc().map_or(0, |loc| loc.span.offset());
            self.fault(
                source,
                at,
                "templates are not used here".to_owned(),
                "write the role instead of `?principal`",
            );
        }
        let start = |policy: &Cedar| policy.as_ref().loc().map_or(0, |loc| loc.span.offset());
        let mut policies: Vec<&Cedar> = set.policies().collect();
        policies.sort_by_key(|policy| start(policy));
        let first = self.entries.len();
        for policy in policies {
            self.cedar(source, policy, start(policy));
        }
        self.validate(source, first, schema);
    }

    fn cedar(&mut self, source: &Source, policy: &Cedar, start: usize) {
        let (line, _) = position(&source.text, start);
        let errors = self.errors.len();
        if source.layer == Layer::Project && policy.effect() == Effect::Permit {
            let message =
                "a project may not permit anything, only narrow what stands above it".to_owned();
            self.fault(
                source,
                start,
                message,
                "turn it into a `forbid`, or move it to your own configuration",
            );
        }
        self.literals(source, policy, start);
        let id = policy
            .annotation("id")
            .map_or_else(|| format!("{}:{line}", source.path), str::to_owned);
        if id.is_empty() || id.len() > 128 || !id.chars().all(|c| c.is_ascii_graphic()) {
            let message =
                "an `@id` has 1 to 128 printable ASCII characters without spaces".to_owned();
            self.fault(source, start, message, "write something like `@id(\"no-push\")`");
        } else if let Some(other) = self.ids.insert(id.clone(), format!("{}:{line}", source.path)) {
            let message = format!("another policy is called `{id}` ({other})");
            self.fault(source, start, message, "give one of them another `@id`");
        }
        if self.errors.len() > errors {
            return;
        }
        let json = policy.to_json().map(|json| json.to_string()).ok();
        let reads = |word: &str| json.as_deref().is_none_or(|json| json.contains(word));
        let end = policy
            .as_ref()
            .loc()
            .map_or(source.text.len(), |loc| loc.span.offset() + loc.span.len());
        self.entries.push(Entry {
            cedar: policy.new_id(PolicyId::new(format!("p{}", self.entries.len()))),
            layer: source.layer,
            at: PolicyRef { id, file: source.path.clone(), line },
            text: source.text.get(start..end).unwrap_or_default().to_owned(),
            literal: None,
            reads_input: reads("input"),
            reads_origins: reads("taint") || reads("provenance"),
            names: if source.layer == Layer::Builtin { Vec::new() } else { named::names(policy) },
            reads_approvals: reads("approv"),
        });
    }

    /// Every role, tool and server that a policy names must exist: a misspelt one would make a forbid
    /// that forbids nothing.
    fn literals(&mut self, source: &Source, policy: &Cedar, start: usize) {
        for literal in policy.entity_literals() {
            let id = literal.id().unescaped().to_owned();
            let at = source
                .text
                .get(start..)
                .and_then(|text| text.find(&format!("\"{id}\"")))
                .map_or(start, |at| start + at);
            let Some(kind) = self.types.kind(&literal) else {
                let message = format!("there is no type `{}`", literal.type_name());
                self.fault(
                    source,
                    at,
                    message,
                    "policies speak of `Agent`, `Role`, `Action` and `Server`",
                );
                continue;
            };
            let known = self.names.get(&kind).cloned().unwrap_or_default();
            if !known.contains(&id) {
                let message = format!("there is no {} called `{}`", kind.noun(), id.escape_debug());
                let remedy = match nearest(&id, known.into_iter()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "define it in the configuration, or leave the policy out".to_owned(),
                };
                self.fault(source, at, message, remedy);
            }
        }
    }

    fn validate(&mut self, source: &Source, first: usize, schema: &Schema) {
        let fresh = self.entries.get(first..).unwrap_or_default();
        let Ok(set) = PolicySet::from_policies(fresh.iter().map(|entry| entry.cedar.clone()))
        else {
            return self.fault(
                source,
                0,
                "the policies cannot be put together".to_owned(),
                "report this as a bug",
            );
        };
        let result = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
        let errors =
            result.validation_errors().map(|error| (error.policy_id(), error as &dyn Diagnostic));
        let warnings = result
            .validation_warnings()
            .map(|warning| (warning.policy_id(), warning as &dyn Diagnostic));
        let found: Vec<(PolicyId, usize, String, String)> = errors
            .chain(warnings)
            .map(|(id, problem)| {
                (
                    id.clone(),
                    offset(problem).unwrap_or_default(),
                    problem.to_string(),
                    help(problem),
                )
            })
            .collect();
        for (id, at, message, remedy) in found {
            // Cedar speaks of our internal ids.
            let own = self
                .entries
                .iter()
                .find(|entry| *entry.cedar.id() == id)
                .map(|entry| entry.at.id.clone());
            let named = |text: String| match &own {
                Some(own) => text.replace(&format!("`{id}`"), &format!("`{own}`")),
                None => text,
            };
            self.fault(source, at, named(message), named(remedy));
        }
    }

    fn unparsed(&mut self, source: &Source, errors: &cedar_policy::ParseErrors) {
        for error in errors.iter() {
            self.fault(source, offset(error).unwrap_or_default(), error.to_string(), help(error));
        }
    }

    /// Takes one short form; `index` is its place in its list.
    pub(crate) fn short(&mut self, form: &ShortForm, index: usize, schema: &Schema) {
        let role = form.role.as_ref().map_or("*", |role| role.as_str());
        let layer = match form.layer {
            Layer::User => String::new(),
            Layer::Builtin | Layer::System | Layer::Project => format!("{}:", form.layer),
        };
        let id = format!("{layer}roles.{role}.{}[{index}]", form.verdict.list());
        let narrow = form.layer == Layer::Project;
        if narrow && form.verdict == RuleVerdict::Allow {
            let message =
                "a project may not allow anything, only narrow what stands above it".to_owned();
            return self.misformed(form, message, "move it to your own configuration".to_owned());
        }
        if let Some(role) = form.role.as_ref().filter(|role| !self.knows_role(role.as_str())) {
            let message = format!("there is no role called `{role}`");
            return self.misformed(form, message, "describe it under `[roles]`".to_owned());
        }
        match short::draft(form, self.catalogue, narrow) {
            Err(Flaw { message, remedy }) => self.misformed(form, message, remedy),
            Ok(drafted) => {
                let first = self.entries.len();
                let Drafted { permit, forbid, literal, names } = drafted;
                for text in [permit, forbid].into_iter().flatten() {
                    self.drafted(form, &id, text, literal.clone(), names);
                }
                // What we write ourselves is of the right types; a person's own words may not be.
                if form.when.is_some() {
                    self.typed(form, first, schema);
                }
            }
        }
    }

    fn typed(&mut self, form: &ShortForm, first: usize, schema: &Schema) {
        let fresh = self.entries.get(first..).unwrap_or_default();
        let set = PolicySet::from_policies(fresh.iter().map(|entry| entry.cedar.clone()));
        let found: Vec<(String, String)> = match set {
            Err(error) => vec![(error.to_string(), "write it as a Cedar policy".to_owned())],
            Ok(set) => {
                let result = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
                let errors = result.validation_errors().map(|error| error as &dyn Diagnostic);
                let warnings =
                    result.validation_warnings().map(|warning| warning as &dyn Diagnostic);
                errors.chain(warnings).map(|problem| (problem.to_string(), help(problem))).collect()
            }
        };
        for (message, remedy) in found {
            let what = message.split_once(", ").filter(|(head, _)| head.starts_with("for policy"));
            let what = what.map_or(message.as_str(), |(_, what)| what);
            let message = format!("`when` of `{}`: {what}", form.pattern.escape_debug());
            self.misformed(form, message, remedy);
        }
    }

    fn drafted(
        &mut self,
        form: &ShortForm,
        id: &str,
        text: String,
        literal: Option<String>,
        names: bool,
    ) {
        let internal = PolicyId::new(format!("p{}", self.entries.len()));
        match Cedar::parse(Some(internal), &text) {
            Err(error) => {
                self.misformed(form, error.to_string(), "write it as a Cedar policy".to_owned());
            }
            Ok(cedar) => self.entries.push(Entry {
                layer: form.layer,
                at: PolicyRef {
                    id: id.to_owned(),
                    file: form.place.file.clone(),
                    line: form.place.line,
                },
                reads_input: text.contains("input"),
                reads_origins: text.contains("context.taint")
                    || text.contains("context.provenance"),
                names: match &literal {
                    _ if !names || cedar.effect() == Effect::Forbid => Vec::new(),
                    Some(literal) => vec![Name::Exact(literal.clone())],
                    None => named::names(&cedar),
                },
                reads_approvals: text.contains("approv"),
                text,
                literal,
                cedar,
            }),
        }
    }

    fn knows_role(&self, role: &str) -> bool {
        self.names.get(&Kind::Role).is_some_and(|known| known.contains(role))
    }

    fn fault(&mut self, source: &Source, at: usize, message: String, remedy: impl Into<String>) {
        let (line, column) = position(&source.text, at);
        self.errors.push(PolicyError {
            file: source.path.clone(),
            line,
            column,
            message,
            remedy: remedy.into(),
        });
    }

    fn misformed(&mut self, form: &ShortForm, message: String, remedy: String) {
        let (file, line) = (form.place.file.clone(), form.place.line);
        self.errors.push(PolicyError { file, line, column: 1, message, remedy });
    }
}

fn offset(problem: &dyn Diagnostic) -> Option<usize> {
    problem.labels()?.next().map(|label| label.offset())
}

fn help(problem: &dyn Diagnostic) -> String {
    problem.help().map_or_else(
        || "`bartizan policy show` prints policies that work, docs/policy.md says what they may name".to_owned(),
        |help| help.to_string(),
    )
}

/// Line and column, from 1, of a byte offset.
fn position(text: &str, at: usize) -> (u32, u32) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    (small(line), small(column))
}

/// The known name that `given` was probably meant to be.
pub(crate) fn nearest(given: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let given = given.to_ascii_lowercase();
    let most = (given.chars().count() / 3).max(1);
    let near = known.map(|name| (distance(&given, &name.to_ascii_lowercase()), name));
    near.filter(|(distance, _)| *distance <= most).min().map(|(_, name)| name)
}

/// How many characters to add, drop, change, or swap with a neighbour.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(128).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (i, x) in a.chars().take(128).enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            let mut least =
                (at(&row, j) + usize::from(x != *y)).min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            let swapped = j > 0 && previous == Some(*y) && b.get(j - 1) == Some(&x);
            if swapped {
                least = least.min(at(&before, j - 1) + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
        previous = Some(x);
    }
    row.last().copied().unwrap_or_default()
}

/// Largest Cedar file, in bytes.
const SOURCE_MAX: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_recognised() {
        let known = || ["Read", "Write", "WebFetch", "net.connect"].into_iter().map(str::to_owned);
        assert_eq!(nearest("Raed", known()).as_deref(), Some("Read"));
        assert_eq!(nearest("webfetch", known()).as_deref(), Some("WebFetch"));
        assert_eq!(nearest("net.conect", known()).as_deref(), Some("net.connect"));
        assert_eq!(nearest("Frobnicate", known()), None);
    }

    #[test]
    fn a_position_counts_lines_and_characters_from_one() {
        assert_eq!(position("ab\ncé d", 0), (1, 1));
        assert_eq!(position("ab\ncé d", 6), (2, 3));
        assert_eq!(position("ab", 99), (1, 3));
    }
}
