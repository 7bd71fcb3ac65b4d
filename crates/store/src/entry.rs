//! Which bytes stand for one entry on the log, to be hashed, stored and shown alike?
use crate::clock;
use crate::digest::Digest;
use crate::ledger::LedgerError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;
use std::str::FromStr;

/// What the caller wants recorded. Every string in it has been redacted already: the log keeps what it is given.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What kind of thing happened.
    pub event: Event,
    /// The session it belongs to, if any; 1 to 128 bytes of printable text.
    pub session: Option<String>,
    /// The call it belongs to, if any; ties an intent to its outcome. 1 to 128 bytes of printable text.
    pub call: Option<String>,
    /// Everything else. Keys are `[a-z][a-z0-9_]*`, at most 64 bytes, and none of the record's own fields; values hold
    /// no floating-point number and no integer of 2^53 or more, so that every reader sees the same number.
    pub body: Map<String, Value>,
}

impl Entry {
    /// An entry with an empty body that belongs to no session and no call.
    pub fn new(event: Event) -> Self {
        Self { event, session: None, call: None, body: Map::new() }
    }

    /// Ties the entry to a session.
    #[must_use = "the entry is returned, not changed in place"]
    pub fn session(mut self, id: impl Into<String>) -> Self {
        self.session = Some(id.into());
        self
    }

    /// Ties the entry to a call.
    #[must_use = "the entry is returned, not changed in place"]
    pub fn call(mut self, id: impl Into<String>) -> Self {
        self.call = Some(id.into());
        self
    }

    /// Adds one field to the body.
    #[must_use = "the entry is returned, not changed in place"]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.body.insert(key.into(), value.into());
        self
    }
}

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What kind of thing a record tells of; written in `snake_case`.
        #[non_exhaustive]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Event {
            $($(#[$doc])* $variant,)*
        }

        impl Event {
            /// Every kind of event this version knows.
            pub const ALL: &[Event] = &[$(Event::$variant,)*];

            /// The name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Event::$variant => $name,)*
                }
            }
        }
    };
}

events! {
    /// A person answered a question, or the answer was used (body: `act` = `approve` | `deny` | `use` | `endorse`).
    Approval = "approval",
    /// The intent of a call: written before the act.
    Call = "call",
    /// The client in a box said something of itself: a prompt, a subagent, an end. Not to be relied on.
    Client = "client",
    /// A checkpoint was handed to an anchor outside this machine.
    Checkpoint = "checkpoint",
    /// The configuration in force changed, or was loaded.
    ConfigChange = "config_change",
    /// An irreversible act was begun, ended, was left in doubt, or a person said what came of it (body: `act`).
    Effect = "effect",
    /// Something was seen on a connection of a box.
    Egress = "egress",
    /// A part of Bartizan failed.
    Fault = "fault",
    /// Something was found in what came back: a secret, an injection.
    Finding = "finding",
    /// A rule says that a run may have turned, or a person that it may go on (body: `act` = `raise` | `resume`).
    Flag = "flag",
    /// What became of a call: written after the act.
    Outcome = "outcome",
    /// A call waits for a person.
    Pending = "pending",
    /// The policy in force changed, or was loaded.
    PolicyChange = "policy_change",
    /// The oldest records were taken off the log.
    Prune = "prune",
    /// A call was refused.
    Refusal = "refusal",
    /// A person said what they make of a run: an attack, harmless, or unsure (body: `verdict`, `note`, `by`).
    Review = "review",
    /// A secret was about to be used.
    SecretUse = "secret_use",
    /// A session ended.
    SessionEnd = "session_end",
    /// A session began.
    SessionStart = "session_start",
    /// A bearer token was issued or revoked, or somebody came in with one (body: `act` = `issue` | `revoke` | `use` | `refuse`).
    Token = "token",
    /// The changes of a box were carried over to the workspace, or held back.
    WriteBack = "write_back",
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Event {
    type Err = UnknownEvent;

    fn from_str(name: &str) -> Result<Self, UnknownEvent> {
        let found = Self::ALL.iter().find(|event| event.as_str() == name);
        found.copied().ok_or_else(|| UnknownEvent { name: name.to_owned() })
    }
}

/// There is no event of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no event `{name}`; events are {}", Event::ALL.iter().map(|event| event.as_str()).collect::<Vec<_>>().join(", "))]
pub struct UnknownEvent {
    name: String,
}

/// The bytes of a record, whole but for the two fields that only the writer knows: `prev` and `seq`. All the costly
/// work is thus done in the caller's thread.
#[derive(Debug)]
pub(crate) struct Prepared {
    before_prev: Vec<u8>,
    before_seq: Vec<u8>,
    rest: Vec<u8>,
    pub(crate) event: Event,
    pub(crate) session: Option<String>,
    pub(crate) time_ms: u64,
}

impl Prepared {
    pub(crate) fn new(entry: Entry, log_id: &str) -> Result<Self, LedgerError> {
        for (what, id) in [("session", &entry.session), ("call", &entry.call)] {
            if let Some(id) = id {
                check_id(id).map_err(|why| unrecordable(format!("the {what} id {why}")))?;
            }
        }
        let time_ms = clock::now_ms();
        let mut fields: Vec<(&str, Vec<u8>)> = vec![
            ("boot_id", canonical(&clock::boot_id().into())?),
            ("event", canonical(&entry.event.as_str().into())?),
            ("log_id", canonical(&log_id.into())?),
            ("mono_us", canonical(&clock::mono_us().into())?),
            ("pid", canonical(&std::process::id().into())?),
            ("prev", Vec::new()),
            ("seq", Vec::new()),
            ("time_ms", canonical(&time_ms.into())?),
            ("v", canonical(&VERSION.into())?),
        ];
        for (key, id) in [("session", &entry.session), ("call", &entry.call)] {
            if let Some(id) = id {
                fields.push((key, canonical(&id.as_str().into())?));
            }
        }
        for (key, value) in &entry.body {
            check_key(key)?;
            check_value(key, value, MAX_DEPTH)?;
            fields.push((key, canonical(value)?));
        }
        // Keys are ASCII, so the order of bytes is the order of UTF-16 units that RFC 8785 asks for.
        fields.sort_unstable_by_key(|(key, _)| *key);
        let [before_prev, before_seq, rest] = lay_out(&fields);
        let Entry { event, session, .. } = entry;
        let prepared = Self { before_prev, before_seq, rest, event, session, time_ms };
        if prepared.size() > MAX_RECORD_BYTES {
            let why =
                format!("it has {} bytes, and {MAX_RECORD_BYTES} is the most", prepared.size());
            return Err(unrecordable(format!("{why}; record a digest and a length instead")));
        }
        Ok(prepared)
    }

    /// The canonical bytes of the record at place `seq` after the record whose leaf is `prev`.
    pub(crate) fn place(&self, seq: u64, prev: &Digest) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.size());
        bytes.extend_from_slice(&self.before_prev);
        bytes.extend_from_slice(prev.to_string().as_bytes());
        bytes.extend_from_slice(&self.before_seq);
        bytes.extend_from_slice(seq.to_string().as_bytes());
        bytes.extend_from_slice(&self.rest);
        bytes
    }

    /// An upper bound of the record's length, in bytes.
    fn size(&self) -> usize {
        self.before_prev.len() + 64 + self.before_seq.len() + 20 + self.rest.len()
    }
}

