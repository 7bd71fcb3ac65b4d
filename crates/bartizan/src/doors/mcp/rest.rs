//! What becomes of an answer that is too large to pass at once? Its first page passes, and the rest is kept for as long as
//! the conversation lasts, to be read a page at a time: as a resource, or by a tool of ours.
//!
//! What is kept has gone the way out as a whole, so that no page ends in the middle of a secret.

use crate::config::AT_ONCE_MAX;
use crate::config::own;
use crate::machine;
use bartizan_mcp::wire::{Id, Message};
use bartizan_scan::json::{Bounds, Edits, Node, View, quoted};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is kept of one conversation's answers, however often its server begins anew.
#[derive(Default)]
pub(crate) struct Rests(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    here: VecDeque<Rest>,
    /// What the server says that it keeps itself: what its addresses have in common, and what stands before that.
    beyond: VecDeque<(String, String)>,
}

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
    /// Where the next one is, and how many bytes are left then.
    next: Option<(String, usize)>,
}

/// What of an answer may be left out, so that it can be cut: the structured form of it, which programs read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Nobody was told that there would be one.
    Free,
    /// The tool's schema promises it, and clients take an answer without it for broken unless it is an error.
    Owed,
    /// It is not known who relies on it, so it stays, and all of the answer with it.
    Unknown,
}

/// An answer as it passes at once.
#[derive(Debug)]
pub(super) struct First {
    pub(super) answer: Message,
    /// What we say of it. No word of the server's, so it stands outside of the markers.
    pub(super) word: Option<Word>,
}

/// What we say to whoever reads an answer that is not whole.
#[derive(Debug)]
pub(super) struct Word {
    text: String,
    /// Before the rest of it: programs show the first text of an error.
    leads: bool,
}

/// The first page of an answer, and what comes after it.
#[derive(Debug)]
struct Cut {
    blocks: Vec<String>,
    rest: String,
}

/// Takes secrets out of a text.
type Scrub<'s> = &'s dyn Fn(&str) -> String;

impl Rests {
    /// An answer as it passes: whole when it is no larger than `page` bytes or cannot be cut, else its first page with a
    /// link to the rest, which is kept from now on. `None` when that is still more than may pass.
    pub(super) fn first(
        &self,
        answer: Message,
        page: usize,
        (tool, shape): (&str, Shape),
        scrub: Scrub<'_>,
    ) -> Option<First> {
        let passes = |answer: Message, word: Option<Word>| {
            (answer.as_str().len() <= AT_ONCE_MAX).then_some(First { answer, word })
        };
        if answer.as_str().len() <= page {
            return passes(answer, None);
        }
        let Some((key, Cut { mut blocks, rest })) = cut(&answer, page, shape, scrub) else {
            return passes(answer, None);
        };
        let mut next = None;
        if !rest.is_empty() {
            let id = format!("{:032x}", u128::from_be_bytes(machine::random().ok()?));
            blocks.push(link(key, &address(&id, 0), &more(rest.len())));
            next = Some((id, rest));
        }
        let result = answer.result()?;
        let owed = shape == Shape::Owed && result.get(STRUCTURED).is_some() && !is_error(result);
        let at = next.as_ref().map(|(id, rest)| (address(id, 0), rest.len()));
        let word = (key == CONTENT).then(|| Word::of(at, result.get(STRUCTURED).is_some(), owed));
        let mut edits = Edits::default();
        edits.replace(result.node(), rebuilt(result, (key, &blocks), owed));
        let first = answer.edited(edits).and_then(|answer| passes(answer, word.flatten()))?;
        if let Some((id, text)) = next {
            self.keep(Rest { id, tool: tool.to_owned(), text });
        }
        Some(first)
    }

    /// Whether nothing is kept, here or beyond.
    pub(super) fn is_empty(&self) -> bool {
        let kept = self.kept();
        kept.here.is_empty() && kept.beyond.is_empty()
    }

    /// Whether something is kept of the answer that an address is of.
    pub(super) fn keeps(&self, uri: &str) -> bool {
        let id = uri.strip_prefix(SCHEME).and_then(|rest| rest.split_once('/'));
        let kept = self.kept();
        id.is_some_and(|(id, _)| kept.here.iter().any(|rest| rest.id == id))
    }

