//! How is a message of our own made? From parts that are JSON already.

use super::{Form, Id, Inner, Message, WireError};
use bartizan_scan::json::{Bounds, Node, quoted};
use std::sync::Arc;

impl Message {
    /// A request; `params` is a JSON object. `None` if that is not so.
    pub fn request(id: &Id, method: &str, params: Option<&str>) -> Option<Self> {
        Self::made(&format!(
            r#"{{"jsonrpc":"2.0","id":{},"method":{}{}}}"#,
            id.to_json(),
            quoted(method),
            member("params", params)
        ))
    }

    /// A notification; `params` is a JSON object.
    pub fn notification(method: &str, params: Option<&str>) -> Option<Self> {
        Self::made(&format!(
            r#"{{"jsonrpc":"2.0","method":{}{}}}"#,
            quoted(method),
            member("params", params)
        ))
    }

    /// An answer that succeeded; `result` is a JSON object.
    pub fn success(id: &Id, result: &str) -> Option<Self> {
        Self::made(&format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, id.to_json()))
    }

    /// An answer that failed. Without an id it is about a question that could not be read.
    pub fn failure(id: Option<&Id>, code: i64, message: &str) -> Self {
        let json = id.map_or_else(|| "null".to_owned(), Id::to_json);
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":{json},"error":{{"code":{code},"message":{}}}}}"#,
            quoted(message)
        );
        // What is put together here is JSON; were it not, it would still be an error about nothing.
        let root = Node::read(&text, Bounds::default()).unwrap_or_default();
        Self(Arc::new(Inner { text, root, form: Form::Response { id: id.cloned() } }), None)
    }

    /// The answer to bytes that are no message.
    pub fn refusing(error: &WireError) -> Self {
        Self::failure(error.id(), error.code(), &error.to_string())
    }

    fn made(text: &str) -> Option<Self> {
        Self::read(text.to_owned(), Bounds::default()).ok()
    }
}

fn member(key: &str, value: Option<&str>) -> String {
    value.map(|value| format!(",\"{key}\":{value}")).unwrap_or_default()
}
