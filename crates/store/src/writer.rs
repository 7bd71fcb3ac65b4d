//! How do many entries become durable with one sync of the disk, and nothing be acknowledged that is not?
use crate::StoreError;
use crate::clock;
use crate::database::{self, Head};
use crate::dir::StateDir;
use crate::entry::{Entry, Event, Prepared};
use crate::ledger::Receipt;
use crate::merkle;
use crate::note::Seal;
use crate::queue::{Finish, Job, Queue, Taken};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

/// The one thread of this process that writes to the database.
pub(crate) struct Writer {
    connection: Connection,
    queue: Arc<Queue>,
    seal: Arc<Seal>,
    dir: StateDir,
    /// Since when there are records that no checkpoint covers, as far as this process has seen.
    bare_since: Option<Instant>,
    kept_anchor: Option<Instant>,
    /// Entries that nobody waits for, until they are committed: what they tell of has happened.
    unwritten: Vec<Prepared>,
}

impl Writer {
    pub(crate) fn new(
        connection: Connection,
        queue: Arc<Queue>,
        seal: Arc<Seal>,
        dir: StateDir,
    ) -> Self {
        Self {
            connection,
            queue,
            seal,
            dir,
            bare_since: None,
            kept_anchor: None,
            unwritten: Vec::new(),
        }
    }

    /// Commits until the queue closes or a commit fails. After a failure nothing more is taken: what the disk holds
    /// is then unknown, and only a fresh start reads it again. A disk that is full has taken nothing, and is waited for.
    pub(crate) fn run(mut self) {
        let _guard = FailOnExit(Arc::clone(&self.queue));
        let mut expected = 1;
        loop {
            let due = self.bare_since.map(|since| since + ANCHOR_EVERY);
            let Taken { jobs, last } = self.queue.take(due, expected);
            // What nobody waits for brings nobody back.
            expected = jobs.iter().filter(|job| job.is_urgent()).count();
            let aged = due.is_some_and(|due| due <= Instant::now());
            if let Err(error) = self.commit(jobs, aged || last) {
                let failure = database::explain(&self.dir.database(), &error).to_string();
                if !is_full(&error) {
                    self.queue.fail(&failure);
                    return;
                }
                if let Err(failure) = self.wait_for_room(&failure) {
                    self.queue.fail(&failure);
                    return;
                }
            }
            if last {
                return;
            }
        }
    }

    fn commit(&mut self, jobs: Vec<Job>, anchor: bool) -> rusqlite::Result<()> {
        if jobs.is_empty() && !anchor {
            return Ok(());
        }
        let mut acks = Vec::with_capacity(jobs.len());
        let (transaction, mut head) = match begin(&mut self.connection) {
            Ok(begun) => begun,
            Err(error) => {
                self.unwritten.extend(jobs.into_iter().filter_map(Job::unwaited));
                return Err(error);
            }
        };
        let before = (head.tree.size(), head.anchored);
        head.anchor_now |= anchor;
        let mut batch = Batch { transaction: &transaction, head };
        let waited_for = jobs.iter().any(Job::is_urgent);
        let mut turn = Instant::now();
        let mut jobs = jobs.into_iter();
        while let Some(job) = jobs.next() {
            match batch.run(job, &mut self.unwritten) {
                Ok(ack) => acks.extend(ack),
                Err(error) => {
                    self.unwritten.extend(jobs.filter_map(Job::unwaited));
                    return Err(error);
                }
            }
            // Calls go on while records are written that nobody waits for, and may have no core but this one.
            if !waited_for && turn.elapsed() >= TURN && !self.queue.is_urgent() {
                std::thread::yield_now();
                turn = Instant::now();
            }
        }
        let note = batch.seal(&self.seal)?;
        let head = batch.head;
        if (head.tree.size(), head.anchored) != before {
            head.write(&transaction)?;
        }
        transaction.commit()?;
        self.unwritten.clear();
        self.queue.committed();
        acks.into_iter().for_each(Ack::tell);
        let bare = head.anchored < head.tree.size();
        self.bare_since = bare.then(|| self.bare_since.unwrap_or_else(Instant::now));
        if let Some(note) = note {
            self.keep(&note, head.anchor_now);
        }
        Ok(())
    }

    /// Keeps the checkpoint beside the database: at most once a second, unless it was asked for. It is one more
    /// witness and not the log itself, so failing to write it stops nothing.
    fn keep(&mut self, note: &str, asked: bool) {
        if asked || self.kept_anchor.is_none_or(|at| at.elapsed() >= ANCHOR_EVERY) {
            self.dir.keep_anchor(note).ok();
            self.kept_anchor = Some(Instant::now());
        }
    }
}

/// While the disk is full.
impl Writer {
    /// Takes nothing until there is room, and then goes on with no hole: first what had happened before and was not written,
    /// then that the log was shut, and since when. Whatever was asked of it meanwhile was turned away, and did not happen.
    fn wait_for_room(&mut self, why: &str) -> Result<(), String> {
        let since = clock::now_ms();
        self.unwritten.extend(self.queue.shut(why));
        loop {
            let closing = self.queue.rest(LOOKS_FOR_ROOM);
            if self.dir.has_room(ROOM) {
                match self.go_on(since) {
                    Ok(()) => {
                        self.queue.reopen();
                        return Ok(());
                    }
                    Err(Stuck { may_pass: false, why }) => return Err(why),
                    Err(_) => {}
                }
            }
            if closing {
                return Err(why.to_owned());
            }
        }
    }

