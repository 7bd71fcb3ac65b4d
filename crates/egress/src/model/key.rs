//! With what does a request prove to the model's API whose it is?
//!
//! The credential is asked for when a request leaves: one that ends while a run lasts is followed by the next. A request
//! that the API turns away makes its secret be asked for anew, once in a while, and leaves a second time only with
//! another value than before: neither an API that turns everything away nor an agent that provokes it makes us ask, mint or
//! send without end.

use super::mask::Mask;
use crate::fault::FaultKind;
use crate::refuse::{Refusal, Status};
use crate::secret::{SecretError, SecretValue, unfit};
use crate::sigv4::{self, Keys, Scope};
use crate::vault::Vault;
use crate::when;
use bartizan_gate::name::SecretName;
use bartizan_scan::{KnownSecret, Redactor, ScanKey};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use hyper::{StatusCode, Uri};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// Where a request to the model carries its credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPlace {
    /// `x-api-key: VALUE`.
    ApiKey,
    /// The signature of AWS over the whole request, for Bedrock in this region. The secret is keys of AWS.
    Aws(String),
    /// `authorization: Bearer VALUE`.
    Bearer,
    /// `x-goog-api-key: VALUE`.
    GoogleApiKey,
}

/// The credential of the model's API: which secret it is, and where it goes.
#[expect(missing_debug_implementations, reason = "it holds the way to the credential")]
pub struct ModelKey {
    vault: Vault,
    name: SecretName,
    place: KeyPlace,
    /// Knows every value that was lent.
    known: Redactor,
    /// Its back end failed just now, and so is not asked.
    rest: Mutex<Option<(Refusal, Instant)>>,
}

/// What one request goes with.
pub(super) enum Lent {
    Keys(Keys),
    Value(Arc<SecretValue>),
}

impl ModelKey {
    /// The secret called `name`, which is asked for once, so that what is wrong with it is known before anything runs. Gives
    /// what a redactor must know from the beginning; it learns later values from the vault. `key` colours the labels
    /// that stand where a value was echoed.
    pub async fn open(
        vault: Vault,
        name: SecretName,
        place: KeyPlace,
        key: ScanKey,
    ) -> Result<(Self, Vec<KnownSecret>), SecretError> {
        let unfit = || SecretError::Unfit(name.clone());
        let known = Redactor::of_values(key, []).map_err(|_| unfit())?;
        let own = Self { vault, name: name.clone(), place, known, rest: Mutex::default() };
        let lent = own.ask().await?;
        own.sendable(&lent)?;
        own.learn(&lent).map_err(|_| unfit())?;
        let values = lent.values().filter_map(|value| value.known_as(&name)).collect();
        Ok((own, values))
    }

    /// What the next request goes with, or why it cannot go.
    pub(super) async fn lend(&self) -> Result<Lent, Refusal> {
        if let Some(refusal) = self.resting() {
            return Err(refusal);
        }
        match self.ask().await {
            Ok(lent) => self.learn(&lent).map(|()| lent),
            Err(error) => {
                let refusal = refused(&error);
                let until = Instant::now() + REST;
                *self.lock() = Some((refusal.clone(), until));
                Err(refusal)
            }
        }
    }

    /// Another one than `sent`, which the API has turned away, if there is one by now.
    pub(super) async fn another(&self, sent: &Lent) -> Result<Option<Lent>, Refusal> {
        // Whether it is forgotten now or was for another request a moment ago: what counts is what it is.
        match self.place {
            KeyPlace::Aws(_) => self.vault.keys_turned_away(&self.name),
            KeyPlace::ApiKey | KeyPlace::Bearer | KeyPlace::GoogleApiKey => {
                self.vault.turned_away(&self.name)
            }
        };
        let now = self.lend().await?;
        Ok((!now.is(sent)).then_some(now))
    }

