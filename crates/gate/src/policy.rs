//! What is allowed? One immutable set of policies, checked as a whole before it counts, and a pure
//! answer to each question.
//!
//! Cedar decides: a forbid beats a permit, and what nothing permits is denied. Two things are ours.
//! Where Cedar would skip a policy that fails to evaluate, the answer here is deny, since a skipped
//! forbid is a hole. And where Cedar knows allow and deny alone, the answer here may be ask: the
//! smallest number of people with whose approval the same policies would permit the same call.

mod about;
mod eval;
mod explain;
mod facts;
mod load;
mod named;
mod schema;
mod short;
mod slice;
mod source;

pub use about::Bearing;
pub use eval::{CommandFact, Facts, HostFact, Judgement, PathFact, Query, Verdict};
pub use facts::EmailFact;
pub(crate) use short::glob;
pub use source::{
    Layer, Place, PolicyError, PolicyErrors, PolicyRef, Roles, RolesError, RuleVerdict, ShortForm,
    Source,
};

use crate::name::{RoleName, ToolName};
use crate::tool::Catalogue;
use bartizan_store::Digest;
use cedar_policy::{Authorizer, Entities, Schema};
use load::{Entry, Loader};
use schema::Types;
use slice::Index;
use std::collections::HashMap;
use std::fmt;

/// A set of policies that has passed every check. It never changes; a new one takes its place whole.
pub struct Policy {
    entries: Vec<Entry>,
    index: Index,
    types: Types,
    entities: Entities,
    authorizer: Authorizer,
    /// People who may be asked, so that a policy that wants one of them by name can be seen to ask.
    approvers: Vec<String>,
    digest: Digest,
}

impl Policy {
    /// Loads policies, or says everything that is wrong with them at once.
    ///
    /// What holds for every role (`base.cedar`) is always part of it and need not be given;
    /// `approvers` are the names of those who may answer questions.
    pub fn load(
        sources: &[Source],
        short_forms: &[ShortForm],
        roles: &Roles,
        catalogue: &Catalogue,
        approvers: &[String],
    ) -> Result<Self, PolicyErrors> {
        let types = Types::new().map_err(|error| broken(error.to_string()))?;
        let document = schema::document(catalogue);
        let canonical = document.to_string();
        let schema =
            Schema::from_json_value(document).map_err(|error| broken(error.to_string()))?;
        let entities = schema::entities(&types, roles, catalogue, &schema).map_err(broken)?;
        let mut loader = Loader::new(&types, schema::names(roles, catalogue), catalogue);
        for source in std::iter::once(&base()).chain(sources) {
            loader.source(source, &schema);
        }
        let mut lists = HashMap::new();
        for form in short_forms {
            let count: &mut usize =
                lists.entry((form.layer, &form.role, form.verdict.list())).or_default();
            loader.short(form, *count, &schema);
            *count += 1;
        }
        let (entries, errors) = loader.finish();
        if !errors.is_empty() {
            return Err(PolicyErrors(errors));
        }
        let index = Index::new(&entries, &types, roles, catalogue);
        let digest = digest(&entries, roles, &canonical, approvers);
        let approvers = approvers.to_vec();
        Ok(Self {
            entries,
            index,
            types,
            entities,
            authorizer: Authorizer::new(),
            approvers,
            digest,
        })
    }

    /// The policies of the role [`Roles::DEFAULT`] and of [`Roles::BASIC`]; they say nothing of other
    /// roles, unless those extend one of the two.
    pub fn builtin_sources() -> Vec<Source> {
        vec![builtin(DEFAULT, include_str!("../policy/default.cedar"))]
    }

    /// The digest of all that a verdict can depend on: policies, roles, approvers and the schema. An
    /// approval that was given under another digest does not count.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether this person's word counts. With nobody configured, everybody's does who can reach the
    /// desk, which no agent can.
    pub fn may_approve(&self, approver: &str) -> bool {
        self.approvers.is_empty() || self.approvers.iter().any(|known| known == approver)
    }

    /// Whether any call of `tool` could be permitted to `role`, given the right arguments and
    /// approvals. `false` is certain; `true` is not a promise.
    pub fn could_permit(&self, role: &RoleName, tool: &ToolName) -> bool {
        self.index.slice(role, tool).is_some_and(|slice| slice.permits)
    }

    /// Whether a policy that could permit `tool` to `role` names this value.
    pub(crate) fn names(&self, role: &RoleName, tool: &ToolName, value: &str) -> bool {
        self.index.slice(role, tool).is_some_and(|slice| slice.names(value))
    }

    /// Whether a call of `tool` by `role` could ever be allowed or asked. `false` is certain: nothing
    /// permits it, or something forbids it whatever the arguments are and whoever approves.
    pub fn may_ever(&self, role: &RoleName, tool: &ToolName) -> bool {
        self.index.slice(role, tool).is_some_and(|slice| slice.permits && !slice.barred)
    }

    /// All policies as Cedar, each under a comment that says where it comes from.
    pub fn show(&self) -> String {
        let shown = |entry: &Entry| {
            format!(
                "// {} {}:{} ({})\n{}\n",
                entry.at.id, entry.at.file, entry.at.line, entry.layer, entry.text
            )
        };
        self.entries.iter().map(shown).collect::<Vec<_>>().join("\n")
    }

    /// How many policies there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none; never so, since `base.cedar` is always there.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("policies", &self.entries.len())
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// The Cedar schema that policies over `catalogue` are checked against, in Cedar's own notation.
pub fn cedar_schema(catalogue: &Catalogue) -> Result<String, PolicyErrors> {
    let fragment = cedar_policy::SchemaFragment::from_json_value(schema::document(catalogue));
    let fragment = fragment.map_err(|error| broken(error.to_string()))?;
    fragment.to_cedarschema().map_err(|error| broken(error.to_string()))
}

fn base() -> Source {
    builtin(BASE, include_str!("../policy/base.cedar"))
}

fn builtin(path: &str, text: &str) -> Source {
    Source { layer: Layer::Builtin, path: path.to_owned(), text: text.to_owned() }
}

/// The tools or roles cannot be made into a schema: no policy file is at fault.
fn broken(message: String) -> PolicyErrors {
    let remedy = "look at the tools' input schemas".to_owned();
    PolicyErrors(vec![PolicyError {
        file: "(tools)".to_owned(),
        line: 1,
        column: 1,
        message,
        remedy,
    }])
}

/// Every part is written with its length, so that no two different sets have the same bytes.
fn digest(entries: &[Entry], roles: &Roles, schema: &str, approvers: &[String]) -> Digest {
    let mut bytes = Vec::new();
    let mut put = |part: &str| {
        bytes.extend_from_slice(&part.len().to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    };
    put("bartizan policy 1");
    put(schema);
    for (role, parents) in roles.iter() {
        put(role.as_str());
        for parent in parents {
            put(parent.as_str());
        }
        put("");
    }
    put("");
    for approver in approvers {
        put(approver);
    }
    for entry in entries {
        put(&entry.at.id);
        put(&entry.text);
    }
    Digest::of(&bytes)
}

/// The files of the built-in policies, by the names that places show.
const BASE: &str = "builtin/base.cedar";
const DEFAULT: &str = "builtin/default.cedar";
/// Most people that a quorum can ask for.
const QUORUM_MAX: u32 = 5;
/// Most approvers that are imagined when a quorum is looked for.
const APPROVERS_MAX: usize = 32;
