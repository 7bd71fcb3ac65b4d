//! What does `[servers.NAME]` say, word for word?

use super::raw::{At, RawBox, Table};
use serde::Deserialize;

/// `[servers.NAME]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawServer {
    pub(super) command: Option<At<Vec<String>>>,
    pub(super) url: Option<At<String>>,
    pub(super) env: Option<At<Vec<At<String>>>>,
    #[serde(default)]
    pub(super) secrets: Table<At<String>>,
    #[serde(default)]
    pub(super) hosts: Vec<At<String>>,
    #[serde(default, rename = "box")]
    pub(super) enclosure: RawBox,
    pub(super) framing: Option<bool>,
    pub(super) sampling: Option<bool>,
    pub(super) roots: Option<bool>,
    pub(super) elicitation: Option<bool>,
    pub(super) timeout: Option<At<String>>,
    pub(super) page: Option<At<String>>,
    pub(super) idle_after: Option<At<String>>,
    pub(super) pin: Option<At<String>>,
    #[serde(default)]
    pub(super) tools: Table<RawServerTool>,
}

/// `[servers.NAME.tools.TOOL]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawServerTool {
    pub(super) effect: Option<At<String>>,
    #[serde(default)]
    pub(super) targets: Vec<At<RawTarget>>,
    pub(super) description: Option<String>,
    pub(super) hidden: Option<bool>,
}

/// One entry of `targets`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTarget {
    pub(super) field: String,
    pub(super) kind: At<String>,
}
