//! Will git work in the box? In a worktree its repository lies elsewhere, and the box does not show it.

use crate::report::Problem;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// What to tell whoever starts a run in the worktree `root`, unless one of the folders that the box shows holds its
/// repository.
pub(super) fn warning(root: &Path, readable: &[PathBuf]) -> Option<Problem> {
    let git = repository(root)?;
    if git.starts_with(root) || readable.iter().any(|shown| git.starts_with(shown)) {
        return None;
    }
    let problem = Problem::new(format!(
        "this is a worktree of `{}`, which the box does not show: git will not work in it",
        git.display()
    ));
    let clone = "give each agent a clone of its own, `git clone REPOSITORY DIR`";
    Some(problem.hint(format!(
        "{clone}; or, for git that only reads, `readable = [\"{}\"]` under [roles.NAME.box]",
        git.display()
    )))
}

/// The repository of a worktree. An agent can write the worktree's `.git`, so that alone names nothing: what it points
/// at, outside, must point back.
fn repository(root: &Path) -> Option<PathBuf> {
    let link = root.join(".git");
    let at = root.join(line(&link)?.strip_prefix("gitdir: ")?).canonicalize().ok()?;
    let back = PathBuf::from(line(&at.join("gitdir"))?);
    let worktrees = at.parent().filter(|folder| folder.ends_with("worktrees"))?;
    (back == link).then(|| worktrees.parent().map(Path::to_path_buf)).flatten()
}

/// The one line of a small plain file.
fn line(path: &Path) -> Option<String> {
    if !path.symlink_metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    File::open(path).ok()?.take(LIMIT).read_to_string(&mut text).ok()?;
    text.strip_suffix('\n').filter(|text| !text.contains('\n')).map(str::to_owned)
}

/// Longer than any path.
const LIMIT: u64 = 8192;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn laid() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        let (git, tree) = (top.join("main/.git"), top.join("tree"));
        let own = git.join("worktrees/tree");
        fs::create_dir_all(&own).unwrap();
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join(".git"), format!("gitdir: {}\n", own.display())).unwrap();
        fs::write(own.join("gitdir"), format!("{}\n", tree.join(".git").display())).unwrap();
        (dir, git, tree)
    }

    #[test]
    fn a_worktree_whose_repository_is_not_shown_is_told_of() {
        let (_dir, git, tree) = laid();
        let told = warning(&tree, &[]).unwrap().to_string();
        assert!(told.contains(&format!("readable = [\"{}\"]", git.display())), "{told}");
        assert!(warning(&tree, std::slice::from_ref(&git)).is_none());
        assert!(warning(git.parent().unwrap(), &[]).is_none(), "the repository itself");
    }

    /// Else a hostile `.git` could have a person show the box whatever it names.
    #[test]
    fn a_git_file_that_nothing_points_back_to_names_nothing() {
        let (dir, git, tree) = laid();
        let keys = dir.path().canonicalize().unwrap().join(".ssh/worktrees/x");
        fs::create_dir_all(&keys).unwrap();
        fs::write(tree.join(".git"), format!("gitdir: {}\n", keys.display())).unwrap();
        assert!(warning(&tree, &[]).is_none());
        fs::write(keys.join("gitdir"), "/elsewhere/.git\n").unwrap();
        assert!(warning(&tree, &[]).is_none());
        fs::write(tree.join(".git"), format!("gitdir: {}\n", git.display())).unwrap();
        assert!(warning(&tree, &[]).is_none(), "no worktree's own folder");
        fs::write(tree.join(".git"), "gitdir: a\ngitdir: b\n").unwrap();
        assert!(warning(&tree, &[]).is_none());
    }
}
