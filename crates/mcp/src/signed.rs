//! Did our issuer sign this token, for us, and is it good now? JSON Web Tokens (RFC 7519, RFC 9068), the narrow part that
//! access tokens need.
//!
//! Which algorithm a token claims never decides how it is verified: the key does, and the key must be of a listed
//! algorithm. So neither `none` nor an HMAC under a public key can pass. Keys that a token itself brings or points at
//! (`jwk`, `jku`, `x5c`, `x5u`) are not looked at. Whatever has no single reading (a key twice, a date that is a text) is
//! refused. A token that is bound to a key of its holder's (`cnf`, RFC 7800) is no bearer token: it passes with the
//! certificate that it names (RFC 8705), and with nothing else.

mod keys;

pub use keys::{KeySet, KeysError};

use bartizan_scan::json::{Bounds, Node, View};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;

/// How a token may be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Algorithm {
    /// Ed25519.
    EdDsa,
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// RSA PKCS #1 v1.5 with SHA-256, of 2048 bits or more.
    Rs256,
}

impl Algorithm {
    /// All of them. There is neither `none` nor a shared secret among them.
    pub const ALL: [Self; 3] = [Self::EdDsa, Self::Es256, Self::Rs256];

    /// Its name in a token's header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }

    /// The algorithm of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }
}

/// What a token must say to be for us.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "a demand that is left out is not made")]
pub struct Expected {
    /// `iss`, to the letter.
    pub issuer: String,
    /// One of `aud`, to the letter: who we are.
    pub audience: String,
    /// How it may be signed.
    pub algorithms: Vec<Algorithm>,
    /// How far the issuer's clock may be from ours, in seconds.
    pub leeway_s: u64,
}

/// Why a token is not good. No part of the token is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Flaw {
    /// Signed in a way that is not on the list.
    #[error("it is signed in a way that is not allowed here")]
    Algorithm,
    /// For somebody else.
    #[error("it was issued for another audience")]
    Audience,
    /// Bound to a key, of which the one who shows it has shown nothing.
    #[error("it is bound to a key that was not shown with it")]
    Bound,
    /// Too late.
    #[error("it has expired")]
    Expired,
    /// From somebody else.
    #[error("it is from another issuer")]
    Issuer,
    /// Signed by a key that the issuer does not publish, or not yet.
    #[error("it is signed by an unknown key")]
    KeyUnknown,
    /// Not a token that has one reading.
    #[error("it is no token that can be read")]
    Malformed,
    /// Too early.
    #[error("it is not valid yet")]
    NotYet,
    /// Forged.
    #[error("its signature does not hold")]
    Signature,
}

/// What a good token says.
#[derive(Debug)]
pub struct Claims {
    text: String,
    root: Node,
    subject: String,
    expires_s: u64,
}

impl Claims {
    /// Whom it names.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// When it ends, in seconds since 1970.
    pub fn expires_s(&self) -> u64 {
        self.expires_s
    }

    /// Whether the claim at this dotted path says `word`: as its text, as one of a list, or, for `scope` and `scp`, as one
    /// of the words in its text.
    pub fn says(&self, path: &str, word: &str) -> bool {
        let at = path.split('.').try_fold(self.root(), View::get);
        let Some(at) = at else { return false };
        if let Some(mut items) = at.items() {
            return items.any(|item| item.text().is_some_and(|text| text == word));
        }
        at.text().is_some_and(|text| match path {
            "scope" | "scp" => text.split(' ').any(|part| part == word),
            _ => text == word,
        })
    }

    fn root(&self) -> View<'_> {
        self.root.within(&self.text)
    }
}

/// Checks a token, at `now_s` seconds since 1970. `holder` is the SHA-256 of the certificate, whole and in DER, whose key the
/// one who shows the token has proven to hold; a token that is bound to a key is good with that one alone.
pub fn check(
    token: &str,
    keys: &KeySet,
    expected: &Expected,
    now_s: u64,
    holder: Option<&[u8; 32]>,
) -> Result<Claims, Flaw> {
    if token.len() > LONGEST {
        return Err(Flaw::Malformed);
    }
    let mut parts = token.split('.');
    let (Some(head), Some(body), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Flaw::Malformed);
    };
    let signed = token.get(..head.len() + 1 + body.len()).ok_or(Flaw::Malformed)?;
    let (algorithm, kid) = header(head, expected)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Flaw::Malformed)?;
    keys.verify(algorithm, kid.as_deref(), signed.as_bytes(), &signature)?;
    // Only what was signed is read any further.
    let claims = claims(body, expected, now_s)?;
    bound(&claims, holder).map(|()| claims)
}

