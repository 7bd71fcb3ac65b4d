//! Which parts of a text would give a secret away, and what stands there instead?

use crate::finding::{Confidence, Finding, Kind};
use crate::key::ScanKey;
use crate::known::{Known, KnownSecret, MAX_SECRET_BYTES, MIN_SECRET_BYTES};
use crate::label::label;
use crate::rules::{self, Rules};
use crate::stream::RedactStream;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Replaces secrets by labels. It is built once per session, [learns](Self::learn) what the session resolves later, and
/// is cheap to clone; clones learn together. With equal keys, equal values get equal labels.
#[derive(Clone)]
pub struct Redactor {
    now: Arc<RwLock<Arc<Inner>>>,
    /// What `now` is compiled from, for the next time; also held while that happens.
    secrets: Arc<Mutex<Vec<KnownSecret>>>,
}

pub(crate) struct Inner {
    pub(crate) key: ScanKey,
    pub(crate) known: Known,
    pub(crate) rules: &'static Rules,
}

/// A text without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redacted {
    /// The text, with a label where each secret stood.
    pub text: String,
    /// What was replaced, in order.
    pub findings: Vec<Finding>,
}

impl Redacted {
    /// One sentence for the agent when something was hidden, so that it does not "repair" what is not broken.
    pub fn note(&self) -> Option<String> {
        let count = self.findings.len();
        let values = if count == 1 { "value was" } else { "values were" };
        (count > 0).then(|| {
            format!("[{count} secret {values} hidden from this result by bartizan; what is stored is unchanged]")
        })
    }
}

/// Why a redactor could not be built. No variant holds a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// A value stands in some secret's name, so labels would give it away.
    #[error("secret number {number} has a name that holds a secret value: give it another name")]
    NameHoldsValue {
        /// Which, counted from 1.
        number: usize,
    },
    /// A value is one character over and over.
    #[error(
        "{secret} is one repeated character: it cannot be told from ordinary text, so use a random value"
    )]
    Repetitive {
        /// The secret, by name or number.
        secret: String,
    },
    /// The rules inside the binary do not compile.
    #[error("the built-in rules do not compile: {0}")]
    Rules(String),
    /// A value is a word that ordinary text has.
    #[error(
        "{secret} is an ordinary word: hiding it would damage every text, so use a random value"
    )]
    TooCommon {
        /// The secret, by name or number.
        secret: String,
    },
    /// A value is longer than [`MAX_SECRET_BYTES`].
    #[error("{secret} is longer than {max} bytes: register its parts instead", max = MAX_SECRET_BYTES)]
    TooLong {
        /// The secret, by name or number.
        secret: String,
    },
    /// All values together are too much to search for.
    #[error("the secrets of this session are too many to search for: resolve fewer")]
    TooMany,
    /// A value is shorter than [`MIN_SECRET_BYTES`].
    #[error("{secret} is shorter than {min} bytes: it cannot be hidden safely, so use a longer value", min = MIN_SECRET_BYTES)]
    TooShort {
        /// The secret, by name or number.
        secret: String,
    },
}

impl Redactor {
    /// Compiles a redactor for the secrets that the session has resolved.
    ///
    /// Fails on a value that cannot be hidden without damage or doubt (too short, repeated, an ordinary word): such
    /// a secret must not be used at all.
    pub fn new(
        key: ScanKey,
        known: impl IntoIterator<Item = KnownSecret>,
    ) -> Result<Self, ScanError> {
        Self::over(key, rules::built_in(), known)
    }

    /// Compiles a redactor for these values alone, without the vendors' shapes: for bytes on their way to a program,
    /// where a chance likeness must not be cut out.
    pub fn of_values(
        key: ScanKey,
        known: impl IntoIterator<Item = KnownSecret>,
    ) -> Result<Self, ScanError> {
        Self::over(key, rules::none(), known)
    }

    fn over(
        key: ScanKey,
        rules: Result<&'static Rules, &str>,
        known: impl IntoIterator<Item = KnownSecret>,
    ) -> Result<Self, ScanError> {
        let rules = rules.map_err(|e| ScanError::Rules(e.to_owned()))?;
        let secrets: Vec<KnownSecret> = known.into_iter().collect();
        let inner = Inner::compile(key, rules, &secrets)?;
        let (now, secrets) = (Arc::new(RwLock::new(inner)), Arc::new(Mutex::new(secrets)));
        Ok(Self { now, secrets })
    }

