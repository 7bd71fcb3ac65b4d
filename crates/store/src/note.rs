//! Who vouches that the log had this size and this root? Signed notes and checkpoints as C2SP writes them.
use crate::digest::{Digest, hex};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use std::fmt;
use std::str::FromStr;
use zeroize::{Zeroize as _, Zeroizing};

/// The public key of a log, in the `vkey` form of C2SP signed notes: `name+keyid+base64`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    key: VerifyingKey,
}

impl PublicKey {
    /// The log's origin: the first line of each of its checkpoints.
    pub fn origin(&self) -> &str {
        &self.name
    }

    /// The log's id: the last part of its origin.
    pub fn log_id(&self) -> &str {
        self.name.strip_prefix(ORIGIN).unwrap_or(&self.name)
    }

    /// Reads a checkpoint and verifies that this key signed it.
    pub fn open(&self, note: &str) -> Result<Checkpoint, NoteError> {
        let (text, ours) = signatures(note, &self.name, self.id())?;
        let mut ours = ours.iter().filter_map(|value| Signature::from_slice(value).ok());
        let signature = ours.next().ok_or(NoteError::NotSigned)?;
        self.key.verify_strict(text.as_bytes(), &signature).map_err(|_| NoteError::Forged)?;
        let checkpoint = Checkpoint::parse(&text).ok_or(NoteError::Malformed)?;
        if checkpoint.origin != self.name {
            return Err(NoteError::OtherLog { origin: checkpoint.origin });
        }
        Ok(checkpoint)
    }

    /// Whether the private half has vouched for `text`.
    pub(crate) fn vouched(&self, text: &str, signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify_strict(text.as_bytes(), &signature).is_ok())
    }

    fn id(&self) -> [u8; 4] {
        key_id(&self.name, ALGORITHM, &self.key)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ALGORITHM];
        key.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{}+{}", self.name, hex(&self.id()), BASE64.encode(key))
    }
}

impl FromStr for PublicKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let (name, key) = read_vkey(text, ALGORITHM)?;
        Ok(Self { name, key })
    }
}

/// Reads a key of this algorithm in `vkey` form.
pub(crate) fn read_vkey(text: &str, algorithm: u8) -> Result<(String, VerifyingKey), NoteError> {
    let mut parts = text.trim_end().splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(NoteError::BadKey);
    };
    let key = BASE64.decode(key).map_err(|_| NoteError::BadKey)?;
    let Some((found, key)) = key.split_first() else { return Err(NoteError::BadKey) };
    let key = key.try_into().map_err(|_| NoteError::BadKey)?;
    let key = VerifyingKey::from_bytes(key).map_err(|_| NoteError::BadKey)?;
    let name = checked_name(name)?;
    let fits = *found == algorithm && hex(&key_id(&name, algorithm, &key)) == id;
    if fits { Ok((name, key)) } else { Err(NoteError::BadKey) }
}

/// What stands before a signature, so that one knows whose it is.
pub(crate) fn key_id(name: &str, algorithm: u8, key: &VerifyingKey) -> [u8; 4] {
    let digest = Digest::of_parts(&[name.as_bytes(), b"\n", &[algorithm], key.as_bytes()]);
    let [a, b, c, d, ..] = *digest.as_bytes();
    [a, b, c, d]
}

/// The text of a note that is signed, and what stands behind the key's id in each signature of this key.
pub(crate) fn signatures(
    note: &str,
    name: &str,
    id: [u8; 4],
) -> Result<(String, Vec<Vec<u8>>), NoteError> {
    let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::Malformed)?;
    let of_this_key = |line: &str| {
        let (signer, value) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
        let value = BASE64.decode(value).ok()?;
        let (found, value) = value.split_first_chunk::<4>()?;
        (signer == name && *found == id).then(|| value.to_vec())
    };
    Ok((format!("{text}\n"), lines.lines().filter_map(of_this_key).collect()))
}

/// The private half. It has no `Debug` or `Display` that would show it, and is wiped when dropped.
pub(crate) struct Seal {
    key: SigningKey,
    public: PublicKey,
}

impl Seal {
    /// A key from 32 random bytes, for a new log named by 16 others.
    pub(crate) fn new(seed: &mut [u8; 32], log_id: [u8; 16]) -> Self {
        let key = SigningKey::from_bytes(seed);
        seed.zeroize();
        let public = PublicKey { name: [ORIGIN, &hex(&log_id)].concat(), key: key.verifying_key() };
        Self { key, public }
    }

