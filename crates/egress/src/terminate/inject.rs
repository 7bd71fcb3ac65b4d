//! With whose credential does a request reach its host? Ours or none: never the box's own.
//!
//! On a host that a secret is bound to, whatever credential the box sends is taken out, and at most one is put
//! in, on the requests that the binding covers. What comes back from such a host passes a redactor that knows
//! every value that was used. A placeholder is worth something in no place at all: it stands in the box for
//! programs that insist on a token, and where one is seen on its way elsewhere, that is an alarm.

use super::RequestJudge;
use super::body::Payload;
use super::planted::{self, Watch};
use super::request::HttpRequest;
use super::sign::sign;
use super::strip::is_taken_out;
use crate::name::{HostPort, SecretName};
use crate::refuse::{Refusal, Status};
use crate::secret::{SecretValue, unfit};
use crate::sigv4::Scope;
use crate::vault::{Placeholders, Vault};
use bartizan_gate::seat::Binding;
use bartizan_scan::{RedactStream, Redactor, ScanKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use thiserror::Error;
use zeroize::Zeroizing;

/// Where a request carries its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The signature of AWS over the whole request.
    Aws,
    /// `authorization: Basic …` with this user.
    Basic(String),
    /// `authorization: Bearer …`.
    Bearer,
    /// A cookie of this name.
    Cookie(String),
    /// A header of this name, the value alone.
    Header(HeaderName),
    /// A parameter of the query, of this name.
    Query(String),
}

/// Why a text names no place.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "a secret goes in as `bearer`, `basic:USER`, `header:NAME`, `query:NAME`, `cookie:NAME` or `aws`"
)]
pub struct PlaceError(());

impl Place {
    /// Parses `bearer`, `basic:USER`, `header:NAME`, `query:NAME`, `cookie:NAME` or `aws`.
    pub fn parse(text: &str) -> Result<Self, PlaceError> {
        let (kind, name) = text.split_once(':').unwrap_or((text, ""));
        let is_word = |name: &str| {
            !name.is_empty()
                && name.len() <= 128
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        match kind {
            "bearer" if name.is_empty() && !text.contains(':') => Ok(Self::Bearer),
            "aws" if text == "aws" => Ok(Self::Aws),
            "basic" if is_word(name) => Ok(Self::Basic(name.to_owned())),
            "cookie" if is_word(name) => Ok(Self::Cookie(name.to_owned())),
            "query" if is_word(name) => Ok(Self::Query(name.to_owned())),
            "header" if is_word(name) && !FRAMING.contains(&name.to_ascii_lowercase().as_str()) => {
                let name = name.parse().map_err(|_| PlaceError(()))?;
                Ok(Self::Header(name))
            }
            _ => Err(PlaceError(())),
        }
    }
}

/// One secret, where it may go, and how.
#[derive(Debug, Clone)]
pub struct Bound {
    /// Which requests it goes with.
    pub binding: Binding,
    /// Where they carry it.
    pub place: Place,
}

/// Puts credentials into requests, and keeps them out of answers.
#[expect(missing_debug_implementations, reason = "it holds the way to secrets")]
pub struct Injector {
    vault: Vault,
    bound: Vec<Bound>,
    placeholders: Arc<Placeholders>,
    key: ScanKey,
    /// Knows the values that went into requests.
    known: Mutex<Option<Redactor>>,
}

impl Injector {
    /// One that knows no secret.
    pub fn none() -> Self {
        Self::new(Vault::system(), Vec::new(), Arc::default(), ScanKey::new([0; 32]))
    }

    /// Over these bindings; `key` colours the labels that stand where a value was echoed.
    pub fn new(
        vault: Vault,
        bound: Vec<Bound>,
        placeholders: Arc<Placeholders>,
        key: ScanKey,
    ) -> Self {
        Self { vault, bound, placeholders, key, known: Mutex::default() }
    }

    /// Whether any secret is bound to `target`.
    pub(crate) fn binds(&self, target: &HostPort) -> bool {
        self.bound.iter().any(|bound| bound.binding.target == *target)
    }

    /// Puts the secret that was granted into a request, or refuses the request.
    pub(super) async fn inject(
        &self,
        secret: &SecretName,
        (target, request): (&HostPort, &HttpRequest),
        (parts, query): (&mut Parts, &mut Option<String>),
        body: Payload,
    ) -> Result<Payload, Refusal> {
        let bound = self.fitting(secret, target, request)?;
        if bound.place == Place::Aws {
            check_copy(&bound.binding, &parts.headers)?;
            let keys = self.vault.aws_keys(secret).await.map_err(|error| error.refusal())?;
            self.learn(secret, &keys.secret)?;
            if let Some(token) = &keys.token {
                self.learn(secret, token)?;
            }
            let scope = parts.extensions.get::<Scope>().cloned();
            let asked = (request, query.as_deref());
            return sign(&keys, scope.as_ref(), asked, &mut parts.headers, body).await;
        }
        self.add(bound, (parts, query)).await?;
        Ok(body)
    }

