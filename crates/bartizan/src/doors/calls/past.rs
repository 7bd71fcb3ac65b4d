//! Which calls did the gate allow in earlier sessions of this role in this workspace? A conversation that is resumed
//! holds them, and must not look like acts that nobody saw.
//!
//! One file for each in the state directory, which no box shows. A line is a digest over a call's
//! id, tool and arguments, and the tool: enough to know a call again, nothing of what it was about.

use super::Act;
use super::deferred::DEFERRED;
use bartizan_store::Digest;
use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

/// The calls of earlier sessions.
#[derive(Debug)]
pub(crate) struct Past {
    file: Mutex<File>,
    known: OnceLock<Known>,
    /// How much of the file there was when the session began.
    until: u64,
}

/// What the file says.
#[derive(Debug, Default)]
struct Known {
    /// Each call as it was last.
    calls: HashMap<String, Recalled>,
    /// Those that were ever put off.
    deferred: HashSet<String>,
}

#[derive(Debug)]
struct Recalled {
    tool: String,
    call: String,
}

impl Past {
    /// Opens the record of this name, which stands for a role in a workspace, and makes it if there is none.
    ///
    /// # Errors
    /// The file cannot be made or read.
    pub(crate) fn open(folder: &Path, name: &str) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(name);
        let file =
            OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(path)?;
        let until = file.metadata()?.len();
        Ok(Self { file: Mutex::new(file), known: OnceLock::new(), until })
    }

    /// Adds a call. What cannot be written is unknown to the next session, which then asks for a new
    /// conversation: it fails closed.
    pub(super) fn remember(&self, id: &str, act: &Act) {
        let line = format!("{} {} {}\n", key(id), whole(id, act), act.tool());
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        drop(file.write_all(line.as_bytes()));
    }

    /// Whether an earlier session had exactly this call.
    pub(super) fn knows(&self, id: &str, act: &Act) -> bool {
        self.recall(id).is_some_and(|recalled| recalled.call == whole(id, act))
    }

    /// The tool that an earlier session called under this id.
    pub(super) fn tool(&self, id: &str) -> Option<String> {
        self.recall(id).map(|recalled| recalled.tool.clone())
    }

    /// Whether an earlier session put off a call of this id.
    pub(super) fn was_deferred(&self, id: &str) -> bool {
        self.known().deferred.contains(&key(id))
    }

    fn recall(&self, id: &str) -> Option<&Recalled> {
        self.known().calls.get(&key(id))
    }

    /// The file is read when the first unknown call turns up: most sessions resume nothing.
    fn known(&self) -> &Known {
        self.known.get_or_init(|| self.read().unwrap_or_default())
    }

    fn read(&self) -> std::io::Result<Known> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let start = self.until.saturating_sub(READ_MAX);
        file.seek(SeekFrom::Start(start))?;
        let mut text = String::new();
        (&mut *file).take(self.until - start).read_to_string(&mut text)?;
        let line = |line: &str| {
            let mut words = line.split(' ');
            let (id, call, tool) = (words.next()?, words.next()?, words.next()?);
            Some((id.to_owned(), Recalled { tool: tool.to_owned(), call: call.to_owned() }))
        };
        let mut known = Known::default();
        for (id, recalled) in text.lines().filter_map(line) {
            if recalled.tool == DEFERRED {
                known.deferred.insert(id.clone());
            }
            known.calls.insert(id, recalled);
        }
        Ok(known)
    }
}

fn key(id: &str) -> String {
    Digest::of_parts(&[b"id", id.as_bytes()]).to_string()
}

fn whole(id: &str, act: &Act) -> String {
    Digest::of_parts(&[b"call", id.as_bytes(), act.digest().as_bytes()]).to_string()
}

/// The newest calls of a workspace that are looked at: some 100,000.
const READ_MAX: u64 = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_next_session_knows_the_calls_of_this_one_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let act = |command: &str| Act::of("Bash", &json!({ "command": command }), "/w");
        let first = Past::open(folder.path(), "w").unwrap();
        first.remember("toolu_1", &act("ls"));
        assert!(!first.knows("toolu_1", &act("ls")), "of earlier sessions only");
        let second = Past::open(folder.path(), "w").unwrap();
        assert!(second.knows("toolu_1", &act("ls")));
        assert!(!second.knows("toolu_1", &act("rm")) && !second.knows("toolu_2", &act("ls")));
        assert_eq!(second.tool("toolu_1").as_deref(), Some("Bash"));
        let elsewhere = Past::open(folder.path(), "another").unwrap();
        assert!(!elsewhere.knows("toolu_1", &act("ls")));
    }
}
