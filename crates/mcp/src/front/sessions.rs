//! Which conversations are open, and whose? A session's id opens nothing for anybody but who began it.

use super::doorman::Pass;
use super::events::Closed;
use super::parked::Parked;
use crate::conversation::{Conversation, Host, OpenError, Revision, Who};
use crate::wire::{Id, Message};
use ring::rand::{SecureRandom as _, SystemRandom};
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// How many conversations there may be, and how long one may lie idle.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "a limit that is left out is none")]
pub struct Caps {
    /// Conversations in all.
    pub total: usize,
    /// Conversations of one identity.
    pub each: usize,
    /// Requests of one conversation at the same time.
    pub asking: usize,
    /// What is idle for longer is closed.
    pub idle: Duration,
}

impl Default for Caps {
    fn default() -> Self {
        Self { total: 1024, each: 64, asking: 64, idle: Duration::from_mins(30) }
    }
}

/// One conversation, and whose it is.
pub(super) struct Entry<C> {
    pub(super) conversation: Arc<C>,
    pub(super) revision: Revision,
    /// Streams that wait for their client.
    pub(super) parked: Arc<Parked>,
    who: Arc<Who>,
    state: Mutex<State>,
    closed: watch::Sender<bool>,
}

struct State {
    ends_s: Option<u64>,
    used: Instant,
    asked: HashSet<Id>,
    streams: usize,
}

/// Why no conversation takes this request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Full {
    /// This identity has as many as it may.
    Each,
    /// The host made none.
    Host(OpenError),
    /// A session's id could not be drawn.
    NoRandom,
    /// This identity has as many as are left for all others together.
    Share,
    /// There are as many as there may be.
    Total,
}

/// All of them.
pub(super) struct Sessions<C> {
    caps: Caps,
    table: Mutex<Table<C>>,
    /// Held while one is made, so that a crowd at the door cannot pass the caps together.
    making: Mutex<()>,
}

struct Table<C> {
    named: HashMap<String, Arc<Entry<C>>>,
    lanes: Vec<Arc<Entry<C>>>,
}

/// A request that is being answered. When this goes before the answer does, the request is cancelled.
pub(super) struct Asking {
    id: Id,
    cancel: Option<Box<dyn FnOnce() + Send + Sync>>,
    done: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl std::fmt::Debug for Asking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asking").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Asking {
    /// The request's id.
    pub(super) fn id(&self) -> &Id {
        &self.id
    }

    /// The answer is there, or none will come.
    pub(super) fn answered(&mut self) {
        self.cancel = None;
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        for last in [self.cancel.take(), self.done.take()].into_iter().flatten() {
            last();
        }
    }
}

impl<C: Conversation> Entry<C> {
    fn new(conversation: Arc<C>, revision: Revision, pass: &Pass) -> Arc<Self> {
        let state =
            State { ends_s: pass.ends_s, used: Instant::now(), asked: HashSet::new(), streams: 0 };
        let (closed, _) = watch::channel(false);
        let (who, state, parked) = (Arc::clone(&pass.who), Mutex::new(state), Arc::default());
        Arc::new(Self { conversation, revision, parked, who, state, closed })
    }

    /// Takes up a request; `None` if its id is being asked already, or too many are.
    pub(super) fn ask(self: &Arc<Self>, id: &Id, cancels: bool, cap: usize) -> Option<Asking> {
        let mut state = self.state();
        if state.asked.len() >= cap || !state.asked.insert(id.clone()) {
            return None;
        }
        state.used = Instant::now();
        drop(state);
        let (entry, key) = (Arc::clone(self), id.clone());
        let done: Box<dyn FnOnce() + Send + Sync> = Box::new(move || {
            let mut state = entry.state();
            state.asked.remove(&key);
            state.used = Instant::now();
        });
        let (entry, key) = (Arc::clone(self), id.clone());
        let cancel: Box<dyn FnOnce() + Send + Sync> = Box::new(move || entry.cancel(&key));
        Some(Asking { id: id.clone(), cancel: cancels.then_some(cancel), done: Some(done) })
    }

