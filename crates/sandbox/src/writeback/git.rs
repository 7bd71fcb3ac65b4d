//! What is this file to git, when it lies in a git directory?

use super::change::{DropReason, HoldReason, Verdict};

/// What a name inside a git directory comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GitPlace {
    /// Lands freely: objects.
    Object,
    /// Lands, together with the repository's other references and its index or not at all.
    Unit,
    /// A directory, or a file without power, that lands by itself.
    Plain,
    /// Lands when its contents are harmless ([`super::gitconfig::judge_config`]).
    Config,
    /// Lands when it hides no more from `git status` than the host's does.
    Exclude,
    /// Lands when its contents are what its name says.
    LfsObject,
    /// Lands when it cuts off no commits that the host's repository shows.
    Shallow,
    /// Does not land. `true` = neither does anything below it.
    Withheld(Verdict, bool),
}

/// Judges a path inside a git directory by its folded names below that directory.
///
/// `is_dir` and `is_link` describe the entry itself, `is_new` says that the host has nothing there. What git is not known to write is held:
/// a list of what is dangerous would be one git release behind.
pub(crate) fn place(names: &[String], is_dir: bool, is_link: bool, is_new: bool) -> GitPlace {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let Some((last, above)) = names.split_last() else { return GitPlace::Plain };
    if is_link || names.contains(&".git") {
        return held(HoldReason::GitRedirect, true);
    }
    if let ["modules" | "worktrees", ..] = names.as_slice() {
        return nested(&names, is_dir, is_new);
    }
    if !is_dir && has_suffix(last, ".lock") && !matches!(above, ["objects", ..]) {
        return GitPlace::Withheld(Verdict::Drop(DropReason::GitLock), false);
    }
    match names.as_slice() {
        ["config"] if !is_dir => GitPlace::Config,
        ["hooks", ..] => hook(&names, is_dir),
        ["info", "attributes", ..] => {
            held(HoldReason::GitAttributes { line: "info/attributes".to_owned() }, true)
        }
        ["objects", "info", "alternates" | "http-alternates", ..]
        | ["commondir" | "gitdir" | "config.worktree", ..]
        | ["branches" | "remotes", _, ..] => held(HoldReason::GitRedirect, true),
        ["rebase-merge" | "rebase-apply" | "sequencer", ..] => held(HoldReason::GitTodo, true),
        ["objects", "info", "commit-graph" | "commit-graphs", ..] if !is_dir => cache(),
        ["objects", "pack", name, ..] if name.starts_with("multi-pack-index") => cache(),
        ["objects", ..] => GitPlace::Object,
        ["refs", "replace", ..] | ["info", "grafts"] => held(HoldReason::GitReplace, true),
        ["refs" | "logs" | "reftable" | "lfs" | "info" | "branches" | "remotes"] if is_dir => {
            GitPlace::Plain
        }
        ["refs" | "logs" | "reftable", _, ..] => {
            if is_dir {
                GitPlace::Plain
            } else {
                GitPlace::Unit
            }
        }
        ["info", "exclude"] if !is_dir => GitPlace::Exclude,
        ["lfs", "objects", ..] if !is_dir => GitPlace::LfsObject,
        ["lfs", "objects" | "tmp" | "cache", ..]
        | ["info", "refs" | "sparse-checkout"]
        | ["description" | "gc.log"] => GitPlace::Plain,
        ["shallow"] if !is_dir => GitPlace::Shallow,
        ["head" | "index" | "packed-refs"] if !is_dir => GitPlace::Unit,
        [name] if !is_dir && is_state(name) => GitPlace::Unit,
        _ => held(HoldReason::GitUnknown, true),
    }
}

/// `*_HEAD`, `*_MSG` and what else git writes in capitals, and the parts of a split index; names are folded.
fn is_state(name: &str) -> bool {
    let known = [
        "auto_merge",
        "bisect_log",
        "bisect_names",
        "bisect_start",
        "bisect_terms",
        "bisect_expected_rev",
        "bisect_ancestors_ok",
        "merge_rr",
        "merge_mode",
        "commit_editmsg",
    ];
    name.ends_with("_head")
        || name.ends_with("_msg")
        || name.ends_with("_editmsg")
        || name.starts_with("sharedindex.")
        || known.contains(&name)
}

/// Git runs a hook by its exact name, so the samples that `git init` lays down are inert.
fn hook(names: &[&str], is_dir: bool) -> GitPlace {
    match names {
        [_] if is_dir => GitPlace::Plain,
        [_, name] if !is_dir && has_suffix(name, ".sample") => GitPlace::Plain,
        _ => held(HoldReason::GitHook, true),
    }
}

