//! Where can the log no longer be changed unseen? Where its newest checkpoint is kept out of reach.

use super::elsewhere::Elsewhere;
use super::{Desk, no_log, small_file, witness};
use crate::cli::{AuditAnchorArgs, exit};
use crate::desk::anchored::ANCHOR;
use crate::report::{Failure, Problem, safe};
use bartizan_store::{
    Checkpoint, Covers, Durability, Entry, Event, Ledger as _, Store, StoreError,
};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// `bartizan audit anchor`.
pub(super) fn run(args: &AuditAnchorArgs, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    super::super::outside_a_box("anchoring the log")?;
    if !desk.places.state.exists() {
        return Err(no_log(&desk.places.state));
    }
    let store = Store::open(&desk.places.state)?;
    if let Some(path) = args.to.as_deref().filter(|path| path.exists()) {
        held_against_the_log(&store, path)?;
    }
    let Some(note) = store.checkpoint()? else {
        desk.voice.say("the log is empty, so there is nothing to anchor")?;
        return Ok(exit::DONE);
    };
    let signed = open(&store, &note)?;
    let witness = args.witness.as_deref().zip(args.witness_key.as_deref());
    let note = match witness {
        Some((url, key)) => {
            let note =
                witness::cosigned(desk, &store, (url, &witness::key(key)?), (&note, &signed))?;
            desk.voice.say(&format!("{}: {} records, cosigned", safe(url), signed.size))?;
            note
        }
        None => note,
    };
    let place = if let Some(path) = &args.to {
        replace(path, &note).map_err(|error| Failure::file("write", path, &error))?;
        desk.voice.say(&format!("{}: {} records", path.display(), signed.size))?;
        path.display().to_string()
    } else if let Some(url) = &args.url {
        let body = note.clone().into_bytes();
        let way = Elsewhere::new(desk, &store, ("--url", url, args.bearer.as_deref()))?;
        way.send(true, ("text/plain; charset=utf-8", body))?;
        desk.voice.say(&format!("{}: {} records", safe(url), signed.size))?;
        safe(url)
    } else {
        write!(desk.voice.out(), "{note}")?;
        desk.voice.flush()?;
        witness.map_or_else(|| "standard output".to_owned(), |(url, _)| safe(url))
    };
    let entry = Entry::new(Event::Checkpoint)
        .with("place", place)
        .with("size", signed.size)
        .with("root", signed.root.to_string());
    let recorded = store.append(entry, Durability::Durable);
    let _receipt = recorded.map_err(|error| Failure::from(StoreError::from(error)))?;
    // Whether what went to standard output was kept anywhere, nobody here can tell.
    if args.to.is_some() || args.url.is_some() || args.witness.is_some() {
        store.set_mark(ANCHOR, signed.size)?;
    }
    Ok(exit::DONE)
}

/// An anchor that the log does not fit is evidence, and is not written over.
fn held_against_the_log(store: &Store, path: &Path) -> Result<(), Failure> {
    let signed = open(store, &small_file(path)?).map_err(|mut failure| {
        for problem in &mut failure.problems {
            *problem = problem.clone().hint(format!("`{}` is not overwritten", path.display()));
        }
        failure
    })?;
    let (code, what) = match store.reader().covers(&signed)? {
        Covers::Same | Covers::Pruned => return Ok(()),
        Covers::Other => (exit::NO, "the log is not the one that was anchored"),
        Covers::Beyond => (exit::USAGE, "the end of the log was cut off"),
    };
    let what = format!("{what} in `{}` at {} records", path.display(), signed.size);
    let hint = "keep the file and the state directory as evidence, and run `bartizan audit verify --anchor`";
    Err(Failure::new(code, Problem::new(what).hint(hint)))
}

fn open(store: &Store, note: &str) -> Result<Checkpoint, Failure> {
    let opened = store.public_key().open(note);
    opened.map_err(|error| {
        Failure::new(exit::NO, Problem::new(format!("the anchor is none of this log: {error}")))
    })
}

/// Puts the file in place whole, or not at all.
fn replace(path: &Path, note: &str) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(name);
    let done = File::create_new(&temporary).and_then(|mut file| {
        file.write_all(note.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    });
    if done.is_err() {
        fs::remove_file(&temporary).ok();
    }
    done
}
