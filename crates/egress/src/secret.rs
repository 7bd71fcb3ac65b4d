//! Which secret is meant, and who gets to see its value?
//!
//! A secret is spoken of by reference everywhere; its value exists only in here, in memory that is wiped, from
//! the moment of use on. It never enters a box, a log, an error, an argument list or a child's environment.

use crate::fault::{Fault, FaultKind};
use crate::reference::SecretRef;
use crate::refuse::{Refusal, Status};
use bartizan_gate::name::SecretName;
use bartizan_scan::KnownSecret;
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
    /// Another secret has this name.
    #[error("there is already a secret `{0}`")]
    Taken(SecretName),
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
            | Self::Taken(_)
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

const SHORTEST_SOUGHT: usize = 8;
