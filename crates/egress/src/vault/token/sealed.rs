//! How is a token kept that must be shown once more, after this process is gone? Sealed under the very key by which it was
//! minted, bound to its lease.

use crate::fault::{Fault, FaultKind};
use crate::secret::SecretValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use zeroize::Zeroizing;

/// Seals `token` for whoever has `key`.
pub(super) fn seal(key: &[u8], lease: &str, token: &[u8]) -> Result<String, Fault> {
    let failed = |_| Fault::new(FaultKind::Down, "the token cannot be sealed");
    // Room for the tag, so that nothing is left where the buffer was.
    let mut text = Zeroizing::new(Vec::with_capacity(token.len() + CHACHA20_POLY1305.tag_len()));
    text.extend_from_slice(token);
    let sealer = under(key, lease).map_err(failed)?;
    sealer.seal_in_place_append_tag(once(), Aad::from(lease), &mut *text).map_err(failed)?;
    Ok(STANDARD_NO_PAD.encode(&*text))
}

/// Opens what was sealed for this key and this lease.
pub(super) fn open(key: &[u8], lease: &str, sealed: &str) -> Option<SecretValue> {
    let mut text = Zeroizing::new(STANDARD_NO_PAD.decode(sealed).ok()?);
    let opener = under(key, lease).ok()?;
    let token = opener.open_in_place(once(), Aad::from(lease), &mut text).ok()?;
    Some(SecretValue::new(token.to_vec()))
}

/// A key of this lease's own. Its id is random and never used before, so neither is the key.
fn under(key: &[u8], lease: &str) -> Result<LessSafeKey, ring::error::Unspecified> {
    let about = [b"bartizan lease ", lease.as_bytes()].concat();
    let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &about);
    UnboundKey::new(&CHACHA20_POLY1305, derived.as_ref()).map(LessSafeKey::new)
}

/// Each key seals one text.
fn once() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_and_lease_open_it() {
        let sealed = seal(b"the app's key", "0a1b", b"ghs_minted").unwrap();
        let opened = open(b"the app's key", "0a1b", &sealed).unwrap();
        assert_eq!(opened.bytes(), b"ghs_minted");
        assert!(open(b"another key", "0a1b", &sealed).is_none());
        assert!(open(b"the app's key", "0a1c", &sealed).is_none());
        for broken in ["", "!", "AAAA", sealed.get(1..).unwrap()] {
            assert!(open(b"the app's key", "0a1b", broken).is_none(), "{broken}");
        }
        assert!(!sealed.contains("ghs_"));
    }
}
