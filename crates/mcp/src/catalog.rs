//! Is this the server that a person looked at? Everything that a server says of itself is hashed as it
//! is; what is new, changed, or could pass for something else waits for a person.

mod findings;

pub use findings::Reason;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// SHA-256 of an item's RFC 8785 bytes. The store keeps the same bytes as a digest of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// What was kept of one.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes, to be kept.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a server said of itself, item by item: each tool by its name, and what is no tool by a name
/// that no tool can have (`(instructions)`, `(prompts)`, `(resources)`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sight(BTreeMap<String, Value>);

/// What a person accepted of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the store's row, nothing else")]
pub struct Accepted {
    /// SHA-256 of its RFC 8785 bytes.
    pub digest: Fingerprint,
    /// The item itself, so that a change can be shown.
    pub content: Value,
}

/// Where an item stands.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a new standing must break whoever lists tools")]
pub enum Standing {
    /// A person accepted it as it is.
    Accepted,
    /// It was accepted, and is not what it was.
    Changed(Vec<Change>),
    /// Nobody has accepted anything of this name.
    New,
}

/// One item and all that is known of it.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "made here, read everywhere")]
pub struct Judged {
    /// Its name.
    pub name: String,
    /// SHA-256 of it as it is now.
    pub digest: Fingerprint,
    /// Where it stands.
    pub standing: Standing,
    /// What a person should know before accepting it.
    pub reasons: Vec<Reason>,
}

/// One place where an item is not what was accepted.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "made here, read everywhere")]
pub struct Change {
    /// A JSON pointer into the item.
    pub pointer: String,
    /// What stood there; `None` when nothing did.
    pub before: Option<Value>,
    /// What stands there now.
    pub after: Option<Value>,
}

/// Why a server's list cannot be taken at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SightError {
    /// It is too much.
    #[error("the server lists more than {ITEMS_MAX} tools, or one of more than {ITEM_BYTES} bytes")]
    TooLarge,
    /// A tool without a name, or one whose numbers have no exact form.
    #[error("a tool of the list cannot be read")]
    Unreadable,
    /// The same name twice: which of the two would be called?
    #[error("the server lists a tool twice")]
    Twice,
}

impl Sight {
    /// Takes a server's whole list of tools, and whatever else it said of itself.
    pub fn of(tools: &[Value], others: &[(&str, Value)]) -> Result<Self, SightError> {
        let mut items = BTreeMap::new();
        if tools.len() > ITEMS_MAX {
            return Err(SightError::TooLarge);
        }
        for tool in tools {
            let name = tool.get("name").and_then(Value::as_str).ok_or(SightError::Unreadable)?;
            if items.insert(name.to_owned(), tool.clone()).is_some() {
                return Err(SightError::Twice);
            }
        }
        let said = others.iter().filter(|(_, value)| !value.is_null());
        items.extend(said.map(|(name, value)| (format!("({name})"), value.clone())));
        for item in items.values() {
            let bytes = canonical(item).ok_or(SightError::Unreadable)?;
            if bytes.len() > ITEM_BYTES {
                return Err(SightError::TooLarge);
            }
        }
        Ok(Self(items))
    }

    /// Items that were taken down before.
    pub fn of_items(items: BTreeMap<String, Value>) -> Self {
        Self(items)
    }

    /// Every item by its name, with its digest.
    pub fn items(&self) -> impl Iterator<Item = (&str, &Value, Fingerprint)> {
        let digest = |item: &Value| Fingerprint::of(&canonical(item).unwrap_or_default());
        self.0.iter().map(move |(name, item)| (name.as_str(), item, digest(item)))
    }

    /// Compares what is seen with what was accepted. `elsewhere` are the tools of the other servers.
    pub fn judge(
        &self,
        accepted: &BTreeMap<String, Accepted>,
        elsewhere: &BTreeSet<String>,
    ) -> Vec<Judged> {
        let items = self.items().map(|(name, item, digest)| {
            let standing = match accepted.get(name) {
                Some(known) if known.digest == digest => Standing::Accepted,
                Some(known) => Standing::Changed(changes(&known.content, item)),
                None => Standing::New,
            };
            let mut reasons = findings::of(item);
            reasons.extend(self.mistakable(name, elsewhere));
            if !name.is_ascii() {
                reasons.push(Reason::Foreign);
            }
            if standing == Standing::New {
                reasons.extend(self.renamed(item, accepted));
            }
            Judged { name: name.to_owned(), digest, standing, reasons }
        });
        items.collect()
    }

    /// What was accepted and is not there any more.
    pub fn gone<'a>(
        &'a self,
        accepted: &'a BTreeMap<String, Accepted>,
    ) -> impl Iterator<Item = &'a str> {
        accepted.keys().map(String::as_str).filter(|name| !self.0.contains_key(*name))
    }

    fn mistakable(&self, name: &str, elsewhere: &BTreeSet<String>) -> Vec<Reason> {
        let look = findings::look(name);
        let own = self.0.keys().filter(|other| *other != name);
        let alike = own.chain(elsewhere).filter(|other| findings::look(other) == look);
        alike.map(|other| Reason::LooksLike { other: other.clone() }).collect()
    }

    /// The same tool under another name: what was said of the old name would not hold for the new one.
    fn renamed(&self, item: &Value, accepted: &BTreeMap<String, Accepted>) -> Option<Reason> {
        let nameless = without_name(item)?;
        let mut gone = accepted.iter().filter(|(name, _)| !self.0.contains_key(*name));
        let (old, _) =
            gone.find(|(_, known)| without_name(&known.content).as_ref() == Some(&nameless))?;
        Some(Reason::Renamed { from: old.clone() })
    }
}

impl Judged {
    /// Whether agents may see and call it. At the first sight of a server that is trusted on first
    /// use, what is new and gives no reason for a second look counts as accepted.
    pub fn is_open(&self, first_use: bool) -> bool {
        match self.standing {
            Standing::Accepted => true,
            Standing::New => first_use && self.reasons.is_empty(),
            Standing::Changed(_) => false,
        }
    }
}

fn without_name(item: &Value) -> Option<Map<String, Value>> {
    let mut fields = item.as_object()?.clone();
    fields.remove("name")?;
    Some(fields)
}

fn canonical(item: &Value) -> Option<Vec<u8>> {
    serde_json_canonicalizer::to_vec(item).ok()
}

/// Every place where two items differ, the deepest ones.
fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    compare(String::new(), Some(before), Some(after), &mut found);
    found
}

fn compare(at: String, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Change>) {
    if before == after || found.len() >= CHANGES_MAX {
        return;
    }
    if let (Some(Value::Object(before)), Some(Value::Object(after))) = (before, after) {
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names {
            let escaped = name.replace('~', "~0").replace('/', "~1");
            compare(format!("{at}/{escaped}"), before.get(name), after.get(name), found);
        }
        return;
    }
    found.push(Change { pointer: at, before: before.cloned(), after: after.cloned() });
}

/// Most items of one server.
const ITEMS_MAX: usize = 2000;
/// Most bytes of one item.
const ITEM_BYTES: usize = 256 << 10;
/// Most differences that are told of one item; it is held back in any case.
const CHANGES_MAX: usize = 200;
