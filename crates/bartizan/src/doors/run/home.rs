//! How do a box's changes get home: landed or laid aside, kept through a killed supervisor, told to the log?

use super::progress::Bar;
use crate::report;
use bartizan_sandbox::writeback::keeper::{Charge, Keeper};
use bartizan_sandbox::writeback::{self, Applied, Digest};
use bartizan_store::Store;
use serde_json::{Map, Value, json};
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where the changes of one run go.
#[derive(Debug)]
pub(crate) struct Home {
    /// The session.
    pub(crate) session: String,
    /// The session's folder: the journal and what is held.
    pub(crate) keep: PathBuf,
    /// The state directory, and the person's home, for the keeper.
    pub(crate) state: PathBuf,
    /// The person's home directory.
    pub(crate) person: PathBuf,
    /// This program.
    pub(crate) bartizan: PathBuf,
    /// Who owns what write-back creates, when we run as root.
    pub(crate) owner: Option<(u32, u32)>,
    /// A person looks before anything lands.
    pub(crate) review: bool,
    /// Knows how much room there is for what has to be staged.
    pub(crate) store: Store,
    /// Whether a bar may be drawn.
    pub(crate) bar: bool,
}

impl Home {
    /// Starts the process that holds the changes too, in case that we are killed. Without one the run goes on: what is
    /// lost then is what was lost without a keeper.
    pub(crate) fn keeper(
        &self,
        pid: i32,
        since: SystemTime,
        upper: &OwnedFd,
        workspace: &OwnedFd,
    ) -> Option<Keeper> {
        let nanos = since.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let mut argv: Vec<OsString> = vec!["keeper".into(), "--state".into()];
        argv.push(self.state.clone().into());
        for (name, value) in [
            ("--session", self.session.clone()),
            ("--pid", pid.to_string()),
            ("--since", nanos.to_string()),
        ] {
            argv.extend([name.into(), value.into()]);
        }
        if let Some((uid, gid)) = self.owner {
            argv.extend(["--owner".into(), format!("{uid}:{gid}").into()]);
        }
        if let Some(bytes) = self.store.keeps_free() {
            argv.extend(["--keep-free".into(), bytes.to_string().into()]);
        }
        let charge = Charge { program: &self.bartizan, argv: &argv, home: &self.person };
        Keeper::start(charge, upper.as_fd(), workspace.as_fd()).ok()
    }

    /// Leads the changes home. They are in memory alone, so a full disk must not lose them at once: the
    /// person is told, and it is tried again for a while.
    pub(crate) async fn bring(
        &self,
        upper: &OwnedFd,
        workspace: &OwnedFd,
        since: SystemTime,
    ) -> Result<Applied, String> {
        let mut tried = self.write_back(upper, workspace, since);
        for attempt in 0..HOME_ATTEMPTS {
            let Err(error) = &tried else { break };
            // With a journal on the disk nothing is lost: the next run finishes it.
            if self.keep.join("journal").exists() {
                break;
            }
            if attempt == 0 {
                report::aloud(&format!(
                    "error: the changes did not reach the workspace: {}\n  \
                     hint: they are still in memory; mend it within a minute and they land",
                    report::safe(error)
                ));
            }
            tokio::time::sleep(HOME_PAUSE).await;
            tried = self.write_back(upper, workspace, since);
        }
        tried
    }

    fn write_back(
        &self,
        upper: &OwnedFd,
        workspace: &OwnedFd,
        since: SystemTime,
    ) -> Result<Applied, String> {
        let words = |error: writeback::WritebackError| error.to_string();
        let listed = writeback::list(upper.as_fd(), workspace.as_fd(), since).map_err(words)?;
        // What an agent wrote is staged beside the log, and must not take from it the room to say so.
        let (bytes, files) = listed.weight();
        // And what lands is there twice for a while, where the workspace is on the same disk.
        let times = if !self.review && is_same_disk(workspace, self.store.dir()) { 2 } else { 1 };
        let room = self.store.has_room_for(bytes.saturating_mul(times), files * times);
        room.map_err(|error| error.to_string())?;
        let (journal, held) = places(&self.keep);
        let doing = if self.review { "keeping the changes" } else { "writing back" };
        let mut bar = Bar::new(doing, self.bar);
        let options = writeback::Options {
            owner: self.owner,
            journal: &journal,
            held: &held,
            progress: &mut |done, total| bar.at(done, total),
        };
        let act = if self.review { writeback::shelve } else { writeback::apply };
        act(&listed, upper.as_fd(), workspace.as_fd(), options).map_err(words)
    }
}