    /// Tells the conversation that the client no longer waits for this request.
    fn cancel(self: &Arc<Self>, id: &Id) {
        let params = format!(r#"{{"requestId":{},"reason":"the client has gone"}}"#, id.to_json());
        let Some(message) = Message::notification("notifications/cancelled", Some(&params)) else {
            return;
        };
        // At the very end of the process there is no runtime left, and nothing to cancel.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let conversation = Arc::clone(&self.conversation);
            let (out, _) = mpsc::channel(1);
            drop(runtime.spawn(conversation.take(message, out)));
        }
    }

    /// Resolves when this conversation has ended.
    pub(super) fn closed(&self) -> Closed {
        Closed::new(self.closed.subscribe())
    }

    /// Counts a stream that belongs to no request, as long as what is returned lives.
    pub(super) fn streaming(self: &Arc<Self>) -> Asking {
        self.state().streams += 1;
        let entry = Arc::clone(self);
        let done: Box<dyn FnOnce() + Send + Sync> = Box::new(move || {
            let mut state = entry.state();
            state.streams = state.streams.saturating_sub(1);
            state.used = Instant::now();
        });
        // No message of the server's answers this id: a client's ids never come from here.
        Asking { id: Id::Text(String::new()), cancel: None, done: Some(done) }
    }

    /// Marks the conversation as used by somebody whose pass may end later than the one before.
    fn renew(&self, pass: &Pass) {
        let mut state = self.state();
        state.used = Instant::now();
        state.ends_s = pass.ends_s;
    }

    fn close(&self) {
        self.closed.send_replace(true);
        self.parked.close();
        self.conversation.close();
    }

    fn idle_for(&self, now: Instant) -> Duration {
        let state = self.state();
        if state.asked.is_empty() && state.streams == 0 {
            now.saturating_duration_since(state.used)
        } else {
            Duration::ZERO
        }
    }

