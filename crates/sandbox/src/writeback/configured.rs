//! Which paths of the workspace does the host's own git configuration already tell git to execute or read?

use super::fold::fold;
use super::gitconfig::powers;
use super::host::{open_dir, open_file, proc_path, read_bounded};
use super::path::RelPath;
use rustix::fs::OFlags;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

/// A path that the configuration uses, and the key that says so.
#[derive(Debug)]
pub(crate) struct Used {
    names: Vec<String>,
    pub(crate) key: String,
}

impl Used {
    /// Whether the entry with these folded names is it, or lies in it.
    pub(crate) fn covers(&self, folded: &[String]) -> bool {
        folded.starts_with(&self.names)
    }
}

/// Reads `.git/config` of the workspace on the host.
///
/// A session cannot have written it (changes to it are judged before they land), but a person may have set `core.hooksPath = tools/hooks`, and then
/// the files there are hooks although their names do not say so.
pub(crate) fn paths(workspace: BorrowedFd<'_>) -> Vec<Used> {
    let Some(config) = read(workspace) else { return Vec::new() };
    let root = std::fs::read_link(proc_path(workspace))
        .map(|path| path.as_os_str().as_bytes().to_vec())
        .unwrap_or_default();
    let root = String::from_utf8_lossy(&root).into_owned();
    let mut used = Vec::new();
    for (key, value) in powers(&config) {
        let base: &[&str] = if key.starts_with("include") { &[".git"] } else { &[] };
        let is_path = PATH_KEYS.iter().any(|name| key.ends_with(name));
        let words = value.split(|c: char| c.is_whitespace() || "'\"!;|&()=".contains(c));
        for word in words.filter(|word| word.contains('/')).chain(is_path.then_some(value.as_str()))
        {
            let relative = word
                .strip_prefix(root.as_str())
                .filter(|rest| !root.is_empty() && rest.starts_with('/'))
                .map(|rest| rest.trim_start_matches('/'));
            if let Some(names) =
                resolve(if relative.is_some() { &[] } else { base }, relative.unwrap_or(word))
            {
                used.push(Used { names, key: key.clone() });
            }
        }
    }
    used
}

fn read(workspace: BorrowedFd<'_>) -> Option<Vec<u8>> {
    let git = RelPath::new(b".git").ok()?;
    let dir = open_dir(workspace, Some(&git), OFlags::PATH).ok()?;
    let (mut file, _) = open_file(dir.as_fd(), b"config").ok()?;
    read_bounded(&mut file, MAX_CONFIG).ok()?
}

/// The folded names of a path, or `None` when it is not below the workspace.
fn resolve(base: &[&str], path: &str) -> Option<Vec<String>> {
    if path.starts_with(['/', '~']) {
        return None;
    }
    let mut names: Vec<&str> = base.to_vec();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop()?;
            }
            name => names.push(name),
        }
    }
    (!names.is_empty()).then(|| names.into_iter().map(|name| fold(name.as_bytes())).collect())
}

/// Keys whose value is a path even without a slash in it.
const PATH_KEYS: [&str; 4] = [".hookspath", ".path", ".attributesfile", ".excludesfile"];
/// Bytes of a configuration that are read; git's own are a few kilobytes.
const MAX_CONFIG: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_from_where_git_takes_it() {
        assert_eq!(
            resolve(&[], "./Tools/hooks/"),
            Some(vec!["tools".to_owned(), "hooks".to_owned()])
        );
        assert_eq!(resolve(&[".git"], "../shared.inc"), Some(vec!["shared.inc".to_owned()]));
        assert_eq!(resolve(&[], "../outside"), None);
        assert_eq!(resolve(&[], "/usr/bin/less"), None);
        assert_eq!(resolve(&[], "."), None);
    }
}