fn header(part: &str, expected: &Expected) -> Result<(Algorithm, Option<String>), Flaw> {
    let (text, root) = document(part)?;
    let root = root.within(&text);
    // Extensions that a reader must understand: we understand none.
    if root.get("crit").is_some() || root.get("b64").is_some() {
        return Err(Flaw::Malformed);
    }
    if let Some(kind) = root.get("typ") {
        let kind = kind.text().ok_or(Flaw::Malformed)?;
        if !KINDS.iter().any(|known| kind.eq_ignore_ascii_case(known)) {
            return Err(Flaw::Malformed);
        }
    }
    let name = root.text_of("alg").ok_or(Flaw::Malformed)?;
    let algorithm = Algorithm::parse(&name).ok_or(Flaw::Algorithm)?;
    if !expected.algorithms.contains(&algorithm) {
        return Err(Flaw::Algorithm);
    }
    let kid = match root.get("kid") {
        Some(kid) => Some(kid.text().ok_or(Flaw::Malformed)?.into_owned()),
        None => None,
    };
    Ok((algorithm, kid))
}

fn claims(part: &str, expected: &Expected, now_s: u64) -> Result<Claims, Flaw> {
    let (text, node) = document(part)?;
    let root = node.within(&text);
    if root.text_of("iss").ok_or(Flaw::Issuer)? != expected.issuer.as_str() {
        return Err(Flaw::Issuer);
    }
    let audience = root.get("aud").ok_or(Flaw::Audience)?;
    let ours = |text: View<'_>| text.text().is_some_and(|text| text == expected.audience.as_str());
    let for_us = match audience.items() {
        Some(mut items) => items.any(ours),
        None => ours(audience),
    };
    if !for_us {
        return Err(Flaw::Audience);
    }
    let expires_s = date(root.get("exp").ok_or(Flaw::Malformed)?)?;
    if now_s >= expires_s.saturating_add(expected.leeway_s) {
        return Err(Flaw::Expired);
    }
    for name in ["nbf", "iat"] {
        if let Some(from) = root.get(name)
            && date(from)? > now_s.saturating_add(expected.leeway_s)
        {
            return Err(Flaw::NotYet);
        }
    }
    let subject = root.text_of("sub").ok_or(Flaw::Malformed)?.into_owned();
    let plain =
        !subject.is_empty() && subject.len() <= SUBJECT && !subject.chars().any(char::is_control);
    if !plain {
        return Err(Flaw::Malformed);
    }
    Ok(Claims { root: node, subject, expires_s, text })
}

/// Whether a token may be shown by whoever shows it. Any other way of binding than by a certificate, and any beside it, is
/// one that nobody here has proven.
fn bound(claims: &Claims, holder: Option<&[u8; 32]>) -> Result<(), Flaw> {
    let Some(bound) = claims.root().get("cnf") else { return Ok(()) };
    let mut members = bound.members();
    let alone = matches!((members.next(), members.next()), (Some((THUMBPRINT, _)), None));
    let named = bound.text_of(THUMBPRINT).filter(|_| alone);
    match holder.map(|digest| URL_SAFE_NO_PAD.encode(digest)) {
        Some(shown) if named.is_some_and(|named| named == shown) => Ok(()),
        _ => Err(Flaw::Bound),
    }
}

/// One part of a token as a JSON object.
fn document(part: &str) -> Result<(String, Node), Flaw> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| Flaw::Malformed)?;
    let text = String::from_utf8(bytes).map_err(|_| Flaw::Malformed)?;
    let root = Node::read(&text, BOUNDS).map_err(|_| Flaw::Malformed)?;
    if !root.is_table() {
        return Err(Flaw::Malformed);
    }
    Ok((text, root))
}

/// A `NumericDate`: whole seconds, or with a fraction, which is dropped. A text is none.
fn date(value: View<'_>) -> Result<u64, Flaw> {
    let raw = value.raw();
    let (whole, fraction) = raw.split_once('.').unwrap_or((raw, "0"));
    // `1.8e9` is no 1: with an exponent, a date far ahead would read as one long past.
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(Flaw::Malformed);
    }
    whole.parse().map_err(|_| Flaw::Malformed)
}

const LONGEST: usize = 16 << 10;
const SUBJECT: usize = 128;
const BOUNDS: Bounds = Bounds { depth: 8, parts: 2_000 };
/// How `cnf` names a certificate.
const THUMBPRINT: &str = "x5t#S256";
const KINDS: [&str; 3] = ["JWT", "at+jwt", "application/at+jwt"];

#[cfg(test)]
mod tests;
