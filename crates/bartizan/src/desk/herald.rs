//! Who hears of questions and flags, and of which was each told? What is on the log is told in its order and at least
//! once, also after a restart; whom nobody can reach for a day is not told of it any more, and that is on the log. A flood
//! is told as one.
//!
//! The log is the queue: each who is told has a mark on it, and one process at a time moves that.

use super::burst::{Burst, Crowd};
use super::notice::{Notice, Scribe};
use crate::clock::now_ms;
use crate::config::notify::{Notify, Occasion, Webhook};
use crate::report::{Failure, Problem};
use bartizan_egress::dispatch::{self, Dispatch, Parcel, Proof};
use bartizan_egress::vault::Fault;
use bartizan_egress::{SecretError, Vault};
use bartizan_scan::{Redactor, ScanKey};
use bartizan_store::{Durability, Entry, Event, Ledger as _, Store, StoreError};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Those who are telling, in the background.
#[derive(Debug)]
pub(crate) struct Heralds {
    tasks: JoinSet<()>,
    closing: watch::Sender<bool>,
}

impl Heralds {
    /// Begins to tell, on this runtime, whoever is configured. Whoever was never told of anything is told of what comes from
    /// now on.
    pub(crate) fn begin(
        notify: &Notify,
        (store, vault): (&Store, &Vault),
        runtime: &tokio::runtime::Handle,
    ) -> Result<Self, Failure> {
        let closing = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        if notify.is_silent() {
            return Ok(Self { tasks, closing });
        }
        let common = Arc::new(Common {
            store: store.clone(),
            vault: vault.clone(),
            redactor: redactor()?,
            notify: notify.clone(),
        });
        for way in ways(notify) {
            let reader = way.reader();
            let from = match store.mark(&reader)? {
                Some(seq) => seq,
                None => store.reader().size()?,
            };
            store.set_mark(&reader, from)?;
            let common = Arc::clone(&common);
            let (closing, burst) = (closing.subscribe(), Burst::default());
            let teller = Teller { common, way, reader, from, closing, burst, holding: false };
            tasks.spawn_on(teller.tell_all(), runtime);
        }
        Ok(Self { tasks, closing })
    }

    /// Gives them so long to tell what is on the log; whether they have.
    pub(crate) async fn finish(mut self, limit: Duration) -> bool {
        self.closing.send_replace(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        timeout(limit, all).await.is_ok()
    }
}

fn redactor() -> Result<Redactor, Failure> {
    let key = ScanKey::new(crate::machine::random()?);
    Redactor::new(key, None)
        .map_err(|error| Failure::new(crate::cli::exit::STATE, Problem::new(error.to_string())))
}

/// What all tellers share.
struct Common {
    store: Store,
    vault: Vault,
    redactor: Redactor,
    notify: Notify,
}

impl Common {
    fn scribe(&self) -> Scribe<'_> {
        Scribe { store: &self.store, redactor: &self.redactor, notify: &self.notify }
    }
}

/// How somebody is told.
enum Way {
    Desktop(String),
    Webhook(String, Box<Webhook>, Dispatch),
}

fn ways(notify: &Notify) -> impl Iterator<Item = Way> + '_ {
    let webhooks = notify.webhooks.iter().map(|(name, webhook)| {
        let dispatch = Dispatch::new(webhook.to.clone(), webhook.internal);
        Way::Webhook(name.clone(), Box::new(webhook.clone()), dispatch)
    });
    notify.desktop.iter().cloned().map(Way::Desktop).chain(webhooks)
}

impl Way {
    /// Under which name its mark stands.
    fn reader(&self) -> String {
        match self {
            Self::Desktop(_) => "notify-desktop".to_owned(),
            Self::Webhook(name, ..) => format!("notify-webhook-{name}"),
        }
    }

    fn hears_of(&self, occasion: Occasion) -> bool {
        match self {
            Self::Desktop(_) => Occasion::USUAL.contains(&occasion),
            Self::Webhook(_, webhook, _) => webhook.on.contains(&occasion),
        }
    }

    async fn tell(&self, notice: &Notice, vault: &Vault) -> Result<(), Untold> {
        match self {
            Self::Desktop(program) => Ok(dispatch::show(program, "Bartizan", &notice.text).await?),
            Self::Webhook(_, webhook, dispatch) => {
                let key = vault.named(&webhook.secret).await?;
                let path = match &webhook.path {
                    Some(name) => Some(vault.named(name).await?),
                    None => None,
                };
                let parcel = Parcel {
                    replaces: false,
                    path: path.as_deref(),
                    kind: "application/json",
                    body: notice.body.to_string().into_bytes(),
                    proof: Proof::Signed { id: &notice.id, time_s: now_ms() / 1000, key: &key },
                };
                dispatch.send(parcel).await?;
                Ok(())
            }
        }
    }
}

/// Why somebody was not told.
#[derive(Debug)]
enum Untold {
    Fault(Fault),
    Secret(SecretError),
}

impl From<Fault> for Untold {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<SecretError> for Untold {
    fn from(error: SecretError) -> Self {
        Self::Secret(error)
    }
}

impl fmt::Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(f),
            Self::Secret(error) => error.fmt(f),
        }
    }
}

/// Tells one.
struct Teller {
    common: Arc<Common>,
    way: Way,
    reader: String,
    from: u64,
    closing: watch::Receiver<bool>,
    burst: Burst,
    /// Whether something waits until another notice may be sent.
    holding: bool,
}

