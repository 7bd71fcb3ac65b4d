//! What becomes of an answer that is too large to pass at once? Its first page passes, and the rest is kept for as long as
//! the conversation lasts, to be read as a resource, a page at a time.
//!
//! What is kept has gone the way out as a whole, so that no page ends in the middle of a secret.

use crate::config::AT_ONCE_MAX;
use crate::machine;
use bartizan_mcp::wire::{Id, Message};
use bartizan_scan::json::{Edits, View, quoted};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// What is kept of one conversation's answers.
#[derive(Default)]
pub(super) struct Rests(Mutex<VecDeque<Rest>>);

/// What did not pass of one answer.
struct Rest {
    id: String,
    /// The tool, by the gate's name of it.
    tool: String,
    text: String,
}

/// One page of what is kept.
#[derive(Debug)]
pub(super) struct Page {
    /// The tool whose answer it is of.
    pub(super) tool: String,
    /// What it says.
    pub(super) text: String,
    /// From which byte of what is kept it is.
    pub(super) from: usize,
    /// Where the next one is, and what it will say of itself.
    next: Option<(String, String)>,
}

/// The first page of an answer, and what comes after it.
#[derive(Debug)]
struct Cut {
    blocks: Vec<String>,
    rest: String,
}

impl Rests {
    /// An answer as it passes: whole when it is no larger than `page` bytes or cannot be cut, else its first page with a
    /// link to the rest, which is kept from now on. `None` when that is still more than may pass.
    pub(super) fn first(&self, answer: Message, page: usize, tool: &str) -> Option<Message> {
        let passes = |answer: Message| Some(answer).filter(|it| it.as_str().len() <= AT_ONCE_MAX);
        if answer.as_str().len() <= page {
            return passes(answer);
        }
        let Some((key, Cut { mut blocks, rest })) = cut(&answer, page) else {
            return passes(answer);
        };
        let id = format!("{:032x}", u128::from_be_bytes(machine::random().ok()?));
        let said = format!("the next page: {} more bytes of this answer are kept", rest.len());
        blocks.push(link(key, &address(&id, 0), &said));
        let mut edits = Edits::default();
        edits.replace(answer.result()?.get(key)?.node(), format!("[{}]", blocks.join(",")));
        let first = answer.edited(edits).and_then(passes)?;
        self.keep(Rest { id, tool: tool.to_owned(), text: rest });
        Some(first)
    }

    /// The page that an address names, if it names one.
    pub(super) fn page(&self, uri: &str, page: usize) -> Option<Page> {
        let (id, from) = uri.strip_prefix(SCHEME)?.split_once('/')?;
        let from: usize = from.parse().ok()?;
        let rests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = rests.iter().find(|rest| rest.id == id)?;
        let left = rest.text.get(from..).filter(|left| !left.is_empty())?;
        let end = boundary(left, page);
        let (text, more) = left.split_at(end);
        let said = format!("the next page: {} more bytes of this answer are kept", more.len());
        Some(Page {
            tool: rest.tool.clone(),
            text: text.to_owned(),
            from,
            next: (!more.is_empty()).then(|| (address(id, from + end), said)),
        })
    }

    fn keep(&self, rest: Rest) {
        let mut rests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut room = KEPT_MAX.saturating_sub(rest.text.len());
        // The newest stay.
        let kept = rests.iter().rev().take_while(|old| {
            let fits = old.text.len() <= room;
            room = room.saturating_sub(old.text.len());
            fits
        });
        let gone = rests.len() - kept.count();
        rests.drain(..gone);
        rests.push_back(rest);
    }
}

impl Page {
    /// The answer to whoever reads it, before it has gone the way out.
    pub(super) fn answer(&self, id: &Id, uri: &str) -> Option<Message> {
        let own = format!(
            "{{\"uri\":{},\"mimeType\":\"text/plain\",\"text\":{}}}",
            quoted(uri),
            quoted(&self.text)
        );
        let next = self.next.as_ref().map(|(uri, said)| link(CONTENTS, uri, said));
        let contents: Vec<String> = [own].into_iter().chain(next).collect();
        Message::success(id, &format!("{{\"contents\":[{}]}}", contents.join(",")))
    }
}

/// Whether an address is one of ours, which no server gets to see.
pub(super) fn is_rest(uri: &str) -> bool {
    uri.starts_with(SCHEME)
}

/// Whether an answer may pass, and be it a page at a time.
pub(super) fn may_pass(answer: &Message, page: usize) -> bool {
    let first = |(_, cut): (_, Cut)| cut.blocks.iter().map(String::len).sum::<usize>();
    answer.as_str().len() <= AT_ONCE_MAX
        || cut(answer, page).map(first).is_some_and(|size| size <= AT_ONCE_MAX)
}

