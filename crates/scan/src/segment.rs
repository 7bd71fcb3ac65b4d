//! Where does a stretch of text end that must be judged as one?

use crate::bytes::{is, kind};
use crate::dumps::dump_address;
use crate::fold::{Window, fold, folded};
use crate::marks::Marks;
use crate::redact::Inner;
use crate::spoken::begs;
use crate::views::{continues, mixed};
use crate::words::gibberish;
use memchr::memmem::Finder;
use std::sync::LazyLock;

/// What a line ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    /// Nothing that the next line could go on with.
    Closed,
    /// Something that the next line belongs to, whatever it is.
    Open,
    /// A value that is cut in two if the next line looks like the rest of one.
    Value,
}

/// What `line` ends with; `text` is the segment so far, which `line` ends.
pub(crate) fn ends(inner: &Inner, marks: &Marks, text: &[u8], line: &[u8]) -> Ends {
    let body = line.trim_ascii_end();
    let told = marks.tells();
    let Some(&last) = body.last() else {
        // An empty line ends nothing that is open over lines: events of a stream, a key's block.
        let open = text.len() > line.len()
            && (marks.events()
                || (told && (marks.block_open() || announced(text) || titled(marks, text))));
        return if open { Ends::Open } else { Ends::Closed };
    };
    let open = dump_address(line)
        || body.starts_with(b"data:")
        || (told
            && (last == b'\\'
                || introduces(last)
                || body.ends_with(b" below.")
                || body.ends_with(b" below")
                || points_down(body)
                || (body.starts_with(b"```") && titled(marks, text))
                || marks.block_open()
                || names_what_follows(text, body)
                || marks.shows_below(inner, text.len() - line.len())
                || marks.ends_with_name(line, text.len() - line.len())))
        || known_goes_on(inner, marks, text, line);
    if open {
        Ends::Open
    } else if value_cut(body, last, told) {
        Ends::Value
    } else {
        Ends::Closed
    }
}

/// Whether a short line says that what it speaks of stands below it, or asks for it.
fn points_down(body: &[u8]) -> bool {
    // Built once: building a searcher costs more than searching a line.
    static BELOW: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(" below, "));
    let last = body.iter().rev().take(8).take_while(|b| b.is_ascii_lowercase()).count();
    body.len() <= MAX_ANNOUNCED
        && (begs(body.get(body.len() - last..).unwrap_or_default()) || BELOW.find(body).is_some())
}

/// Whether a short text ends with the name of what stands below it, and lines between that say nothing.
fn titled(marks: &Marks, text: &[u8]) -> bool {
    if text.len() > MAX_ANNOUNCED {
        return false;
    }
    let mut end = 0;
    let ends = memchr::memchr_iter(b'\n', text).map(|at| at + 1);
    let mut title = 0..0;
    for next in ends {
        let line = text.get(end..next).unwrap_or_default();
        if !filler(line) {
            title = end..next;
        }
        end = next;
    }
    let behind = text.get(title.end..).unwrap_or_default();
    fillers(behind) == behind.len()
        && text.get(title.clone()).is_some_and(|line| marks.ends_with_name(line, title.start))
}

/// How long the lines are that say nothing between a title and what stands below it: an empty one, one of dashes, one that
/// opens a block of code.
pub(crate) fn fillers(text: &[u8]) -> usize {
    let mut len = 0;
    for line in text.split_inclusive(|b| *b == b'\n').take(MAX_FILLERS) {
        if !line.ends_with(b"\n") || !filler(line) {
            break;
        }
        len += line.len();
    }
    len
}

fn filler(line: &[u8]) -> bool {
    let body = unquoted(line).trim_ascii();
    body.is_empty()
        || (body.len() >= 3 && body.iter().all(|b| matches!(b, b'-' | b'=' | b'~')))
        || body
            .strip_prefix(b"```")
            .is_some_and(|name| name.len() <= 12 && name.iter().all(u8::is_ascii_alphanumeric))
}

/// Whether a short text ends with a colon, or `below`, and one empty line, behind which what it announces stands.
fn announced(text: &[u8]) -> bool {
    let body = text.trim_ascii_end();
    let lines = text.iter().skip(body.len()).filter(|b| **b == b'\n').count();
    let says =
        body.last() == Some(&b':') || body.ends_with(b" below.") || body.ends_with(b" below");
    text.len() <= MAX_ANNOUNCED && lines == 2 && says
}