impl Teller {
    /// Tells until we close and nothing waits, or the log fails.
    async fn tell_all(mut self) {
        // Held until we go, however we go.
        let Some(_turn) = self.turn().await else { return };
        // Whoever had the turn before us has moved the mark.
        self.from = self.common.store.mark(&self.reader).ok().flatten().unwrap_or(self.from);
        let mut tries = 0;
        loop {
            let closing = *self.closing.borrow();
            let Ok(next) = self.next(closing) else { return };
            let Some((seq, notice)) = next else {
                if closing || self.is_over().await {
                    return;
                }
                continue;
            };
            let told = self.way.tell(&notice, &self.common.vault).await;
            match told {
                Err(_) if notice.age() < GIVE_UP => {
                    tries += 1;
                    sleep(pause(tries)).await;
                    continue;
                }
                Err(why) if self.gave_up(&notice, &why).is_err() => return,
                Err(_) | Ok(()) => tries = 0,
            }
            self.holding = false;
            if notice.occasion != Occasion::Flag {
                self.burst.note(Instant::now());
            }
            self.from = seq + 1;
            if self.common.store.set_mark(&self.reader, self.from).is_err() {
                return;
            }
        }
    }

    /// What is to be told next, and the place of the last record that it tells of. A question that comes too soon after
    /// others is held until it may be told, together with all that come meanwhile; a flag holds up for nothing.
    fn next(&mut self, closing: bool) -> Result<Option<(u64, Notice)>, StoreError> {
        let is_full = self.burst.is_full(Instant::now());
        let must_wait = is_full && !closing && !self.is_flagged()?;
        if must_wait && self.holding {
            return Ok(None);
        }
        let Some((seq, notice)) = self.first()? else { return Ok(None) };
        if notice.occasion == Occasion::Flag || !is_full && !self.holding {
            return Ok(Some((seq, notice)));
        }
        if must_wait {
            self.holding = true;
            return Ok(None);
        }
        let crowd = self.crowd()?;
        Ok(Some(match crowd.places {
            Some((_, last)) if crowd.len() > 1 => (last, self.common.scribe().summary(&crowd)),
            _ => (seq, notice),
        }))
    }

    /// Whether a flag that is told here waits too.
    fn is_flagged(&self) -> Result<bool, StoreError> {
        if !self.way.hears_of(Occasion::Flag) {
            return Ok(false);
        }
        let (store, scribe) = (&self.common.store, self.common.scribe());
        let mut from = self.from;
        while let Some(record) = store.reader().first_of(&[Event::Flag], from)? {
            if scribe.occasion(&record) == Some(Occasion::Flag) {
                return Ok(true);
            }
            from = record.seq + 1;
        }
        Ok(false)
    }

    /// All that waits before the next flag.
    fn crowd(&self) -> Result<Crowd, StoreError> {
        let (store, scribe) = (&self.common.store, self.common.scribe());
        let (mut crowd, mut from) = (Crowd::default(), self.from);
        while let Some(record) = store.reader().first_of(&TOLD_OF, from)? {
            match scribe.occasion(&record).filter(|occasion| self.way.hears_of(*occasion)) {
                Some(Occasion::Flag) => break,
                Some(occasion) => crowd.add(&record, occasion == Occasion::Question),
                None => {}
            }
            from = record.seq + 1;
        }
        Ok(crowd)
    }

    /// The first that is to be told of, and its place.
    fn first(&mut self) -> Result<Option<(u64, Notice)>, StoreError> {
        let (store, scribe) = (&self.common.store, self.common.scribe());
        loop {
            let end = store.reader().size()?;
            let Some(record) = store.reader().first_of(&TOLD_OF, self.from)? else {
                self.from = self.from.max(end);
                return Ok(None);
            };
            let notice = scribe.notice(&record).filter(|notice| self.way.hears_of(notice.occasion));
            if let Some(notice) = notice {
                return Ok(Some((record.seq, notice)));
            }
            self.from = record.seq + 1;
        }
    }

    /// Waits for what may come; `true` when nothing more will be waited for.
    async fn is_over(&mut self) -> bool {
        if *self.closing.borrow() {
            return true;
        }
        tokio::select! {
            // An error means that whoever would close us is gone.
            closing = self.closing.changed() => closing.is_err(),
            () = sleep(PULSE) => false,
        }
    }

    /// Waits until no other process tells the same; `None` when we close before that.
    async fn turn(&mut self) -> Option<File> {
        let path = self.common.store.dir().join(format!("{}.lock", self.reader));
        loop {
            let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
            let file = opened.ok()?;
            if file.try_lock().is_ok() {
                return Some(file);
            }
            drop(file);
            if self.is_over().await {
                return None;
            }
        }
    }

    fn gave_up(&self, notice: &Notice, why: &Untold) -> Result<(), StoreError> {
        let entry = Entry::new(Event::Fault)
            .with("part", "notify")
            .with("reader", self.reader.as_str())
            .with("notice", notice.id.as_str())
            .with("why", self.common.redactor.redact(&why.to_string()).text);
        let _receipt = self.common.store.append(entry, Durability::Durable)?;
        Ok(())
    }
}

/// What may be told.
const TOLD_OF: [Event; 2] = [Event::Pending, Event::Flag];

/// How long is waited after so many failures: longer each time, up to five minutes.
fn pause(tries: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(LAST_PAUSE)
}

/// How often it is looked for what has come.
const PULSE: Duration = Duration::from_millis(500);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_mins(5);
/// How old a notice becomes before it is given up.
const GIVE_UP: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        assert_eq!(pause(1), Duration::from_millis(500));
        assert_eq!(pause(3), Duration::from_secs(2));
        assert_eq!(pause(40), LAST_PAUSE);
    }
}