/// Cuts an answer where its first page is full. `None` when what comes after it is not all text, or when a program reads
/// the answer: it would find a part of it.
fn cut<'a>(answer: &'a Message, page: usize) -> Option<(&'static str, Cut)> {
    let result = answer.result()?;
    if result.get("structuredContent").is_some() {
        return None;
    }
    let (key, content) =
        [CONTENT, CONTENTS].into_iter().find_map(|key| Some((key, result.get(key)?)))?;
    // Nothing but its text is kept of a block. Of resources, whose addresses would be lost, only the last is cut.
    let is_text = |block: View<'_>| match key {
        CONTENT => block.text_of("type").as_deref() == Some("text"),
        _ => block.get("blob").is_none(),
    };
    let text_of = |block: View<'a>| block.get("text").filter(|_| is_text(block));
    // As it is written, a text is longer than what it says; all but the texts has its place on the first page.
    let written = |block: View<'a>| text_of(block).map_or(0, |text| text.raw().len());
    let texts: usize = content.items()?.map(written).sum();
    let mut room = page.saturating_sub(answer.as_str().len().saturating_sub(texts));
    let (mut blocks, mut rest) = (Vec::new(), String::new());
    for block in content.items()? {
        let size = written(block);
        match text_of(block).and_then(View::text) {
            Some(text) if !rest.is_empty() && key == CONTENT => {
                rest.push('\n');
                rest.push_str(&text);
            }
            _ if !rest.is_empty() => return None,
            Some(text) if size > room => {
                let most = text.len().saturating_mul(room) / size;
                let (now, later) = text.split_at(boundary(&text, most));
                if !now.is_empty() {
                    blocks.push(super::replaced(block, "text", &quoted(now)));
                }
                rest.push_str(later);
            }
            Some(_) | None => blocks.push(block.raw().to_owned()),
        }
        room = room.saturating_sub(size);
    }
    // What makes it large may be none of its texts.
    (!rest.is_empty()).then_some((key, Cut { blocks, rest }))
}

/// Where a page of at most `most` bytes ends: behind a line if one ends in its last part, else behind a letter.
fn boundary(text: &str, most: usize) -> usize {
    if text.len() <= most {
        return text.len();
    }
    let end = text.floor_char_boundary(most);
    let head = text.get(..end).unwrap_or_default();
    let line = head.rfind('\n').map(|at| at + 1);
    line.filter(|&at| at > end - end / 8).unwrap_or(end)
}

fn address(id: &str, from: usize) -> String {
    format!("{SCHEME}{id}/{from}")
}

/// A word of ours about what comes next, in the form of the list that it stands in.
fn link(key: &str, uri: &str, said: &str) -> String {
    let (uri, said) = (quoted(uri), quoted(said));
    if key == CONTENT {
        return format!(
            "{{\"type\":\"resource_link\",\"uri\":{uri},\"name\":\"rest\",\"description\":{said},\"mimeType\":\"text/plain\"}}"
        );
    }
    format!("{{\"uri\":{uri},\"mimeType\":\"text/plain\",\"text\":{said}}}")
}

