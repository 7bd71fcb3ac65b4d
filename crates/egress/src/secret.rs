//! Which secret is meant, and who gets to see its value?
//!
//! A secret is spoken of by reference everywhere; its value exists only in here, in memory that is wiped, from
//! the moment of use on. It never enters a box, a log, an error, an argument list or a child's environment.

use crate::refuse::{Refusal, Status};
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::str::FromStr;
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

    /// Lends the value to `look`: for the redactor, which must know what to look for, and for nobody else.
    pub fn danger_expose<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R {
        look(&self.0)
    }
}

/// A reference to a secret, as configuration writes it. Safe to print.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecretRef {
    backend: Backend,
    rest: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Backend {
    Env,
    Exec,
    File,
    Keyring,
    Vault,
}

impl Backend {
    fn scheme(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::Exec => "exec",
            Self::File => "file",
            Self::Keyring => "keyring",
            Self::Vault => "vault",
        }
    }
}

/// Why there is no secret to be had.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SecretError {
    /// The text is no reference.
    #[error("`{given}` is not a secret reference: {why}")]
    BadReference {
        /// The text, cut and escaped.
        given: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is nothing under the reference.
    #[error("the secret `{0}` is missing or empty")]
    Missing(SecretRef),
    /// The back end comes later.
    #[error(
        "the secret `{0}` needs a back end that is not supported yet in this version; use `env://NAME`"
    )]
    NotSupported(SecretRef),
    /// The value cannot be sent in a header.
    #[error("the secret has a character that a header cannot carry; is there a line end in it?")]
    Unsendable,
}

impl SecretError {
    /// What the box is told; it never learns the reference.
    pub fn refusal(&self) -> Refusal {
        Refusal::new(
            Status::Forbidden,
            "secret-unavailable",
            "the credential for this host is not available",
        )
    }
}

impl SecretRef {
    /// Parses `env://NAME`, `file://PATH`, `exec://COMMAND`, `vault://PATH` or `keyring://NAME`.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let fail = |why| {
            // Somebody may have pasted the secret itself here: show only what can be a scheme.
            let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
            let given =
                scheme.chars().take(16).flat_map(char::escape_default).collect::<String>() + "…";
            Err(SecretError::BadReference { given, why })
        };
        let Some((scheme, rest)) = text.split_once("://") else { return fail("it has no `://`") };
        let backend = match scheme {
            "env" => Backend::Env,
            "exec" => Backend::Exec,
            "file" => Backend::File,
            "keyring" => Backend::Keyring,
            "vault" => Backend::Vault,
            _ => return fail("the part before `://` is none of env, exec, file, keyring, vault"),
        };
        if rest.is_empty() || rest.len() > 1024 || rest.chars().any(char::is_control) {
            return fail("after `://` stand 1 to 1024 printable characters");
        }
        let is_name = |text: &str| {
            text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && !text.starts_with(|c: char| c.is_ascii_digit())
        };
        if backend == Backend::Env && !is_name(rest) {
            return fail("after `env://` stands the name of a variable");
        }
        Ok(Self { backend, rest: rest.to_owned() })
    }

    /// The environment variable that the reference names.
    ///
    /// The process that starts children must leave it out of their environment; the box's environment is an
    /// allow-list, so it is.
    pub fn environment_name(&self) -> Option<&str> {
        (self.backend == Backend::Env).then_some(self.rest.as_str())
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.backend.scheme(), self.rest)
    }
}

impl FromStr for SecretRef {
    type Err = SecretError;
    fn from_str(text: &str) -> Result<Self, SecretError> {
        Self::parse(text)
    }
}

/// Resolves references to values at the moment of use.
#[expect(missing_debug_implementations, reason = "it holds the way to every secret")]
pub struct Vault {
    environment: Box<Environment>,
}

type Environment = dyn Fn(&str) -> Option<OsString> + Send + Sync;

impl Vault {
    /// The vault of this process: its own environment.
    pub fn system() -> Self {
        Self { environment: Box::new(|name| std::env::var_os(name)) }
    }

    /// A vault over the given variables instead.
    pub fn with_environment(variables: HashMap<String, OsString>) -> Self {
        Self { environment: Box::new(move |name| variables.get(name).cloned()) }
    }

    /// The value behind `reference`, read now.
    #[expect(
        clippy::unused_async,
        reason = "all back ends but the environment wait; callers must be ready for it"
    )]
    pub async fn resolve(&self, reference: &SecretRef) -> Result<SecretValue, SecretError> {
        match reference.backend {
            Backend::Env => {
                let value = (self.environment)(&reference.rest).map(OsString::into_encoded_bytes);
                let value = SecretValue::new(value.unwrap_or_default());
                if value.0.is_empty() {
                    Err(SecretError::Missing(reference.clone()))
                } else {
                    Ok(value)
                }
            }
            Backend::Exec | Backend::File | Backend::Keyring | Backend::Vault => {
                Err(SecretError::NotSupported(reference.clone()))
            }
        }
    }
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

    fn new(place: Place, value: Arc<SecretValue>) -> Result<Self, SecretError> {
        let credential = Self { place, value };
        credential.header().map(|_| credential)
    }

    /// The header to send. hyper copies it into its write buffer, which is not wiped; the mark as sensitive
    /// keeps it out of `Debug`.
    pub(crate) fn header(&self) -> Result<(HeaderName, HeaderValue), SecretError> {
        let (name, text) = match self.place {
            Place::ApiKey => (HeaderName::from_static("x-api-key"), self.value.0.clone()),
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
    fn a_reference_is_printed_as_it_was_written() {
        for text in [
            "env://ANTHROPIC_API_KEY",
            "file:///etc/x.age",
            "exec://op read op://v/i",
            "vault://kv/a#b",
            "keyring://gh",
        ] {
            assert_eq!(SecretRef::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_reference_is_refused_without_being_shown() {
        for text in [
            "sk-ant-api03-secret",
            "env://",
            "env://A B",
            "env://1A",
            "http://x/sk-ant-secret",
            "env://A=\n",
            "://x",
        ] {
            let error = SecretRef::parse(text).unwrap_err().to_string();
            assert!(!error.contains("sk-ant"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_missing_or_empty_variable_is_no_secret() {
        let vault = Vault::with_environment(HashMap::from([
            ("EMPTY".to_owned(), OsString::new()),
            ("K".to_owned(), "v4lue".into()),
        ]));
        let resolve = async |text| vault.resolve(&SecretRef::parse(text).unwrap()).await;
        assert!(matches!(resolve("env://EMPTY").await, Err(SecretError::Missing(_))));
        assert!(matches!(resolve("env://NONE").await, Err(SecretError::Missing(_))));
        assert!(matches!(resolve("vault://kv/a").await, Err(SecretError::NotSupported(_))));
        assert!(resolve("env://K").await.unwrap().danger_expose(|value| value == b"v4lue"));
    }

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
