//! What does a person's authenticator say? One in software, with a key of its own, that says whatever a test wants it to.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};

/// A passkey and its private key.
pub(crate) struct Authenticator {
    pub(crate) id: Vec<u8>,
    key: Key,
}

enum Key {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Authenticator {
    pub(crate) fn p256(id: &[u8]) -> Self {
        let (kind, random) = (&ECDSA_P256_SHA256_ASN1_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).unwrap();
        Self { id: id.to_vec(), key: Key::P256(pair) }
    }

    pub(crate) fn ed25519(id: &[u8]) -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        Self { id: id.to_vec(), key: Key::Ed25519(pair) }
    }

    /// The public key as an authenticator writes it, in COSE.
    pub(crate) fn cose(&self) -> Vec<u8> {
        match &self.key {
            Key::P256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (&point[1..33], &point[33..]);
                [&b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20"[..], x, b"\x22\x58\x20", y].concat()
            }
            Key::Ed25519(pair) => {
                let key = pair.public_key().as_ref();
                [&b"\xa4\x01\x01\x03\x27\x20\x06\x21\x58\x20"[..], key].concat()
            }
        }
    }

    /// The authenticator's data of a new passkey.
    pub(crate) fn made(&self, host: &str, flags: u8) -> Vec<u8> {
        let length = u16::try_from(self.id.len()).unwrap().to_be_bytes();
        [&data(host, flags, 0)[..], &[0; 16], &length, &self.id, &self.cose()].concat()
    }

    /// The signature under what is said when it is used.
    pub(crate) fn signs(&self, data: &[u8], client: &[u8]) -> Vec<u8> {
        let signed = [data, digest(&SHA256, client).as_ref()].concat();
        match &self.key {
            Key::P256(pair) => pair.sign(&SystemRandom::new(), &signed).unwrap().as_ref().to_vec(),
            Key::Ed25519(pair) => pair.sign(&signed).as_ref().to_vec(),
        }
    }
}

/// The authenticator's data of a use.
pub(crate) fn data(host: &str, flags: u8, counter: u32) -> Vec<u8> {
    let host = digest(&SHA256, host.as_bytes());
    [host.as_ref(), &[flags], &counter.to_be_bytes()].concat()
}

/// An attestation around the data of a new passkey, as browsers send it when none is asked for.
pub(crate) fn attestation(data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    let head = &b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData"[..];
    let text: Vec<u8> = match data.len() {
        256.. => [&[0x59], &length[..]].concat(),
        _ => vec![0x58, length[1]],
    };
    [head, &text, data].concat()
}

/// What the browser says.
pub(crate) fn client(kind: &str, challenge: &str, origin: &str) -> Vec<u8> {
    format!(
        r#"{{"type":"webauthn.{kind}","challenge":"{challenge}","origin":"{origin}","crossOrigin":false}}"#
    )
    .into_bytes()
}

/// Bytes as forms carry them.
pub(crate) fn text(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Somebody was there, and showed that it is them.
pub(crate) const THERE: u8 = 0b101;
/// The same, and a passkey was made.
pub(crate) const MAKING: u8 = THERE | 0x40;
