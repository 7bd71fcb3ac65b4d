//! Would a tool of the host do something new because of what a file says?

use super::attributes::judge_attributes;
use super::change::{Digest, HoldReason};
use super::gitconfig::{judge_config, shorten};
use super::host::{look, open_dir, open_file, read_bounded};
use super::path::RelPath;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A verdict that depends on what the file says, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contents {
    /// Git attributes.
    GitAttributes,
    /// Git configuration.
    GitConfig,
    /// Patterns of files that git does not tell of.
    GitExclude,
    /// Commits whose parents git is not to look for.
    GitShallow,
    /// An object of Git LFS, whose name is the SHA-256 of its contents.
    LfsObject,
    /// Which Rust toolchain is used in a directory.
    Toolchain,
}

impl Contents {
    /// Judges new contents against those on the host (`None` = nothing there), which has this repository.
    pub(crate) fn judge(
        self,
        new: &[u8],
        old: Option<&[u8]>,
        theirs: &Theirs<'_>,
    ) -> Result<(), HoldReason> {
        match self {
            Self::GitAttributes => judge_attributes(new, old),
            Self::GitConfig => judge_config(new, old, &|branch| theirs.has_branch(branch)),
            Self::GitExclude => judge_exclude(new, old),
            Self::GitShallow if theirs.is_there() => judge_shallow(new, old),
            Self::GitShallow | Self::LfsObject => Ok(()),
            Self::Toolchain => judge_toolchain(new, old),
        }
    }

    /// Judges that the host's contents are no more.
    pub(crate) fn judge_gone(self, old: &[u8]) -> Result<(), HoldReason> {
        match self {
            Self::GitAttributes => judge_attributes(b"", Some(old)),
            Self::GitConfig
            | Self::GitExclude
            | Self::GitShallow
            | Self::LfsObject
            | Self::Toolchain => Ok(()),
        }
    }
}

/// The host's repository, of which a file is judged.
pub(crate) struct Theirs<'a> {
    /// The workspace on the host.
    pub(crate) workspace: BorrowedFd<'a>,
    /// The git directory below it.
    pub(crate) dir: Option<RelPath>,
}

impl Theirs<'_> {
    /// Whether it has a branch. What cannot be read might have it.
    fn has_branch(&self, branch: &str) -> bool {
        let mut bytes = self.dir.as_ref().map(|dir| [dir.as_bytes(), b"/"].concat());
        let bytes = bytes.get_or_insert_default();
        bytes.extend_from_slice(format!("refs/heads/{branch}").as_bytes());
        let Ok(path) = RelPath::new(bytes) else { return true };
        let is_loose = open_dir(self.workspace, path.parent().as_ref(), OFlags::PATH)
            .is_ok_and(|heads| !matches!(look(heads.as_fd(), path.name()), Ok(None)));
        is_loose || self.is_packed(branch)
    }

    fn is_packed(&self, branch: &str) -> bool {
        let Ok(dir) = self.open() else { return true };
        if matches!(look(dir.as_fd(), b"packed-refs"), Ok(None)) {
            return false;
        }
        let text = open_file(dir.as_fd(), b"packed-refs")
            .ok()
            .and_then(|(mut file, _)| read_bounded(&mut file, MAX_REFS).ok().flatten());
        let name = format!(" refs/heads/{branch}");
        text.is_none_or(|text| {
            text.split(|b| *b == b'\n').any(|line| line.ends_with(name.as_bytes()))
        })
    }

    /// Whether it is there at all. What cannot be looked at might be.
    fn is_there(&self) -> bool {
        match self.open() {
            Ok(dir) => !matches!(look(dir.as_fd(), b"HEAD"), Ok(None)),
            Err(errno) => errno != Errno::NOENT,
        }
    }

    fn open(&self) -> rustix::io::Result<OwnedFd> {
        open_dir(self.workspace, self.dir.as_ref(), OFlags::PATH)
    }
}

