//! Who tells how a server fares, for whoever looks now? Whoever keeps it, one word for each turn. It is no record: where it cannot
//! be said, it is not.

use super::super::ground::Session;
use crate::doors::mcp::Talk;
use crate::machine::random;
use bartizan_gate::name::ServerName;
use bartizan_store::{Fares, Store};
use std::convert::Infallible;
use std::future::{Future, pending};
use tokio::task::spawn_blocking;

/// Says how one server of one conversation fares.
#[derive(Clone)]
pub(super) struct Word {
    store: Store,
    /// What tells this server from the same one of another conversation.
    mark: String,
    session: String,
    name: String,
}

impl Word {
    /// Of a server that is kept for this client's session.
    pub(super) fn new(store: &Store, session: &Session, name: &ServerName) -> Self {
        let mark = format!("{:032x}", u128::from_be_bytes(random().unwrap_or_default()));
        let session = session.caller.seat().session.to_string();
        Self { store: store.clone(), mark, session, name: name.to_string() }
    }

    /// Says how it fares from now on.
    pub(super) async fn says(&self, how: Fares) {
        let Self { store, mark, session, name } = self.clone();
        drop(spawn_blocking(move || store.fares(&mark, (&session, &name), &how)).await);
    }

    /// Says that nobody keeps it any more.
    pub(super) async fn no_more(&self) {
        let Self { store, mark, .. } = self.clone();
        drop(spawn_blocking(move || store.keeps_no_more(&mark)).await);
    }

    /// Says of one life that the server is being started, and that it is up once it has answered something. It ends with `life`,
    /// which waits for none of this.
    pub(super) async fn follows<T>(&self, talk: &Talk, life: impl Future<Output = T>) -> T {
        let upstream = talk.upstream();
        let answered = upstream.answered();
        let said = async {
            self.says(Fares::Starting).await;
            answered.await;
            self.says(Fares::Up).await;
            pending::<Infallible>().await
        };
        tokio::select! {
            lived = life => lived,
            never = said => match never {},
        }
    }
}