/// Whether `next` looks like the rest of the value that ends `text`.
pub(crate) fn continued(text: &[u8], next: &[u8]) -> bool {
    let body = text.trim_ascii_end();
    let says = body.last().is_some_and(|b| matches!(b, b'=' | b'\\' | b'+'));
    let next = unquoted(next);
    let quoted = next.trim_ascii_start().first().is_some_and(|b| matches!(b, b'"' | b'\''));
    let length = next.trim_ascii().len();
    (says && (quoted || !next.trim_ascii().contains(&b' ')))
        || (length > 0 && continues(body, next.trim_ascii_start()))
}

/// A line without the signs of a mail that is quoted: `> `.
fn unquoted(line: &[u8]) -> &[u8] {
    let quotes = line.iter().take(8).take_while(|b| matches!(b, b'>' | b' ')).count();
    line.get(quotes..).unwrap_or_default()
}

/// Whether a known value may go on in the next line.
fn known_goes_on(inner: &Inner, marks: &Marks, text: &[u8], line: &[u8]) -> bool {
    if inner.known.len() == 0 {
        return false;
    }
    let mut letters = line.iter().filter(|b| fold(**b) != 0);
    let short = line.len() <= 64 && letters.nth(SHORT_LINE).is_none();
    if marks.known() {
        return inner.known.goes_on(text, line, short);
    }
    if short {
        return inner.known.begins_at_end(text, 1);
    }
    inner.known.may_begin_at_end(marks.window) && inner.known.begins_at_end(line, 4)
}

/// Whether a line says the name of what the next one says the value of: `- name: DB_PASSWORD`, `<key>AuthToken</key>`,
/// `"password": {`.
fn names_what_follows(text: &[u8], body: &[u8]) -> bool {
    if body.ends_with(b"</key>") || body.ends_with(b"</name>") {
        return true;
    }
    if let Some(before) = body.strip_suffix(b"{") {
        return matches!(before.trim_ascii_end().last(), Some(b':' | b'=' | b'"'));
    }
    // A declaration that goes on up to its default, the key in a PuTTY file, a document in a script.
    if body.starts_with(b"  type ") || body.starts_with(b"  description ") {
        return text_declares(text);
    }
    if body.starts_with(b"Private-Lines: ") || heredoc(body) || body.ends_with(b" codes") {
        return true;
    }
    if text.len() <= MAX_CODES && (recovery_code(body) || made_password(text, body)) {
        return true;
    }
    let Some(colon) = memchr::memrchr(b':', body) else { return false };
    let (key, name) = body.split_at_checked(colon).unwrap_or((body, &[]));
    let key = key.trim_ascii_start();
    let key = key.strip_prefix(b"-").unwrap_or(key).trim_ascii();
    let name = name.get(1..).unwrap_or_default().trim_ascii();
    matches!(key, b"name" | b"key" | b"Name" | b"Key")
        && !name.is_empty()
        && name.iter().all(|b| is(*b, kind::NAME) || matches!(b, b'"' | b'\'' | b'.' | b'/'))
}

/// Whether a segment began with a declaration in Terraform, few lines ago.
fn text_declares(text: &[u8]) -> bool {
    text.starts_with(b"variable ") && text.len() <= MAX_DECLARED
}

/// Whether a line is one of a list of recovery codes: `7k2fp-x91mq`.
fn recovery_code(body: &[u8]) -> bool {
    let mut parts = body.trim_ascii().split(|b| *b == b'-');
    let part = |part: Option<&[u8]>| {
        part.is_some_and(|part| {
            (4..=6).contains(&part.len()) && part.iter().all(u8::is_ascii_alphanumeric)
        })
    };
    body.len() <= 24 && part(parts.next()) && part(parts.next()) && parts.next().is_none()
}

/// Whether a segment began with a password that Terraform made, and has not come to it.
fn made_password(text: &[u8], body: &[u8]) -> bool {
    let head = text.iter().position(|b| !matches!(b, b' ' | b'+' | b'~'));
    let head = text.get(head.unwrap_or(0)..).unwrap_or_default();
    head.starts_with(b"resource \"random_password")
        && memchr::memmem::find(body, b"result").is_none()
}

