//! Does what a browser and an authenticator say hold: for this site, for this challenge, by a person who was there?
//!
//! The steps are those of `WebAuthn`, §7.1 and §7.2, without its options: a person was present and verified, nothing is
//! framed, keys are of two kinds, and no attestation is asked for or taken.

use super::cbor::{self, Value};
use bartizan_store::{Digest, PasskeyKey};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ring::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey};
use serde::Deserialize;

/// Where passkeys work: the name, and the address as a browser says it.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub(super) host: String,
    pub(super) origin: String,
}

/// A passkey that was just made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) credential: Vec<u8>,
    pub(super) key: PasskeyKey,
    pub(super) counter: u32,
    pub(super) synced: bool,
}

/// What is said when a passkey is used.
#[derive(Debug, Clone, Default)]
pub(super) struct Assertion {
    pub(super) credential: Vec<u8>,
    pub(super) authenticator: Vec<u8>,
    pub(super) client: Vec<u8>,
    pub(super) signature: Vec<u8>,
}

/// Why it does not hold.
pub(super) type Why = &'static str;

/// Takes a new passkey apart.
pub(super) fn made(
    site: &Site,
    challenge: &Digest,
    client: &[u8],
    attestation: &[u8],
) -> Result<Made, Why> {
    browser(site, "webauthn.create", challenge, client)?;
    let whole = cbor::whole(attestation).ok_or("the attestation has no reading")?;
    let (format, statement) = (whole.get(&Value::Text("fmt")), whole.get(&Value::Text("attStmt")));
    if format != Some(&Value::Text("none")) || statement != Some(&Value::Map(Vec::new())) {
        return Err("an attestation came that nobody asked for");
    }
    let data = whole.get(&Value::Text("authData")).and_then(Value::bytes);
    let told = Told::read(site, data.ok_or("the attestation has no data")?)?;
    let (credential, key) = told.made.ok_or("no passkey was made")?;
    Ok(Made { credential, key, counter: told.counter, synced: told.synced })
}

/// Verifies the use of a passkey with this key; gives what its authenticator counts.
pub(super) fn used(
    site: &Site,
    challenge: &Digest,
    (key, synced): (&PasskeyKey, bool),
    said: &Assertion,
) -> Result<u32, Why> {
    browser(site, "webauthn.get", challenge, &said.client)?;
    let told = Told::read(site, &said.authenticator)?;
    if told.made.is_some() {
        return Err("a passkey was made, and none used");
    }
    if told.synced != synced {
        return Err("the passkey is of another kind than it was");
    }
    let client = Digest::of(&said.client);
    let signed = [said.authenticator.as_slice(), client.as_bytes()].concat();
    let fits = match key.algorithm {
        ES256 => UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &key.bytes)
            .verify(&signed, &said.signature),
        EDDSA => UnparsedPublicKey::new(&ED25519, &key.bytes).verify(&signed, &said.signature),
        _ => return Err("the key is of no kind that is known here"),
    };
    fits.map(|()| told.counter).map_err(|_| "the signature does not fit")
}

/// What the browser says.
#[derive(Debug, Deserialize)]
struct Client {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(default, rename = "crossOrigin")]
    cross_origin: bool,
    #[serde(default, rename = "topOrigin")]
    top_origin: Option<String>,
}

fn browser(site: &Site, kind: &str, challenge: &Digest, client: &[u8]) -> Result<(), Why> {
    // A field that stands there twice is an error.
    let said: Client =
        serde_json::from_slice(client).map_err(|_| "what the browser says has no reading")?;
    if said.kind != kind {
        return Err("the browser did something else");
    }
    if said.challenge != BASE64.encode(challenge.as_bytes()) {
        return Err("it was said to another question");
    }
    if said.origin != site.origin || said.cross_origin || said.top_origin.is_some() {
        return Err("it was said on another's page");
    }
    Ok(())
}

/// What the authenticator says.
struct Told {
    counter: u32,
    synced: bool,
    made: Option<(Vec<u8>, PasskeyKey)>,
}

impl Told {
    fn read(site: &Site, data: &[u8]) -> Result<Self, Why> {
        let short = "the authenticator's data is cut off";
        let (host, rest) = data.split_at_checked(32).ok_or(short)?;
        let (head, mut rest) = rest.split_first_chunk::<5>().ok_or(short)?;
        let [flags, counter @ ..] = *head;
        if host != Digest::of(site.host.as_bytes()).as_bytes() {
            return Err("the passkey is for another host");
        }
        let has = |flag: u8| flags & flag != 0;
        if !has(PRESENT) || !has(VERIFIED) {
            return Err("the passkey did not ask for a finger, a face or a PIN");
        }
        if has(BACKED_UP) && !has(SYNCED) {
            return Err("the authenticator contradicts itself");
        }
        let mut made = None;
        if has(MADE) {
            let (id, key, more) = passkey(rest)?;
            (made, rest) = (Some((id, key)), more);
        }
        if has(EXTENDED) {
            // Some authenticators add what nobody asked for; it is read, and means nothing here.
            let (extensions, more) = cbor::read(rest).ok_or("the extensions have no reading")?;
            extensions.pairs().ok_or("the extensions have no reading")?;
            rest = more;
        }
        if !rest.is_empty() {
            return Err("the authenticator's data goes on behind its end");
        }
        Ok(Self { counter: u32::from_be_bytes(counter), synced: has(SYNCED), made })
    }
}

/// A new passkey's id and key, and what stands behind them.
fn passkey(data: &[u8]) -> Result<(Vec<u8>, PasskeyKey, &[u8]), Why> {
    let short = "the new passkey is cut off";
    // Of which make it is, nobody has asked.
    let (_make, rest) = data.split_at_checked(16).ok_or(short)?;
    let (length, rest) = rest.split_first_chunk::<2>().ok_or(short)?;
    let (id, rest) =
        rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(short)?;
    let (key, rest) = cbor::read(rest).ok_or("the key has no reading")?;
    Ok((id.to_vec(), public_key(&key)?, rest))
}

/// A key of one of the two kinds, and nothing beside it.
fn public_key(cose: &Value<'_>) -> Result<PasskeyKey, Why> {
    let other = "the key is of no kind that is known here";
    let int = |label: i64| cose.get(&Value::Int(label)).and_then(Value::int);
    let coordinate = |label: i64| {
        let bytes = cose.get(&Value::Int(label)).and_then(Value::bytes);
        bytes.filter(|bytes| bytes.len() == 32).ok_or(other)
    };
    let algorithm = int(3).ok_or(other)?;
    let count = cose.pairs().map_or(0, <[_]>::len);
    let bytes = match (int(1), algorithm, int(-1), count) {
        (Some(2), ES256, Some(1), 5) => [&[4], coordinate(-2)?, coordinate(-3)?].concat(),
        (Some(1), EDDSA, Some(6), 4) => coordinate(-2)?.to_vec(),
        _ => return Err(other),
    };
    Ok(PasskeyKey { algorithm, bytes })
}

/// The kinds of keys, by their numbers in COSE.
pub(super) const ES256: i64 = -7;
pub(super) const EDDSA: i64 = -8;
const PRESENT: u8 = 1;
const VERIFIED: u8 = 1 << 2;
const SYNCED: u8 = 1 << 3;
const BACKED_UP: u8 = 1 << 4;
const MADE: u8 = 1 << 6;
const EXTENDED: u8 = 1 << 7;

#[cfg(test)]
mod tests;