    /// The server's own address of what it keeps itself, if it has given one.
    pub(super) fn beyond(&self, uri: &str) -> Option<String> {
        let (id, _) = parsed(uri)?;
        let kept = self.kept();
        if kept.here.iter().any(|rest| rest.id == id) {
            return None;
        }
        let (_, before) = kept.beyond.iter().find(|(known, _)| known == id)?;
        Some(format!("{before}{uri}"))
    }

    /// Notes what a server says of its answer that it keeps itself, as a gateway does; gives the address where a call's goes on.
    pub(super) fn hear(&self, answer: &Message) -> Option<String> {
        let result = answer.result()?;
        let mut last = None;
        for key in [CONTENT, CONTENTS] {
            for item in result.get(key).and_then(View::items).into_iter().flatten() {
                let Some(uri) = item.text_of("uri") else { continue };
                let Some((id, _)) = parsed(own(&uri)) else { continue };
                if self.note(id, uri.strip_suffix(own(&uri)).unwrap_or_default()) {
                    last = (key == CONTENT).then(|| own(&uri).to_owned());
                }
            }
        }
        last
    }

    /// Whether it is the server that keeps this, which is known from now on.
    fn note(&self, id: &str, before: &str) -> bool {
        let mut kept = self.kept();
        if before.len() > BEFORE_MAX || kept.here.iter().any(|rest| rest.id == id) {
            return false;
        }
        if !kept.beyond.iter().any(|(known, _)| known == id) {
            if kept.beyond.len() >= BEYOND_MAX {
                kept.beyond.pop_front();
            }
            kept.beyond.push_back((id.to_owned(), before.to_owned()));
        }
        true
    }

    /// The page that an address names, if it names one.
    pub(super) fn page(&self, uri: &str, page: usize) -> Option<Page> {
        let (id, from) = uri.strip_prefix(SCHEME)?.split_once('/')?;
        let from: usize = from.parse().ok()?;
        let kept = self.kept();
        let rest = kept.here.iter().find(|rest| rest.id == id)?;
        let left = rest.text.get(from..).filter(|left| !left.is_empty())?;
        let end = boundary(left, page);
        let (text, more) = left.split_at(end);
        Some(Page {
            tool: rest.tool.clone(),
            text: text.to_owned(),
            from,
            next: (!more.is_empty()).then(|| (address(id, from + end), more.len())),
        })
    }

