//! What is in this age file? The X25519 part of the age v1 format, for values of at most 64 KiB.
//!
//! The format is C2SP's `age.md`, so that the `age` tool opens what we seal and the other way round. Other
//! kinds of recipient may stand in a header beside ours and are passed over. The `age` crate was weighed: with
//! its translations, plugins and post-quantum recipients it would bring some 140 packages and several second
//! versions of packages that are here already.

use super::bech32;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{hkdf, hmac};
use thiserror::Error;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// Why a file cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AgeError {
    /// The text is no X25519 identity.
    #[error("it is no age identity (AGE-SECRET-KEY-1…)")]
    BadIdentity,
    /// The bytes are no age file, or one that was changed.
    #[error("it is no age file, or it was changed")]
    Malformed,
    /// The kernel gives no random bytes.
    #[error("the kernel gives no random bytes")]
    NoRandom,
    /// None of its recipients is ours.
    #[error("it is sealed for another key")]
    NotForUs,
    /// It holds more than a value may.
    #[error("it holds more than 64 KiB")]
    TooLong,
}

/// The key that opens what was sealed for it. No `Debug`: it is a secret.
#[expect(missing_debug_implementations, reason = "a secret has no printed form")]
pub struct Identity {
    secret: StaticSecret,
    public: PublicKey,
}

impl Identity {
    /// Makes a new one.
    pub fn generate() -> Result<Self, AgeError> {
        Ok(Self::of(&Zeroizing::new(random::<32>()?)))
    }

    fn of(bytes: &[u8; 32]) -> Self {
        let secret = StaticSecret::from(*bytes);
        let public = PublicKey::from(&secret);
        Self { secret, public }
    }

    /// Reads an identity file: comments, empty lines and one `AGE-SECRET-KEY-1…`.
    pub fn parse(text: &str) -> Result<Self, AgeError> {
        let mut keys =
            text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (Some(key), None) = (keys.next(), keys.next()) else {
            return Err(AgeError::BadIdentity);
        };
        let bytes = bech32::decode("AGE-SECRET-KEY-", key).ok_or(AgeError::BadIdentity)?;
        let bytes = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| AgeError::BadIdentity)?;
        Ok(Self::of(&Zeroizing::new(bytes)))
    }

    /// The identity file's text, as `age-keygen` writes it.
    pub fn to_text(&self) -> Zeroizing<String> {
        let key = bech32::encode("AGE-SECRET-KEY-", &Zeroizing::new(self.secret.to_bytes())[..]);
        Zeroizing::new(format!("# public key: {}\n{}\n", self.recipient(), *key))
    }

    /// The public half, `age1…`, for which others can seal.
    pub fn recipient(&self) -> String {
        bech32::encode("age", self.public.as_bytes()).to_string()
    }

    /// Seals `value` for this identity.
    pub fn seal(&self, value: &[u8]) -> Result<Vec<u8>, AgeError> {
        if value.len() > CHUNK {
            return Err(AgeError::TooLong);
        }
        let file_key = Zeroizing::new(random::<16>()?);
        let ephemeral = Self::of(&Zeroizing::new(random::<32>()?));
        let wrapping = self.wrapping_key(&ephemeral.public, &ephemeral.secret, &self.public)?;
        let mut wrapped = file_key.to_vec();
        encrypt(&wrapping, [0; 12], &mut wrapped)?;
        let share = STANDARD_NO_PAD.encode(ephemeral.public.as_bytes());
        let head =
            format!("{VERSION}\n-> X25519 {share}\n{}\n---", STANDARD_NO_PAD.encode(wrapped));
        let mac = hmac::sign(&mac_key(&*file_key), head.as_bytes());
        let nonce = random::<16>()?;
        let mut payload = value.to_vec();
        encrypt(&payload_key(&*file_key, &nonce), LAST_CHUNK, &mut payload)?;
        let head = format!("{head} {}\n", STANDARD_NO_PAD.encode(mac));
        Ok([head.as_bytes(), &nonce, &payload].concat())
    }

    /// Opens what was sealed for this identity.
    pub fn open(&self, file: &[u8]) -> Result<Zeroizing<Vec<u8>>, AgeError> {
        let header = Header::read(file)?;
        let mut keys = header.shares.iter().filter_map(|stanza| self.unwrap(stanza));
        let file_key = keys.next().ok_or(AgeError::NotForUs)?;
        hmac::verify(&mac_key(&file_key), header.signed, &header.mac)
            .map_err(|_| AgeError::Malformed)?;
        let (nonce, sealed) = header.rest.split_at_checked(16).ok_or(AgeError::Malformed)?;
        if sealed.len() > CHUNK + TAG {
            return Err(AgeError::TooLong);
        }
        let mut value = Zeroizing::new(sealed.to_vec());
        let length = decrypt(&payload_key(&file_key, nonce), LAST_CHUNK, &mut value)?;
        value.truncate(length);
        Ok(value)
    }

    fn unwrap(&self, stanza: &Stanza) -> Option<Zeroizing<Vec<u8>>> {
        let key = self.wrapping_key(&stanza.share, &self.secret, &stanza.share).ok()?;
        let mut wrapped = Zeroizing::new(stanza.body.clone());
        let length = decrypt(&key, [0; 12], &mut wrapped).ok()?;
        wrapped.truncate(length);
        Some(wrapped)
    }

    /// The key that wraps the file key. `share` is the sender's, `other` whichever half is not `secret`'s.
    fn wrapping_key(
        &self,
        share: &PublicKey,
        secret: &StaticSecret,
        other: &PublicKey,
    ) -> Result<Zeroizing<[u8; 32]>, AgeError> {
        let shared = secret.diffie_hellman(other);
        // A share of low order would make the key known to everybody.
        if !shared.was_contributory() {
            return Err(AgeError::Malformed);
        }
        let salt = [share.as_bytes().as_slice(), self.public.as_bytes()].concat();
        Ok(derive(&salt, shared.as_bytes(), b"age-encryption.org/v1/X25519"))
    }
}

