//! Where does a log begin, when its first records are not at hand? At a place that a checkpoint has signed.
use crate::StoreError;
use crate::database;
use crate::digest::{Digest, hex};
use crate::entry::{Entry, Event, Prepared};
use crate::merkle::Frontier;
use crate::note::PublicKey;
use crate::store::Store;
use crate::writer::Batch;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::{Value, json};

/// The tree as it was after so many records, the leaf of the last of them, and the checkpoint over them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) tree: Frontier,
    pub(crate) leaf: Digest,
    note: String,
}

impl Base {
    /// The place from which the records are at hand; `None` when that is the very first.
    pub(crate) fn of_log(db: &Connection) -> rusqlite::Result<Option<Self>> {
        let Some((size, leaf)) = pruned(db)? else { return Ok(None) };
        let row = "SELECT note, frontier FROM checkpoints WHERE size = ?1";
        let (note, frontier): (String, Vec<u8>) = db
            .query_row(row, [size], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?
            .unwrap_or_default();
        // A row that does not fit is for the verifier to name: it stands as a place that nothing signs.
        let tree = Frontier::from_bytes(size, &frontier).unwrap_or_else(Frontier::empty);
        Ok(Some(Self { tree, leaf, note }))
    }

    /// The last place at or before `seq` from which a part of the log can be verified; `None` when that is the first.
    pub(crate) fn before(db: &Connection, seq: u64) -> rusqlite::Result<Option<Self>> {
        let first = Self::of_log(db)?;
        let begins = first.as_ref().map_or(0, |base| base.tree.size());
        let newest = "SELECT c.size, c.note, c.frontier, r.leaf FROM checkpoints c JOIN records r ON r.seq = c.size - 1
                      WHERE c.size <= ?1 AND c.size > ?2 ORDER BY c.size DESC LIMIT 1";
        let found = db
            .query_row(newest, [seq, begins], |row| {
                let frontier = row.get_ref(2)?.as_bytes()?;
                let tree = Frontier::from_bytes(row.get(0)?, frontier);
                let leaf = Digest::try_from(row.get_ref(3)?.as_bytes()?).unwrap_or(Digest::ZERO);
                Ok(tree.map(|tree| (tree, leaf)).zip(row.get(1).ok()))
            })
            .optional()?
            .flatten();
        Ok(found.map(|((tree, leaf), note)| Self { tree, leaf, note }).or(first))
    }

    /// The line of an export that says where what follows begins.
    pub(crate) fn line(&self) -> String {
        let Self { tree, leaf, note } = self;
        json!({ "base": { "checkpoint": note, "frontier": hex(&tree.to_bytes()), "leaf": leaf } })
            .to_string()
    }

    /// Reads that line, and believes it only as far as `key` has signed it. The leaf is not signed by itself: the record
    /// that follows hangs on it, and the next checkpoint covers that one.
    pub(crate) fn parse(line: &[u8], key: Option<&PublicKey>) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(line)
            .map_err(|error| format!("the line that says where it begins: {error}"))?;
        let text = |name: &str| value.pointer(&format!("/base/{name}")).and_then(Value::as_str);
        let parts = text("checkpoint").zip(text("frontier")).zip(text("leaf"));
        let ((note, frontier), leaf) =
            parts.ok_or("the line that says where it begins lacks a part")?;
        let leaf: Digest =
            leaf.parse().map_err(|_| "the leaf before its beginning is no digest")?;
        let frontier = unhex(frontier).ok_or("the tree at its beginning is not hexadecimal")?;
        let key = key.ok_or("it begins at a checkpoint, which only the log's key can prove")?;
        let size = key.open(note).map_err(|error| format!("where it begins: {error}"))?.size;
        let tree = Frontier::from_bytes(size, &frontier)
            .ok_or("the tree at its beginning does not fit its checkpoint")?;
        let base = Self { tree, leaf, note: note.to_owned() };
        base.check(key).map(|()| base)
    }

    /// Whether the checkpoint signs this very tree.
    pub(crate) fn check(&self, key: &PublicKey) -> Result<(), String> {
        let signed = key.open(&self.note).map_err(|error| format!("where it begins: {error}"))?;
        if (signed.size, signed.root) == (self.tree.size(), self.tree.root()) {
            Ok(())
        } else {
            Err("the tree at its beginning is not the one that was signed".to_owned())
        }
    }
}

/// What was taken off the front of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// The first record that was still there before.
    pub from: u64,
    /// The first record that is still there now.
    pub to: u64,
}

impl Store {
    /// Where a prune that keeps every record from `seq` on would cut: at a checkpoint, before the first record of any
    /// session that has not ended.
    pub fn prunable(&self, seq: u64) -> Result<Pruned, StoreError> {
        self.reader().read(|db| prunable(db, seq))
    }

