//! Do both sides know the password? SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding.

use crate::fault::{Fault, FaultKind};
use crate::secret::SecretValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// A login under way.
pub(super) struct Client {
    first: String,
    nonce: String,
}

/// What the server must answer in the end.
pub(super) struct Expected(hmac::Key, String);

impl Client {
    pub(super) fn begin() -> Result<Self, Fault> {
        let nonce = STANDARD.encode(random::<18>()?);
        Ok(Self::with_nonce(nonce))
    }

    fn with_nonce(nonce: String) -> Self {
        // PostgreSQL takes the user from the startup message.
        Self { first: format!("n=,r={nonce}"), nonce }
    }

    /// The first message.
    pub(super) fn first(&self) -> String {
        format!("n,,{}", self.first)
    }

    /// The second message, for what the server said first.
    pub(super) fn answer(
        self,
        server: &str,
        password: &SecretValue,
    ) -> Result<(String, Expected), Fault> {
        let odd =
            || Fault::new(FaultKind::Malformed, "the database's login is none that SCRAM knows");
        let field = |name: &str| server.split(',').find_map(|part| part.strip_prefix(name));
        let nonce = field("r=")
            .filter(|nonce| nonce.starts_with(&self.nonce) && nonce.len() > self.nonce.len());
        let nonce = nonce.ok_or_else(odd)?;
        let salt = STANDARD.decode(field("s=").ok_or_else(odd)?).map_err(|_| odd())?;
        let rounds: u32 = field("i=").and_then(|rounds| rounds.parse().ok()).ok_or_else(odd)?;
        // Fewer than the RFC's least give the password away; very many are an attack on our time.
        let rounds = NonZeroU32::new(rounds)
            .filter(|n| (4096..=1_000_000).contains(&n.get()))
            .ok_or_else(odd)?;
        let salted = salted(password.bytes(), &salt, rounds);
        let client = hmac_of(&salted[..], b"Client Key");
        let stored = digest::digest(&digest::SHA256, client.as_ref());
        let bare = format!("c=biws,r={nonce}");
        let signed = format!("{},{server},{bare}", self.first);
        let signature = hmac_of(stored.as_ref(), signed.as_bytes());
        let proof: Zeroizing<Vec<u8>> = Zeroizing::new(
            client.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect(),
        );
        let server_key = hmac_of(&salted[..], b"Server Key");
        let expected = Expected(hmac::Key::new(hmac::HMAC_SHA256, server_key.as_ref()), signed);
        Ok((format!("{bare},p={}", STANDARD.encode(&*proof)), expected))
    }
}

impl Expected {
    /// Whether the server knew the password too: one that does not is not the one we meant.
    pub(super) fn check(&self, last: &str) -> Result<(), Fault> {
        let signature = last.strip_prefix("v=").and_then(|text| STANDARD.decode(text).ok());
        let right =
            signature.is_some_and(|tag| hmac::verify(&self.0, self.1.as_bytes(), &tag).is_ok());
        if right {
            return Ok(());
        }
        Err(Fault::new(FaultKind::Denied, "the database does not prove that it knows the password"))
    }
}

/// What `PostgreSQL` keeps of a password: enough to check it, not enough to log in with.
pub(super) fn verifier(password: &[u8]) -> Result<String, Fault> {
    let salt = random::<16>()?;
    let salted = salted(password, &salt, ROUNDS);
    let client = hmac_of(&salted[..], b"Client Key");
    let stored = digest::digest(&digest::SHA256, client.as_ref());
    let server = hmac_of(&salted[..], b"Server Key");
    let [salt, stored, server] =
        [&salt[..], stored.as_ref(), server.as_ref()].map(|part| STANDARD.encode(part));
    Ok(format!("SCRAM-SHA-256${ROUNDS}:{salt}${stored}:{server}"))
}

fn salted(password: &[u8], salt: &[u8], rounds: NonZeroU32) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, password, &mut *key);
    key
}

fn hmac_of(key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text)
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Fault::new(FaultKind::Down, "the kernel gives no random bytes"))?;
    Ok(bytes)
}

/// `PostgreSQL`'s own number.
const ROUNDS: NonZeroU32 = NonZeroU32::new(4096).unwrap();

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677, section 3, with its user name left out as `PostgreSQL` does.
    #[test]
    fn the_proof_is_the_one_that_a_second_implementation_computes() {
        let client = Client {
            first: "n=user,r=rOprNGfwEbeRWgbNEkqO".to_owned(),
            nonce: "rOprNGfwEbeRWgbNEkqO".to_owned(),
        };
        let server = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let password = SecretValue::new(b"pencil".to_vec());
        let (last, expected) = client.answer(server, &password).unwrap();
        assert_eq!(
            last,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert!(expected.check("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").is_ok());
        assert!(expected.check("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=").is_err());
        assert!(expected.check("e=other-error").is_err());
    }

    #[test]
    fn a_server_that_would_weaken_the_login_is_refused() {
        for server in [
            "r=short,s=AAAA,i=4096",
            "r=NNN,s=AAAA,i=4096",
            "r=NNNx,s=AAAA,i=1",
            "r=NNNx,s=AAAA,i=99999999",
            "r=NNNx,s=*,i=4096",
            "",
        ] {
            let client = Client::with_nonce("NNN".to_owned());
            assert!(client.answer(server, &SecretValue::new(b"p".to_vec())).is_err(), "{server}");
        }
    }
}