/// One X25519 recipient of a header.
struct Stanza {
    share: PublicKey,
    body: Vec<u8>,
}

struct Header<'a> {
    shares: Vec<Stanza>,
    /// What the MAC covers: everything through `---`.
    signed: &'a [u8],
    mac: Vec<u8>,
    rest: &'a [u8],
}

impl<'a> Header<'a> {
    fn read(file: &'a [u8]) -> Result<Self, AgeError> {
        let mut at = 0;
        let mut line = || {
            let rest = file.get(at..)?;
            let end = rest.iter().take(LINE).position(|&b| b == b'\n')?;
            let from = at;
            at += end + 1;
            std::str::from_utf8(rest.get(..end)?).ok().map(|text| (from, text))
        };
        let mut next = || line().ok_or(AgeError::Malformed);
        if next()?.1 != VERSION {
            return Err(AgeError::Malformed);
        }
        let mut shares = Vec::new();
        let mut stanzas = 0;
        loop {
            let (from, text) = next()?;
            if let Some(mac) = text.strip_prefix("--- ") {
                let mac = unbase64(mac)?;
                let signed = file.get(..from + 3).unwrap_or_default();
                let rest = file.get(from + text.len() + 1..).unwrap_or_default();
                return Ok(Self { shares, signed, mac, rest });
            }
            stanzas += 1;
            let arguments = text.strip_prefix("-> ").filter(|_| stanzas <= STANZAS);
            let arguments: Vec<&str> = arguments.ok_or(AgeError::Malformed)?.split(' ').collect();
            let mut body = String::new();
            loop {
                let (_, text) = next()?;
                body.push_str(text);
                if text.len() < COLUMNS {
                    break;
                }
                if text.len() > COLUMNS || body.len() > LINE {
                    return Err(AgeError::Malformed);
                }
            }
            if let ["X25519", share] = arguments.as_slice() {
                let share = <[u8; 32]>::try_from(unbase64(share)?.as_slice());
                let share = share.map_err(|_| AgeError::Malformed)?.into();
                let body = unbase64(&body)?;
                // 16 bytes of key and their tag; another length would allow partitioning attacks.
                if body.len() != 16 + TAG {
                    return Err(AgeError::Malformed);
                }
                shares.push(Stanza { share, body });
            }
        }
    }
}

