//! Is this server there? One of the hub's servers: not started yet, up, asleep since nobody needed it, or down for a reason.

use super::super::Talk;
use super::super::rest::Rests;
use super::names::List;
use super::remembered::{Mark, Remembered};
use bartizan_mcp::wire::Message;
use bartizan_scan::json::View;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::timeout;

/// One server.
pub(super) struct Branch {
    name: String,
    /// Whether the client knows what it has by its own words.
    alone: bool,
    life: watch::Sender<Life>,
    need: Mutex<Need>,
    /// What it said last that it has, for as long as it is asleep.
    remembered: Remembered,
    /// What is kept of its answers, of all of its lives.
    rests: Arc<Rests>,
}

#[derive(Clone)]
enum Life {
    /// It has not started yet.
    Ahead,
    /// It was ended because nobody needed it, and is started for the next who does.
    Asleep,
    /// It has ended, or could not be started: why.
    Down(String),
    Up(Arc<Talk>),
}

/// Who needs a server.
struct Need {
    /// Requests that it has to answer.
    requests: usize,
    /// When that was last so, or it said something of its own accord.
    last: Instant,
    /// What it holds for its client would be gone with it: subscriptions, tasks.
    holds: bool,
    /// Whether it was asleep when it was started.
    slept: bool,
}

/// A server in use, which does not fall asleep meanwhile.
pub(super) struct InUse {
    needed: Needed,
    talk: Arc<Talk>,
}

impl InUse {
    /// The conversation with it.
    pub(super) fn talk(&self) -> &Arc<Talk> {
        &self.talk
    }

    /// It is kept from now on, as long as it lives.
    pub(super) fn hold(&self) {
        self.needed.0.need().holds = true;
    }
}

/// That somebody needs a server, until this goes.
struct Needed(Arc<Branch>);

impl Drop for Needed {
    fn drop(&mut self) {
        let mut need = self.0.need();
        need.requests = need.requests.saturating_sub(1);
        need.last = Instant::now();
    }
}

impl Branch {
    pub(super) fn new(name: &str, alone: bool) -> Arc<Self> {
        let (life, _) = watch::channel(Life::Ahead);
        let need = Need { requests: 0, last: Instant::now(), holds: false, slept: false };
        let (name, need) = (name.to_owned(), Mutex::new(need));
        let (remembered, rests) = Default::default();
        Arc::new(Self { name, alone, life, need, remembered, rests })
    }

    fn need(&self) -> MutexGuard<'_, Need> {
        self.need.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It has said something: somebody may wait for more, and what it said before may count no more.
    pub(super) fn stirs(&self, said: &Message) {
        self.need().last = Instant::now();
        if said.method().is_some_and(|method| method.ends_with("/list_changed")) {
            self.remembered.forget();
        }
    }

    /// Falls asleep if nobody has needed it for so long: the conversation that this ends. Else, when to ask again.
    pub(super) fn rest(&self, after: Duration) -> Result<Arc<Talk>, Duration> {
        // Held to the end, so that nobody begins to need it meanwhile.
        let mut need = self.need();
        let idle = need.last.elapsed();
        if need.requests > 0 || need.holds {
            return Err(after);
        }
        if idle < after {
            return Err(after.saturating_sub(idle));
        }
        let Some(talk) = self.now() else { return Err(after) };
        need.slept = true;
        self.life.send_replace(Life::Asleep);
        Ok(talk)
    }

    /// Resolves when somebody needs it who found it asleep.
    pub(super) async fn wanted(&self) {
        // It lasts as long as we do.
        drop(self.life.subscribe().wait_for(|life| !matches!(life, Life::Asleep)).await);
    }

    /// What is kept of its answers.
    pub(super) fn rests(&self) -> &Arc<Rests> {
        &self.rests
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// It has started; says whether it was asleep before that.
    pub(super) fn up(&self, talk: &Arc<Talk>) -> bool {
        // What another one has is for it to say.
        self.remembered.forget();
        let mut need = self.need();
        need.last = Instant::now();
        need.holds = false;
        self.life.send_replace(Life::Up(Arc::clone(talk)));
        std::mem::take(&mut need.slept)
    }

    /// The conversation that this ends, if there was one.
    pub(super) fn down(&self, why: &str) -> Option<Arc<Talk>> {
        self.remembered.forget();
        match self.life.send_replace(Life::Down(why.to_owned())) {
            Life::Up(talk) => Some(talk),
            Life::Ahead | Life::Asleep | Life::Down(_) => None,
        }
    }

    /// The conversation with it, if there is one now.
    pub(super) fn now(&self) -> Option<Arc<Talk>> {
        match &*self.life.borrow() {
            Life::Up(talk) => Some(Arc::clone(talk)),
            Life::Ahead | Life::Asleep | Life::Down(_) => None,
        }
    }

    /// The conversation with it; one that is only starting is waited for, though not for long, and one that is asleep is woken.
    pub(super) async fn ready(self: &Arc<Self>) -> Result<InUse, String> {
        self.need().requests += 1;
        let needed = Needed(Arc::clone(self));
        self.life.send_if_modified(|life| {
            let asleep = matches!(life, Life::Asleep);
            if asleep {
                *life = Life::Ahead;
            }
            asleep
        });
        let mut life = self.life.subscribe();
        let known = timeout(START, life.wait_for(|life| !matches!(life, Life::Ahead))).await;
        let known = match known {
            Ok(Ok(life)) => life.clone(),
            Ok(Err(_)) | Err(_) => Life::Ahead,
        };
        match known {
            Life::Up(talk) => Ok(InUse { needed, talk }),
            Life::Down(why) => Err(format!("server `{}` is not there: {why}", self.name)),
            Life::Ahead | Life::Asleep => {
                Err(format!("server `{}` has not started yet", self.name))
            }
        }
    }

    /// What it has of one kind, as the client knows it, or why that cannot be judged; `None` when it does not say in time.
    /// One that is asleep is not woken for what it said last, as long as that would be judged as it was then.
    pub(super) async fn listed(
        self: &Arc<Self>,
        list: &List,
        mark: &Mark,
    ) -> Option<Result<Vec<String>, String>> {
        if matches!(&*self.life.borrow(), Life::Asleep)
            && let Some(said) = self.remembered.said(list, &self.remembered.asks(mark))
        {
            return Some(Ok(said));
        }
        let used = self.ready().await.ok()?;
        let talk = used.talk();
        // Only now: when it was woken for this, what it had said before was forgotten meanwhile.
        let asking = self.remembered.asks(mark);
        let named = |entry: View<'_>| {
            if self.alone { Some(entry.compact()) } else { list.named(&self.name, entry) }
        };
        let listed = async {
            match list.kind {
                None => talk.offered(named).await,
                Some(kind) => talk.entries((list.method, list.key), kind, named).await,
            }
        };
        let listed = timeout(LIST, listed).await.ok()?;
        let still = self.now().is_some_and(|now| Arc::ptr_eq(&now, talk));
        if let Some(entries) = listed.as_ref().ok().filter(|_| still) {
            self.remembered.keep(list, entries, (&asking, mark));
        }
        // One that has ended is not there, and is started again.
        (listed.is_ok() || talk.upstream().gone().is_none()).then_some(listed)
    }
}

/// How long a server that is starting is waited for.
const START: Duration = Duration::from_secs(10);
/// How long a server may take to list what it has.
const LIST: Duration = Duration::from_secs(10);
