//! Which secret is meant, and who gets to see its value?
//!
//! A secret is spoken of by reference everywhere; its value exists only in here, in memory that is wiped, from
//! the moment of use on. It never enters a box, a log, an error, an argument list or a child's environment.

use crate::fault::{Fault, FaultKind};
use crate::reference::SecretRef;
use crate::refuse::{Refusal, Status};
use bartizan_gate::name::SecretName;
use bartizan_scan::KnownSecret;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use std::sync::Arc;
use thiserror::Error;
use zeroize::Zeroizing;

/// A secret's value. It can be neither printed, compared, copied nor serialised.
#[expect(missing_debug_implementations, reason = "a secret has no printed form")]
pub struct SecretValue(Zeroizing<Vec<u8>>);

impl SecretValue {
    /// Takes `bytes` over; they are wiped when the value is dropped.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Whether `text` holds the value as it is. A value under 8 bytes is looked for nowhere, since it would
    /// be found everywhere.
    pub fn occurs_in(&self, text: &[u8]) -> bool {
        self.0.len() >= SHORTEST_SOUGHT
            && text.windows(self.0.len()).any(|part| part == self.0.as_slice())
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value, for those in this crate who put it where it is used.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The value as text.
    pub(crate) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The value under a name, as a redactor learns it; `None` when it is no text.
    pub fn known_as(&self, name: &SecretName) -> Option<KnownSecret> {
        let text = self.text()?;
        Some(KnownSecret { name: name.to_string(), value: text.to_owned().into() })
    }

    /// Lends the value to `look`: for the redactor, which must know what to look for, and for nobody else.
    pub fn danger_expose<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R {
        look(&self.0)
    }
}

/// Why there is no secret to be had.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SecretError {
    /// Its back end did not give it.
    #[error("the secret `{secret}` cannot be had: {fault}")]
    BackEnd {
        /// Its name or reference.
        secret: String,
        /// Why not.
        fault: Fault,
    },
    /// The text is no reference.
    #[error("`{given}` is not a secret reference: {why}")]
    BadReference {
        /// The scheme alone; the rest may be a secret, pasted by mistake.
        given: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is nothing under the reference.
    #[error("the secret `{0}` is missing or empty")]
    Missing(SecretRef),
    /// Its value could not be told from ordinary text where it is echoed.
    #[error(
        "the secret `{0}` cannot be kept out of what returns; use a random value of 8 characters or more"
    )]
    Unfit(SecretName),
    /// No secret of this name is configured, or the warrant names none.
    #[error("no secret `{0}` is configured")]
    Unknown(String),
    /// The value cannot be sent in a header.
    #[error("the secret has a character that a header cannot carry; is there a line end in it?")]
    Unsendable,
}

impl SecretError {
    /// What the box is told; it never learns the reference, nor what a back end said.
    pub fn refusal(&self) -> Refusal {
        if let Self::Unfit(_) = self {
            return unfit();
        }
        let sentence = match self {
            Self::BackEnd { fault, .. } => match fault.kind() {
                FaultKind::Down | FaultKind::Sealed => {
                    "the credential for this host is not available: its store is down or sealed"
                }
                FaultKind::Slow => {
                    "the credential for this host is not available: its store took too long"
                }
                FaultKind::Denied
                | FaultKind::Malformed
                | FaultKind::Missing
                | FaultKind::Unsafe => "the credential for this host is not available",
            },
            Self::BadReference { .. }
            | Self::Missing(_)
            | Self::Unfit(_)
            | Self::Unknown(_)
            | Self::Unsendable => "the credential for this host is not available",
        };
        Refusal::new(Status::Forbidden, "secret-unavailable", sentence)
    }
}

/// A value that cannot be kept out of an answer is not sent.
pub(crate) fn unfit() -> Refusal {
    let text = "the credential for this host cannot be kept out of answers, so it is not used";
    Refusal::new(Status::Forbidden, "secret-unfit", text)
}

/// A secret together with the place where a request carries it.
#[expect(missing_debug_implementations, reason = "a secret has no printed form")]
#[derive(Clone)]
pub struct Credential {
    place: Place,
    value: Arc<SecretValue>,
}

#[derive(Clone, Copy)]
enum Place {
    ApiKey,
    Bearer,
    GoogleApiKey,
}

impl Credential {
    /// Sent as `x-api-key: VALUE`.
    pub fn api_key(value: Arc<SecretValue>) -> Result<Self, SecretError> {
        Self::new(Place::ApiKey, value)
    }

    /// Sent as `authorization: Bearer VALUE`.
    pub fn bearer(value: Arc<SecretValue>) -> Result<Self, SecretError> {
        Self::new(Place::Bearer, value)
    }

    /// Sent as `x-goog-api-key: VALUE`.
    pub fn google_api_key(value: Arc<SecretValue>) -> Result<Self, SecretError> {
        Self::new(Place::GoogleApiKey, value)
    }

    fn new(place: Place, value: Arc<SecretValue>) -> Result<Self, SecretError> {
        let credential = Self { place, value };
        credential.header().map(|_| credential)
    }

    /// The header to send. hyper copies it into its write buffer, which is not wiped; the mark as sensitive
    /// keeps it out of `Debug`.
    pub(crate) fn header(&self) -> Result<(HeaderName, HeaderValue), SecretError> {
        let (name, text) = match self.place {
            Place::ApiKey => (HeaderName::from_static("x-api-key"), self.value.0.clone()),
            Place::GoogleApiKey => {
                (HeaderName::from_static("x-goog-api-key"), self.value.0.clone())
            }
            Place::Bearer => {
                (AUTHORIZATION, Zeroizing::new([b"Bearer ", self.value.0.as_slice()].concat()))
            }
        };
        let mut value = HeaderValue::from_bytes(&text).map_err(|_| SecretError::Unsendable)?;
        value.set_sensitive(true);
        Ok((name, value))
    }

    /// Whether `text` echoes the secret.
    pub(crate) fn is_echoed_in(&self, text: &[u8]) -> bool {
        self.value.occurs_in(text)
    }
}

const SHORTEST_SOUGHT: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_would_break_a_header_is_refused() {
        let value = Arc::new(SecretValue::new(b"a\r\nx: y".to_vec()));
        assert!(matches!(Credential::bearer(value), Err(SecretError::Unsendable)));
    }

    #[test]
    fn an_injected_header_does_not_print_its_value() {
        let credential =
            Credential::bearer(Arc::new(SecretValue::new(b"s3cr3t-value".to_vec()))).unwrap();
        let (name, value) = credential.header().unwrap();
        assert_eq!(
            (name.as_str(), value.as_bytes()),
            ("authorization", &b"Bearer s3cr3t-value"[..])
        );
        assert!(!format!("{value:?}").contains("s3cr3t"));
        assert!(credential.is_echoed_in(b"you sent s3cr3t-value."));
        assert!(!credential.is_echoed_in(b"you sent s3cr3t-valu"));
    }
}
