//! What is it that a passkey signs? A text that says what is meant, by whom and until when; each is signed once.

use super::said::Why;
use crate::cli::Endorse;
use crate::clock::Steady;
use crate::console::danger_secret;
use crate::desk::answering::Say;
use crate::report::Failure;
use bartizan_store::{Digest, Question};
use ring::hmac;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Gives challenges out, and knows them again.
#[derive(Debug)]
pub(super) struct Challenges {
    log_id: String,
    /// Known to this process alone, so that nobody has something signed for later.
    key: hmac::Key,
    /// Whoever sets the machine's clock forth and back makes no challenge good again that was answered.
    clock: Steady,
    /// The challenges that were answered, until they would have expired.
    spent: Mutex<HashMap<Digest, u64>>,
}

/// What a person means by the use of a passkey.
#[derive(Debug, Clone, Copy)]
pub(super) enum Meaning<'a> {
    /// They come in; who they are, the passkey says.
    Enter,
    /// They want another passkey.
    Further { person: &'a str },
    /// They have made one, their first or another.
    Make { person: &'a str, first: bool },
    /// They answer a question.
    Answer { person: &'a str, question: &'a Question, say: Say, reason: &'a str },
}

/// A challenge, and what the form that answers it has to carry.
#[derive(Debug)]
pub(super) struct Challenge {
    /// What is signed, in full.
    pub(super) text: String,
    pub(super) ticket: String,
    expires_ms: u64,
}

impl Challenge {
    /// What the authenticator is given.
    pub(super) fn digest(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }
}

impl Challenges {
    pub(super) fn new(log_id: &str) -> Result<Self, Failure> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, danger_secret()?.as_bytes());
        Ok(Self { log_id: log_id.to_owned(), key, clock: Steady::new(), spent: Mutex::default() })
    }

    /// A challenge for one form of this visitor; of nobody's yet, when they are to come in.
    pub(super) fn give(&self, form: &str, meaning: Meaning<'_>) -> Result<Challenge, Failure> {
        let lives = u64::try_from(LIVES.as_millis()).unwrap_or(0);
        Ok(self.make(form, meaning, self.clock.now_ms().saturating_add(lives), &danger_secret()?))
    }

    fn make(&self, form: &str, meaning: Meaning<'_>, expires_ms: u64, nonce: &str) -> Challenge {
        let text = format!(
            "bartizan.local/passkey/1\n{}\n{}\n{expires_ms}\n{nonce}\n",
            self.log_id,
            lines(meaning)
        );
        let seal = hmac::sign(&self.key, format!("{form}\n{text}").as_bytes());
        let ticket = format!("{expires_ms}.{nonce}.{}", Digest::of(seal.as_ref()));
        Challenge { text, ticket, expires_ms }
    }

    /// The challenge of this ticket, if it was given to this visitor, for what they mean now.
    pub(super) fn known(
        &self,
        form: &str,
        meaning: Meaning<'_>,
        ticket: &str,
    ) -> Result<Challenge, Why> {
        let other = "it was asked for something else";
        let mut parts = ticket.split('.');
        let (Some(expires), Some(nonce)) = (parts.next(), parts.next()) else {
            return Err(other);
        };
        let expires_ms: u64 = expires.parse().map_err(|_| other)?;
        let made = self.make(form, meaning, expires_ms, nonce);
        // Digests of what nobody else can compute: the time it takes says nothing.
        if Digest::of(made.ticket.as_bytes()) != Digest::of(ticket.as_bytes()) {
            return Err(other);
        }
        if self.clock.now_ms() >= expires_ms {
            return Err("it was asked too long ago");
        }
        Ok(made)
    }

    /// Uses a challenge up, once its answer holds.
    pub(super) fn spend(&self, challenge: &Challenge) -> Result<(), Why> {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now_ms();
        spent.retain(|_, expires_ms| now < *expires_ms);
        match spent.insert(challenge.digest(), challenge.expires_ms) {
            None => Ok(()),
            Some(_) => Err("it was used before"),
        }
    }
}

