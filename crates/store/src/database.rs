//! Is this file our database, whole as far as a start can tell, and where does the log end?
use crate::StoreError;
use crate::base::Base;
use crate::digest::{Digest, hex};
use crate::dir::StateDir;
use crate::merkle::{self, Frontier};
use crate::note::PublicKey;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, Transaction, params};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Opens the database for the writer, making its tables at the first start.
pub(crate) fn open_writer(dir: &StateDir, log_id: &str) -> Result<Connection, StoreError> {
    let path = dir.make_database()?;
    let connection = open(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let set_up = || {
        use_wal(&connection)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
        // What is pruned shall not linger in free pages.
        connection.pragma_update(None, "secure_delete", true)?;
        let transaction =
            Transaction::new_unchecked(&connection, rusqlite::TransactionBehavior::Immediate)?;
        if is_blank(&transaction)? {
            transaction.execute_batch(SCHEMA)?;
            transaction.execute(
                "INSERT INTO log (id, log_id, size, leaf, frontier, anchored) VALUES (1, ?1, 0, ?2, x'', 0)",
                params![log_id, Digest::ZERO.as_bytes()],
            )?;
        }
        // In the same commit, so that no reader meets a half-made database; and only in one that is ours.
        if form(&transaction)? == (APPLICATION, FORM) {
            add_tables(&transaction)?;
        }
        transaction.commit()
    };
    set_up().map_err(|error| explain(&path, &error))?;
    check_form(&connection, &path)?;
    let found: String = connection
        .query_row("SELECT log_id FROM log", [], |row| row.get(0))
        .map_err(|error| explain(&path, &error))?;
    if found != log_id {
        let why = format!("its log is `{found}`, and the key is for `{log_id}`");
        return Err(StoreError::Changed { path, why });
    }
    Ok(connection)
}

/// What came after the first form, made where it is missing.
fn add_tables(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(crate::leases::TABLE)?;
    transaction.execute_batch(crate::tokens::TABLE)?;
    transaction.execute_batch(crate::endorsements::TABLE)?;
    transaction.execute_batch(crate::effects::TABLE)?;
    transaction.execute_batch(crate::pins::TABLE)?;
    transaction.execute_batch(crate::outages::TABLE)?;
    transaction.execute_batch(crate::gateways::TABLE)?;
    transaction.execute_batch(crate::base::TABLE)?;
    transaction.execute_batch(crate::standing::TABLE)?;
    transaction.execute_batch(crate::deferred::TABLE)?;
    transaction.execute_batch(crate::withdrawn::TABLE)?;
    transaction.execute_batch(crate::marks::TABLE)?;
    transaction.execute_batch(&crate::lookup::indexes())?;
    transaction.execute_batch(crate::links::TABLE)?;
    transaction.execute_batch(crate::lives::TABLE)?;
    transaction.execute_batch(crate::allowance::TABLE)?;
    transaction.execute_batch(crate::reviews::INDEX)?;
    transaction.execute_batch(crate::invites::TABLE)?;
    transaction.execute_batch(crate::waiting::INDEXES)?;
    transaction.execute_batch(crate::passkeys::TABLE)?;
    Ok(())
}

/// Opens the database for reading beside a writer.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .and_then(|connection| probe(connection, path))
        .or_else(|_| open(path, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(|c| probe(c, path)))
        .or_else(|error| open_immutable(path).and_then(|c| probe(c, path)).map_err(|_| error))?;
    connection.pragma_update(None, "query_only", true).map_err(|error| explain(path, &error))?;
    check_form(&connection, path)?;
    Ok(connection)
}

/// A copy on a read-only disk has no room for `SQLite`'s shared memory; it can be read as long as no log is left over
/// that would have to be played back.
fn open_immutable(path: &Path) -> Result<Connection, StoreError> {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    if std::fs::metadata(wal).is_ok_and(|wal| wal.len() > 0) {
        let fix = "copy the directory to a place that can be written, and read it there".to_owned();
        let why = "it was not closed cleanly and lies on a read-only disk".to_owned();
        return Err(StoreError::Database { path: path.to_path_buf(), why, fix });
    }
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        uri.push('%');
        uri.push_str(&hex(&[*byte]));
    }
    uri.push_str("?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(uri, flags).map_err(|error| explain(path, &error))
}

fn probe(connection: Connection, path: &Path) -> Result<Connection, StoreError> {
    let read = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
    read.map(|()| connection).map_err(|error| explain(path, &error))
}

fn open(path: &Path, access: OpenFlags) -> Result<Connection, StoreError> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let set_up = || {
        // The path is made real first: NOFOLLOW refuses a link anywhere in it, and /tmp or /home may well be one.
        let real =
            path.parent().and_then(|parent| parent.canonicalize().ok()).zip(path.file_name());
        let real = real.map_or_else(|| path.to_path_buf(), |(parent, name)| parent.join(name));
        let mut connection = Connection::open_with_flags(real, flags)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.busy_handler(Some(wait_for_lock))?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        Ok(connection)
    };
    set_up().map_err(|error| explain(path, &error))
}