    /// Reads the log again as at a start, and goes on at its end.
    fn go_on(&mut self, since_ms: u64) -> Result<(), Stuck> {
        let path = self.dir.database();
        let public = self.seal.public();
        let kept = self.dir.anchor()?;
        let connection = database::open_writer(&self.dir, public.log_id())?;
        database::check_end(&connection, &path, public, kept.as_deref())?;
        let shut = Entry::new(Event::Fault)
            .with("part", "log")
            .with("act", "full_disk")
            .with("shut_ms", since_ms)
            .with("late", self.unwritten.len())
            .with("turned_away", self.queue.turned_away());
        let shut = Prepared::new(shut, public.log_id()).map_err(StoreError::from)?;
        self.connection = connection;
        let mut late = std::mem::take(&mut self.unwritten);
        late.push(shut);
        let jobs = late
            .into_iter()
            .map(|prepared| Job::Append { prepared: Box::new(prepared), reply: None });
        let written = self.commit(jobs.collect(), true);
        if written.is_err() {
            // What it would have told is told anew the next time.
            self.unwritten.pop();
        }
        written.map_err(|error| Stuck {
            may_pass: is_full(&error),
            why: database::explain(&path, &error).to_string(),
        })
    }
}

/// Begins to write at the end of the log.
fn begin(connection: &mut Connection) -> rusqlite::Result<(Transaction<'_>, Head)> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let head = Head::read(&transaction)?;
    Ok((transaction, head))
}

/// Why the log does not go on.
struct Stuck {
    /// It is worth another look.
    may_pass: bool,
    why: String,
}

impl From<StoreError> for Stuck {
    fn from(error: StoreError) -> Self {
        // A log that was changed meanwhile is nothing to go on with.
        Self { may_pass: !matches!(error, StoreError::Changed { .. }), why: error.to_string() }
    }
}

/// Whether a disk had no room. `SQLite` says so of a write, and has taken the transaction back then; of a sync that failed it
/// says that something is wrong with the disk.
fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
}

/// The transaction under way, for those who put things into it.
pub(crate) struct Batch<'a> {
    pub(crate) transaction: &'a Transaction<'a>,
    head: Head,
}

impl Batch<'_> {
    /// Puts a record at the end of the log.
    pub(crate) fn append(&mut self, prepared: &Prepared) -> rusqlite::Result<Receipt> {
        let seq = self.head.tree.size();
        let record = prepared.place(seq, &self.head.leaf);
        let leaf = merkle::leaf(&record);
        let record = String::from_utf8(record)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        self.transaction.prepare_cached(INSERT)?.execute(params![
            seq,
            prepared.time_ms,
            prepared.event.as_str(),
            prepared.session,
            record,
            leaf.as_bytes(),
        ])?;
        self.head.tree.push(leaf);
        self.head.leaf = leaf;
        Ok(Receipt::committed(seq, leaf))
    }

    /// Asks for a checkpoint at the end of this batch.
    pub(crate) fn anchor(&mut self) {
        self.head.anchor_now = true;
    }

    /// Does one job. An entry that nobody waits for is `unwritten` until the commit.
    fn run(&mut self, job: Job, unwritten: &mut Vec<Prepared>) -> rusqlite::Result<Option<Ack>> {
        Ok(Some(match job {
            Job::Append { prepared, reply: None } => {
                let appended = self.append(&prepared);
                unwritten.push(*prepared);
                let _receipt = appended?;
                return Ok(None);
            }
            Job::Append { prepared, reply: Some(reply) } => {
                Ack::Append(reply, self.append(&prepared)?)
            }
            Job::Anchor { done } => {
                self.anchor();
                Ack::Anchor(done)
            }
            Job::Work(work) => Ack::Work(work(self)?),
        }))
    }

    /// Signs a checkpoint when enough has come together, in the same transaction as the records it covers.
    fn seal(&mut self, seal: &Seal) -> rusqlite::Result<Option<String>> {
        let size = self.head.tree.size();
        let bare = size.saturating_sub(self.head.anchored);
        if bare == 0 || bare < ANCHOR_RECORDS && !self.head.anchor_now {
            return Ok(None);
        }
        let note = seal.sign(size, &self.head.tree.root(), clock::now_ms());
        self.transaction
            .prepare_cached("INSERT INTO checkpoints (size, note, frontier) VALUES (?1, ?2, ?3)")?
            .execute(params![size, note, self.head.tree.to_bytes()])?;
        self.head.anchored = size;
        Ok(Some(note))
    }
}

/// What a caller is told after the commit. Dropped untold, it closes the channel, and the caller learns of the failure.
enum Ack {
    Append(SyncSender<Receipt>, Receipt),
    Anchor(SyncSender<()>),
    Work(Finish),
}

impl Ack {
    /// A caller that has gone away is no concern of the writer's.
    fn tell(self) {
        match self {
            Self::Append(reply, receipt) => drop(reply.try_send(receipt)),
            Self::Anchor(done) => drop(done.try_send(())),
            Self::Work(finish) => finish(),
        }
    }
}

/// Whatever ends the writer, callers must not wait for it.
struct FailOnExit(Arc<Queue>);

impl Drop for FailOnExit {
    fn drop(&mut self) {
        self.0.fail("its writer has ended; start again");
    }
}

/// How often is looked whether a full disk has room again.
const LOOKS_FOR_ROOM: Duration = Duration::from_millis(500);
/// With less room than this it would soon be full again, in bytes.
const ROOM: u64 = 1024 * 1024;
/// How long the writer keeps a core that others may want.
const TURN: Duration = Duration::from_micros(100);
const INSERT: &str = "INSERT INTO records (seq, time_ms, event, session, record, leaf) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
/// A checkpoint covers at most about this many records more than the one before.
const ANCHOR_RECORDS: u64 = 64;
/// No record stays without a checkpoint for longer than this, while the process lives.
const ANCHOR_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
