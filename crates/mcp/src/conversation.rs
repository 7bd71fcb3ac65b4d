//! What do a front (stdio, HTTP) and a door agree on? One client's conversation with the gateway, whichever
//! transport carries it.

use crate::wire::Message;
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use thiserror::Error;

/// A revision of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Revision {
    /// Sessions; over HTTP, two ways to a server instead of one.
    V2024_11_05,
    /// Sessions.
    V2025_03_26,
    /// Sessions.
    V2025_06_18,
    /// Sessions; tasks and URL elicitation.
    V2025_11_25,
    /// Stateless: each request carries its version.
    V2026_07_28,
}

impl Revision {
    /// The newest that has sessions: what an `initialize` is answered with when the client asks for one we do not know.
    pub const NEWEST_OF_SESSIONS: Self = Self::V2025_11_25;

    /// All of them, the oldest first.
    pub const ALL: [Self; 5] = [
        Self::V2024_11_05,
        Self::V2025_03_26,
        Self::V2025_06_18,
        Self::V2025_11_25,
        Self::V2026_07_28,
    ];

    /// The revision of this date.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|revision| revision.as_str() == text)
    }

    /// Its date, as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// Whether a conversation begins with `initialize`.
    pub fn has_sessions(self) -> bool {
        self < Self::V2026_07_28
    }
}

/// Where messages to a client go, in order. It is bounded: who does not read is waited for.
pub type Outbox = tokio::sync::mpsc::Sender<Message>;

/// One client's conversation with the gateway.
pub trait Conversation: Send + Sync + 'static {
    /// Takes one message of the client's. Whatever belongs to it (progress, log, questions that arise from it, and
    /// last its answer) goes to `out`, which is dropped after the answer; for a notification or an answer of the
    /// client's, nothing does. Dropping the future does not cancel the request: [`Conversation::close`] or the
    /// client's own `notifications/cancelled` do.
    fn take(self: Arc<Self>, message: Message, out: Outbox) -> impl Future<Output = ()> + Send;

    /// What belongs to no request (`list_changed`, …) goes here from now on: stdio's output, the GET stream of
    /// HTTP. A later call takes the place of an earlier one.
    fn listen(&self, out: Outbox);

    /// The client has gone: whatever it waits for is cancelled.
    fn close(&self);
}

/// Makes conversations for clients that are known.
pub trait Host: Send + Sync + 'static {
    /// What it makes.
    type Conversation: Conversation;

    /// Begins a conversation with `who`. For a revision without sessions the front may keep one conversation for all
    /// requests of one client.
    fn open(&self, who: &Who, revision: Revision) -> Result<Arc<Self::Conversation>, OpenError>;
}

/// Who the client is, and how we know.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a front that leaves a part out must not compile")]
pub struct Who {
    /// The role it has.
    pub role: String,
    /// How it showed that.
    pub by: Evidence,
    /// The only tools that it may use, by the gate's names, if it is narrower than its role.
    pub tools: Option<BTreeSet<String>>,
}

/// How a client showed who it is. No part of it is a secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Evidence {
    /// It is the program that started us, or that holds the other end of our own socket.
    Socket,
    /// A bearer token that we issued, by its id.
    Token(String),
    /// A token that an issuer signed.
    Signed {
        /// Who signed.
        issuer: String,
        /// Whom it names.
        subject: String,
    },
    /// A client certificate, by the name in it.
    Certificate(String),
    /// Both: a client certificate, by the name in it, and what else was shown.
    Both {
        /// The name in the certificate.
        certificate: String,
        /// The other.
        and: Box<Self>,
    },
    /// Nothing; the operator said that on this machine nothing is needed.
    Undemanded,
}

/// Why there is no conversation.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No such role here.
    #[error("there is no role `{0}`")]
    NoRole(String),
    /// The limit on open conversations.
    #[error("too many conversations are open")]
    TooMany,
    /// What stands behind us does not answer.
    #[error("{0}")]
    Unavailable(String),
}