/// What is meant, on lines of its own; nothing in it holds the end of a line.
fn lines(meaning: Meaning<'_>) -> String {
    match meaning {
        Meaning::Enter => "enter".to_owned(),
        Meaning::Further { person } => format!("further\n{person}"),
        Meaning::Make { person, first: true } => format!("make first\n{person}"),
        Meaning::Make { person, first: false } => format!("make another\n{person}"),
        Meaning::Answer { person, question, say, reason } => {
            let (digest, policy, reason) =
                (question.digest, question.policy, Digest::of(reason.as_bytes()));
            format!(
                "answer\n{person}\n{}\n{digest}\n{policy}\n{}\n{reason}",
                question.id,
                said(say)
            )
        }
    }
}

fn said(say: Say) -> String {
    let Say::Yes { life, endorse } = say else { return "deny".to_owned() };
    let life = life.map_or_else(|| "once".to_owned(), |life| format!("{} s", life.as_secs()));
    match endorse {
        None => format!("approve {life}"),
        Some(Endorse::Host) => format!("approve {life}, endorse host"),
        Some(Endorse::Value) => format!("approve {life}, endorse value"),
        Some(Endorse::Source) => format!("approve {life}, endorse source"),
    }
}

/// How long a person has to answer.
const LIVES: Duration = Duration::from_mins(5);

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_store::QuestionState;
    use serde_json::Value;

    fn question(id: &str) -> Question {
        Question {
            id: id.to_owned(),
            session: "s-1".to_owned(),
            agent: "main".to_owned(),
            tool: "Pay".to_owned(),
            digest: Digest::of(id.as_bytes()),
            policy: Digest::of(b"policy"),
            quorum: 1,
            shown: Value::Null,
            asked_ms: 0,
            expires_ms: 0,
            state: QuestionState::Pending,
            until_ms: None,
            answers: Vec::new(),
            deferred: None,
            withdrawn: false,
        }
    }

    #[test]
    fn a_challenge_is_known_again_for_what_it_was_given_for_alone() {
        let ours = Challenges::new("log").unwrap();
        let (one, two) = (question("1"), question("2"));
        let once = Say::Yes { life: None, endorse: None };
        let answer =
            |person, question, say, reason| Meaning::Answer { person, question, say, reason };
        let meant = answer("web:ben", &one, once, "");
        let given = ours.give("form", meant).unwrap();
        let known = ours.known("form", meant, &given.ticket).unwrap();
        assert_eq!((known.digest(), &known.text), (given.digest(), &given.text));
        let long = Say::Yes { life: Some(Duration::from_mins(15)), endorse: None };
        let more = Say::Yes { life: None, endorse: Some(Endorse::Value) };
        for other in [
            answer("web:cleo", &one, once, ""),
            answer("web:ben", &two, once, ""),
            answer("web:ben", &one, Say::No, ""),
            answer("web:ben", &one, long, ""),
            answer("web:ben", &one, more, ""),
            answer("web:ben", &one, once, "why"),
            Meaning::Enter,
            Meaning::Further { person: "web:ben" },
            Meaning::Make { person: "web:ben", first: true },
        ] {
            assert!(ours.known("form", other, &given.ticket).is_err(), "{other:?}");
        }
        assert!(ours.known("another", meant, &given.ticket).is_err(), "another visitor's");
        let theirs = Challenges::new("log").unwrap();
        assert!(theirs.known("form", meant, &given.ticket).is_err(), "another console's");
        for at in 0..given.ticket.len() {
            let mut bytes = given.ticket.clone().into_bytes();
            bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
            let altered = String::from_utf8(bytes).unwrap();
            assert!(ours.known("form", meant, &altered).is_err(), "byte {at}");
        }
        for forged in
            ["", ".", "..", "1", &format!("{}.", given.ticket), &format!("+{}", given.ticket)]
        {
            assert!(ours.known("form", meant, forged).is_err(), "{forged}");
        }
    }

    #[test]
    fn a_challenge_is_good_once_and_in_time() {
        let ours = Challenges::new("log").unwrap();
        let given = ours.give("", Meaning::Enter).unwrap();
        assert_eq!(ours.spend(&given), Ok(()));
        assert_eq!(ours.spend(&given), Err("it was used before"));
        assert_eq!(ours.spend(&ours.give("", Meaning::Enter).unwrap()), Ok(()));
        let old = ours.make("", Meaning::Enter, 1, "nonce");
        let why = ours.known("", Meaning::Enter, &old.ticket).unwrap_err();
        assert_eq!(why, "it was asked too long ago");
    }
}