    /// Reads what [`Seal::secret`] wrote.
    pub(crate) fn parse(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.trim_end().splitn(5, '+');
        let (Some("PRIVATE"), Some("KEY"), Some(name), Some(id), Some(key)) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NoteError::BadKey);
        };
        let key = Zeroizing::new(BASE64.decode(key).map_err(|_| NoteError::BadKey)?);
        let Some((&ALGORITHM, seed)) = key.split_first() else { return Err(NoteError::BadKey) };
        let key = SigningKey::try_from(seed).map_err(|_| NoteError::BadKey)?;
        let public = PublicKey { name: checked_name(name)?, key: key.verifying_key() };
        if hex(&public.id()) == id { Ok(Self { key, public }) } else { Err(NoteError::BadKey) }
    }

    /// The private key as text, in the form of Go's `note` package, for its file and nothing else.
    pub(crate) fn secret(&self) -> Zeroizing<String> {
        let mut key = Zeroizing::new(vec![ALGORITHM]);
        key.extend_from_slice(self.key.as_bytes());
        let encoded = Zeroizing::new(BASE64.encode(&*key));
        let PublicKey { name, .. } = &self.public;
        Zeroizing::new(format!("PRIVATE+KEY+{name}+{}+{}\n", hex(&self.public.id()), *encoded))
    }

    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs a text that is no checkpoint: whoever calls this sees to it that it can be taken for none.
    pub(crate) fn vouch(&self, text: &str) -> [u8; 64] {
        self.key.sign(text.as_bytes()).to_bytes()
    }

    /// A signed checkpoint of the log at this size.
    pub(crate) fn sign(&self, size: u64, root: &Digest, time_ms: u64) -> String {
        let name = &self.public.name;
        let text =
            format!("{name}\n{size}\n{}\ntime_ms {time_ms}\n", BASE64.encode(root.as_bytes()));
        let mut signature = self.public.id().to_vec();
        signature.extend_from_slice(&self.key.sign(text.as_bytes()).to_bytes());
        format!("{text}\n\u{2014} {name} {}\n", BASE64.encode(signature))
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal").field("public", &self.public).finish_non_exhaustive()
    }
}

/// What a checkpoint says: at this size, the log had this root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: the name of its key.
    pub origin: String,
    /// How many records the log had.
    pub size: u64,
    /// The root of the RFC 6962 tree over their leaves.
    pub root: Digest,
    /// When it was signed, in milliseconds since 1970, by the signer's clock.
    pub time_ms: Option<u64>,
}

impl Checkpoint {
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let origin = lines.next()?.to_owned();
        let size = decimal(lines.next()?)?;
        let root = Digest::try_from(BASE64.decode(lines.next()?).ok()?.as_slice()).ok()?;
        let time_ms = lines.find_map(|line| decimal(line.strip_prefix("time_ms ")?));
        Some(Self { origin, size, root, time_ms })
    }
}

/// Why a note or a key was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The text is no key in `vkey` form, or its id does not fit it.
    #[error("the key is not of the form `name+keyid+base64`, or its parts do not fit together")]
    BadKey,
    /// A signature that names our key does not verify.
    #[error("the signature does not verify")]
    Forged,
    /// The text is no checkpoint.
    #[error("it is not a checkpoint")]
    Malformed,
    /// No signature of our key is on it.
    #[error("it is not signed by the log's key")]
    NotSigned,
    /// The key signed it, but for another log.
    #[error("it is a checkpoint of another log, `{origin}`")]
    OtherLog {
        /// The origin that it names.
        origin: String,
    },
}

fn checked_name(name: &str) -> Result<String, NoteError> {
    let good = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control());
    if good && name.len() <= 128 { Ok(name.to_owned()) } else { Err(NoteError::BadKey) }
}

/// A number with one spelling: no sign, no leading zero.
fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

const ORIGIN: &str = "bartizan.local/log/";
/// Ed25519 in the registry of signed notes.
const ALGORITHM: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn seal() -> Seal {
        Seal::new(&mut [7; 32], [9; 16])
    }

    #[test]
    fn a_checkpoint_opens_under_its_own_key_only() {
        let seal = seal();
        let note = seal.sign(3, &Digest::of(b"root"), 12);
        let read = seal.public().open(&note).unwrap();
        assert_eq!((read.size, read.root, read.time_ms), (3, Digest::of(b"root"), Some(12)));
        let other = Seal::new(&mut [8; 32], [9; 16]);
        assert_eq!(other.public().open(&note), Err(NoteError::NotSigned));
        let elsewhere = Seal::new(&mut [7; 32], [1; 16]);
        assert_eq!(elsewhere.public().open(&note), Err(NoteError::NotSigned));
    }

    #[test]
    fn no_byte_of_a_note_can_change() {
        let seal = seal();
        let note = seal.sign(3, &Digest::of(b"root"), 12);
        for at in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1 << (at % 7);
            let Ok(text) = String::from_utf8(bytes) else { continue };
            // The end of the last line is no part of what is signed.
            let Ok(read) = seal.public().open(&text) else { continue };
            assert_eq!(read, seal.public().open(&note).unwrap(), "byte {at}");
        }
    }

    #[test]
    fn keys_read_back_what_they_write() {
        let seal = seal();
        let public: PublicKey = seal.public().to_string().parse().unwrap();
        assert_eq!(&public, seal.public());
        assert_eq!(public.log_id(), "09".repeat(16));
        assert_eq!(Seal::parse(&seal.secret()).unwrap().public(), &public);
        assert!(!format!("{seal:?}").contains("BwcHBwcH"), "the seed, 32 times 7, shows");
        for bad in ["", "a+b+c", "a+00000000+AQ==", &seal.public().to_string().replace('+', "+A")] {
            assert_eq!(bad.parse::<PublicKey>(), Err(NoteError::BadKey), "{bad}");
        }
    }

    #[test]
    fn the_example_key_of_the_go_note_package_is_read() {
        let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let public: PublicKey = key.parse().unwrap();
        assert_eq!(public.to_string(), key);
        assert_eq!(public.origin(), "PeterNeumann");
    }
}
