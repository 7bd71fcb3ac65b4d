//! Which paths of the workspace does the host already execute or obey under another name?

use super::fold::fold;
use super::gitconfig::powers;
use super::host::{link_target, names, open_dir, open_file, proc_path, read_bounded};
use super::names::obeyed_places;
use super::path::{RelPath, escape};
use rustix::fs::OFlags;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

/// A path in use, and the configuration key or link that says so.
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

/// Reads `.git/config` and the links at the usual places of the workspace on the host.
///
/// A session cannot have written them (changes to them are judged before they land), but a person may have set `core.hooksPath = tools/hooks`, or linked
/// `.git/hooks/pre-commit` to `scripts/check`; what lies there is a hook although its name does not say so.
pub(crate) fn paths(workspace: BorrowedFd<'_>) -> Vec<Used> {
    let root = std::fs::read_link(proc_path(workspace)).unwrap_or_default();
    let root = String::from_utf8_lossy(root.as_os_str().as_bytes()).into_owned();
    let mut used = configured(workspace, &root);
    for place in obeyed_places() {
        linked(workspace, &root, place, &mut used);
    }
    used
}

fn configured(workspace: BorrowedFd<'_>, root: &str) -> Vec<Used> {
    let Some(config) = read(workspace) else { return Vec::new() };
    let mut used = Vec::new();
    for (key, value) in powers(&config) {
        let base: &[&str] = if key.starts_with("include") { &[".git"] } else { &[] };
        let is_path = PATH_KEYS.iter().any(|name| key.ends_with(name));
        let words = value.split(|c: char| c.is_whitespace() || "'\"!;|&()=".contains(c));
        let words = words.filter(|word| word.contains('/'));
        for word in words.chain(is_path.then_some(value.as_str())) {
            used.extend(resolve(root, base, word).map(|names| Used { names, key: key.clone() }));
        }
    }
    used
}

/// Adds where the link at `place` leads, or the links in the directory there.
fn linked(workspace: BorrowedFd<'_>, root: &str, place: &str, used: &mut Vec<Used>) {
    let Ok(path) = RelPath::new(place.as_bytes()) else { return };
    let above: Vec<&str> = place.split('/').rev().skip(1).collect();
    let mut add = |base: &[&str], dir: BorrowedFd<'_>, name: &[u8], key: String| {
        let Ok(target) = link_target(dir, name) else { return };
        let target = String::from_utf8_lossy(&target);
        used.extend(resolve(root, base, &target).map(|names| Used { names, key }));
    };
    let Ok(parent) = open_dir(workspace, path.parent().as_ref(), OFlags::PATH) else { return };
    add(&above, parent.as_fd(), path.name(), place.to_owned());
    let Ok(dir) = open_dir(workspace, Some(&path), OFlags::RDONLY) else { return };
    let base: Vec<&str> = place.split('/').collect();
    for name in names(&dir, MAX_LINKS).unwrap_or_default() {
        add(&base, dir.as_fd(), &name, format!("{place}/{}", escape(&name)));
    }
}

fn read(workspace: BorrowedFd<'_>) -> Option<Vec<u8>> {
    let git = RelPath::new(b".git").ok()?;
    let dir = open_dir(workspace, Some(&git), OFlags::PATH).ok()?;
    let (mut file, _) = open_file(dir.as_fd(), b"config").ok()?;
    read_bounded(&mut file, MAX_CONFIG).ok()?
}

/// The folded names of a path as seen from the directory `base`, or `None` when it is not below the workspace, whose own path is `root`.
fn resolve(root: &str, base: &[&str], path: &str) -> Option<Vec<String>> {
    let below = path.strip_prefix(root).filter(|rest| !root.is_empty() && rest.starts_with('/'));
    if below.is_none() && path.starts_with(['/', '~']) {
        return None;
    }
    let mut names: Vec<&str> = if below.is_some() { Vec::new() } else { base.to_vec() };
    for name in below.unwrap_or(path).split('/') {
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
/// Entries of one place that are looked at for links; a larger one holds something else.
const MAX_LINKS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_from_where_git_takes_it() {
        assert_eq!(
            resolve("/home/a/ws", &[], "./Tools/hooks/"),
            Some(vec!["tools".to_owned(), "hooks".to_owned()])
        );
        assert_eq!(
            resolve("/home/a/ws", &[".git"], "../shared.inc"),
            Some(vec!["shared.inc".to_owned()])
        );
        assert_eq!(resolve("/home/a/ws", &[], "../outside"), None);
        assert_eq!(resolve("/home/a/ws", &[], "/usr/bin/less"), None);
        assert_eq!(resolve("/home/a/ws", &[], "."), None);
        assert_eq!(resolve("/home/a/ws", &[".git"], "/home/a/ws/h"), Some(vec!["h".to_owned()]));
        assert_eq!(resolve("/home/a/ws", &[], "/home/a/wsx/h"), None);
    }
}