    /// Puts what was lent into a request that is about to leave.
    pub(super) fn put(&self, lent: &Lent, parts: &mut Parts, body: &[u8]) -> Result<(), Refusal> {
        match (&self.place, lent) {
            (KeyPlace::Aws(region), Lent::Keys(keys)) => sign(keys, region, parts, body),
            (place, Lent::Value(value)) => {
                let (name, value) = head(place, value).map_err(|error| refused(&error))?;
                parts.headers.insert(name, value);
                Ok(())
            }
            (_, Lent::Keys(_)) => Err(refused(&SecretError::Unsendable)),
        }
    }

    /// Takes every header out of an answer that echoes a value.
    pub(super) fn strip_echoes(&self, headers: &mut HeaderMap) {
        let echoes = |text: &[u8]| !self.known.redact_bytes(text).1.is_empty();
        let echoing: Vec<HeaderName> = headers
            .iter()
            .filter(|(name, value)| echoes(value.as_bytes()) || echoes(name.as_str().as_bytes()))
            .map(|(name, _)| name.clone())
            .collect();
        for name in echoing {
            headers.remove(name);
        }
    }

    /// What hides every value in an answer that is passed on as it comes: that to a wrong signature holds what was signed.
    pub(super) fn mask(&self) -> Mask {
        Mask::new(&self.known)
    }

    /// Why a signature is refused that is a right one: this machine's clock is wrong.
    pub(super) fn skewed(&self, status: StatusCode, headers: &HeaderMap) -> Option<Refusal> {
        let KeyPlace::Aws(_) = self.place else { return None };
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let kind = text("x-amzn-errortype").unwrap_or_default();
        if status != StatusCode::FORBIDDEN || !SKEWED.iter().any(|word| kind.starts_with(word)) {
            return None;
        }
        let (theirs, ours) = (when::http_date(text("date")?)?, when::now());
        let minutes = theirs.abs_diff(ours) / 60;
        let side = if theirs > ours { "behind" } else { "ahead of" };
        let sentence = format!(
            "AWS refuses the signature because this machine's clock is {minutes} minutes {side} theirs; let the person set it right"
        );
        (minutes >= SKEW_MIN).then(|| Refusal::new(Status::BadGateway, "clock-skewed", sentence))
    }

    async fn ask(&self) -> Result<Lent, SecretError> {
        Ok(match self.place {
            KeyPlace::Aws(_) => Lent::Keys(self.vault.aws_keys(&self.name).await?),
            KeyPlace::ApiKey | KeyPlace::Bearer | KeyPlace::GoogleApiKey => {
                Lent::Value(self.vault.named(&self.name).await?)
            }
        })
    }

    fn sendable(&self, lent: &Lent) -> Result<(), SecretError> {
        match lent {
            Lent::Value(value) => head(&self.place, value).map(|_| ()),
            Lent::Keys(keys) => {
                let all = [Some(&keys.id), keys.token.as_ref()];
                let fits = |value: &&Arc<SecretValue>| {
                    value.bytes().iter().all(|byte| (b'!'..=b'~').contains(byte))
                };
                let all_fit = all.iter().flatten().all(fits);
                all_fit.then_some(()).ok_or(SecretError::Unsendable)
            }
        }
    }

    /// Keeps what is lent out of answers from now on.
    fn learn(&self, lent: &Lent) -> Result<(), Refusal> {
        for value in lent.values() {
            let known = value.known_as(&self.name).ok_or_else(unfit)?;
            self.known.learn(known).map_err(|_| unfit())?;
        }
        Ok(())
    }

