//! Which keys does the issuer publish? A JSON Web Key Set (RFC 7517), as far as its keys can verify what we accept.

use super::{Algorithm, Flaw};
use bartizan_scan::json::{Bounds, Node, View};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use thiserror::Error;

/// The keys of one issuer.
#[derive(Debug, Clone, Default)]
pub struct KeySet(Vec<Key>);

#[derive(Debug, Clone)]
struct Key {
    kid: Option<String>,
    public: Public,
}

#[derive(Debug, Clone)]
enum Public {
    Ed25519(Vec<u8>),
    P256(Vec<u8>),
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

/// Why bytes are no key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeysError {
    /// No key in it is one that we could verify with.
    #[error("it has no key for RS256, ES256 or EdDSA")]
    Empty,
    /// It is no JSON Web Key Set.
    #[error("it is no JSON Web Key Set")]
    Malformed,
    /// It has a private key in it.
    #[error("it has a private key in it; publish the public ones alone")]
    Private,
}

impl KeySet {
    /// Reads a JSON Web Key Set. Keys of other kinds are passed over; a private one is an alarm.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeysError> {
        let text = std::str::from_utf8(bytes).map_err(|_| KeysError::Malformed)?;
        let root = Node::read(text, BOUNDS).map_err(|_| KeysError::Malformed)?;
        let listed = root.within(text).get("keys").and_then(View::items);
        let mut keys = Vec::new();
        for key in listed.ok_or(KeysError::Malformed)? {
            if key.get("d").is_some() || key.get("k").is_some() {
                return Err(KeysError::Private);
            }
            keys.extend(read(key));
        }
        if keys.is_empty() {
            return Err(KeysError::Empty);
        }
        Ok(Self(keys))
    }

    /// Whether a key of this set signed `message`. Without a `kid`, there must be just one key that could have.
    pub(super) fn verify(
        &self,
        algorithm: Algorithm,
        kid: Option<&str>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Flaw> {
        let fits = |key: &&Key| {
            key.public.algorithm() == algorithm && (kid.is_none() || key.kid.as_deref() == kid)
        };
        let mut fitting = self.0.iter().filter(fits);
        match (fitting.next(), fitting.next()) {
            (Some(key), None) if key.public.verifies(message, signature) => Ok(()),
            (Some(_), None) => Err(Flaw::Signature),
            _ => Err(Flaw::KeyUnknown),
        }
    }
}

impl Public {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519(_) => Algorithm::EdDsa,
            Self::P256(_) => Algorithm::Es256,
            Self::Rsa { .. } => Algorithm::Rs256,
        }
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match self {
            Self::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
            Self::P256(key) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(message, signature)
            }
            Self::Rsa { n, e } => RsaPublicKeyComponents { n, e }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                message,
                signature,
            ),
        };
        verified.is_ok()
    }
}

/// One key, if it is of a kind that we verify with and meant for that.
fn read(key: View<'_>) -> Option<Key> {
    if key.text_of("use").is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let part = |name| URL_SAFE_NO_PAD.decode(key.text_of(name)?.as_bytes()).ok();
    let curve = key.text_of("crv");
    let public = match (key.text_of("kty")?.as_ref(), curve.as_deref()) {
        ("RSA", _) => Public::Rsa { n: part("n")?, e: part("e")? },
        ("EC", Some("P-256")) => Public::P256([vec![4], part("x")?, part("y")?].concat()),
        ("OKP", Some("Ed25519")) => Public::Ed25519(part("x")?),
        _ => return None,
    };
    if key.text_of("alg").is_some_and(|name| name != public.algorithm().as_str()) {
        return None;
    }
    Some(Key { kid: key.text_of("kid").map(std::borrow::Cow::into_owned), public })
}

const BOUNDS: Bounds = Bounds { depth: 8, parts: 10_000 };