    /// Takes the records before `to`, a place that [`Store::prunable`] named, off the log. That they are gone is put on
    /// the log first, with who took them and what they were; what remains hangs on the checkpoint over them.
    pub fn prune(&self, to: u64, by: &str, archive: Option<&Digest>) -> Result<Pruned, StoreError> {
        let (by, archive) = (by.to_owned(), archive.copied());
        let log_id = self.public_key().log_id().to_owned();
        let pruned = self.work(move |batch| declare(batch, to, &by, archive, &log_id))?;
        // A piece at a time, so that no other process waits long for its own records.
        while self.work(move |batch| drop_piece(batch, to).map(Ok))? < to {}
        Ok(pruned)
    }
}

fn prunable(db: &Connection, seq: u64) -> rusqlite::Result<Pruned> {
    let from = pruned(db)?.map_or(0, |(size, _)| size);
    let open = "SELECT min(r.seq) FROM sessions s JOIN records r ON r.session = s.id WHERE s.ended_ms IS NULL";
    let open: Option<u64> = db.query_row(open, [], |row| row.get(0))?;
    let limit = open.map_or(seq, |open| open.min(seq));
    let cut = "SELECT max(size) FROM checkpoints WHERE size <= ?1";
    let to: Option<u64> = db.query_row(cut, [limit], |row| row.get(0))?;
    Ok(Pruned { from, to: to.unwrap_or(from).max(from) })
}

fn declare(
    batch: &mut Batch<'_>,
    to: u64,
    by: &str,
    archive: Option<Digest>,
    log_id: &str,
) -> rusqlite::Result<Result<Pruned, StoreError>> {
    let refused = |why: String| Ok(Err(StoreError::Invalid { what: "the place to prune to", why }));
    let now = prunable(batch.transaction, to)?;
    if now.to != to || now.from >= to {
        return refused(format!("is {to}, and {} is the nearest that can be", now.to));
    }
    let Some(base) = Base::before(batch.transaction, to)?.filter(|base| base.tree.size() == to)
    else {
        return refused(format!("is {to}, where no checkpoint fits"));
    };
    let mut entry = Entry::new(Event::Prune)
        .with("from", now.from)
        .with("to", to)
        .with("root", base.tree.root().to_string())
        .with("by", by);
    if let Some(archive) = archive {
        entry = entry.with("archive_sha256", archive.to_string());
    }
    let prepared = match Prepared::new(entry, log_id) {
        Ok(prepared) => prepared,
        Err(error) => return Ok(Err(error.into())),
    };
    let _receipt = batch.append(&prepared)?;
    batch.anchor();
    Ok(Ok(now))
}

/// Moves the beginning of the log by one piece, and says where it is then.
fn drop_piece(batch: &mut Batch<'_>, to: u64) -> rusqlite::Result<u64> {
    let db = batch.transaction;
    let from = pruned(db)?.map_or(0, |(size, _)| size);
    let next = "SELECT min(size) FROM checkpoints WHERE size >= ?1 AND size <= ?2";
    let next: Option<u64> =
        db.query_row(next, [from.saturating_add(PIECE).min(to), to], |row| row.get(0))?;
    let Some(base) = Base::before(db, next.unwrap_or(to))? else { return Ok(to) };
    let size = base.tree.size();
    if size <= from {
        return Ok(to);
    }
    db.prepare_cached(WRITE)?.execute(params![size, base.leaf.as_bytes()])?;
    db.execute("DELETE FROM records WHERE seq < ?1", [size])?;
    db.execute("DELETE FROM checkpoints WHERE size < ?1", [size])?;
    Ok(size)
}

/// The size at which the log begins, and the leaf of the last record that is gone.
fn pruned(db: &Connection) -> rusqlite::Result<Option<(u64, Digest)>> {
    // A database that no newer version has written to has no such table.
    if !database::has_table(db, "pruned")? {
        return Ok(None);
    }
    db.prepare_cached("SELECT size, leaf FROM pruned")?
        .query_row([], |row| {
            let leaf = Digest::try_from(row.get_ref(1)?.as_bytes()?).unwrap_or(Digest::ZERO);
            Ok((row.get(0)?, leaf))
        })
        .optional()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2).map(|pair| {
        let [high, low] = pair else { return None };
        u8::try_from(digit(high)? << 4 | digit(low)?).ok()
    });
    pairs.collect()
}

/// Made at each start, since a database of an earlier version has no such table.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS pruned (
  id   INTEGER PRIMARY KEY CHECK (id = 1),
  size INTEGER NOT NULL,
  leaf BLOB    NOT NULL
) STRICT;";
const WRITE: &str = "INSERT INTO pruned (id, size, leaf) VALUES (1, ?1, ?2)
    ON CONFLICT (id) DO UPDATE SET size = excluded.size, leaf = excluded.leaf";
/// So many records go in one transaction, some milliseconds.
const PIECE: u64 = 4096;
