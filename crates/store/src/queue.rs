//! Which entries go into the next commit, and who waits for it?
use crate::entry::Prepared;
use crate::ledger::{LedgerError, Receipt};
use crate::writer::Batch;
use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Something for the writer to do inside its next transaction.
pub(crate) enum Job {
    /// Put a record on the log; `reply` is absent when nobody waits.
    Append { prepared: Box<Prepared>, reply: Option<SyncSender<Receipt>> },
    /// Sign a checkpoint of all there is.
    Anchor { done: SyncSender<()> },
    /// Read and change other tables. What it returns is called once the transaction is committed, never before.
    Work(Work),
}

impl Job {
    /// Whether somebody waits for it.
    pub(crate) fn is_urgent(&self) -> bool {
        !matches!(self, Self::Append { reply: None, .. })
    }

    /// The entry, where nobody waits for it.
    pub(crate) fn unwaited(self) -> Option<Prepared> {
        match self {
            Self::Append { prepared, reply: None } => Some(*prepared),
            Self::Append { .. } | Self::Anchor { .. } | Self::Work(_) => None,
        }
    }
}

pub(crate) type Work = Box<dyn FnOnce(&mut Batch<'_>) -> rusqlite::Result<Finish> + Send>;
pub(crate) type Finish = Box<dyn FnOnce() + Send>;

/// The way from many callers to the one writer. Bounded: callers wait when it is full.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    room: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    urgent: usize,
    /// When the oldest entry was taken that nobody waits for and that is not committed yet.
    lagging_since: Option<Instant>,
    wake: Wake,
    closing: bool,
    failed: Option<Arc<str>>,
    /// Why it was shut the last time, for those who hear of it once it is open again.
    was_shut: Option<Arc<str>>,
    /// How many have been turned away since it was shut.
    turned_away: u64,
}

/// What the writer waits for, so that callers do not wake it for nothing.
#[derive(Default, Clone, Copy, PartialEq)]
enum Wake {
    #[default]
    Never,
    Any,
    Urgent,
    Count(usize),
}

/// What the writer is to do next.
pub(crate) struct Taken {
    pub(crate) jobs: Vec<Job>,
    /// Nothing more will come.
    pub(crate) last: bool,
}

impl Queue {
    /// Hands over a job that somebody waits for.
    pub(crate) fn push_urgent(&self, job: Job) -> Result<(), LedgerError> {
        let state = self.wait_for_room()?;
        self.push(state, job, true);
        Ok(())
    }

    /// Hands over an entry that nobody waits for; gives it back when the log lags behind its promise, and somebody
    /// has to wait after all.
    pub(crate) fn push_soon(
        &self,
        prepared: Box<Prepared>,
    ) -> Result<Option<Box<Prepared>>, LedgerError> {
        let mut state = self.wait_for_room()?;
        let since = *state.lagging_since.get_or_insert_with(Instant::now);
        if since.elapsed() > MAX_LAG {
            return Ok(Some(prepared));
        }
        self.push(state, Job::Append { prepared, reply: None }, false);
        Ok(None)
    }

    /// Waits until there is something to commit, or until `due`. `expected` is how many callers came with the last
    /// batch: they come back one by one, and it pays to wait a moment for them rather than sync the disk for the first.
    pub(crate) fn take(&self, due: Option<Instant>, expected: usize) -> Taken {
        let mut state = self.lock();
        let mut gathered = false;
        loop {
            if state.closing || state.jobs.len() >= MAX_BATCH {
                return self.drain(state);
            }
            let now = Instant::now();
            let until = if state.urgent > 0 {
                if gathered || state.jobs.len() >= expected {
                    return self.drain(state);
                }
                gathered = true;
                state.wake = Wake::Count(expected);
                Some(now + GATHER)
            } else {
                let soon = state.lagging_since.filter(|_| !state.jobs.is_empty());
                state.wake = if soon.is_some() { Wake::Urgent } else { Wake::Any };
                [soon.map(|since| since + SOON), due].into_iter().flatten().min()
            };
            state = match until {
                None => self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(until) if until <= now => return self.drain(state),
                Some(until) => wait(&self.arrived, state, until - now),
            };
        }
    }

    /// Whether somebody waits for a job that is still to be taken.
    pub(crate) fn is_urgent(&self) -> bool {
        self.lock().urgent > 0
    }

    /// Tells that everything taken before is committed.
    pub(crate) fn committed(&self) {
        let mut state = self.lock();
        let waiting = state.jobs.iter().any(|job| !job.is_urgent());
        // The entries that came in meanwhile are younger than the one that was oldest.
        state.lagging_since = waiting.then(Instant::now);
    }