/// Whether a line ends with `<<EOF`: `API_KEY<<EOF`.
fn heredoc(body: &[u8]) -> bool {
    let sign = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'\'' | b'"');
    let mark = body.iter().rev().take(16).take_while(sign).count();
    let head = body.get(..body.len() - mark).unwrap_or_default();
    let head = head.strip_suffix(b"-").unwrap_or(head);
    mark > 0 && head.ends_with(b"<<")
}

/// Whether a line ends with a long run of something random, or says itself that it goes on.
fn value_cut(body: &[u8], last: u8, told: bool) -> bool {
    let body = match last {
        b'\\' | b'=' | b'+' | b'.' => {
            body.get(..body.len() - 1).unwrap_or_default().trim_ascii_end()
        }
        _ => body,
    };
    let body = match (last, body.last()) {
        (b'\\' | b'+' | b'.', Some(b'"' | b'\'')) => body.get(..body.len() - 1).unwrap_or_default(),
        _ => body,
    };
    let run = body.iter().rev().take(24).take_while(|b| is_token(**b)).count();
    let run = body.get(body.len() - run..).unwrap_or_default();
    let digits = run.iter().filter(|b| b.is_ascii_digit()).count();
    run.len() >= 12 && (digits >= 2 || gibberish(run) || (told && mixed(run)))
}

/// Whether a line's last sign announces something: a value after its name, an answer after a question.
const fn introduces(last: u8) -> bool {
    matches!(last, b':' | b'=' | b'?' | b'|' | b'>' | b'-' | b'(' | b'[' | b',')
}

/// How much of a text's first line is plain words, looking from `from` on, and whether it may be more: words of
/// letters alone, in which nothing begins that is looked for. They can go out before their line is complete.
pub(crate) fn plain_words(inner: &Inner, text: &[u8], from: usize) -> (usize, bool) {
    let mut plain = from;
    loop {
        let rest = text.get(plain..).unwrap_or_default();
        let head = rest.get(..rest.len().min(MAX_WORD + 2)).unwrap_or_default();
        let Some(len) = head.iter().position(|b| *b == b' ') else {
            let over = head.len() > MAX_WORD || head.contains(&b'\n');
            return (plain, !over);
        };
        if !is_plain(inner, head.get(..len).unwrap_or_default()) {
            return (plain, false);
        }
        plain += len + 1;
    }
}

fn is_plain(inner: &Inner, word: &[u8]) -> bool {
    let sign = usize::from(matches!(word, [.., b',' | b'.' | b'!' | b'?']));
    let letters = word.get(..word.len() - sign).unwrap_or_default();
    if letters.len() > MAX_WORD
        || !letters.iter().all(u8::is_ascii_alphabetic)
        || inner.rules.any_clue(word)
    {
        return false;
    }
    let letters = folded(letters);
    !inner.known.passes(&letters, &mut Window::default())
        && (letters.len() >= 6 || !inner.known.plain_begins_with(&letters))
        && !gibberish(&letters)
}

/// A good place to cut a text before `before`: behind a byte that no value has, or at least no character in two.
pub(crate) fn cut(text: &[u8], before: usize) -> usize {
    let head = text.get(..before).unwrap_or(text);
    let floor = head.len() / 2;
    let parts = |b: &u8| b.is_ascii_whitespace() || matches!(b, b',' | b';' | b'{' | b'}');
    match head.iter().rposition(parts) {
        Some(at) if at >= floor => at + 1,
        _ => {
            let tail = head.iter().rev().take(4).take_while(|b| **b & 0xC0 == 0x80).count();
            (head.len() - tail).saturating_sub(1).max(1)
        }
    }
}

/// The bytes of tokens: letters, digits and the signs of base64, URLs and versions.
pub(crate) fn is_token(byte: u8) -> bool {
    is(byte, kind::TOKEN)
}

/// A line with no more letters and digits may be one of many that a value is spread over.
const SHORT_LINE: usize = 8;
const MAX_WORD: usize = 24;
/// So many lines that say nothing may stand between.
const MAX_FILLERS: usize = 3;
/// What announces a value behind an empty line is no longer.
const MAX_ANNOUNCED: usize = 320;
/// A list of codes, or what is said of a password that was made, is no longer.
const MAX_CODES: usize = 480;
/// The head of a declaration is no longer.
const MAX_DECLARED: usize = 240;
