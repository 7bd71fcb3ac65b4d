//! Where do configuration and state live? Three directories, none of which an agent can write.

use crate::cli::{Global, exit};
use crate::report::{Failure, Problem, plain};
use std::env;
use std::path::{Component, Path, PathBuf};

/// The directories of one invocation; all absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    /// The machine's configuration.
    pub(crate) system: PathBuf,
    /// The user's configuration, or what `--config` names.
    pub(crate) user: PathBuf,
    /// Whether the person named `user`; then it must exist.
    pub(crate) user_is_given: bool,
    /// The log, approvals, sessions and trusted digests.
    pub(crate) state: PathBuf,
    /// The user's home directory.
    pub(crate) home: PathBuf,
}

/// A project's own configuration, inside the workspace.
pub(crate) const PROJECT_DIR: &str = ".bartizan";
/// What says what exists.
pub(crate) const CONFIG_FILE: &str = "bartizan.toml";
/// What shows on the log that a run has turned, beside [`CONFIG_FILE`].
pub(crate) const DETECT_FILE: &str = "detect.toml";
/// Where the Cedar policies stand, beside [`CONFIG_FILE`].
pub(crate) const POLICY_DIR: &str = "policy";

impl Places {
    /// Finds the directories from the options, then the XDG variables, then the home directory.
    pub(crate) fn find(global: &Global) -> Result<Self, Failure> {
        let home = env::home_dir().filter(|home| home.is_absolute()).ok_or_else(|| {
            let problem = Problem::new("cannot tell your home directory");
            Failure::new(exit::UNAVAILABLE, problem.hint("set HOME to an absolute path"))
        })?;
        let user = match &global.config {
            Some(given) => absolute(given)?,
            None => xdg("XDG_CONFIG_HOME", &home, ".config").join("bartizan"),
        };
        let state = match &global.state {
            Some(given) => absolute(given)?,
            None => xdg("XDG_STATE_HOME", &home, ".local/state").join("bartizan"),
        };
        let system = PathBuf::from("/etc/bartizan");
        Ok(Self { system, user, user_is_given: global.config.is_some(), state, home })
    }
}

/// An XDG base directory; a relative value counts as unset (XDG Base Directory Specification 0.8).
fn xdg(variable: &str, home: &Path, default: &str) -> PathBuf {
    let set = env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    set.unwrap_or_else(|| home.join(default))
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    let whole = std::path::absolute(path).map_err(|error| {
        let what = format!("cannot make `{}` absolute: {}", path.display(), plain(&error));
        Failure::new(exit::USAGE, Problem::new(what))
    })?;
    // A `..` below a directory that is yet to be made would say something else once it is there.
    if whole.components().any(|part| part == Component::ParentDir) && !whole.exists() {
        let problem =
            Problem::new(format!("`{}` goes up from where nothing is yet", path.display()));
        return Err(Failure::new(exit::USAGE, problem.hint("write the path without `..`")));
    }
    Ok(whole)
}
