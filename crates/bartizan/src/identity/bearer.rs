//! What does a bearer token of ours look like, and what is kept of it? A checksum tells a slip from an attack; a hash is all
//! that the store sees.
//!
//! `bzt_`, 64 hexadecimal digits (256 random bits), 8 more that are a checksum. A token that was cut off or mistyped is told
//! without a look into the store, and scanners find a leaked one by its shape.

use bartizan_store::Digest;
use std::fmt;

/// The text of a token. It is shown once, by the command that makes it, and is never printed by accident.
pub(crate) struct Bearer(String);

impl Bearer {
    /// Makes a token of 256 random bits.
    pub(crate) fn mint(entropy: [u8; 32]) -> Self {
        let body = Digest::from_bytes(entropy).to_string();
        let sum = checksum(&body);
        Self(format!("{PREFIX}{body}{sum}"))
    }

    /// Takes what a client sent, if it has the form of a token.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(PREFIX)?;
        let (body, sum) = rest.split_at_checked(BODY)?;
        let body: Digest = body.parse().ok()?;
        (checksum(&body.to_string()) == sum).then(|| Self(text.to_owned()))
    }

    /// What the store knows it by. A plain hash is enough: nobody guesses 256 random bits.
    pub(crate) fn hash(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }

    /// The text itself, for the one who is to have it.
    pub(crate) fn danger_text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(…)")
    }
}

fn checksum(body: &str) -> String {
    let sum = Digest::of_parts(&[PREFIX.as_bytes(), body.as_bytes()]);
    sum.to_string().chars().take(SUM).collect()
}

pub(crate) const PREFIX: &str = "bzt_";
const BODY: usize = 64;
const SUM: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_no_other_text_does() {
        let token = Bearer::mint([7; 32]);
        let text = token.danger_text().to_owned();
        assert_eq!(text.len(), PREFIX.len() + BODY + SUM);
        assert_eq!(Bearer::parse(&text).unwrap().hash(), token.hash());
        assert_ne!(Bearer::mint([8; 32]).hash(), token.hash());
        let flipped = text.replacen('7', "8", 1);
        for wrong in [
            "",
            "bzt_",
            &flipped,
            &text.to_uppercase(),
            &format!("{text}0"),
            &format!(" {text}"),
            text.get(..text.len() - 1).unwrap(),
            text.strip_prefix(PREFIX).unwrap(),
        ] {
            assert!(Bearer::parse(wrong).is_none(), "{wrong}");
        }
        assert!(!format!("{token:?}").contains("0707"));
    }
}
