//! How do the headers of a message get to a process that has it from another, over a stream without headers? In its `_meta`,
//! under a key of our own, which goes no further.

use super::{Message, View};
use bartizan_scan::json::{Edits, quoted};

impl Message {
    /// The message with the headers that came with it and mirror some of its arguments. They stay with it however it is edited.
    #[must_use]
    pub fn with_beside(self, headers: Vec<(String, String)>) -> Self {
        Self(self.0, Some(headers.into()))
    }

    /// The headers that came with it and mirror some of its arguments; `None` when no transport was asked for them.
    pub fn beside(&self) -> Option<&[(String, String)]> {
        self.1.as_deref()
    }

    /// The same with its headers in `_meta`, to be written to a process of ours. `None` when it cannot be written so.
    pub fn packed(&self) -> Option<Self> {
        let Some(headers) = self.beside() else { return Some(self.clone()) };
        let pairs =
            headers.iter().map(|(name, value)| format!("[{},{}]", quoted(name), quoted(value)));
        let pairs = pairs.collect::<Vec<_>>().join(",");
        // What a client says under that key is not ours.
        let bare = self.without_meta(&[KEY])?;
        let meta = bare.meta()?;
        let comma = if meta.members().next().is_some() { "," } else { "" };
        let mut edits = Edits::default();
        edits.append(meta.node(), format!("{comma}\"{KEY}\":[{pairs}]"));
        bare.edited(edits)
    }

    /// The same with the headers that [`Message::packed`] put into it beside it, and not in it.
    #[must_use]
    pub fn unpacked(self) -> Self {
        let Some(packed) = self.meta().and_then(|meta| meta.get(KEY)) else { return self };
        let text = |pair: View<'_>, at: usize| {
            pair.items().and_then(|mut items| items.nth(at)).and_then(View::text).map(String::from)
        };
        let pairs = packed.items().into_iter().flatten();
        let headers =
            pairs.map(|pair| Some((text(pair, 0)?, text(pair, 1)?))).collect::<Option<_>>();
        // Anything else under that key is not from us, and says nothing.
        let bare = self.without_meta(&[KEY]).unwrap_or_else(|| self.clone());
        match headers {
            Some(headers) => bare.with_beside(headers),
            None => bare,
        }
    }
}

const KEY: &str = "bartizan/headers";

#[cfg(test)]
mod tests {
    use crate::wire::{Limits, Message};

    fn message(meta: &str) -> Message {
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","_meta":{{{meta}}}}}}}"#
        );
        Message::parse(text.as_bytes(), &Limits::default()).unwrap()
    }

    #[test]
    fn headers_cross_to_another_process_and_no_further() {
        let headers = vec![("mcp-param-a".to_owned(), "\"x\"\n".to_owned()); 2];
        for (meta, headers) in [("\"k\":1.50", headers), ("", Vec::new())] {
            let packed = message(meta).with_beside(headers.clone()).packed().unwrap();
            assert!(packed.as_str().contains("bartizan/headers"));
            let read = Message::parse(packed.as_str().as_bytes(), &Limits::default()).unwrap();
            let read = read.unpacked();
            assert_eq!(read.beside(), Some(headers.as_slice()));
            assert_eq!(read.as_str(), message(meta).as_str());
        }
        let plain = message("");
        assert!(plain.packed().unwrap().unpacked().beside().is_none());
    }

    #[test]
    fn what_a_client_says_under_our_key_is_not_ours() {
        let forged = r#""bartizan/headers":[["mcp-param-a","forged"]],"k":1"#;
        let packed = message(forged).with_beside(Vec::new()).packed().unwrap();
        assert!(!packed.as_str().contains("forged"), "{}", packed.as_str());
        assert_eq!(packed.unpacked().beside(), Some(&[][..]));
        for odd in ["1", "[1]", "[[\"a\"]]", "[[1,2]]", "{}"] {
            let read = message(&format!("\"bartizan/headers\":{odd}")).unpacked();
            assert_eq!(read.as_str(), message("").as_str(), "{odd}");
        }
    }
}
