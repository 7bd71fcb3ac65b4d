//! How does what Bartizan itself has to say reach the address that its operator named? One request, over TLS, never
//! redirected, bounded in time and length, with a proof of who sends it.
//!
//! Notices are signed as <https://www.standardwebhooks.com> says, so that whoever gets them has a library for that.

mod desktop;

pub use desktop::show;

use crate::fault::{Fault, FaultKind};
use crate::resolve::{Reach, Resolver};
use crate::secret::SecretValue;
use crate::upstream::{Upstream, is_loopback};
use crate::vault::http::{Call, Client};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::Method;
use ring::hmac;
use rustls::ClientConfig;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The way to one address.
#[expect(missing_debug_implementations, reason = "nothing in it is worth a look")]
pub struct Dispatch {
    client: Client,
    to: Upstream,
}

/// What is sent.
#[expect(missing_debug_implementations, reason = "it holds secrets")]
pub struct Parcel<'a> {
    /// Whether it takes the place of what is there (PUT), or is one more (POST).
    pub replaces: bool,
    /// What comes behind the address's own path, where that is a secret itself.
    pub path: Option<&'a SecretValue>,
    /// The content's type.
    pub kind: &'static str,
    /// The content.
    pub body: Vec<u8>,
    /// Who sends it.
    pub proof: Proof<'a>,
}

/// By what the receiver knows who sends.
#[expect(missing_debug_implementations, reason = "it holds secrets")]
pub enum Proof<'a> {
    /// By a token, which is shown.
    Bearer(&'a SecretValue),
    /// By a key of the Messages API.
    Messages(&'a SecretValue),
    /// By nothing: the content is signed in itself.
    None,
    /// By a signature over id, time and content.
    Signed {
        /// The same each time that this content is sent.
        id: &'a str,
        /// Seconds since 1970.
        time_s: u64,
        /// What both sides know.
        key: &'a SecretValue,
    },
}

impl Dispatch {
    /// The way to `to`, over the machine's own roots. A name leads to public addresses only, unless `internal`; an
    /// address that is written as one is reached wherever it lies.
    pub fn new(to: Upstream, internal: bool) -> Self {
        let client = Client::new(Resolver::system()).within(reach(&to, internal));
        Self { client, to }
    }

    /// The same, over another resolver and roots of one's own.
    pub fn believing(
        to: Upstream,
        internal: bool,
        (resolver, tls): (Resolver, Arc<ClientConfig>),
    ) -> Self {
        let client = Client::believing(resolver, tls).within(reach(&to, internal));
        Self { client, to }
    }

    /// Sends it; gives the content of the answer, at most 1 MiB. Only a status of 200 to 299 means that it was taken.
    pub async fn send(&self, parcel: Parcel<'_>) -> Result<Vec<u8>, Fault> {
        let (status, body) = self.ask(parcel).await?;
        if (200..300).contains(&status) {
            return Ok(body);
        }
        let target = self.to.target();
        let fault =
            Fault::new(FaultKind::Denied, format!("`{target}` answers with status {status}"));
        Err(match status {
            300..400 => {
                fault.remedy("name the address that it leads to; a redirect is not followed")
            }
            _ => fault,
        })
    }

    /// Sends it; gives the status and the content of the answer.
    pub async fn ask(&self, parcel: Parcel<'_>) -> Result<(u16, Vec<u8>), Fault> {
        // Nothing is asked for without a path.
        let root = if self.to.prefix().is_empty() { "/" } else { "" };
        let answer = self.client.send(&self.to, call(parcel, root)?).await?;
        Ok((answer.status, answer.bytes().to_vec()))
    }
}

fn reach(to: &Upstream, internal: bool) -> Reach {
    let named = to.target().host().address().is_some() || is_loopback(to.target());
    let public = Reach::public();
    if internal || named { public.and_network().and_this_host() } else { public }
}

/// What is asked, below `root` where nothing is said of a path.
fn call(parcel: Parcel<'_>, root: &str) -> Result<Call, Fault> {
    let Parcel { replaces, path, kind, body, proof } = parcel;
    let method = if replaces { Method::PUT } else { Method::POST };
    let call = Call::new(method, path.map_or(Ok(root), below)?);
    let call = call.header("content-type", kind.as_bytes())?.header("user-agent", b"bartizan")?;
    let call = match proof {
        Proof::None => call,
        Proof::Bearer(token) => {
            let mut value = Zeroizing::new(b"Bearer ".to_vec());
            value.extend_from_slice(token.bytes());
            call.header("authorization", &value)?
        }
        Proof::Messages(key) => {
            call.header("anthropic-version", MESSAGES_VERSION)?.header("x-api-key", key.bytes())?
        }
        Proof::Signed { id, time_s, key } => {
            let signature = sign(key, id, time_s, &body)?;
            call.header("webhook-id", id.as_bytes())?
                .header("webhook-timestamp", time_s.to_string().as_bytes())?
                .header("webhook-signature", signature.as_bytes())?
        }
    };
    Ok(call.body(body))
}

/// A path that is a secret. What is wrong with it is said without it.
fn below(path: &SecretValue) -> Result<&str, Fault> {
    let malformed = || {
        let what = "the secret path of the address is none";
        Fault::new(FaultKind::Malformed, what)
            .remedy("it begins with / and has no spaces, like /services/…")
    };
    let text = path.text().ok_or_else(malformed)?;
    let plain = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic());
    if plain && !text.contains(['#', '\\']) { Ok(text) } else { Err(malformed()) }
}

fn sign(key: &SecretValue, id: &str, time_s: u64, body: &[u8]) -> Result<String, Fault> {
    let bytes = match key.text().and_then(|text| text.strip_prefix(PREFIX)) {
        Some(encoded) => Zeroizing::new(BASE64.decode(encoded).map_err(|_| {
            let what = "the signing secret begins with whsec_ and goes on with no base64";
            Fault::new(FaultKind::Malformed, what)
        })?),
        None => Zeroizing::new(key.bytes().to_vec()),
    };
    if bytes.len() < SHORTEST {
        let fault = Fault::new(FaultKind::Unsafe, "the signing secret is too short to sign with");
        return Err(fault.remedy(format!("use {SHORTEST} random bytes or more")));
    }
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &bytes));
    context.update(format!("{id}.{time_s}.").as_bytes());
    context.update(body);
    Ok(format!("v1,{}", BASE64.encode(context.sign())))
}

/// The one version of the Messages API that there is.
const MESSAGES_VERSION: &[u8] = b"2023-06-01";
/// How a secret begins that is written in base64.
const PREFIX: &str = "whsec_";
/// What can be guessed signs nothing.
const SHORTEST: usize = 16;

#[cfg(test)]
mod tests;