    /// Puts the secret into a request without a body that was turned away with its last value.
    pub(super) async fn renew(
        &self,
        secret: &SecretName,
        (target, request): (&HostPort, &HttpRequest),
        head: (&mut Parts, &mut Option<String>),
    ) -> Result<(), Refusal> {
        self.add(self.fitting(secret, target, request)?, head).await
    }

    /// Says that a request with this secret was turned away, and whether there may be another value now.
    pub(super) fn turned_away(&self, secret: &SecretName) -> bool {
        self.vault.turned_away(secret)
    }

    async fn add(
        &self,
        bound: &Bound,
        (parts, query): (&mut Parts, &mut Option<String>),
    ) -> Result<(), Refusal> {
        let secret = &bound.binding.secret;
        let value = self.vault.named(secret).await.map_err(|error| error.refusal())?;
        self.learn(secret, &value)?;
        value.danger_expose(|value| put(&bound.place, value, &mut parts.headers, query))
    }

    fn fitting(
        &self,
        secret: &SecretName,
        target: &HostPort,
        request: &HttpRequest,
    ) -> Result<&Bound, Refusal> {
        let fits = |bound: &&Bound| {
            let binding = &bound.binding;
            binding.secret == *secret
                && binding.covers(request.is_secure(), target, request.method(), request.path())
        };
        self.bound.iter().find(fits).ok_or_else(unavailable)
    }

    /// Whether requests to `target` are signed.
    pub(super) fn signs(&self, target: &HostPort) -> bool {
        let signs = |bound: &Bound| bound.binding.target == *target && bound.place == Place::Aws;
        self.bound.iter().any(signs)
    }

    /// A mask over what a bound host answers. A value that is first used while the answer streams is hidden in its rest.
    pub(super) fn mask(&self) -> Result<Masked, Refusal> {
        self.redactor().map(|redactor| Masked::new(&redactor))
    }

    /// Takes every value out of an answer's headers, and each header that is named by one.
    pub(super) fn mask_headers(&self, headers: &mut HeaderMap) -> Result<usize, Refusal> {
        let redactor = self.redactor()?;
        let mut found = 0;
        let named =
            |name: &&HeaderName| !redactor.redact_bytes(name.as_str().as_bytes()).1.is_empty();
        let named: Vec<HeaderName> = headers.keys().filter(named).cloned().collect();
        for name in named {
            headers.remove(name);
            found += 1;
        }
        for value in headers.values_mut() {
            let (clean, findings) = redactor.redact_bytes(value.as_bytes());
            if !findings.is_empty() {
                found += findings.len();
                *value =
                    HeaderValue::from_bytes(&clean).unwrap_or(HeaderValue::from_static("withheld"));
            }
        }
        Ok(found)
    }

    /// Looks for placeholders in a request's head, on its way to a host; gives each with the place where it stands.
    pub(super) fn placeholders_in(
        &self,
        host: &HostPort,
        head: &Parts,
    ) -> Vec<(SecretName, String)> {
        let mut found = Vec::new();
        let mut look = |place: &str, text: &[u8]| {
            if let Some(secret) = self.placeholders.seen_in(text) {
                found.push((secret.clone(), place.to_owned()));
            }
        };
        look("method", head.method.as_str().as_bytes());
        look("url", head.uri.to_string().as_bytes());
        let (bound, signs) = (self.binds(host), self.signs(host));
        for (name, value) in &head.headers {
            look("header name", name.as_str().as_bytes());
            // Where a credential belongs, on a host that has one, is where a program will put it, and where it stays behind.
            if !(bound && is_taken_out(name.as_str(), signs)) {
                look(name.as_str(), value.as_bytes());
            }
        }
        found
    }

    /// Whether what was seen had been planted.
    pub(super) fn is_canary(&self, seen: &SecretName) -> bool {
        self.placeholders.is_canary(seen)
    }

    /// A watch over the body of a request with this head, if anything is sought in bodies.
    pub(super) fn watch<J: RequestJudge>(
        &self,
        (judge, target): (&Arc<J>, &HostPort),
        headers: &HeaderMap,
    ) -> Option<Watch> {
        if self.placeholders.is_empty() {
            return None;
        }
        let witness = planted::Told::new(judge, target);
        Some(Watch::new(Arc::clone(&self.placeholders), witness, headers))
    }

    /// Keeps the value out of answers from now on, also of those that are on their way. What was learnt before stays
    /// learnt, whatever comes of it.
    fn learn(&self, secret: &SecretName, value: &SecretValue) -> Result<(), Refusal> {
        let secret = value.known_as(secret).ok_or_else(unavailable)?;
        self.redactor()?.learn(secret).map_err(|_| unfit())
    }

