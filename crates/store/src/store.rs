//! How does one process get at what survives?
use crate::StoreError;
use crate::database;
use crate::dir::StateDir;
use crate::entry::{Entry, Prepared};
use crate::export::Reader;
use crate::ledger::{Durability, Ledger, LedgerError, Receipt};
use crate::note::{PublicKey, Seal};
use crate::queue::{Finish, Job, MAX_WAIT, Queue};
use crate::room::Room;
use crate::writer::{Batch, Writer};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};

/// The store in a state directory: audit log, pending approvals, sessions. Clones share one writer; the last one to go
/// signs a checkpoint and closes the log. Any number of processes may have the same directory open.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    queue: Arc<Queue>,
    writer: Option<JoinHandle<()>>,
    reader: Reader,
    seal: Arc<Seal>,
    dir: StateDir,
    room: Room,
}

impl Store {
    /// Opens the store in `dir`, making the directory (0700), the key and the database at the first start. Fails when
    /// others can write to the directory or own it, when it cannot be written, and when the end of the log is not what
    /// was last signed.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let dir = StateDir::prepare(dir)?;
        let seal = Arc::new(dir.seal()?);
        let public = seal.public();
        // The kept checkpoint is read before the database, which may grow meanwhile.
        let kept = dir.anchor()?;
        let connection = database::open_writer(&dir, public.log_id())?;
        database::check_end(&connection, &dir.database(), public, kept.as_deref())?;
        database::check_tables(&connection, &dir.database())?;
        let reader = Reader::open(dir.path())?;
        let queue = Arc::new(Queue::default());
        let writer = Writer::new(connection, Arc::clone(&queue), Arc::clone(&seal), dir.clone());
        let writer = thread::Builder::new().name("ledger".to_owned()).spawn(move || writer.run());
        let writer = writer.map_err(|error| StoreError::Directory {
            path: dir.path().to_path_buf(),
            why: format!("no thread for its writer: {error}"),
            fix: "raise the limit on processes".to_owned(),
        })?;
        let (writer, room) = (Some(writer), Room::new());
        Ok(Self { inner: Arc::new(Inner { queue, writer, reader, seal, dir, room }) })
    }

    /// The log's public key; what `bartizan audit verify` on another machine is given.
    pub fn public_key(&self) -> &PublicKey {
        self.inner.seal.public()
    }

    /// The state directory.
    pub fn dir(&self) -> &Path {
        self.inner.dir.path()
    }

    /// Reads records and checkpoints.
    pub fn reader(&self) -> &Reader {
        &self.inner.reader
    }

    /// Waits until everything appended so far is committed and a signed checkpoint covers it, and gives the newest
    /// checkpoint; `None` while the log is empty.
    pub fn checkpoint(&self) -> Result<Option<String>, StoreError> {
        let (done, answer) = mpsc::sync_channel(1);
        self.inner.queue.push_urgent(Job::Anchor { done })?;
        self.wait(&answer)?;
        self.inner.reader.newest_checkpoint()
    }

    pub(crate) fn seal(&self) -> &Seal {
        &self.inner.seal
    }

    /// From now on no act begins while less than so many bytes of the disk are free; without this, a twentieth of it, and
    /// at most 256 MiB.
    pub fn keep_free(&self, bytes: u64) {
        self.inner.room.keep(bytes);
    }

    /// What [`Store::keep_free`] was told.
    pub fn keeps_free(&self) -> Option<u64> {
        self.inner.room.said()
    }

    /// Whether so many bytes, in so many files, of what a run has made can be put beside the log and leave half of what is kept
    /// free; `Err` says in words why not.
    ///
    /// # Errors
    /// There is too little room, or nobody knows how much.
    pub fn has_room_for(&self, bytes: u64, files: u64) -> Result<(), LedgerError> {
        let Inner { room, .. } = &*self.inner;
        if bytes > 0 {
            room.has(self.dir(), bytes)?;
        }
        if files > 0 { room.has_files(self.dir(), files) } else { Ok(()) }
    }

    pub(crate) fn prepare(&self, entry: Entry) -> Result<Prepared, LedgerError> {
        self.inner.room.check(self.dir(), entry.event)?;
        Prepared::new(entry, self.public_key().log_id())
    }

    /// Runs `work` in the writer's next transaction and gives back its answer once that is committed. A refusal is
    /// an answer too, so `work` must refuse before it writes; an SQL error fails the whole log.
    pub(crate) fn work<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Batch<'_>) -> rusqlite::Result<Result<T, StoreError>> + Send + 'static,
    {
        let (done, answer) = mpsc::sync_channel(1);
        let job = move |batch: &mut Batch<'_>| {
            let result = work(batch)?;
            Ok(Box::new(move || drop(done.try_send(result))) as Finish)
        };
        self.inner.queue.push_urgent(Job::Work(Box::new(job)))?;
        self.wait(&answer)?
    }

    fn wait<T>(&self, answer: &Receiver<T>) -> Result<T, LedgerError> {
        answer.recv_timeout(MAX_WAIT).map_err(|error| match error {
            RecvTimeoutError::Disconnected => self.inner.queue.failure(),
            RecvTimeoutError::Timeout => LedgerError::NoAnswer { waited_s: MAX_WAIT.as_secs() },
        })
    }
}

impl Ledger for Store {
    fn append_during(
        &self,
        entry: Entry,
        durability: Durability,
        meanwhile: &mut dyn FnMut(),
    ) -> Result<Receipt, LedgerError> {
        let mut prepared = Box::new(self.prepare(entry)?);
        if durability == Durability::Soon {
            match self.inner.queue.push_soon(prepared)? {
                None => {
                    meanwhile();
                    return Ok(Receipt::accepted());
                }
                Some(late) => prepared = late,
            }
        }
        let (reply, answer) = mpsc::sync_channel(1);
        self.inner.queue.push_urgent(Job::Append { prepared, reply: Some(reply) })?;
        meanwhile();
        self.wait(&answer)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has failed its queue already.
            drop(writer.join());
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("dir", &self.dir()).finish_non_exhaustive()
    }
}