    fn keep(&self, rest: Rest) {
        let mut all = self.kept();
        let rests = &mut all.here;
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

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Page {
    /// The answer to whoever reads it as a resource, before it has gone the way out.
    pub(super) fn answer(&self, id: &Id, uri: &str) -> Option<Message> {
        let own = format!(
            "{{\"uri\":{},\"mimeType\":\"text/plain\",\"text\":{}}}",
            quoted(uri),
            quoted(&self.text)
        );
        let next = self.next.as_ref().map(|(uri, left)| link(CONTENTS, uri, &more(*left)));
        let contents: Vec<String> = [own].into_iter().chain(next).collect();
        Message::success(id, &format!("{{\"contents\":[{}]}}", contents.join(",")))
    }

    /// The answer to whoever reads it by our tool, in the same way.
    pub(super) fn result(&self, id: &Id) -> Option<Message> {
        Message::success(id, &format!("{{\"content\":[{}]}}", block(&self.text)))
    }

    /// What we say of what comes next, if something does.
    pub(super) fn word(&self) -> Option<Word> {
        Word::of(self.next.clone(), false, false)
    }
}

impl Word {
    /// What we say of a rest that the server keeps. Nothing of the server's is in it but an address of our own form.
    pub(super) fn beyond(uri: &str) -> Option<Self> {
        let (id, from) = parsed(uri)?;
        let text = format!(
            "bartizan: the server says that it keeps more of this answer. To have the next part asked of it, call `{}` with the address {SCHEME}{id}/{from}",
            own::READ_ON
        );
        Some(Self { text, leads: false })
    }

    fn of(next: Option<(String, usize)>, is_bare: bool, owed: bool) -> Option<Self> {
        let mut said = Vec::new();
        if owed {
            said.push("The call was made, and is not to be made again for this: its answer is too long to pass at once in the form that the tool promises, and is given as text.".to_owned());
        } else if is_bare {
            said.push("The structured form of this answer is left out, since it is too long to pass at once; the text holds all of it.".to_owned());
        }
        if let Some((uri, left)) = next {
            said.push(format!(
                "{left} more bytes of this answer are kept. To read on, call `{}` with the address {uri}",
                own::READ_ON
            ));
        }
        let text = format!("bartizan: {}", said.join(" "));
        (!said.is_empty()).then_some(Self { text, leads: owed })
    }

    /// The answer with this in it.
    pub(super) fn beside(&self, answer: &Message) -> Option<Message> {
        let content = answer.result()?.get(CONTENT)?;
        let own = block(&self.text);
        let blocks = content.items()?.map(|block| block.raw().to_owned());
        let all: Vec<String> = if self.leads {
            [own].into_iter().chain(blocks).collect()
        } else {
            blocks.chain([own]).collect()
        };
        let mut edits = Edits::default();
        edits.replace(content.node(), format!("[{}]", all.join(",")));
        answer.edited(edits)
    }
}

/// Whether an address is one of ours, which no server gets to see.
pub(super) fn is_rest(uri: &str) -> bool {
    uri.starts_with(SCHEME)
}

/// The address as we gave it, without the name of the server that a client of several knows it by.
pub(super) fn own(uri: &str) -> &str {
    uri.find(SCHEME).and_then(|at| uri.get(at..)).unwrap_or(uri)
}

/// The two parts of an address that a gateway of ours may have given: 128 bits, and from which byte on.
fn parsed(uri: &str) -> Option<(&str, u64)> {
    let (id, from) = uri.strip_prefix(SCHEME)?.split_once('/')?;
    let hex = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
    let plain = id.len() == 32 && id.bytes().all(hex);
    let digits = !from.is_empty() && from.bytes().all(|byte| byte.is_ascii_digit());
    if plain && digits { Some((id, from.parse().ok()?)) } else { None }
}

/// Whether an answer may pass, and be it a page at a time.
pub(super) fn may_pass(answer: &Message, page: usize, shape: Shape) -> bool {
    let first = |(_, cut): (_, Cut)| cut.blocks.iter().map(String::len).sum::<usize>();
    let cut = || cut(answer, page, shape, &|text| text.to_owned());
    answer.as_str().len() <= AT_ONCE_MAX || cut().map(first).is_some_and(|size| size <= AT_ONCE_MAX)
}

/// Cuts an answer where its first page is full. `None` when what comes after it is not all text, or when a program may read
/// the answer: it would find a part of it.
fn cut<'a>(
    answer: &'a Message,
    page: usize,
    shape: Shape,
    scrub: Scrub<'_>,
) -> Option<(&'static str, Cut)> {
    let result = answer.result()?;
    let structured = result.get(STRUCTURED);
    if structured.is_some() && shape == Shape::Unknown {
        return None;
    }
    let (key, content) = match [CONTENT, CONTENTS].iter().find(|key| result.get(key).is_some()) {
        Some(key) => (*key, result.get(key)?.items()?.collect()),
        None => structured.map(|_| (CONTENT, Vec::new()))?,
    };
    // Nothing but its text is kept of a block. Of resources, whose addresses would be lost, only the last is cut.
    let is_text = |block: View<'_>| match key {
        CONTENT => block.text_of("type").as_deref() == Some("text"),
        _ => block.get("blob").is_none(),
    };
    let text_of = |block: View<'a>| block.get("text").filter(|_| is_text(block));
    // As it is written, a text is longer than what it says; all but the texts has its place on the first page.
    let written = |block: View<'a>| text_of(block).map_or(0, |text| text.raw().len());
    let texts: usize = content.iter().map(|block| written(*block)).sum();
    let apart = texts + structured.map_or(0, |structured| structured.raw().len());
    // What we say of the rest passes with it.
    let page = page.min(AT_ONCE_MAX - OURS);
    let mut room = page.saturating_sub(answer.as_str().len().saturating_sub(apart));
    let (mut blocks, mut rest) = (Vec::new(), String::new());
    for block in &content {
        let size = written(*block);
        match text_of(*block).and_then(View::text) {
            Some(text) if !rest.is_empty() && key == CONTENT => {
                rest.push('\n');
                rest.push_str(&text);
            }
            _ if !rest.is_empty() => return None,
            Some(text) if size > room => {
                let (now, later) = parted(&text, size, room);
                if !now.is_empty() {
                    blocks.push(super::replaced(*block, "text", &quoted(now)));
                }
                rest.push_str(later);
            }
            Some(_) | None => blocks.push(block.raw().to_owned()),
        }
        room = room.saturating_sub(size);
    }
    let texts = content.iter().filter_map(|block| text_of(*block));
    if let Some(text) = structured.and_then(|structured| unsaid(structured, texts)) {
        add(&scrub(&text), (&mut blocks, &mut rest), room);
    }
    // What makes it large may be none of its texts.
    (!rest.is_empty() || structured.is_some()).then_some((key, Cut { blocks, rest }))
}

