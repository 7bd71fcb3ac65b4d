//! Is this server there? One of the hub's servers: not started yet, up, or down for a reason.

use super::super::Talk;
use super::names::List;
use bartizan_scan::json::View;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// One server.
pub(super) struct Branch {
    name: String,
    /// Whether the client knows what it has by its own words.
    alone: bool,
    life: watch::Sender<Life>,
}

#[derive(Clone)]
enum Life {
    /// It has not started yet.
    Ahead,
    /// It has ended, or could not be started: why.
    Down(String),
    Up(Arc<Talk>),
}

impl Branch {
    pub(super) fn new(name: &str, alone: bool) -> Arc<Self> {
        let (life, _) = watch::channel(Life::Ahead);
        Arc::new(Self { name: name.to_owned(), alone, life })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn up(&self, talk: &Arc<Talk>) {
        self.life.send_replace(Life::Up(Arc::clone(talk)));
    }

    /// The conversation that this ends, if there was one.
    pub(super) fn down(&self, why: &str) -> Option<Arc<Talk>> {
        match self.life.send_replace(Life::Down(why.to_owned())) {
            Life::Up(talk) => Some(talk),
            Life::Ahead | Life::Down(_) => None,
        }
    }

    /// The conversation with it, if there is one now.
    pub(super) fn now(&self) -> Option<Arc<Talk>> {
        match &*self.life.borrow() {
            Life::Up(talk) => Some(Arc::clone(talk)),
            Life::Ahead | Life::Down(_) => None,
        }
    }

    /// The conversation with it; one that is only starting is waited for, though not for long.
    pub(super) async fn ready(&self) -> Result<Arc<Talk>, String> {
        let mut life = self.life.subscribe();
        let known = timeout(START, life.wait_for(|life| !matches!(life, Life::Ahead))).await;
        let known = match known {
            Ok(Ok(life)) => life.clone(),
            Ok(Err(_)) | Err(_) => Life::Ahead,
        };
        match known {
            Life::Up(talk) => Ok(talk),
            Life::Down(why) => Err(format!("server `{}` is not there: {why}", self.name)),
            Life::Ahead => Err(format!("server `{}` has not started yet", self.name)),
        }
    }

    /// What it has of one kind, as the client knows it, or why that cannot be judged; `None` when it does not say in time.
    pub(super) async fn listed(&self, list: &List) -> Option<Result<Vec<String>, String>> {
        let talk = self.ready().await.ok()?;
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
        // One that has ended is not there, and is started again.
        (listed.is_ok() || talk.upstream().gone().is_none()).then_some(listed)
    }
}

/// How long a server that is starting is waited for.
const START: Duration = Duration::from_secs(10);
/// How long a server may take to list what it has.
const LIST: Duration = Duration::from_secs(10);
