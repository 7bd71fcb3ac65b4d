//! What of a client's own files outlives its box, so that the next one can go on from there?
//!
//! The client, and so whoever steers it, wrote these files. So the list is short and closed: the transcripts that
//! `--resume` reads, and the prompts that a person typed. No settings, no hooks, no memory, no skills, no credentials:
//! what instructs or authorises the next run never comes from this one. What earlier runs have kept can be
//! added to, and neither changed nor taken away.
//!
//! INVARIANT: every name that comes out of a box is checked before it becomes a path of ours, no link is followed, no
//! other file system entered, and what is read is bounded.

mod beneath;

use super::SyntheticFile;
use crate::client::kept::beneath::Beneath;
use bartizan_gate::name::RoleName;
use bartizan_store::Digest;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where the conversations of one role in one workspace are kept: in the state directory, which no box shows. A role has its
/// own: they hold what it has read, and a narrower one must not find in them what its own box does not show it.
#[derive(Debug)]
pub(crate) struct Kept {
    folder: PathBuf,
    workspace: String,
}

/// What came home, for the log.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    kept: Vec<String>,
    left: Vec<(String, &'static str)>,
}

impl Kept {
    /// The place for this workspace; it is made when there is something to keep.
    pub(crate) fn of(state: &Path, workspace: &Path, role: &RoleName) -> Self {
        let workspace = workspace.to_string_lossy().into_owned();
        let name = place(&workspace, role);
        Self { folder: state.join("clients/claude-code").join(name), workspace }
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the next box finds in its home directory: the newest transcripts, as far as there is room, and the prompts.
    ///
    /// # Errors
    /// What is kept cannot be read.
    pub(crate) fn files(&self, home: &Path) -> io::Result<Vec<SyntheticFile>> {
        let mut room = LAID_BYTES;
        let mut files = Vec::new();
        let inside = home.join(".claude");
        for (name, bytes) in self.newest()? {
            let Some(left) = room.checked_sub(bytes) else { continue };
            room = left;
            let contents = fs::read(self.folder.join(&name))?;
            let path = inside.join("projects").join(slug(&self.workspace)).join(name);
            files.push(SyntheticFile { path, contents, mode: 0o600, writable: true });
        }
        let contents = read(&self.folder.join(HISTORY))?;
        if !contents.is_empty() {
            let path = inside.join(HISTORY);
            files.push(SyntheticFile { path, contents, mode: 0o600, writable: true });
        }
        Ok(files)
    }

    /// Takes home what may come, from the home directory of a box that has ended. What cannot be kept is missing in the
    /// next run, and said on the log.
    pub(crate) fn keep(&self, home: &OwnedFd) -> Account {
        let mut account = Account::default();
        let home = Beneath::of(home);
        let projects = format!(".claude/projects/{}", slug(&self.workspace));
        let mut fresh = 0;
        for name in home.names(&projects, MOST_NAMES) {
            if !is_transcript(&name) {
                continue;
            }
            let kept = home
                .read(&format!("{projects}/{name}"), MOST_BYTES)
                .and_then(|text| self.keep_transcript(&name, &text, &mut fresh));
            match kept {
                Ok(()) => account.kept.push(name),
                Err(why) => account.left.push((name, why)),
            }
        }
        match home.read(&format!(".claude/{HISTORY}"), MOST_BYTES) {
            Ok(text) if self.keep_prompts(&text).is_err() => {
                account.left.push((HISTORY.to_owned(), CANNOT_WRITE));
            }
            // Headless runs have none.
            Ok(_) | Err(_) => {}
        }
        account
    }

    fn keep_transcript(
        &self,
        name: &str,
        text: &str,
        fresh: &mut usize,
    ) -> Result<(), &'static str> {
        let path = self.folder.join(name);
        let before = read(&path).map_err(|_| "what was kept before cannot be read")?;
        if !text.as_bytes().starts_with(&before) {
            return Err("it changes what an earlier run has kept");
        }
        if text.is_empty() {
            return Err("it is empty");
        }
        if text.len() == before.len() {
            return Ok(());
        }
        if before.is_empty() {
            *fresh += 1;
        }
        if *fresh > MOST_FRESH {
            return Err("there are too many new ones in one run");
        }
        let session = name.trim_end_matches(TRANSCRIPT);
        if !text.lines().all(|line| Line::belongs(line, session)) {
            return Err("it is not a transcript of that conversation");
        }
        let held = self.transcripts().map_err(|_| CANNOT_WRITE)?;
        let held = held.iter().filter(|(_, other, _)| other != name);
        let bytes: u64 = held.map(|(_, _, bytes)| bytes).sum();
        // Not the oldest ones away: an agent that floods the place must not push out what the person wants.
        if bytes.saturating_add(MOST_BYTES) > HELD_BYTES {
            return Err("this workspace's conversations take up all the room there is for them");
        }
        self.write(name, text.as_bytes()).map_err(|_| CANNOT_WRITE)
    }