    /// Hides this value too from now on, in every clone and in every stream that is open. A value that is known under
    /// this name is no news.
    ///
    /// On an error nothing has changed, and the value must not be used.
    pub fn learn(&self, secret: KnownSecret) -> Result<(), ScanError> {
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |known: &KnownSecret| {
            known.name == secret.name
                && known.value.expose_secret().trim() == secret.value.expose_secret().trim()
        };
        if secrets.iter().any(same) {
            return Ok(());
        }
        secrets.push(secret);
        let now = self.inner();
        match Inner::compile(now.key.clone(), now.rules, &secrets) {
            Ok(inner) => {
                *self.now.write().unwrap_or_else(PoisonError::into_inner) = inner;
                Ok(())
            }
            Err(error) => {
                secrets.pop();
                Err(error)
            }
        }
    }

    /// How many values it knows. What was redacted when it knew fewer must be redacted anew.
    pub fn edition(&self) -> usize {
        self.inner().known.kinds().count()
    }

    fn inner(&self) -> Arc<Inner> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces every secret in a text.
    pub fn redact(&self, text: &str) -> Redacted {
        redact(&self.inner(), text)
    }

    /// Replaces every secret in bytes that need not be text.
    pub fn redact_bytes(&self, bytes: &[u8]) -> (Vec<u8>, Vec<Finding>) {
        redact_bytes(&self.inner(), bytes)
    }

    /// Replaces every secret in all strings, keys and numbers of a JSON value. The spans of the findings count from
    /// the string in which each stands. What is nested deeper than 128 levels is withheld.
    pub fn redact_json(&self, value: &mut Value) -> Vec<Finding> {
        let (inner, mut findings) = (self.inner(), Vec::new());
        json(&inner, value, 0, &mut findings);
        findings
    }

    /// A stream that redacts with this redactor.
    pub fn stream(&self) -> RedactStream {
        RedactStream::following(Arc::clone(&self.now))
    }
}

impl Inner {
    fn compile(
        key: ScanKey,
        rules: &'static Rules,
        secrets: &[KnownSecret],
    ) -> Result<Arc<Self>, ScanError> {
        let known = Known::compile(&key, secrets.iter().cloned())?;
        rules.kinds().try_for_each(|kind| known.refuse_in(kind.as_str()))?;
        let inner = Arc::new(Self { key, known, rules });
        // A name of a secret's shape would give that away in every label.
        let spoilt = inner
            .known
            .kinds()
            .position(|kind| redact(&inner, kind.as_str()).text != kind.as_str());
        match spoilt {
            Some(number) => Err(ScanError::NameHoldsValue { number: number + 1 }),
            None => Ok(inner),
        }
    }
}

fn redact(inner: &Arc<Inner>, text: &str) -> Redacted {
    let (bytes, findings) = redact_bytes(inner, text.as_bytes());
    // Labels are ASCII and never split a character, so this does not replace anything.
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Redacted { text, findings }
}

fn redact_bytes(inner: &Arc<Inner>, bytes: &[u8]) -> (Vec<u8>, Vec<Finding>) {
    let mut out = Vec::with_capacity(bytes.len() + 64);
    let mut stream = RedactStream::new(Arc::clone(inner));
    stream.push(bytes, &mut out);
    let findings = stream.finish(&mut out);
    (out, findings)
}

fn json(inner: &Arc<Inner>, value: &mut Value, depth: usize, findings: &mut Vec<Finding>) {
    if depth >= MAX_DEPTH && (value.is_array() || value.is_object()) {
        let kind = Kind::slug("too-deep");
        *value = String::from_utf8_lossy(&label(&inner.key, &kind, b"")).into();
        findings.push(Finding::new(0..0, kind, Confidence::Certain));
        return;
    }
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(number) => {
            let digits = number.to_string();
            if inner.known.occurs(digits.as_bytes()) {
                *value = string(inner, &digits, findings).into();
            }
        }
        Value::String(text) => *text = string(inner, text, findings),
        Value::Array(items) => {
            for item in items {
                json(inner, item, depth + 1, findings);
            }
        }
        Value::Object(members) => {
            let mut clean = Map::new();
            for (name, mut member) in std::mem::take(members) {
                json(inner, &mut member, depth + 1, findings);
                let mut name = string(inner, &name, findings);
                // Two secret names may end as one label; neither member may vanish.
                while clean.contains_key(&name) {
                    name.push('+');
                }
                clean.insert(name, member);
            }
            *members = clean;
        }
    }
}

fn string(inner: &Arc<Inner>, text: &str, findings: &mut Vec<Finding>) -> String {
    let mut redacted = redact(inner, text);
    findings.append(&mut redacted.findings);
    redacted.text
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner().fmt(f)
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} known)", self.known.len())
    }
}

/// JSON nested deeper than this is not a tool's result but an attack on whoever reads it.
const MAX_DEPTH: usize = 128;
