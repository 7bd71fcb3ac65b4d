//! Is this the server that a person looked at? Everything that a server says of itself is hashed as it
//! is; what is new, changed, or could pass for something else waits for a person.

mod cover;
mod findings;
mod kind;

pub use cover::{Reading, covers};
pub use findings::{Memory, Reason};
pub use kind::Kind;

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
/// that no tool can have (`prompt:NAME`, `resource:URI`, `template:URI`, `(instructions)`).
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
    #[error("the server lists more than {ITEMS_MAX} items, or one of more than {ITEM_BYTES} bytes")]
    TooLarge,
    /// An item without a name, or one whose numbers have no exact form.
    #[error("an item of the list cannot be read")]
    Unreadable,
    /// The same name twice: which of the two would be called?
    #[error("the server lists an item twice")]
    Twice,
}

impl Sight {
    /// Takes a server's whole list of what it has of one kind.
    pub fn of(kind: Kind, entries: &[Value]) -> Result<Self, SightError> {
        let mut items = BTreeMap::new();
        if entries.len() > ITEMS_MAX {
            return Err(SightError::TooLarge);
        }
        for entry in entries {
            let own = entry.get(kind.key()).and_then(Value::as_str);
            let item = kind.item(own.ok_or(SightError::Unreadable)?);
            if items.insert(item, measured(kind.accepted_part(entry))?).is_some() {
                return Err(SightError::Twice);
            }
        }
        Ok(Self(items))
    }

    /// It with whatever else the server said of itself.
    pub fn and_said(mut self, others: &[(&str, Value)]) -> Result<Self, SightError> {
        for (name, value) in others.iter().filter(|(_, value)| !value.is_null()) {
            self.0.insert(format!("({name})"), measured(value.clone())?);
        }
        Ok(self)
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

    /// Compares what is seen with what was accepted. `elsewhere` are the items of the other servers, and `memory` spares
    /// looking twice at what was looked at before.
    pub fn judge(
        &self,
        accepted: &BTreeMap<String, Accepted>,
        elsewhere: &BTreeSet<String>,
        memory: &Memory,
    ) -> Vec<Judged> {
        let looks = self.looks(elsewhere);
        let items = self.items().map(|(name, item, digest)| {
            let standing = match accepted.get(name) {
                Some(known) if known.digest == digest => Standing::Accepted,
                Some(known) => Standing::Changed(changes(&known.content, item)),
                None => Standing::New,
            };
            let mut reasons = memory.of(digest, item);
            let alike = looks.get(&look(name)).into_iter().flatten();
            // Another of this very name is another server's.
            let alike = alike.filter(|(whose, other)| *whose == Whose::Another || *other != name);
            reasons
                .extend(alike.map(|(_, other)| Reason::LooksLike { other: (*other).to_owned() }));
            if !name.is_ascii() {
                reasons.push(Reason::Foreign);
            }
            if standing == Standing::New {
                reasons.extend(self.renamed(name, item, accepted));
            }
            Judged { name: name.to_owned(), digest, standing, reasons }
        });
        items.collect()
    }

    /// All names that could be mistaken for one another, by what they look like.
    fn looks<'a>(&'a self, elsewhere: &'a BTreeSet<String>) -> Looks<'a> {
        let mut looks = Looks::new();
        let own = self.0.keys().map(|name| (Whose::Own, name.as_str()));
        // An address says whose it is: another server's is no other thing of the same name.
        let named = |name: &&String| matches!(Kind::of(name).0, Kind::Tool | Kind::Prompt);
        let others = elsewhere.iter().filter(named).map(|name| (Whose::Another, name.as_str()));
        for (whose, name) in own.chain(others) {
            looks.entry(look(name)).or_default().push((whose, name));
        }
        looks
    }

    /// The same tool under another name: what was said of the old name would not hold for the new one.
    fn renamed(
        &self,
        name: &str,
        item: &Value,
        accepted: &BTreeMap<String, Accepted>,
    ) -> Option<Reason> {
        let (kind, nameless) = (Kind::of(name).0, without_name(item)?);
        let same = |name: &str| Kind::of(name).0 == kind && !self.0.contains_key(name);
        let mut gone = accepted.iter().filter(|(name, _)| same(name));
        let (old, _) =
            gone.find(|(_, known)| without_name(&known.content).as_ref() == Some(&nameless))?;
        Some(Reason::Renamed { from: old.clone() })
    }
}

/// Names, and whether each is the server's own, by what they look like.
type Looks<'a> = BTreeMap<(Kind, String), Vec<(Whose, &'a str)>>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Own,
    Another,
}

/// What is mistaken for one another is of one kind.
fn look(name: &str) -> (Kind, String) {
    let (kind, own) = Kind::of(name);
    let look = match kind {
        Kind::Tool | Kind::Prompt => findings::look(own),
        // Where a segment ends is part of an address.
        Kind::Resource | Kind::Template => {
            own.split('/').map(findings::look).collect::<Vec<_>>().join("/")
        }
    };
    (kind, look)
}

/// An item that is not too large to be kept.
fn measured(item: Value) -> Result<Value, SightError> {
    let bytes = canonical(&item).ok_or(SightError::Unreadable)?;
    if bytes.len() > ITEM_BYTES { Err(SightError::TooLarge) } else { Ok(item) }
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
    if let (Some(Value::Array(before)), Some(Value::Array(after))) = (before, after)
        && before.len() == after.len()
    {
        for (index, (before, after)) in before.iter().zip(after).enumerate() {
            compare(format!("{at}/{index}"), Some(before), Some(after), found);
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
