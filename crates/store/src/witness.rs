//! Who elsewhere says that the log only grew? A witness, by its cosignature on a checkpoint, as C2SP's tlog-witness and
//! tlog-cosignature write it.
use crate::digest::{Digest, hex};
use crate::note::{NoteError, key_id, read_vkey, signatures};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use ed25519_dalek::{Signature, VerifyingKey};
use std::fmt;
use std::str::FromStr;

/// The public key of a witness, in the `vkey` form of C2SP signed notes: `name+keyid+base64`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessKey {
    name: String,
    key: VerifyingKey,
}

impl WitnessKey {
    /// What the witness calls itself.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key's id in hexadecimal, as it stands in the `vkey`.
    pub fn id(&self) -> String {
        hex(&self.key_id())
    }

    /// When the witness cosigned this checkpoint, in seconds since 1970. Whether the log itself signed it is for
    /// [`crate::PublicKey::open`].
    pub fn cosigned(&self, note: &str) -> Result<u64, NoteError> {
        let (text, found) = signatures(note, &self.name, self.key_id())?;
        let value = found.first().ok_or(NoteError::NotSigned)?;
        let (time, signature) = value.split_first_chunk::<8>().ok_or(NoteError::Malformed)?;
        let time_s = u64::from_be_bytes(*time);
        let signature = Signature::from_slice(signature).map_err(|_| NoteError::Malformed)?;
        if time_s > MAX_TIME {
            return Err(NoteError::Malformed);
        }
        let message = format!("cosignature/v1\ntime {time_s}\n{text}");
        self.key.verify_strict(message.as_bytes(), &signature).map_err(|_| NoteError::Forged)?;
        Ok(time_s)
    }

    /// The checkpoint with this witness's cosignature on it, from what the witness answered; signatures of others, which
    /// nobody here can judge, are left out.
    pub fn take(&self, note: &str, answer: &str) -> Result<String, NoteError> {
        let mut why = NoteError::NotSigned;
        for line in answer.lines().filter(|line| line.starts_with('\u{2014}')) {
            let cosigned = format!("{note}{line}\n");
            match self.cosigned(&cosigned) {
                Ok(_time_s) => return Ok(cosigned),
                Err(NoteError::NotSigned) => {}
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    fn key_id(&self) -> [u8; 4] {
        key_id(&self.name, ALGORITHM, &self.key)
    }
}

impl FromStr for WitnessKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let (name, key) = read_vkey(text, ALGORITHM)?;
        Ok(Self { name, key })
    }
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ALGORITHM];
        key.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{}+{}", self.name, self.id(), BASE64.encode(key))
    }
}

/// What is sent to a witness that has seen the log with `old` records: the proof that it only grew, and the checkpoint.
pub fn submission(old: u64, proof: &[Digest], note: &str) -> String {
    let lines = proof.iter().map(|node| BASE64.encode(node.as_bytes()) + "\n");
    format!("old {old}\n{}\n{note}", lines.collect::<String>())
}

/// A timestamped Ed25519 cosignature in the registry of signed notes.
const ALGORITHM: u8 = 4;
const MAX_TIME: u64 = u64::MAX >> 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PublicKey;
    use crate::note::Seal;
    use ed25519_dalek::{Signer as _, SigningKey};

    const NAME: &str = "witness.example/w1";

    fn witness(seed: u8) -> (SigningKey, WitnessKey) {
        let signing = SigningKey::from_bytes(&[seed; 32]);
        let key = WitnessKey { name: NAME.to_owned(), key: signing.verifying_key() };
        (signing, key)
    }

    fn line(signing: &SigningKey, name: &str, note: &str, time_s: u64) -> String {
        let (text, _) = note.split_once("\n\n").unwrap();
        let message = format!("cosignature/v1\ntime {time_s}\n{text}\n");
        let mut value = key_id(NAME, ALGORITHM, &signing.verifying_key()).to_vec();
        value.extend_from_slice(&time_s.to_be_bytes());
        value.extend_from_slice(&signing.sign(message.as_bytes()).to_bytes());
        format!("\u{2014} {name} {}\n", BASE64.encode(value))
    }

    #[test]
    fn a_cosignature_counts_under_its_key_for_its_checkpoint_and_time() {
        let seal = Seal::new(&mut [7; 32], [9; 16]);
        let note = seal.sign(3, &Digest::of(b"root"), 12);
        let ((ours, key), (theirs, other)) = (witness(1), witness(2));
        let good = line(&ours, NAME, &note, 1_679_315_147);
        let answer = format!("{}{good}", line(&theirs, NAME, &note, 5));
        let cosigned = key.take(&note, &answer).unwrap();
        assert_eq!(key.cosigned(&cosigned).unwrap(), 1_679_315_147);
        assert_eq!(seal.public().open(&cosigned).unwrap().size, 3, "the log's own stays on it");
        assert_eq!(other.cosigned(&cosigned), Err(NoteError::NotSigned));
        assert_eq!(key.cosigned(&note), Err(NoteError::NotSigned));
        let grown = seal.sign(4, &Digest::of(b"root"), 12);
        assert_eq!(key.take(&grown, &answer), Err(NoteError::Forged), "of another checkpoint");
        assert_eq!(key.take(&note, &line(&ours, "x.example", &note, 5)), Err(NoteError::NotSigned));
        let late = line(&ours, NAME, &note, u64::MAX);
        assert_eq!(key.take(&note, &late), Err(NoteError::Malformed));
        for answer in
            ["", "\u{2014}", "\u{2014} a b\n", &format!("\u{2014} {NAME} AAAA\n"), "<html>"]
        {
            assert!(key.take(&note, answer).is_err(), "{answer}");
        }
        for at in 0..good.len() {
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            assert!(
                key.take(&note, &text).is_err() || text.trim_end() == good.trim_end(),
                "byte {at}"
            );
        }
    }

    #[test]
    fn a_key_reads_back_and_a_logs_key_is_none_of_a_witness() {
        let (_, key) = witness(1);
        assert_eq!(key.to_string().parse::<WitnessKey>().unwrap(), key);
        assert_eq!(key.to_string().parse::<PublicKey>(), Err(NoteError::BadKey));
        let log = Seal::new(&mut [7; 32], [9; 16]).public().to_string();
        assert_eq!(log.parse::<WitnessKey>(), Err(NoteError::BadKey));
    }

    #[test]
    fn a_submission_is_written_as_the_protocol_says() {
        let sent = submission(3, &[Digest::of(b"a"), Digest::of(b"b")], "log\n4\nroot\n\nsig\n");
        let lines: Vec<&str> = sent.lines().collect();
        assert_eq!((lines[0], lines[3], lines[4]), ("old 3", "", "log"));
        assert_eq!(BASE64.decode(lines[2]).unwrap(), Digest::of(b"b").as_bytes());
        assert_eq!(submission(0, &[], "log\n"), "old 0\n\nlog\n");
    }
}