/// Writes the object and cuts it where the values of `prev` and `seq` belong.
fn lay_out(fields: &[(&str, Vec<u8>)]) -> [Vec<u8>; 3] {
    let mut parts = [const { Vec::new() }; 3];
    let [first, second, third] = &mut parts;
    let mut out = first;
    let mut later = vec![third, second];
    let mut opening = b'{';
    for (key, value) in fields {
        out.push(opening);
        out.push(b'"');
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"\":");
        let quote: &[u8] = if *key == "prev" { b"\"" } else { b"" };
        out.extend_from_slice(quote);
        if matches!(*key, "prev" | "seq")
            && let Some(next) = later.pop()
        {
            out = next;
        }
        out.extend_from_slice(quote);
        out.extend_from_slice(value);
        opening = b',';
    }
    out.push(b'}');
    parts
}

/// RFC 8785 bytes of a value.
pub(crate) fn canonical(value: &Value) -> Result<Vec<u8>, LedgerError> {
    serde_json_canonicalizer::to_vec(value)
        .map_err(|error| unrecordable(format!("it has no canonical form: {error}")))
}

/// Whether `id` can name a session, a call or an approver; the error completes "the id …".
pub(crate) fn check_id(id: &str) -> Result<(), &'static str> {
    match id {
        "" => Err("is empty"),
        _ if id.len() > MAX_ID_BYTES => Err("is longer than 128 bytes"),
        _ if id.chars().any(char::is_control) => Err("holds a control character"),
        _ => Ok(()),
    }
}

fn check_key(key: &str) -> Result<(), LedgerError> {
    if ENVELOPE.contains(&key) {
        return Err(unrecordable(format!("body field `{key}` is one of the record's own")));
    }
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !key.starts_with(|c: char| c.is_ascii_lowercase())
        || !key.chars().all(plain)
        || key.len() > 64
    {
        let shown: String = key.chars().take(64).collect();
        return Err(unrecordable(format!(
            "body field `{}` is not snake_case",
            shown.escape_debug()
        )));
    }
    Ok(())
}