    fn has_ended(&self, now_s: u64) -> bool {
        self.state().ends_s.is_some_and(|end| now_s >= end)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Conversation> Sessions<C> {
    pub(super) fn new(caps: Caps) -> Self {
        let table = Table { named: HashMap::new(), lanes: Vec::new() };
        Self { caps, table: Mutex::new(table), making: Mutex::default() }
    }

    pub(super) fn caps(&self) -> &Caps {
        &self.caps
    }

    /// Begins a session; its id is 256 random bits.
    pub(super) fn begin<H: Host<Conversation = C>>(
        &self,
        host: &H,
        pass: &Pass,
        revision: Revision,
    ) -> Result<(String, Arc<Entry<C>>), Full> {
        let id = random_id().ok_or(Full::NoRandom)?;
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        self.make_room(&pass.who)?;
        let conversation = host.open(&pass.who, revision).map_err(Full::Host)?;
        let entry = Entry::new(conversation, revision, pass);
        self.table().named.insert(id.clone(), Arc::clone(&entry));
        Ok((id, entry))
    }

    /// The session of this id, if it is this identity's: `Err(true)` tells that it is another's.
    pub(super) fn named(&self, id: &str, pass: &Pass) -> Result<Arc<Entry<C>>, bool> {
        let found = self.table().named.get(id).cloned().ok_or(false)?;
        if found.who != pass.who {
            return Err(true);
        }
        found.renew(pass);
        Ok(found)
    }

    /// A conversation for one request without a session: one of this identity's in which no request of the same id is
    /// open, or a new one.
    pub(super) fn lane<H: Host<Conversation = C>>(
        &self,
        host: &H,
        pass: &Pass,
        (revision, id): (Revision, &Id),
    ) -> Result<(Arc<Entry<C>>, Asking), Full> {
        let free = |entry: &Arc<Entry<C>>| {
            if entry.who != pass.who || entry.revision != revision {
                return None;
            }
            entry.ask(id, true, self.caps.asking)
        };
        let found =
            self.table().lanes.iter().find_map(|entry| Some((Arc::clone(entry), free(entry)?)));
        if let Some((entry, asking)) = found {
            entry.renew(pass);
            return Ok((entry, asking));
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        self.make_room(&pass.who)?;
        let conversation = host.open(&pass.who, revision).map_err(Full::Host)?;
        let entry = Entry::new(conversation, revision, pass);
        let asking = entry.ask(id, true, self.caps.asking).ok_or(Full::Each)?;
        self.table().lanes.push(Arc::clone(&entry));
        Ok((entry, asking))
    }

    /// Ends a session.
    pub(super) fn end(&self, id: &str) {
        let ended = self.table().named.remove(id);
        if let Some(entry) = ended {
            entry.close();
        }
    }

    /// Closes what was idle for too long, and what belongs to somebody who is welcome no more.
    pub(super) fn patrol(&self, now_s: u64, stands: impl Fn(&Who) -> bool) {
        let now = Instant::now();
        let all: Vec<_> = {
            let table = self.table();
            table.named.values().chain(&table.lanes).cloned().collect()
        };
        for entry in &all {
            entry.parked.sweep(now);
        }
        let gone = |entry: &Arc<Entry<C>>| {
            entry.idle_for(now) > self.caps.idle || entry.has_ended(now_s) || !stands(&entry.who)
        };
        let gone: Vec<_> = all.into_iter().filter(gone).collect();
        self.remove(&gone);
    }

    /// Closes everything.
    pub(super) fn close(&self) {
        let mut table = self.table();
        let mut all: Vec<_> = table.named.drain().map(|(_, entry)| entry).collect();
        all.append(&mut table.lanes);
        drop(table);
        for entry in all {
            entry.close();
        }
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        let table = self.table();
        table.named.len() + table.lanes.len()
    }

    /// A client that was killed leaves its sessions behind; its next one takes the place of the one that was idle the
    /// longest, so that nobody locks themselves out. Where there is little room for anybody, nobody takes more than half of
    /// it, and what lies idle of whoever has the most gives way to who has less. What is in use is never taken.
    fn make_room(&self, who: &Who) -> Result<(), Full> {
        let all: Vec<_> = {
            let table = self.table();
            table.named.values().chain(&table.lanes).cloned().collect()
        };
        let mut counts: HashMap<&Who, usize> = HashMap::new();
        for entry in &all {
            *counts.entry(&entry.who).or_default() += 1;
        }
        let of = |who: &Who| counts.get(who).copied().unwrap_or_default();
        let (own, left) = (of(who), self.caps.total.saturating_sub(all.len()));
        let full = match (own >= self.caps.each, left) {
            (true, _) => Full::Each,
            (false, 0) => Full::Total,
            (false, left) if own >= left => Full::Share,
            (false, _) => return Ok(()),
        };
        let now = Instant::now();
        let lies = |entry: &&Arc<Entry<C>>| entry.idle_for(now) >= SPARED.min(self.caps.idle);
        let idle: Vec<_> = all.iter().filter(lies).collect();
        let mine = idle.iter().filter(|entry| *entry.who == *who);
        if let Some(entry) = mine.max_by_key(|entry| entry.idle_for(now)) {
            self.remove(&[Arc::clone(entry)]);
            return Ok(());
        }
        let counted = idle.into_iter().map(|entry| (of(&entry.who), entry));
        let fuller = counted.filter(|(theirs, _)| full != Full::Each && *theirs > own + 1);
        match fuller.max_by_key(|(theirs, entry)| (*theirs, entry.idle_for(now))) {
            Some((_, entry)) => self.remove(&[Arc::clone(entry)]),
            None => return Err(full),
        }
        Ok(())
    }

    fn remove(&self, gone: &[Arc<Entry<C>>]) {
        if gone.is_empty() {
            return;
        }
        let is_gone = |entry: &Arc<Entry<C>>| gone.iter().any(|other| Arc::ptr_eq(entry, other));
        let mut table = self.table();
        table.named.retain(|_, entry| !is_gone(entry));
        table.lanes.retain(|entry| !is_gone(entry));
        drop(table);
        for entry in gone {
            entry.close();
        }
    }

    fn table(&self) -> MutexGuard<'_, Table<C>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn random_id() -> Option<String> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok()?;
    let mut id = String::with_capacity(64);
    for byte in bytes {
        write!(id, "{byte:02x}").ok()?;
    }
    Some(id)
}

/// How long a session is safe from being taken for a newer one of the same identity.
const SPARED: Duration = Duration::from_mins(1);