fn unbase64(text: &str) -> Result<Vec<u8>, AgeError> {
    STANDARD_NO_PAD.decode(text).map_err(|_| AgeError::Malformed)
}

fn mac_key(file_key: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &derive(&[], file_key, b"header")[..])
}

fn payload_key(file_key: &[u8], nonce: &[u8]) -> Zeroizing<[u8; 32]> {
    derive(nonce, file_key, b"payload")
}

fn derive(salt: &[u8], secret: &[u8], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
    let info = [info];
    // HKDF refuses only lengths over 255 blocks; this is one, so the key is never left as zeros.
    let filled = prk.expand(&info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut *key));
    debug_assert!(filled.is_ok());
    key
}

fn cipher(key: &[u8; 32]) -> Result<LessSafeKey, AgeError> {
    let key = UnboundKey::new(&CHACHA20_POLY1305, key).map_err(|_| AgeError::Malformed)?;
    Ok(LessSafeKey::new(key))
}

fn encrypt(key: &[u8; 32], nonce: [u8; 12], text: &mut Vec<u8>) -> Result<(), AgeError> {
    let nonce = Nonce::assume_unique_for_key(nonce);
    cipher(key)?.seal_in_place_append_tag(nonce, Aad::empty(), text).map_err(|_| AgeError::TooLong)
}

/// Decrypts in place, and says how long the plain text is.
fn decrypt(key: &[u8; 32], nonce: [u8; 12], text: &mut [u8]) -> Result<usize, AgeError> {
    let nonce = Nonce::assume_unique_for_key(nonce);
    let plain = cipher(key)?.open_in_place(nonce, Aad::empty(), text);
    plain.map(|plain| plain.len()).map_err(|_| AgeError::Malformed)
}

fn random<const N: usize>() -> Result<[u8; N], AgeError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| AgeError::NoRandom)?;
    Ok(bytes)
}

const VERSION: &str = "age-encryption.org/v1";
/// Chunk 0, the last one.
const LAST_CHUNK: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const CHUNK: usize = 64 << 10;
const TAG: usize = 16;
const COLUMNS: usize = 64;
/// No line of a header is longer, and no stanza's body.
const LINE: usize = 4096;
const STANZAS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_sealed_is_opened_by_its_key_alone() {
        let (ours, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        for length in [0, 1, 15, 16, 17, CHUNK] {
            let value = vec![b'x'; length];
            let sealed = ours.seal(&value).unwrap();
            assert_eq!(*ours.open(&sealed).unwrap(), value);
            assert_eq!(other.open(&sealed).unwrap_err(), AgeError::NotForUs);
        }
        assert_eq!(ours.seal(&vec![0; CHUNK + 1]).unwrap_err(), AgeError::TooLong);
    }

    #[test]
    fn an_identity_survives_being_written_down() {
        let ours = Identity::generate().unwrap();
        let again = Identity::parse(&ours.to_text()).unwrap();
        assert_eq!(again.recipient(), ours.recipient());
        assert_eq!(*again.open(&ours.seal(b"v").unwrap()).unwrap(), b"v");
        let key = ours.to_text().lines().nth(1).unwrap().to_owned();
        for wrong in
            [key.get(..40).unwrap(), "", &format!("{key}\n{key}"), &key.to_lowercase(), "age1x"]
        {
            assert!(Identity::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_changed_byte_of_a_file_goes_unnoticed() {
        let ours = Identity::generate().unwrap();
        let sealed = ours.seal(b"the value").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(ours.open(&changed).is_err(), "byte {at}");
        }
        for length in 0..sealed.len() {
            assert!(ours.open(&sealed[..length]).is_err(), "cut to {length}");
        }
        assert!(ours.open(&[sealed.as_slice(), b"x"].concat()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let ours = Identity::generate().unwrap();
            let framed = [VERSION.as_bytes(), b"\n-> X25519 ", &bytes].concat();
            prop_assert!(ours.open(&framed).is_err());
            prop_assert!(ours.open(&bytes).is_err());
        }
    }
}
