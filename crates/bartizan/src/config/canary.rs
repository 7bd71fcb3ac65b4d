//! What is planted in a box so that nobody has a reason to touch it? Values that buy nothing, made anew for each box.

use super::check::Flaw;
use super::page::{Page, name_flaw};
use super::raw::At;
use super::raw_secret::RawCanary;
use super::secret::{holder, kind_of};
use crate::report::Problem;
use bartizan_egress::vault::SecretKind;
use bartizan_gate::name::SecretName;
use std::path::{Component, Path, PathBuf};

/// One planted value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Canary {
    /// What it looks like.
    pub(crate) kind: SecretKind,
    /// The variables that hold it.
    pub(crate) variables: Vec<String>,
    /// The file that holds it, below the box's home directory.
    pub(crate) file: Option<PathBuf>,
}

/// With what the name of each begins on the log.
pub(crate) const CANARY: &str = "canary-";

/// Reads `[canaries.NAME]`; its name on the log is `canary-NAME`.
pub(super) fn read(
    page: &mut Page<'_>,
    key: &At<String>,
    raw: &RawCanary,
) -> Option<(SecretName, Canary)> {
    let name = page.take(key, |name| {
        SecretName::parse(&format!("{CANARY}{name}")).map_err(|error| name_flaw(&error))
    });
    let kind = page.take_option(raw.kind.as_ref(), |text| kind_of(text));
    let variables = page.list(raw.variables.as_ref(), |text| holder(text)).unwrap_or_default();
    let file = page.take_option(raw.file.as_ref(), |text| below_home(text));
    if raw.variables.is_none() && raw.file.is_none() {
        let problem = Problem::new(format!("the canary `{}` is nowhere", key.get_ref()));
        page.complain(key.span(), problem.hint("give it a `file`, `variables`, or both"));
    }
    Some((name?, Canary { kind: kind.unwrap_or_default(), variables, file }))
}

fn below_home(text: &str) -> Result<PathBuf, Flaw> {
    let plain = |path: &Path| {
        let mut parts = path.components().peekable();
        parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
    };
    let below = text.strip_prefix("~/").map(Path::new).filter(|path| plain(path));
    below.map(Path::to_owned).ok_or_else(|| {
        let hint = "write it as a path below the home directory, such as \"~/.aws/credentials\"";
        (format!("`{text}` is no place for a canary"), Some(hint.to_owned()))
    })
}
