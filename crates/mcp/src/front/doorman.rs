//! Who is let in? The front asks; the answer is the binary's, which knows tokens and issuers.

use crate::conversation::Who;
use std::future::Future;
use std::sync::Arc;
use thiserror::Error;

/// What a request shows of who sends it.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "a doorman that overlooks a part must not compile")]
pub struct Shown<'a> {
    /// The one `Authorization` header, if there is one.
    pub authorization: Option<&'a str>,
    /// What the certificate says that its connection began with.
    pub certificate: Option<&'a Certificate>,
}

/// A client's certificate, which held when the connection began.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a certificate without an end must say so")]
pub struct Certificate {
    /// Its names of hosts, in lower case.
    pub dns: Vec<String>,
    /// Its other addresses, to the letter.
    pub uris: Vec<String>,
    /// The last second in which it holds, since 1970.
    pub ends_s: u64,
    /// The SHA-256 of all of it, in DER: what a token that is bound to it names.
    pub sha256: [u8; 32],
}

/// Somebody who was let in.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "a pass without an end must say so")]
pub struct Pass {
    /// Who.
    pub who: Arc<Who>,
    /// When it ends by itself, in seconds since 1970.
    pub ends_s: Option<u64>,
}

/// Why somebody was not let in. Nothing in it comes from what was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[expect(clippy::exhaustive_enums, reason = "each has its own answer in HTTP")]
pub enum Turned {
    /// What was shown is good for no role here.
    #[error("this identity has no role here")]
    NoRole,
    /// Nothing was shown.
    #[error("a bearer token is needed")]
    Nothing,
    /// The certificate does not hold any more, or none was shown where one is needed.
    #[error("a client certificate is needed that holds")]
    Uncertified,
    /// It could not be found out.
    #[error("who this is cannot be found out now")]
    Unavailable,
    /// What was shown does not hold.
    #[error("the token is not good")]
    Worthless,
}

/// Keeps the door.
pub trait Doorman: Send + Sync + 'static {
    /// Who shows this? Asked for every request, so that what was taken back is worthless at once.
    fn identify(&self, shown: Shown<'_>) -> impl Future<Output = Result<Pass, Turned>> + Send;

    /// Whether somebody who was let in is still welcome. Asked of whoever holds a stream open, every second.
    fn stands(&self, who: &Who) -> bool;

    /// The value of `WWW-Authenticate` for somebody who was turned away.
    fn challenge(&self, turned: Turned) -> String;

    /// The protected-resource metadata (RFC 9728), as JSON; `None` if there is no issuer.
    fn metadata(&self) -> Option<String>;

    /// Something on the wire that a person should know of: a stable code, and by whom, if that is known.
    fn noted(&self, who: Option<&Who>, code: &'static str);
}
