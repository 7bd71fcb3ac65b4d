//! What does this message say, if it has one reading? JSON-RPC frames of MCP: bounded, one reading only, and kept as
//! they came.

mod beside;
mod build;
mod envelope;

use bartizan_scan::json::{Bounds, Edits, Flaw, Node, View, quoted};
use std::sync::Arc;
use thiserror::Error;

/// How large one message may be.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "a limit that is left out is none")]
pub struct Limits {
    /// Bytes.
    pub bytes: usize,
    /// Levels of nesting.
    pub depth: usize,
    /// Values in all.
    pub values: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 16 * 1024 * 1024, depth: 64, values: 250_000 }
    }
}

/// The id of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "JSON-RPC knows no third kind that MCP allows")]
pub enum Id {
    /// A whole number.
    Number(i64),
    /// Text.
    Text(String),
}

impl Id {
    /// It as JSON.
    pub fn to_json(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => quoted(text),
        }
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// What kind of message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a fourth kind must break whoever does not know it")]
pub enum Kind<'a> {
    /// A question.
    Request {
        /// The id that its answer carries.
        id: &'a Id,
        /// What is asked.
        method: &'a str,
    },
    /// Something that is told.
    Notification {
        /// What is told.
        method: &'a str,
    },
    /// An answer: a result or an error.
    Response {
        /// The question's id; `None` only in an error about a question that could not be read.
        id: Option<&'a Id>,
    },
}

/// One message. Cheap to clone; its bytes are those that came.
#[derive(Debug, Clone)]
pub struct Message(Arc<Inner>, Option<Beside>);

/// Headers that came with a message, by their names in lower case.
pub type Beside = Arc<[(String, String)]>;

#[derive(Debug)]
struct Inner {
    text: String,
    root: Node,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Request { id: Id, method: String },
    Notification { method: String },
    Response { id: Option<Id> },
}

/// Why bytes are no message; an answer to it can be built by [`Message::refusing`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what}")]
pub struct WireError {
    code: i64,
    id: Option<Id>,
    what: String,
}

impl WireError {
    pub(crate) fn parse(what: impl Into<String>) -> Self {
        Self { code: PARSE_ERROR, id: None, what: what.into() }
    }

    pub(crate) fn invalid(id: Option<Id>, what: impl Into<String>) -> Self {
        Self { code: INVALID_REQUEST, id, what: what.into() }
    }

    /// The JSON-RPC code to answer with.
    pub fn code(&self) -> i64 {
        self.code
    }

    /// The request's id, when that much could be read.
    pub fn id(&self) -> Option<&Id> {
        self.id.as_ref()
    }
}

impl Message {
    /// Reads one message.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, WireError> {
        if bytes.len() > limits.bytes {
            return Err(WireError::parse(format!("a message may have {} bytes", limits.bytes)));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| WireError::parse("it is not UTF-8"))?;
        Self::read(text.to_owned(), Bounds { depth: limits.depth, parts: limits.values })
    }

    fn read(text: String, bounds: Bounds) -> Result<Self, WireError> {
        let root = Node::read(&text, bounds).map_err(|flaw| match flaw {
            Flaw::Duplicate => WireError::invalid(None, flaw.to_string()),
            flaw => WireError::parse(flaw.to_string()),
        })?;
        let form = envelope::read(root.within(&text))?;
        Ok(Self(Arc::new(Inner { text, root, form }), None))
    }

    /// What kind of message it is.
    pub fn kind(&self) -> Kind<'_> {
        match &self.0.form {
            Form::Request { id, method } => Kind::Request { id, method },
            Form::Notification { method } => Kind::Notification { method },
            Form::Response { id } => Kind::Response { id: id.as_ref() },
        }
    }

    /// The id of a request or a response.
    pub fn id(&self) -> Option<&Id> {
        match &self.0.form {
            Form::Request { id, .. } => Some(id),
            Form::Response { id } => id.as_ref(),
            Form::Notification { .. } => None,
        }
    }

    /// The method of a request or a notification.
    pub fn method(&self) -> Option<&str> {
        match &self.0.form {
            Form::Request { method, .. } | Form::Notification { method } => Some(method),
            Form::Response { .. } => None,
        }
    }

    /// The whole message.
    pub fn root(&self) -> View<'_> {
        self.0.root.within(&self.0.text)
    }

    /// The parameters, an object, of a request or a notification.
    pub fn params(&self) -> Option<View<'_>> {
        self.root().get("params")
    }

    /// The `_meta` of the parameters.
    pub fn meta(&self) -> Option<View<'_>> {
        self.params()?.get("_meta")
    }

    /// The result of a response that succeeded.
    pub fn result(&self) -> Option<View<'_>> {
        self.root().get("result")
    }

    /// The error of a response that failed.
    pub fn error(&self) -> Option<View<'_>> {
        self.root().get("error")
    }

    /// The text as it came.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// The bytes as they came. They may hold line breaks between values; [`Message::to_line`] has none.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.text.as_bytes().to_vec()
    }

    /// How many bytes it has.
    pub fn size(&self) -> usize {
        self.0.text.len()
    }

    /// One line and its end, as stdio wants it. White space that breaks lines can only stand between values.
    pub fn to_line(&self) -> Vec<u8> {
        let text = &self.0.text;
        let mut line = if text.contains(['\n', '\r']) {
            text.replace(['\n', '\r'], " ").into_bytes()
        } else {
            text.as_bytes().to_vec()
        };
        line.push(b'\n');
        line
    }

    /// The same message with changes to the places of some values. `None` if that is no message any more.
    pub fn edited(&self, edits: Edits) -> Option<Self> {
        if edits.is_empty() {
            return Some(self.clone());
        }
        let bytes = edits.apply(self.0.text.as_bytes());
        let edited = Self::read(String::from_utf8(bytes).ok()?, Bounds::default()).ok()?;
        Some(Self(edited.0, self.1.clone()))
    }

    /// The same without these keys of its `_meta`. `None` if that is no message any more.
    pub(crate) fn without_meta(&self, keys: &[&str]) -> Option<Self> {
        let has_any = |meta: &View<'_>| keys.iter().any(|key| meta.get(key).is_some());
        let Some(meta) = self.meta().filter(has_any) else { return Some(self.clone()) };
        let kept = meta.members().filter(|(key, _)| !keys.contains(key));
        let kept: Vec<String> =
            kept.map(|(key, value)| format!("{}:{}", quoted(key), value.raw())).collect();
        let mut edits = Edits::default();
        edits.replace(meta.node(), format!("{{{}}}", kept.join(",")));
        self.edited(edits)
    }

    /// The same request or response under another id.
    pub fn with_id(&self, id: &Id) -> Option<Self> {
        let mut edits = Edits::default();
        edits.replace(self.root().get("id")?.node(), id.to_json());
        self.edited(edits)
    }
}

/// Bytes that are no JSON.
pub const PARSE_ERROR: i64 = -32700;
/// JSON that is no message.
pub const INVALID_REQUEST: i64 = -32600;
/// A method that is not known, or not allowed here.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// Parameters that do not fit.
pub const INVALID_PARAMS: i64 = -32602;
/// A failure that is ours or the upstream's.
pub const INTERNAL_ERROR: i64 = -32603;