    /// Adds the prompts of this workspace that are not there yet.
    fn keep_prompts(&self, text: &str) -> io::Result<()> {
        let before = read(&self.folder.join(HISTORY))?;
        let before = String::from_utf8_lossy(&before).into_owned();
        let known: HashSet<&str> = before.lines().collect();
        let fresh = text
            .lines()
            .filter(|line| !known.contains(line) && Prompt::belongs(line, &self.workspace));
        let fresh: Vec<&str> = fresh.take(MOST_PROMPTS).collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let mut all: Vec<&str> = before.lines().chain(fresh).collect();
        let old = all.len().saturating_sub(MOST_PROMPTS);
        all.drain(..old);
        self.write(HISTORY, (all.join("\n") + "\n").as_bytes())
    }

    /// Replaces a file as a whole: a run that is killed leaves the old one.
    fn write(&self, name: &str, contents: &[u8]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let beside = self.folder.join(format!(".{}.{name}", std::process::id()));
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(contents)?;
        fs::rename(&beside, self.folder.join(name))
    }

    /// The transcripts that are laid in, newest first, with their sizes.
    fn newest(&self) -> io::Result<Vec<(String, u64)>> {
        let mut found = self.transcripts()?;
        found.sort_by(|one, other| other.cmp(one));
        found.truncate(MOST_LAID);
        Ok(found.into_iter().map(|(_, name, bytes)| (name, bytes)).collect())
    }

    /// The transcripts that are kept, with their ages and sizes.
    fn transcripts(&self) -> io::Result<Vec<(SystemTime, String, u64)>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            let meta = entry.metadata()?;
            if is_transcript(&name) && meta.is_file() {
                let at = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                found.push((at, name, meta.len()));
            }
        }
        Ok(found)
    }
}

/// What stands for a role in a workspace, as a name of a file: no path holds a NUL, so no two have the same.
pub(crate) fn place(workspace: &str, role: &RoleName) -> String {
    Digest::of_parts(&[workspace.as_bytes(), b"\0", role.as_str().as_bytes()]).to_string()
}

impl Account {
    /// Whether this conversation was kept.
    pub(crate) fn has(&self, conversation: &str) -> bool {
        self.kept.iter().any(|name| name.strip_suffix(".jsonl") == Some(conversation))
    }

    /// What the log says of it.
    pub(crate) fn about(&self) -> Map<String, Value> {
        let left = self.left.iter().map(|(name, why)| json!({ "file": name, "why": why }));
        let left: Vec<Value> = left.collect();
        let about = [("conversations", json!(self.kept)), ("left", json!(left))];
        about.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

/// What must hold of each line of a transcript. The rest is the client's own business.
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(rename = "sessionId")]
    session: Option<String>,
}

impl Line {
    fn belongs(text: &str, session: &str) -> bool {
        let line: Result<Self, _> = serde_json::from_str(text);
        line.is_ok_and(|line| line.session.is_none_or(|own| own == session))
    }
}

/// One prompt of the history.
#[derive(Deserialize)]
struct Prompt {
    display: String,
    project: String,
}

impl Prompt {
    /// A prompt is offered to the person again, so it must be text that a person can have typed.
    fn belongs(text: &str, workspace: &str) -> bool {
        let prompt: Result<Self, _> = serde_json::from_str(text);
        let typed = |text: &str| text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\t'));
        prompt.is_ok_and(|prompt| prompt.project == workspace && typed(&prompt.display))
    }
}

/// Whether this is the name of a transcript: a lower-case UUID and the ending.
fn is_transcript(name: &str) -> bool {
    let Some(id) = name.strip_suffix(TRANSCRIPT) else { return false };
    let groups: Vec<&str> = id.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let is_hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    lengths == [8, 4, 4, 4, 12] && groups.concat().chars().all(is_hex)
}

/// The client's name for a project's folder.
fn slug(workspace: &str) -> String {
    workspace.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

/// A file of ours; an absent one is empty.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

const TRANSCRIPT: &str = ".jsonl";
const HISTORY: &str = "history.jsonl";
const CANNOT_WRITE: &str = "it cannot be written";
/// Largest transcript that is kept.
const MOST_BYTES: u64 = 32 << 20;
/// Names looked at in a box's folder.
const MOST_NAMES: usize = 1000;
/// New conversations of one run: `/clear` begins another, and nobody does that so often.
const MOST_FRESH: usize = 16;
/// Transcripts that are laid into a box, and their bytes together: they count against its memory.
const MOST_LAID: usize = 50;
const LAID_BYTES: u64 = 64 << 20;
/// What the transcripts of one workspace may take up together.
const HELD_BYTES: u64 = 1 << 30;
/// Prompts that are kept.
const MOST_PROMPTS: usize = 1000;

#[cfg(test)]
mod tests;
