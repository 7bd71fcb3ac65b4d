//! In which revision is a request made, and by whom? Where there are no sessions (2026-07-28), each says so itself.

use crate::wire::Message;

/// Which revision a request is in.
pub(crate) const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// What its client can do.
pub(crate) const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// Which program its client is.
pub(crate) const CLIENT: &str = "io.modelcontextprotocol/clientInfo";
/// How much of what the server does is to be told.
pub(crate) const LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// Which program has answered.
pub(crate) const SERVER: &str = "io.modelcontextprotocol/serverInfo";
/// To which stream of changes something belongs.
pub(crate) const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
/// What a request says of its revision.
pub(crate) const ALL: [&str; 4] = [CAPABILITIES, CLIENT, LEVEL, VERSION];
/// A revision that is not spoken.
pub(crate) const UNSUPPORTED: i64 = -32022;

/// The key in a request's `_meta` under which its client says what it can do.
pub const CLIENT_CAPABILITIES: &str = CAPABILITIES;

/// Whether a request names its own revision, as those do that belong to no session.
pub fn is_stateless(message: &Message) -> bool {
    message.meta().is_some_and(|meta| meta.get(VERSION).is_some())
}