    fn redactor(&self) -> Result<Redactor, Refusal> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(redactor) = known.as_ref() {
            return Ok(redactor.clone());
        }
        let redactor = Redactor::of_values(self.key.clone(), []).map_err(|_| unfit())?;
        Ok(known.insert(redactor).clone())
    }
}

/// S3 copies from what this header names, with our keys: a binding that covers a part of the host covers no
/// copy from another part.
fn check_copy(binding: &Binding, headers: &HeaderMap) -> Result<(), Refusal> {
    if binding.below == "/" || !headers.contains_key("x-amz-copy-source") {
        return Ok(());
    }
    let text =
        "a copy reads from elsewhere with the same credential, which is granted for one path";
    Err(Refusal::new(Status::Forbidden, "copy-refused", text))
}

pub(crate) fn put(
    place: &Place,
    value: &[u8],
    headers: &mut HeaderMap,
    query: &mut Option<String>,
) -> Result<(), Refusal> {
    let mut set = |name: HeaderName, text: Zeroizing<Vec<u8>>| {
        let mut value = HeaderValue::from_bytes(&text).map_err(|_| unavailable())?;
        value.set_sensitive(true);
        headers.insert(name, value);
        Ok(())
    };
    let joined = |parts: &[&[u8]]| Zeroizing::new(parts.concat());
    match place {
        // What is signed is not put in.
        Place::Aws => Err(unavailable()),
        Place::Bearer => set(header::AUTHORIZATION, joined(&[b"Bearer ", value])),
        Place::Basic(user) => {
            let pair = joined(&[user.as_bytes(), b":", value]);
            let code = Zeroizing::new(STANDARD.encode(pair.as_slice()));
            set(header::AUTHORIZATION, joined(&[b"Basic ", code.as_bytes()]))
        }
        Place::Header(name) => set(name.clone(), joined(&[value])),
        Place::Cookie(name) => set(header::COOKIE, joined(&[name.as_bytes(), b"=", value])),
        Place::Query(name) => {
            let mut text = query.take().map(|kept| kept + "&").unwrap_or_default();
            text.push_str(name);
            text.push('=');
            for byte in value {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
                    text.push(char::from(*byte));
                } else {
                    _ = write!(text, "%{byte:02X}");
                }
            }
            *query = Some(text);
            Ok(())
        }
    }
}

/// An answer's body without the values.
pub(super) struct Masked {
    stream: Option<RedactStream>,
    found: usize,
}

impl Masked {
    fn new(redactor: &Redactor) -> Self {
        Self { stream: Some(redactor.stream()), found: 0 }
    }

    pub(super) fn pass(&mut self, chunk: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(chunk.len());
        if let Some(stream) = &mut self.stream {
            stream.push(chunk, &mut out);
            self.found = stream.found();
        }
        out.into()
    }

    pub(super) fn end(&mut self) -> Bytes {
        let mut out = Vec::new();
        if let Some(stream) = self.stream.take() {
            self.found = self.found.max(stream.finish(&mut out).len());
        }
        out.into()
    }

    /// How many values were hidden.
    pub(super) fn found(&self) -> usize {
        self.found
    }
}

fn unavailable() -> Refusal {
    let text = "the credential for this host is not available";
    Refusal::new(Status::Forbidden, "secret-unavailable", text)
}

/// Headers that say where a request ends or goes: no secret belongs there.
const FRAMING: [&str; 6] =
    ["connection", "content-length", "host", "te", "transfer-encoding", "upgrade"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_or_refused() {
        assert_eq!(Place::parse("bearer"), Ok(Place::Bearer));
        assert_eq!(Place::parse("basic:x-access-token"), Ok(Place::Basic("x-access-token".into())));
        assert!(matches!(Place::parse("header:PRIVATE-TOKEN"), Ok(Place::Header(_))));
        for text in [
            "",
            "bearer:",
            "basic",
            "header:",
            "header:host",
            "header:a b",
            "query:a&b",
            "cookie:a=b",
            "x",
        ] {
            assert!(Place::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_value_that_cannot_be_hidden_makes_no_other_one_visible() {
        let injector = Injector::none();
        let learn = |name: &str, value: &[u8]| {
            injector.learn(&SecretName::parse(name).unwrap(), &SecretValue::new(value.to_vec()))
        };
        learn("one", b"kestrel-Umber-42-quarry").unwrap();
        assert_eq!(
            learn("two", b"no text: \xff\xfe\xfd").unwrap_err().code(),
            "secret-unavailable"
        );
        assert_eq!(learn("three", b"short").unwrap_err().code(), "secret-unfit");
        let mut mask = injector.mask().unwrap();
        let mut passed = mask.pass(b"an echo: kestrel-Umber-42-quarry\n").to_vec();
        passed.extend_from_slice(&mask.end());
        assert!(String::from_utf8(passed).unwrap().starts_with("an echo: [REDACTED:one:"));
    }
}
