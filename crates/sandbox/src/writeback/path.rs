//! Which place in the workspace is meant, whatever bytes its name is made of?

use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str::FromStr;
use thiserror::Error;

/// A path inside the workspace: one or more names joined by `/`, none of them empty, `.` or `..`.
///
/// Names on Linux are bytes, and a box may choose any. What is shown to people and stored in journals is an
/// escaped spelling (`\xNN` for what is not printable, for invisible and reordering characters, and for the backslash),
/// which reads back to exactly the same bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RelPath(Vec<u8>);

/// The text is not a path inside a workspace.
#[derive(Debug, Error)]
#[error(
    "`{0}` is not a path inside the workspace: it must be relative, without empty, `.` or `..` names"
)]
pub struct BadRelPath(String);

impl RelPath {
    /// Takes the bytes of a relative path, names separated by `/`.
    ///
    /// # Errors
    /// [`BadRelPath`] when it is empty, absolute, holds a NUL, or has an empty, `.` or `..` name.
    pub fn new(bytes: &[u8]) -> Result<Self, BadRelPath> {
        let sound = bytes.split(|b| *b == b'/').all(|name| !matches!(name, b"" | b"." | b".."));
        if sound && !bytes.contains(&0) {
            Ok(Self(bytes.to_vec()))
        } else {
            Err(BadRelPath(escape(bytes)))
        }
    }

    /// The entry called `name` in the directory `parent` (`None` = the workspace itself).
    ///
    /// # Errors
    /// [`BadRelPath`] when `name` is not a single proper name.
    pub(crate) fn child(parent: Option<&Self>, name: &[u8]) -> Result<Self, BadRelPath> {
        if name.contains(&b'/') {
            return Err(BadRelPath(escape(name)));
        }
        let mut bytes = Vec::new();
        if let Some(parent) = parent {
            bytes.extend_from_slice(&parent.0);
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name);
        Self::new(&bytes)
    }

    /// The bytes, as the kernel takes them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same as a [`Path`].
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// The last name.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.0.rsplit(|b| *b == b'/').next().unwrap_or_default()
    }

    /// The directory that holds it, or `None` when that is the workspace itself.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let slash = self.0.iter().rposition(|b| *b == b'/')?;
        self.0.get(..slash).map(|bytes| Self(bytes.to_vec()))
    }

    /// The names from the top down.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|b| *b == b'/')
    }

    /// How many directories lie between it and the workspace.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.names().count().saturating_sub(1)
    }

    /// Whether it lies (at any depth) inside `dir`.
    #[must_use]
    pub fn is_inside(&self, dir: &Self) -> bool {
        self.0.strip_prefix(dir.0.as_slice()).is_some_and(|rest| rest.first() == Some(&b'/'))
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&self.0))
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

impl From<RelPath> for String {
    fn from(path: RelPath) -> Self {
        escape(&path.0)
    }
}

impl TryFrom<String> for RelPath {
    type Error = BadRelPath;

    fn try_from(text: String) -> Result<Self, BadRelPath> {
        text.parse()
    }
}

impl FromStr for RelPath {
    type Err = BadRelPath;

    fn from_str(text: &str) -> Result<Self, BadRelPath> {
        let bytes = unescape(text).ok_or_else(|| BadRelPath(escape(text.as_bytes())))?;
        Self::new(&bytes)
    }
}

/// Bytes from a box as printable text that cannot move a terminal's cursor, hide, or change its reading order.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\\' || c.is_control() || super::fold::is_ignorable(c) {
                let mut buffer = [0; 4];
                hex(&mut out, c.encode_utf8(&mut buffer).as_bytes());
            } else {
                out.push(c);
            }
        }
        hex(&mut out, chunk.invalid());
    }
    out
}

/// The bytes that [`escape`] was given, or `None` for a text it cannot have written.
pub(crate) fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('\\');
    let mut out = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.strip_prefix('x')?.split_at_checked(2)?;
        out.push(u8::from_str_radix(code, 16).ok()?);
        out.extend_from_slice(rest.as_bytes());
    }
    Some(out)
}

fn hex(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // INVARIANT: writing to a String cannot fail.
        let _written = write!(out, "\\x{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_that_leaves_the_workspace_is_refused() {
        for bad in ["", "/", "/etc", "..", "a/../b", "a//b", "a/", "./a", "a/.", "a\0b"] {
            assert!(RelPath::new(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_name_that_would_repaint_the_terminal_is_shown_escaped() {
        let path = RelPath::new(b"a\x1b[2J\xe2\x80\xaeb\\\xff").unwrap();
        assert_eq!(path.to_string(), "a\\x1b[2J\\xe2\\x80\\xaeb\\x5c\\xff");
    }

    #[test]
    fn inside_means_below_and_not_merely_a_longer_name() {
        let dir = RelPath::new(b"a/b").unwrap();
        assert!(RelPath::new(b"a/b/c").unwrap().is_inside(&dir));
        assert!(!RelPath::new(b"a/bc").unwrap().is_inside(&dir));
        assert!(!dir.is_inside(&dir));
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back_to_the_same_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(unescape(&escape(&bytes)), Some(bytes));
        }
    }
}