/// The git directories of submodules and worktrees. A submodule's name may hold slashes and any word, so no directory name is trusted here:
/// what has power is held at any depth.
fn nested(names: &[&str], is_dir: bool, is_new: bool) -> GitPlace {
    let Some((last, above)) = names.split_last() else { return GitPlace::Plain };
    match names {
        [_] if is_dir => GitPlace::Plain,
        // Half a worktree is worse than none: its `gitdir` is held, so the whole new one is.
        ["worktrees", ..] if above.len() == 1 && is_new => held(HoldReason::GitRedirect, true),
        _ if above.iter().skip(1).any(|name| *name == "hooks") => hook(&["hooks", last], is_dir),
        _ if *last == "hooks" => {
            if is_dir {
                GitPlace::Plain
            } else {
                held(HoldReason::GitHook, true)
            }
        }
        _ if is_dir => GitPlace::Plain,
        _ if *last == "config" => GitPlace::Config,
        _ if matches!(
            *last,
            "config.worktree" | "commondir" | "gitdir" | "alternates" | "http-alternates"
        ) =>
        {
            held(HoldReason::GitRedirect, false)
        }
        _ if *last == "attributes" => {
            held(HoldReason::GitAttributes { line: "info/attributes".to_owned() }, false)
        }
        _ if above
            .iter()
            .any(|name| matches!(*name, "rebase-merge" | "rebase-apply" | "sequencer")) =>
        {
            held(HoldReason::GitTodo, false)
        }
        _ if above.iter().any(|name| matches!(*name, "branches" | "remotes"))
            && !above.iter().any(|name| matches!(*name, "refs" | "logs")) =>
        {
            held(HoldReason::GitRedirect, false)
        }
        _ if has_suffix(last, ".lock") => {
            GitPlace::Withheld(Verdict::Drop(DropReason::GitLock), false)
        }
        _ if last.starts_with("commit-graph")
            || last.starts_with("multi-pack-index")
            || above.contains(&"commit-graphs") =>
        {
            cache()
        }
        [.., "refs", "replace", _] | [.., "info", "grafts"] => held(HoldReason::GitReplace, false),
        [.., "info", "exclude"] => GitPlace::Exclude,
        [.., "lfs", "objects", _, _, _] => GitPlace::LfsObject,
        [.., "shallow"] if !above.iter().any(|name| matches!(*name, "refs" | "logs")) => {
            GitPlace::Shallow
        }
        _ if above.contains(&"objects") => GitPlace::Object,
        _ => GitPlace::Unit,
    }
}

/// A copy of what objects say, which git reads in their stead.
fn cache() -> GitPlace {
    GitPlace::Withheld(Verdict::Drop(DropReason::GitCache), true)
}

fn held(reason: HoldReason, below: bool) -> GitPlace {
    GitPlace::Withheld(Verdict::Hold(reason), below)
}

fn has_suffix(name: &str, suffix: &str) -> bool {
    name.len() > suffix.len() && name.ends_with(suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> GitPlace {
        place(&path.split('/').map(str::to_owned).collect::<Vec<_>>(), false, false, true)
    }

    #[test]
    fn what_add_commit_and_branch_write_lands() {
        for path in [
            "objects/ab/cdef",
            "objects/pack/pack-1.idx",
            "refs/heads/main",
            "refs/heads/hooks/x",
            "refs/heads/config",
            "head",
            "index",
            "logs/head",
            "logs/refs/heads/main",
            "commit_editmsg",
            "orig_head",
            "fetch_head",
            "merge_msg",
            "packed-refs",
            "info/exclude",
            "hooks/pre-commit.sample",
            "description",
            "refs/stash",
            "modules/sub/refs/heads/main",
        ] {
            assert!(!matches!(file(path), GitPlace::Withheld(..)), "{path}");
        }
    }

    #[test]
    fn what_executes_or_redirects_does_not() {
        for path in [
            "hooks/pre-commit",
            "hooks/sub/x.sample",
            "hooks",
            "info/attributes",
            "objects/info/alternates",
            "commondir",
            "gitdir",
            "config.worktree",
            "modules/a/hooks/pre-push",
            "modules/a/b/objects/hooks/x",
            "modules/a/info/attributes",
            "worktrees/w/gitdir",
            "rebase-merge/git-rebase-todo",
            "sequencer/todo",
            "remotes/origin",
            "x/.git/config",
            "something",
            "fsmonitor-hook",
            "index.lock",
            "refs/heads/main.lock",
            "lfs/hooks",
            "modules/a/remotes/o",
            ".sample",
        ] {
            assert!(matches!(file(path), GitPlace::Withheld(..)), "{path}");
        }
        assert_eq!(file("config"), GitPlace::Config);
        assert_eq!(file("modules/refs/config"), GitPlace::Config);
        assert!(matches!(
            place(&["objects".to_owned()], false, true, true),
            GitPlace::Withheld(..)
        ));
    }
}