/// Whether every reader sees the same value, and can read it at all.
pub(crate) fn check_value(key: &str, value: &Value, depth: usize) -> Result<(), LedgerError> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(unrecordable(format!("body field `{key}` is nested deeper than {MAX_DEPTH}")));
    };
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
        Value::Number(number) if is_safe(number) => Ok(()),
        Value::Number(_) => Err(unrecordable(format!(
            "body field `{key}` holds a number that is no integer below 2^53; write it as a string"
        ))),
        Value::Array(items) => items.iter().try_for_each(|item| check_value(key, item, depth)),
        Value::Object(map) => map.values().try_for_each(|item| check_value(key, item, depth)),
    }
}

fn is_safe(number: &serde_json::Number) -> bool {
    number.as_i64().is_some_and(|value| value.unsigned_abs() < 1 << 53)
}

fn unrecordable(why: String) -> LedgerError {
    LedgerError::Unrecordable { why }
}

/// The version of the record's form, in its field `v`.
pub(crate) const VERSION: u64 = 1;
/// The most bytes a record may have.
pub const MAX_RECORD_BYTES: usize = 256 * 1024;
/// The most bytes a session's, call's or approver's name may have.
const MAX_ID_BYTES: usize = 128;
/// Far below the 128 at which `serde_json` stops reading, so that whatever was written can be verified.
pub(crate) const MAX_DEPTH: usize = 48;
/// The record's own fields; `leaf` and `sig` are kept free for the formats that carry a record.
const ENVELOPE: [&str; 13] = [
    "boot_id", "call", "event", "leaf", "log_id", "mono_us", "pid", "prev", "seq", "session",
    "sig", "time_ms", "v",
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn refused(entry: Entry) -> String {
        match Prepared::new(entry, "log") {
            Err(LedgerError::Unrecordable { why }) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_body_field_that_shadows_the_record_is_refused() {
        for key in ENVELOPE {
            assert!(refused(Entry::new(Event::Call).with(key, 1)).contains("own"), "{key}");
        }
    }

    #[test]
    fn numbers_that_readers_disagree_about_are_refused() {
        for value in
            [json!(0.5), json!(1e300), json!(1_u64 << 53), json!(-(1_i64 << 53)), json!(u64::MAX)]
        {
            let why = refused(Entry::new(Event::Call).with("args", json!([{ "a": value }])));
            assert!(why.contains("2^53"), "{why}");
        }
        let fine = json!([(1_i64 << 53) - 1, -(1_i64 << 53) + 1]);
        assert!(Prepared::new(Entry::new(Event::Call).with("args", fine), "log").is_ok());
    }

    #[test]
    fn strange_keys_and_ids_and_endless_bodies_are_refused() {
        for key in ["", "A", "a-b", "a b", "_a", "\u{202e}", "a\"b", &"a".repeat(65)] {
            refused(Entry::new(Event::Call).with(key, 1));
        }
        for id in ["", "a\nb", "\0", &"x".repeat(129)] {
            refused(Entry::new(Event::Call).session(id));
            refused(Entry::new(Event::Call).call(id));
        }
        let mut deep = json!(1);
        for _ in 0..MAX_DEPTH {
            deep = json!([deep]);
        }
        assert!(refused(Entry::new(Event::Call).with("a", deep)).contains("deeper"));
        let long = "x".repeat(MAX_RECORD_BYTES);
        assert!(refused(Entry::new(Event::Call).with("a", long)).contains("digest"));
    }

    #[test]
    fn events_read_back_what_they_write() {
        for event in Event::ALL {
            assert_eq!(event.as_str().parse(), Ok(*event));
            assert_eq!(serde_json::to_value(event).unwrap(), event.as_str());
        }
        assert!("Call".parse::<Event>().is_err());
    }

    fn body() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-(1_i64 << 53) + 1..1 << 53).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::hash_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| Value::from(map.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_bytes_put_together_are_the_canonical_form_of_the_whole(
            fields in proptest::collection::hash_map("[a-z][a-z0-9_]{0,12}x", body(), 0..8),
            seq in 0_u64..1 << 53,
            session in proptest::option::of("[a-zA-Z0-9 \u{e9}\u{1f600}\"\\\\]{1,20}"),
        ) {
            let mut entry = Entry::new(Event::Outcome).call("c\u{1f600}");
            entry.session = session;
            entry.body = fields.into_iter().collect();
            let prev = Digest::of(&seq.to_be_bytes());
            let bytes = Prepared::new(entry, "l").unwrap().place(seq, &prev);
            let read: Value = serde_json::from_slice(&bytes).unwrap();
            prop_assert_eq!(&read["seq"], &json!(seq));
            prop_assert_eq!(&read["prev"], &json!(prev));
            prop_assert_eq!(serde_json_canonicalizer::to_vec(&read).unwrap(), bytes);
        }
    }
}
