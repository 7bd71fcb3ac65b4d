//! Why did a back end not give a secret? One kind per reason, with words that hold nothing it said.

use std::fmt;

/// What went wrong, and what to do about it.
///
/// INVARIANT: neither text holds bytes that came from a back end, since those may be, or echo, a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    kind: FaultKind,
    what: String,
    remedy: String,
}

/// The reasons apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The back end knows us and says no, or does not know us.
    Denied,
    /// It cannot be reached, or fails.
    Down,
    /// Its answer is none that it may give.
    Malformed,
    /// It has nothing there.
    Missing,
    /// It is reached, and locked.
    Sealed,
    /// It did not answer in time.
    Slow,
    /// What would be used could have been changed or read by somebody else.
    Unsafe,
}

impl FaultKind {
    /// The stable code, for the log.
    pub fn code(self) -> &'static str {
        match self {
            Self::Denied => "secret-denied",
            Self::Down => "secret-store-down",
            Self::Malformed => "secret-malformed",
            Self::Missing => "secret-missing",
            Self::Sealed => "secret-store-sealed",
            Self::Slow => "secret-store-slow",
            Self::Unsafe => "secret-store-unsafe",
        }
    }
}

impl Fault {
    pub(crate) fn new(kind: FaultKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), remedy: String::new() }
    }

    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// Which reason it is.
    pub fn kind(&self) -> FaultKind {
        self.kind
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.what, self.kind.code())?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "\n  hint: {}", self.remedy) }
    }
}