/// `SQLite` does not call the busy handler when it changes to WAL, so two processes that start together meet here.
fn use_wal(connection: &Connection) -> rusqlite::Result<()> {
    let deadline = Instant::now() + BUSY_WAIT * BUSY_TURNS;
    loop {
        match connection
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))
        {
            Ok(mode) if mode == "wal" => return Ok(()),
            Err(error) if error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy) => {
                return Err(error);
            }
            outcome if Instant::now() >= deadline => return outcome.map(|_| ()),
            _ => thread::sleep(BUSY_WAIT),
        }
    }
}

/// Other processes hold the lock for one commit, some milliseconds; `SQLite`'s own waits grow to a tenth of a second. Nobody's
/// turn is kept, so that of many who wait on a busy machine one may wait long, and whoever gives up ends its session.
fn wait_for_lock(turn: i32) -> bool {
    let again = u32::try_from(turn).is_ok_and(|turn| turn < BUSY_TURNS);
    if again {
        thread::sleep(BUSY_WAIT);
    }
    again
}

fn is_blank(connection: &Connection) -> rusqlite::Result<bool> {
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(tables == 0 && form(connection)? == (0, 0))
}

/// Whether the database has a table of this name.
pub(crate) fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)";
    connection.prepare_cached(sql)?.query_row([name], |row| row.get(0))
}

fn form(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get(0));
    Ok((number("application_id")?, number("user_version")?))
}

fn check_form(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let database = |why: &str, fix: &str| StoreError::Database {
        path: path.to_path_buf(),
        why: why.to_owned(),
        fix: fix.to_owned(),
    };
    match form(connection).map_err(|error| explain(path, &error))? {
        (APPLICATION, FORM) => Ok(()),
        (APPLICATION, newer) if newer > FORM => Err(database(
            "it was written by a newer Bartizan",
            "use that version, or another state directory",
        )),
        _ => Err(database(
            "it is no Bartizan database",
            "move it away, or choose another with --state",
        )),
    }
}

/// Where the log ends.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) tree: Frontier,
    pub(crate) leaf: Digest,
    /// The size that the newest checkpoint covers.
    pub(crate) anchored: u64,
    /// Whether a checkpoint is wanted now.
    pub(crate) anchor_now: bool,
}

impl Head {
    pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut statement =
            connection.prepare_cached("SELECT size, leaf, frontier, anchored FROM log")?;
        statement.query_row([], |row| {
            let bytes = row.get_ref(2)?.as_blob()?;
            let tree = Frontier::from_bytes(row.get(0)?, bytes).ok_or_else(|| damaged(2))?;
            let leaf = Digest::try_from(row.get_ref(1)?.as_blob()?).map_err(|_| damaged(1))?;
            Ok(Self { tree, leaf, anchored: row.get(3)?, anchor_now: false })
        })
    }

    pub(crate) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection
            .prepare_cached("UPDATE log SET size = ?1, leaf = ?2, frontier = ?3, anchored = ?4")?
            .execute(params![
                self.tree.size(),
                self.leaf.as_bytes(),
                self.tree.to_bytes(),
                self.anchored
            ])
            .map(|_| ())
    }
}

fn damaged(column: usize) -> rusqlite::Error {
    let why = "the row that says where the log ends is damaged".into();
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Blob, why)
}

/// Follows the log from its newest checkpoint to its end, so that no new checkpoint is ever put over records that do
/// not hang together. `kept` is the checkpoint that was kept beside the database.
pub(crate) fn check_end(
    connection: &Connection,
    path: &Path,
    public: &PublicKey,
    kept: Option<&str>,
) -> Result<(), StoreError> {
    let changed = |why: String| StoreError::Changed { path: path.to_path_buf(), why };
    let read = |error| explain(path, &error);
    let snapshot = connection.unchecked_transaction().map_err(read)?;
    let head = Head::read(&snapshot).map_err(read)?;
    let mut tree = match newest_checkpoint(&snapshot).map_err(read)? {
        None => Frontier::empty(),
        Some((size, note, frontier)) => {
            let signed = public
                .open(&note)
                .map_err(|error| changed(format!("checkpoint {size}: {error}")))?;
            let tree = Frontier::from_bytes(size, &frontier)
                .filter(|tree| (signed.size, signed.root) == (size, tree.root()));
            tree.ok_or_else(|| changed(format!("checkpoint {size} does not fit what it signs")))?
        }
    };
    if tree.size() != head.anchored {
        return Err(changed(format!(
            "{} records are signed, and {} should be",
            tree.size(),
            head.anchored
        )));
    }
    if let Some(note) = kept {
        check_kept(&snapshot, public, note, &head).map_err(read)?.map_err(changed)?;
    }
    let mut last = None;
    let mut statement = snapshot
        .prepare("SELECT seq, record, leaf FROM records WHERE seq >= ?1 ORDER BY seq")
        .map_err(read)?;
    let mut rows = statement.query([tree.size()]).map_err(read)?;
    while let Some(row) = rows.next().map_err(read)? {
        let (seq, leaf) = leaf_of(row).map_err(read)?;
        let leaf = leaf.filter(|_| seq == tree.size());
        let leaf =
            leaf.ok_or_else(|| changed(format!("record {} is missing or altered", tree.size())))?;
        tree.push(leaf);
        last = Some(leaf);
    }
    if tree != head.tree || last.is_some_and(|leaf| leaf != head.leaf) {
        return Err(changed(format!(
            "it holds {} records, and {} are counted",
            tree.size(),
            head.tree.size()
        )));
    }
    Ok(())
}