const SCHEME: &str = "bartizan://rest/";
const CONTENT: &str = "content";
const CONTENTS: &str = "contents";
/// So many bytes are kept of the answers of one conversation; the oldest give way.
const KEPT_MAX: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_mcp::wire::Limits;
    use serde_json::{Value, json};

    fn answer(result: &Value) -> Message {
        let text = json!({ "jsonrpc": "2.0", "id": 1, "result": result }).to_string();
        Message::parse(text.as_bytes(), &Limits::default()).unwrap()
    }

    fn value(message: &Message) -> Value {
        serde_json::from_str(message.as_str()).unwrap()
    }

    /// All that is kept behind an answer, page by page.
    fn read(rests: &Rests, first: &Value, key: &str, page: usize) -> String {
        let mut text = String::new();
        let mut uri = first["result"][key].as_array().unwrap().last().unwrap()["uri"].clone();
        loop {
            let at = uri.as_str().unwrap();
            let found = rests.page(at, page).unwrap();
            assert!(found.text.len() <= page && !found.text.is_empty());
            let told = value(&found.answer(&Id::Number(1), at).unwrap());
            text += told["result"]["contents"][0]["text"].as_str().unwrap();
            match told["result"]["contents"].get(1) {
                Some(next) => uri = next["uri"].clone(),
                None => return text,
            }
        }
    }

    #[test]
    fn page_by_page_nothing_is_lost_and_no_letter_is_cut() {
        let lines = (0..200).fold(String::new(), |all, n| all + &format!("line {n}: ünïcödé ☃\n"));
        let seam = "x".repeat(1000);
        for (key, block) in [
            (CONTENT, json!({ "type": "text", "text": lines, "annotations": { "priority": 1 } })),
            (CONTENTS, json!({ "uri": "file:///a", "text": lines })),
        ] {
            for page in [300, 397, 1000] {
                let rests = Rests::default();
                let more = json!({ "type": "text", "text": seam });
                let (blocks, all) = match key {
                    CONTENT => (vec![block.clone(), more], format!("{lines}\n{seam}")),
                    _ => (vec![block.clone()], lines.clone()),
                };
                let came = answer(&json!({ key: blocks, "isError": false }));
                let first = value(&rests.first(came, page, "mcp__s__t").unwrap());
                let mut kept = block.clone();
                let head = first["result"][key][0]["text"].as_str().unwrap().to_owned();
                kept["text"] = json!(head);
                assert_eq!(first["result"][key][0], kept, "all else of a block stays");
                assert!(head.len() <= page);
                assert_eq!(head + &read(&rests, &first, key, page), all);
            }
        }
    }

    #[test]
    fn what_is_small_passes_and_what_cannot_be_cut_does_not() {
        let rests = Rests::default();
        let small = answer(&json!({ "content": [{ "type": "text", "text": "abc" }] }));
        assert_eq!(rests.first(small.clone(), 1000, "t").unwrap().as_str(), small.as_str());
        let long = "x".repeat(500);
        for result in [
            json!({ "content": [{ "type": "text", "text": long }], "structuredContent": {} }),
            json!({ "content": [{ "type": "image", "data": long, "mimeType": "image/png" }] }),
            json!({ "content": [{ "type": "text", "text": long }, { "type": "image", "data": "", "mimeType": "image/png" }] }),
            json!({ "content": [{ "type": "text", "text": long }, { "type": "audio", "text": "said", "data": "AA==", "mimeType": "audio/wav" }] }),
            json!({ "contents": [{ "uri": "a:1", "text": long }, { "uri": "a:2", "text": long }] }),
            json!({ "contents": [{ "uri": "a:1", "text": long, "blob": "AA==" }] }),
            json!({ "content": [], "_meta": { "x": long } }),
            json!({ "content": long }),
        ] {
            let large = answer(&result);
            assert!(cut(&large, 100).is_none(), "{result}");
            let whole = rests.first(large.clone(), 100, "t").unwrap();
            assert_eq!(whole.as_str(), large.as_str());
        }
        let huge = "x".repeat(AT_ONCE_MAX);
        let text = answer(&json!({ "content": [{ "type": "text", "text": huge }] }));
        assert!(may_pass(&text, AT_ONCE_MAX));
        let data = json!({ "type": "image", "data": huge, "mimeType": "image/png" });
        let image = answer(&json!({ "content": [data, { "type": "text", "text": "seen" }] }));
        assert!(!may_pass(&image, AT_ONCE_MAX));
        assert!(rests.first(image, AT_ONCE_MAX, "t").is_none());
        assert!(rests.0.lock().unwrap().is_empty());
    }

    #[test]
    fn an_address_that_was_not_given_leads_to_nothing() {
        let rests = Rests::default();
        let came = answer(&json!({ "content": [{ "type": "text", "text": "ä".repeat(100) }] }));
        let first = value(&rests.first(came, 150, "t").unwrap());
        let uri = first["result"]["content"][1]["uri"].as_str().unwrap();
        let base = uri.strip_suffix("/0").unwrap();
        assert!(rests.page(uri, 50).is_some());
        for wrong in ["/1", "/150", "/99999999999999999999", "/-1", "/+0x", "", "/", "/0/0"] {
            assert!(rests.page(&format!("{base}{wrong}"), 50).is_none(), "{wrong}");
        }
        assert!(rests.page("bartizan://rest//0", 50).is_none());
        assert!(Rests::default().page(uri, 50).is_none(), "of another conversation");
    }

    #[test]
    fn the_oldest_give_way() {
        let rests = Rests::default();
        let large = "x".repeat(7 << 20);
        let uris: Vec<String> = (0..4)
            .map(|_| {
                let came = answer(&json!({ "content": [{ "type": "text", "text": large }] }));
                let first = value(&rests.first(came, 1000, "t").unwrap());
                first["result"]["content"][1]["uri"].as_str().unwrap().to_owned()
            })
            .collect();
        let is_there = uris.iter().map(|uri| rests.page(uri, 1000).is_some());
        assert_eq!(is_there.collect::<Vec<_>>(), [false, false, true, true]);
    }
}