    fn resting(&self) -> Option<Refusal> {
        let mut rest = self.lock();
        let still = rest.as_ref().filter(|(_, until)| Instant::now() < *until);
        let refusal = still.map(|(refusal, _)| refusal.clone());
        if refusal.is_none() {
            *rest = None;
        }
        refusal
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Refusal, Instant)>> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lent {
    /// What of it is secret.
    fn values(&self) -> impl Iterator<Item = &Arc<SecretValue>> {
        let (one, other) = match self {
            Self::Keys(keys) => (&keys.secret, keys.token.as_ref()),
            Self::Value(value) => (value, None),
        };
        std::iter::once(one).chain(other)
    }

    /// Whether it is the same. Both are ours, so how long it takes to tell says nothing to anybody.
    fn is(&self, other: &Self) -> bool {
        let mine = self.values().map(|value| value.bytes());
        mine.eq(other.values().map(|value| value.bytes()))
    }
}

/// Whether an answer says that the credential is not, or no longer, good. Some say it with 403.
pub(super) fn turns_away(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// The header to send. hyper copies it into its write buffer, which is not wiped; the mark as sensitive keeps it out of
/// `Debug`.
fn head(place: &KeyPlace, value: &SecretValue) -> Result<(HeaderName, HeaderValue), SecretError> {
    let alone = || Zeroizing::new(value.bytes().to_vec());
    let (name, text) = match place {
        KeyPlace::ApiKey => (HeaderName::from_static("x-api-key"), alone()),
        KeyPlace::GoogleApiKey => (HeaderName::from_static("x-goog-api-key"), alone()),
        KeyPlace::Bearer => (AUTHORIZATION, Zeroizing::new([b"Bearer ", value.bytes()].concat())),
        // What is signed is not put in.
        KeyPlace::Aws(_) => return Err(SecretError::Unsendable),
    };
    let mut value = HeaderValue::from_bytes(&text).map_err(|_| SecretError::Unsendable)?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn sign(keys: &Keys, region: &str, parts: &mut Parts, body: &[u8]) -> Result<(), Refusal> {
    let unsignable = || {
        let text = "the request has a path or a header that cannot be signed for AWS";
        Refusal::new(Status::BadRequest, "malformed-request", text)
    };
    let path = sigv4::encoded_once(parts.uri.path());
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let target = if query.is_empty() { path.clone() } else { format!("{path}?{query}") };
    let target = PathAndQuery::try_from(target).map_err(|_| unsignable())?;
    parts.uri = Uri::from(target);
    let scope = Scope { region: region.to_owned(), service: "bedrock".to_owned() };
    let line = (parts.method.as_str(), path.as_str(), query.as_str());
    sigv4::seal(keys, &scope, line, &mut parts.headers, &sigv4::hash(body))
        .map_err(|_| unsignable())
}

/// What the box is told. A back end that may be well again in a moment is no reason for a client to give up.
fn refused(error: &SecretError) -> Refusal {
    let passing = matches!(error, SecretError::BackEnd { fault, .. }
        if matches!(fault.kind(), FaultKind::Down | FaultKind::Sealed | FaultKind::Slow));
    let refusal = error.refusal();
    let sentence = refusal.sentence().replace("for this host", "for the model's API");
    let status = if passing { Status::BadGateway } else { Status::Forbidden };
    Refusal::new(status, refusal.code().to_owned(), sentence)
}

/// What AWS calls a signature that is too old or too new, among others that are wrong.
const SKEWED: [&str; 4] = [
    "InvalidSignatureException",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
];
/// AWS takes signatures of the last five minutes.
const SKEW_MIN: u64 = 4;
/// How long a back end that failed is not asked again.
const REST: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> SecretValue {
        SecretValue::new(text.as_bytes().to_vec())
    }

    #[test]
    fn a_value_that_would_break_a_header_is_refused() {
        let wrong = head(&KeyPlace::Bearer, &value("a\r\nx: y"));
        assert!(matches!(wrong, Err(SecretError::Unsendable)));
    }

    #[test]
    fn an_injected_header_does_not_print_its_value() {
        let (name, value) = head(&KeyPlace::Bearer, &value("s3cr3t-value")).unwrap();
        let text = value.as_bytes();
        assert_eq!((name.as_str(), text), ("authorization", &b"Bearer s3cr3t-value"[..]));
        assert!(!format!("{value:?}").contains("s3cr3t"));
    }
}