/// Whether a name is that of an object of Git LFS with this digest.
pub(super) fn is_named(name: &[u8], digest: Digest) -> bool {
    let hex: String = digest.iter().flat_map(|b| [b >> 4, b & 0xf]).map(nibble).collect();
    name == hex.as_bytes()
}

fn nibble(value: u8) -> char {
    char::from_digit(u32::from(value), 16).unwrap_or('0')
}

/// What lies behind a commit that stands here git does not look for, does not show, and throws away when it clears up.
fn judge_shallow(new: &[u8], old: Option<&[u8]>) -> Result<(), HoldReason> {
    let old = old.unwrap_or_default();
    let had: Vec<&[u8]> = old.split(|b| *b == b'\n').collect();
    let has_more = new.split(|b| *b == b'\n').any(|line| !line.is_empty() && !had.contains(&line));
    if has_more { Err(HoldReason::GitReplace) } else { Ok(()) }
}

/// `git status` says nothing of a new file that a pattern here fits, and no diff shows the pattern.
fn judge_exclude(new: &[u8], old: Option<&[u8]>) -> Result<(), HoldReason> {
    let lines = |text: &[u8]| -> Vec<Vec<u8>> {
        text.split(|b| *b == b'\n').map(|line| line.trim_ascii().to_vec()).collect()
    };
    let had = lines(old.unwrap_or_default());
    let is_pattern = |line: &Vec<u8>| !line.is_empty() && !line.starts_with(b"#");
    match lines(new).into_iter().find(|line| is_pattern(line) && !had.contains(line)) {
        None => Ok(()),
        Some(line) => Err(HoldReason::GitHidden { path: shorten(&String::from_utf8_lossy(&line)) }),
    }
}

/// A toolchain that is a directory: whatever asks for the compiler's version there, a prompt or an editor, runs the program in it.
fn judge_toolchain(new: &[u8], old: Option<&[u8]>) -> Result<(), HoldReason> {
    let text = new.to_ascii_lowercase();
    // With an escape in it, a key of TOML can be spelled in other letters.
    let is_path = |line: &[u8]| {
        !line.trim_ascii_start().starts_with(b"#")
            && (line.windows(4).any(|part| part == b"path")
                || line.iter().any(|b| b"/\\".contains(b)))
    };
    if old != Some(new) && text.split(|b| *b == b'\n').any(is_path) {
        return Err(HoldReason::ShellStartup);
    }
    Ok(())
}

/// Bytes of packed references that are read.
const MAX_REFS: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_hides_new_files_is_held_and_gits_own_text_is_not() {
        let own = b"# git ls-files --others\n# *.[oa]\n\n".as_slice();
        assert_eq!(judge_exclude(own, None), Ok(()));
        assert_eq!(judge_exclude(b"*.log\n", Some(b"*.log\n/tmp\n")), Ok(()));
        for new in ["evil*\n", "*.log\n!x\n", " # x", "\\#x"] {
            let is_held = judge_exclude(new.as_bytes(), Some(b"*.log\n")).is_err();
            assert_eq!(is_held, !new.trim().starts_with('#'), "{new:?}");
        }
    }

    #[test]
    fn a_toolchain_that_is_a_folder_is_held_and_a_version_is_not() {
        for good in [
            "1.85.0\n",
            "[toolchain]\nchannel = \"nightly-2026-01-01\"\ncomponents = [\"clippy\"]\n",
        ] {
            assert_eq!(judge_toolchain(good.as_bytes(), None), Ok(()), "{good}");
        }
        for bad in [
            "/home/a/ws/tc\n",
            "[toolchain]\npath = \"tc\"\n",
            "[toolchain]\n\"p\\u0061th\" = \"tc\"\n",
            "toolchain = { path = 'tc' }",
        ] {
            assert!(judge_toolchain(bad.as_bytes(), None).is_err(), "{bad}");
            assert_eq!(judge_toolchain(bad.as_bytes(), Some(bad.as_bytes())), Ok(()), "{bad}");
        }
    }
}
