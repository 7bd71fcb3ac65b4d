//! How does what a server says reach the model? Every text scrubbed and made visible, what a tool returned between
//! markers, and all else as it came.

use crate::wire::Message;
use bartizan_scan::json::{Edits, View, quoted};
use bartizan_scan::{Class, Frame, Sanitiser, Trust};
use std::collections::BTreeMap;

/// The markers of one answer.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "a frame needs a source")]
pub struct Framing {
    /// The markers.
    pub frame: Frame,
    /// What stands in them as the source.
    pub source: String,
}

/// Why a message does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Withheld {
    /// A key, not a value, holds what must not be seen.
    #[error("the answer was withheld: the name of one of its fields holds what must not be shown")]
    Key,
    /// What came of it is no message.
    #[error("the answer was withheld: it cannot be shown safely")]
    Broken,
}

/// What hid in a message, or deceives: how often each class was found.
pub type Hiding = BTreeMap<Class, usize>;

/// Scrubs every text of a message but its ids, and does with what hides in it what `sanitiser` says. With `framing`, what a tool, a resource or a prompt returned is put
/// between markers; structured content stays unframed, for programs that read it.
pub fn release(
    message: &Message,
    framing: Option<&Framing>,
    scrub: &dyn Fn(&str) -> String,
    sanitiser: Sanitiser,
) -> Result<(Message, Hiding), Withheld> {
    let mut hiding = Hiding::new();
    let mut clean = |text: &str| sanitiser.wash(text, &mut |text| scrub(text), &mut hiding);
    let mut edits = Edits::default();
    for part in ["params", "result", "error"] {
        if let Some(value) = message.root().get(part) {
            texts(value, &mut clean, &mut edits)?;
        }
    }
    let Some(cleaned) = message.edited(edits) else { return Err(Withheld::Broken) };
    match framing {
        Some(framing) => between(&cleaned, framing).map(|message| (message, hiding)),
        None => Ok((cleaned, hiding)),
    }
}

/// Puts what a tool, a resource or a prompt returned between markers, and does nothing else.
pub fn between(message: &Message, framing: &Framing) -> Result<Message, Withheld> {
    let mut edits = Edits::default();
    for text in message.result().into_iter().flat_map(framed) {
        if let Some(said) = text.text() {
            let wrapped = framing.frame.wrap(&framing.source, Trust::Untrusted, &said);
            edits.replace(text.node(), quoted(&wrapped));
        }
    }
    message.edited(edits).ok_or(Withheld::Broken)
}

fn texts(
    value: View<'_>,
    clean: &mut dyn FnMut(&str) -> String,
    edits: &mut Edits,
) -> Result<(), Withheld> {
    if let Some(text) = value.text() {
        let cleaned = clean(&text);
        if cleaned != text {
            edits.replace(value.node(), quoted(&cleaned));
        }
    }
    for (key, value) in value.members() {
        if clean(key) != key {
            return Err(Withheld::Key);
        }
        texts(value, clean, edits)?;
    }
    for item in value.items().into_iter().flatten() {
        texts(item, clean, edits)?;
    }
    Ok(())
}

/// What an answer says to a model, each text by itself, and structured content as it is written.
pub fn spoken(answer: &Message) -> Vec<String> {
    let Some(result) = answer.result() else { return Vec::new() };
    let texts = framed(result).into_iter().filter_map(View::text);
    let structured = result.get("structuredContent").map(|content| content.raw().to_owned());
    texts.map(std::borrow::Cow::into_owned).chain(structured).collect()
}

/// The texts of a result that a model reads: of a tool, a prompt, a resource, and a server's own instructions.
fn framed(result: View<'_>) -> Vec<View<'_>> {
    let mut found: Vec<View<'_>> = Vec::new();
    found.extend(result.get("instructions"));
    for block in result.get("content").and_then(View::items).into_iter().flatten() {
        found.extend(block.get("text"));
        found.extend(block.get("resource").and_then(|resource| resource.get("text")));
    }
    for resource in result.get("contents").and_then(View::items).into_iter().flatten() {
        found.extend(resource.get("text"));
    }
    for message in result.get("messages").and_then(View::items).into_iter().flatten() {
        if let Some(content) = message.get("content") {
            found.extend(content.get("text"));
            found.extend(content.get("resource").and_then(|resource| resource.get("text")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Limits;
    use bartizan_scan::{Form, Frames, ScanKey, Treatment};

    fn message(text: &str) -> Message {
        Message::parse(text.as_bytes(), &Limits::default()).unwrap()
    }

    fn hide(text: &str) -> String {
        text.replace("hunter2", "[REDACTED]")
    }

    #[test]
    fn every_text_is_scrubbed_and_every_other_byte_stays() {
        let came = message(
            "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"z\":1.500,\"content\":[{\"type\":\"text\",\"text\":\"pw hunter2 \\u001b[2J\"}],\"structuredContent\":{\"pw\":[\"hunter2\"],\"n\":12345678901234567890}}}",
        );
        let out = release(&came, None, &hide, Sanitiser::default()).unwrap().0;
        let text = out.as_str();
        assert!(!text.contains("hunter2") && !text.contains("\\u001b"), "{text}");
        assert!(text.contains("\"z\":1.500") && text.contains("12345678901234567890"), "{text}");
    }

    #[test]
    fn what_a_tool_returned_is_framed_and_structured_content_is_not() {
        let came = message(
            r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"hi </bartizan:content>"}],"structuredContent":{"a":"hi"}}}"#,
        );
        let frame = Frames::new(ScanKey::new([7; 32]), Form::Plain).of("c");
        let framing = Framing { frame: frame.clone(), source: "mcp s t".to_owned() };
        let out = release(&came, Some(&framing), &hide, Sanitiser::default()).unwrap().0;
        let result = out.result().unwrap();
        let text = result.get("content").unwrap().items().unwrap().next().unwrap();
        let text = text.text_of("text").unwrap();
        assert_eq!(frame.open(&text).as_deref(), Some("hi </bartizan:content>"));
        assert_eq!(result.get("structuredContent").unwrap().raw(), r#"{"a":"hi"}"#);
    }

    #[test]
    fn what_hides_is_treated_and_told_of_and_no_secret_comes_together() {
        let came = message(
            r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"hun\u200bter2 <!-- x -->"}]}}"#,
        );
        let cut = Sanitiser::default().with(Class::ZeroWidth, Treatment::Remove).unwrap();
        let (out, hiding) = release(&came, None, &hide, cut).unwrap();
        assert!(out.as_str().contains("[REDACTED] <!-- x -->"), "{}", out.as_str());
        assert_eq!(hiding, Hiding::from([(Class::HtmlComment, 1), (Class::ZeroWidth, 1)]));
    }

    #[test]
    fn a_secret_in_a_key_withholds_the_answer() {
        let came = message(r#"{"jsonrpc":"2.0","id":7,"result":{"a":{"hunter2":1}}}"#);
        let withheld = release(&came, None, &hide, Sanitiser::default()).unwrap_err();
        assert_eq!(withheld, Withheld::Key);
    }
}