/// Whether what is written in the one place takes room from the other; where nobody can say, it does. Parts of one pool (btrfs,
/// ZFS) have numbers of their own, and the same room.
fn is_same_disk(workspace: &OwnedFd, dir: &Path) -> bool {
    let devices = rustix::fs::fstat(workspace).ok().zip(rustix::fs::stat(dir).ok());
    let rooms = rustix::fs::fstatvfs(workspace).ok().zip(rustix::fs::statvfs(dir).ok());
    devices.is_none_or(|(one, other)| one.st_dev == other.st_dev)
        || rooms.is_none_or(|(one, other)| {
            (one.f_blocks, one.f_bavail) == (other.f_blocks, other.f_bavail)
        })
}

/// The journal and the shelf of a session's folder.
pub(crate) fn places(keep: &Path) -> (PathBuf, PathBuf) {
    (keep.join("journal"), keep.join("held"))
}

/// What the log says of a write-back: every path with its digest, in as many records as it takes.
pub(crate) fn records(applied: &Applied) -> Vec<Map<String, Value>> {
    let landed = applied.landed().iter().map(|one| {
        let mut about = json!({ "path": one.path.to_string(), "kind": one.kind.to_string(), "digest": one.digest.map(hex) });
        if let (Value::Object(about), Some(notable)) = (&mut about, one.notable()) {
            about.insert("notable".to_owned(), notable.to_string().into());
        }
        ("landed", about)
    });
    let kept = applied.kept().iter().map(|one| {
        let about = json!({
            "path": one.path().to_string(), "why": one.why(), "conflict": one.is_conflict(),
            "waiting": one.is_waiting(), "digest": one.digest().map(hex),
        });
        ("kept", about)
    });
    let dropped = applied.dropped().iter().map(|(path, why)| {
        ("dropped", json!({ "path": path.to_string(), "why": why.to_string() }))
    });
    parts(landed.chain(kept).chain(dropped))
}

/// Deals entries out to bodies that each fit into a record.
pub(crate) fn parts(
    entries: impl Iterator<Item = (&'static str, Value)>,
) -> Vec<Map<String, Value>> {
    let empty = || -> Map<String, Value> {
        ["landed", "kept", "dropped"].map(|list| (list.to_owned(), json!([]))).into_iter().collect()
    };
    let (mut all, mut body, mut size) = (Vec::new(), empty(), 0);
    for (list, entry) in entries {
        let length = entry.to_string().len();
        if size + length > RECORD_BYTES && size > 0 {
            all.push(std::mem::replace(&mut body, empty()));
            size = 0;
        }
        size += length;
        if let Some(Value::Array(entries)) = body.get_mut(list) {
            entries.push(entry);
        }
    }
    if size > 0 || all.is_empty() {
        all.push(body);
    }
    all
}

/// A digest as the log writes it.
pub(crate) fn hex(digest: Digest) -> String {
    use std::fmt::Write as _;
    digest.iter().fold(String::from("sha256:"), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}

/// How often, and with which pause, changes that could not be brought home are tried again: a minute.
const HOME_ATTEMPTS: u32 = 30;
const HOME_PAUSE: Duration = Duration::from_secs(2);
/// Entries of one record, in bytes; well below what the store takes, since redaction may lengthen them.
const RECORD_BYTES: usize = 96 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_paths_are_on_the_log_in_records_that_fit() {
        let entries = (0..10_000).map(|n| ("landed", json!({ "path": format!("{n:0>60}") })));
        let bodies = parts(entries);
        let count = |body: &Map<String, Value>| body["landed"].as_array().unwrap().len();
        assert_eq!(bodies.iter().map(count).sum::<usize>(), 10_000);
        assert!(bodies.iter().all(|body| Value::from(body.clone()).to_string().len() < 200 * 1024));
        assert_eq!(parts(std::iter::empty()).len(), 1, "nothing changed is told too");
    }
}
