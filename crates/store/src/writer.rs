//! How do many entries become durable with one sync of the disk, and nothing be acknowledged that is not?
use crate::clock;
use crate::database::{self, Head};
use crate::dir::StateDir;
use crate::entry::Prepared;
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
}

impl Writer {
    pub(crate) fn new(
        connection: Connection,
        queue: Arc<Queue>,
        seal: Arc<Seal>,
        dir: StateDir,
    ) -> Self {
        Self { connection, queue, seal, dir, bare_since: None, kept_anchor: None }
    }

    /// Commits until the queue closes or a commit fails. After a failure nothing more is taken: what the disk holds
    /// is then unknown, and only a fresh start reads it again.
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
                let failure = database::explain(&self.dir.database(), &error);
                self.queue.fail(&failure.to_string());
                return;
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
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut head = Head::read(&transaction)?;
        let before = (head.tree.size(), head.anchored);
        head.anchor_now |= anchor;
        let mut batch = Batch { transaction: &transaction, head };
        let waited_for = jobs.iter().any(Job::is_urgent);
        let mut turn = Instant::now();
        for job in jobs {
            acks.push(batch.run(job)?);
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

    fn run(&mut self, job: Job) -> rusqlite::Result<Ack> {
        Ok(match job {
            Job::Append { prepared, reply } => Ack::Append(reply, self.append(&prepared)?),
            Job::Anchor { done } => {
                self.anchor();
                Ack::Anchor(done)
            }
            Job::Work(work) => Ack::Work(work(self)?),
        })
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
    Append(Option<SyncSender<Receipt>>, Receipt),
    Anchor(SyncSender<()>),
    Work(Finish),
}

impl Ack {
    /// A caller that has gone away is no concern of the writer's.
    fn tell(self) {
        match self {
            Self::Append(Some(reply), receipt) => drop(reply.try_send(receipt)),
            Self::Append(None, _) => {}
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

/// How long the writer keeps a core that others may want.
const TURN: Duration = Duration::from_micros(100);
const INSERT: &str = "INSERT INTO records (seq, time_ms, event, session, record, leaf) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
/// A checkpoint covers at most about this many records more than the one before.
const ANCHOR_RECORDS: u64 = 64;
/// No record stays without a checkpoint for longer than this, while the process lives.
const ANCHOR_EVERY: Duration = Duration::from_secs(1);