/// A record's place, and its leaf if the stored one is the hash of the stored bytes.
fn leaf_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<(u64, Option<Digest>)> {
    let leaf = merkle::leaf(row.get_ref(1)?.as_bytes()?);
    Ok((row.get(0)?, (row.get_ref(2)?.as_blob()? == leaf.as_bytes()).then_some(leaf)))
}

fn newest_checkpoint(connection: &Connection) -> rusqlite::Result<Option<(u64, String, Vec<u8>)>> {
    let newest = "SELECT size, note, frontier FROM checkpoints ORDER BY size DESC LIMIT 1";
    connection.query_row(newest, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()
}

fn check_kept(
    connection: &Connection,
    public: &PublicKey,
    note: &str,
    head: &Head,
) -> rusqlite::Result<Result<(), String>> {
    let signed = match public.open(note) {
        Ok(signed) => signed,
        Err(error) => return Ok(Err(format!("`checkpoint.latest` beside it: {error}"))),
    };
    let (size, ours) = (signed.size, head.tree.size());
    if size > ours {
        return Ok(Err(format!(
            "it holds {ours} records, and {size} were signed: the end was cut off"
        )));
    }
    if Base::of_log(connection)?.is_some_and(|base| size < base.tree.size()) {
        // It was pruned meanwhile, and a slower process kept an older one.
        return Ok(Ok(()));
    }
    let stored: Option<String> = connection
        .query_row("SELECT note FROM checkpoints WHERE size = ?1", [size], |row| row.get(0))
        .optional()?;
    let same = stored
        .and_then(|note| public.open(&note).ok())
        .is_some_and(|stored| stored.root == signed.root);
    Ok(if same {
        Ok(())
    } else {
        Err(format!("it is not the log that was signed at {size} records"))
    })
}

/// Looks through what stands beside the log: what is used up, spent or taken back. The chain does not hold it, and a row that
/// a disk lost reads as one that never was. The log itself has its checkpoints, and is too long to be read at each start.
pub(crate) fn check_tables(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let read = |error| explain(path, &error);
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('checkpoints', 'records')";
    let mut names = connection.prepare(sql).map_err(read)?;
    let names = names.query_map([], |row| row.get::<_, String>(0)).map_err(read)?;
    for name in names {
        let name = name.map_err(read)?;
        let mut said = None;
        // One finding is enough, and the first row is one or `ok`.
        connection
            .pragma(None, "quick_check", &name, |row| {
                said.get_or_insert(row.get::<_, String>(0)?);
                Ok(())
            })
            .map_err(read)?;
        let said = said.unwrap_or_default();
        if said != "ok" {
            let why = format!("its table `{name}` is damaged: {said}");
            return Err(StoreError::Changed { path: path.to_path_buf(), why });
        }
    }
    Ok(())
}

/// What went wrong with the database, where, and what to do.
pub(crate) fn explain(path: &Path, error: &rusqlite::Error) -> StoreError {
    let fix = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            "free room on its disk; what is under way goes on by itself then, and what did not start can be started"
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            "make the state directory writable, or choose another one"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another process holds its lock for too long; end that one"
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "move the state directory away to start a new log, and keep it as evidence"
        }
        Some(ErrorCode::SystemIoFailure) => "look at the disk (`dmesg`), then start again",
        _ => "run `bartizan audit verify`, and look at the disk",
    };
    StoreError::Database { path: path.to_path_buf(), why: error.to_string(), fix: fix.to_owned() }
}

/// `BRTZ`, where `file` and others look for it.
const APPLICATION: i64 = 0x4252_545a;
const FORM: i64 = 1;
const SCHEMA: &str = include_str!("schema.sql");
/// Each turn of waiting for another process's commit, and how many: a minute.
const BUSY_WAIT: Duration = Duration::from_micros(500);
const BUSY_TURNS: u32 = 120_000;
/// How far `SQLite`'s own log grows before it is carried over into the file: 16 MiB.
const WAL_PAGES: u32 = 4096;
/// More than there are different statements.
const STATEMENTS: usize = 64;