/// What the structured form of an answer says, unless one of its texts is the same.
fn unsaid<'a>(structured: View<'_>, mut texts: impl Iterator<Item = View<'a>>) -> Option<String> {
    let compact = structured.compact();
    let same = |text: View<'_>| {
        let text = text.text().unwrap_or_default();
        let read = Node::read(&text, Bounds::default());
        read.is_ok_and(|root| root.within(&text).compact() == compact)
    };
    (!texts.any(same)).then_some(compact)
}

/// Puts a text behind all others.
fn add(text: &str, (blocks, rest): (&mut Vec<String>, &mut String), room: usize) {
    if !rest.is_empty() {
        rest.push('\n');
        rest.push_str(text);
        return;
    }
    let (now, later) = parted(text, quoted(text).len(), room);
    if !now.is_empty() {
        blocks.push(block(now));
    }
    rest.push_str(later);
}

/// A text of `size` bytes as it is written, of which `room` may pass.
fn parted(text: &str, size: usize, room: usize) -> (&str, &str) {
    let most = if size > room { text.len().saturating_mul(room) / size } else { text.len() };
    text.split_at(boundary(text, most))
}

/// A result with other blocks and without its structured form.
fn rebuilt(result: View<'_>, (key, blocks): (&str, &[String]), owed: bool) -> String {
    let list = format!("[{}]", blocks.join(","));
    let is_kept = |(name, _): &(&str, View<'_>)| *name != STRUCTURED && !(owed && *name == ERROR);
    let members = result.members().filter(is_kept).map(|(name, value)| {
        let value = if name == key { &list } else { value.raw() };
        format!("{}:{value}", quoted(name))
    });
    let added = result.get(key).is_none().then(|| format!("{}:{list}", quoted(key)));
    let error = owed.then(|| format!("{}:true", quoted(ERROR)));
    let parts: Vec<String> = members.chain(added).chain(error).collect();
    format!("{{{}}}", parts.join(","))
}

fn is_error(result: View<'_>) -> bool {
    result.get(ERROR).is_some_and(|flag| flag.raw() == "true")
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

/// What we say of what comes next, in the form of the list that it stands in.
fn link(key: &str, uri: &str, said: &str) -> String {
    let (uri, said) = (quoted(uri), quoted(said));
    if key == CONTENT {
        return format!(
            "{{\"type\":\"resource_link\",\"uri\":{uri},\"name\":\"rest\",\"description\":{said},\"mimeType\":\"text/plain\"}}"
        );
    }
    format!("{{\"uri\":{uri},\"mimeType\":\"text/plain\",\"text\":{said}}}")
}

fn more(left: usize) -> String {
    format!("the next page: {left} more bytes of this answer are kept")
}

pub(super) fn block(text: &str) -> String {
    format!("{{\"type\":\"text\",\"text\":{}}}", quoted(text))
}

const SCHEME: &str = "bartizan://rest/";
const CONTENT: &str = "content";
pub(super) const CONTENTS: &str = "contents";
const STRUCTURED: &str = "structuredContent";
const ERROR: &str = "isError";
/// Room for our own words and a link.
const OURS: usize = 4096;
/// So many answers whose rest the server keeps are known; the oldest give way.
const BEYOND_MAX: usize = 256;
/// So many bytes may stand before what makes an address one of a rest: the names of servers behind a gateway.
const BEFORE_MAX: usize = 256;
/// So many bytes are kept of the answers of one conversation; the oldest give way.
const KEPT_MAX: usize = 16 << 20;

#[cfg(test)]
mod tests;