    /// Lets the writer finish what is there, then end.
    pub(crate) fn close(&self) {
        self.lock().closing = true;
        self.arrived.notify_all();
        self.room.notify_all();
    }

    /// From now on nothing is taken. Whoever waits for an answer finds its channel closed.
    pub(crate) fn fail(&self, why: &str) {
        let mut state = self.lock();
        if state.failed.is_none() {
            state.failed = Some(why.into());
        }
        let dropped = std::mem::take(&mut state.jobs);
        drop(state);
        drop(dropped);
        self.room.notify_all();
    }

    /// Takes nothing until [`Queue::reopen`]. Whoever waits for an answer finds its channel closed; gives the entries that
    /// nobody waits for, since what they tell of has happened.
    pub(crate) fn shut(&self, why: &str) -> Vec<Prepared> {
        let mut state = self.lock();
        let why: Arc<str> = why.into();
        (state.failed, state.was_shut) = (Some(Arc::clone(&why)), Some(why));
        let jobs = std::mem::take(&mut state.jobs);
        (state.urgent, state.turned_away, state.lagging_since) = (0, 0, None);
        drop(state);
        self.room.notify_all();
        jobs.into_iter().filter_map(Job::unwaited).collect()
    }

    /// How many have been turned away since it was shut.
    pub(crate) fn turned_away(&self) -> u64 {
        self.lock().turned_away
    }

    /// Takes entries again.
    pub(crate) fn reopen(&self) {
        self.lock().failed = None;
    }

    /// Waits while it is shut; says whether it is to be closed.
    pub(crate) fn rest(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut state = self.lock();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if state.closing || left.is_zero() {
                return state.closing;
            }
            state = wait(&self.arrived, state, left);
        }
    }

    /// Why the log has failed, or that it is closed. A caller whose channel closed comes here before the writer has
    /// told why, and must not go on to an append that would still be taken.
    pub(crate) fn failure(&self) -> LedgerError {
        let deadline = Instant::now() + MAX_WAIT;
        let mut state = self.lock();
        while state.failed.is_none() && state.was_shut.is_none() && !state.closing {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return LedgerError::NoAnswer { waited_s: MAX_WAIT.as_secs() };
            }
            state = wait(&self.room, state, left);
        }
        let why = state.failed.clone().or_else(|| state.was_shut.clone());
        LedgerError::Failed { why: why.unwrap_or_else(|| "it is closed".into()) }
    }

    fn push(&self, mut state: MutexGuard<'_, State>, job: Job, urgent: bool) {
        state.urgent += usize::from(urgent);
        state.jobs.push_back(job);
        let wake = match state.wake {
            Wake::Never => false,
            Wake::Any => true,
            Wake::Urgent => urgent || state.jobs.len() >= MAX_BATCH,
            Wake::Count(count) => state.jobs.len() >= count,
        };
        if wake {
            state.wake = Wake::Never;
            drop(state);
            self.arrived.notify_one();
        }
    }

    fn wait_for_room(&self) -> Result<MutexGuard<'_, State>, LedgerError> {
        let deadline = Instant::now() + MAX_WAIT;
        let mut state = self.lock();
        loop {
            if state.failed.is_some() || state.closing {
                state.turned_away += 1;
                drop(state);
                return Err(self.failure());
            }
            if state.jobs.len() < CAPACITY {
                return Ok(state);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(LedgerError::NoAnswer { waited_s: MAX_WAIT.as_secs() });
            }
            state = wait(&self.room, state, left);
        }
    }

    fn drain(&self, mut state: MutexGuard<'_, State>) -> Taken {
        state.wake = Wake::Never;
        let count = state.jobs.len().min(MAX_BATCH);
        let jobs: Vec<Job> = state.jobs.drain(..count).collect();
        state.urgent -= jobs.iter().filter(|job| job.is_urgent()).count();
        let last = state.closing && state.jobs.is_empty();
        drop(state);
        self.room.notify_all();
        Taken { jobs, last }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait<'a>(on: &Condvar, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
    on.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
}

/// How long a caller waits for an answer before it takes the log for dead.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(30);
/// The most entries in one commit.
const MAX_BATCH: usize = 512;
/// The most entries that wait.
const CAPACITY: usize = 4096;
/// How long an entry that nobody waits for may lie before the writer takes it, to leave time for the commit.
const SOON: Duration = Duration::from_millis(15);
/// The promise for an entry that nobody waits for.
const MAX_LAG: Duration = Duration::from_millis(50);
/// How long the writer waits for the callers of the last batch to come back.
const GATHER: Duration = Duration::from_micros(200);
