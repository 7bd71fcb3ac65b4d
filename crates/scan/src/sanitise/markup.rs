//! What of a page's markup does nobody see who looks at the page? Comments, and elements whose own style hides them.

use super::class::Class;
use super::policy::Treatment;
use std::ops::Range;

/// Treats what is hidden of one class. Gives the text if it changed, and how much was found.
pub(super) fn treat(text: &str, class: Class, treatment: Treatment) -> (Option<String>, usize) {
    let (mut changed, mut times) = once(text, class, treatment);
    if treatment != Treatment::Remove {
        return (changed, times);
    }
    // What was apart may be a tag now.
    for _ in 0..ROUNDS_MAX {
        let Some(left) = &changed else { return (changed, times) };
        let (less, more) = once(left, class, treatment);
        if more == 0 {
            return (changed, times);
        }
        times += more;
        changed = less;
    }
    (Some(WITHHELD.to_owned()), times)
}

fn once(text: &str, class: Class, treatment: Treatment) -> (Option<String>, usize) {
    let mut out = String::new();
    let (mut copied, mut at, mut times) = (0, 0, 0);
    let find = |at: usize| match class {
        Class::HiddenStyle => hidden(text, at, treatment),
        _ => comment(text, at),
    };
    while let Some(found) = find(at) {
        times += 1;
        at = found.end;
        let instead = match treatment {
            Treatment::Note => continue,
            Treatment::Remove => mark(class, " removed"),
            Treatment::Show => shown(class, text.get(found.clone()).unwrap_or_default()),
        };
        out.push_str(text.get(copied..found.start).unwrap_or_default());
        out.push_str(&instead);
        copied = found.end;
    }
    if copied == 0 {
        return (None, times);
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    (Some(out), times)
}

fn mark(class: Class, what: &str) -> String {
    format!("⟨{}{what}⟩", class.name())
}

/// What is hidden, in sight: no comment any more, or an element behind a mark.
fn shown(class: Class, whole: &str) -> String {
    if class == Class::HiddenStyle {
        return format!("{}{whole}", mark(class, ""));
    }
    let inner = whole.strip_prefix(OPEN).unwrap_or(whole);
    let inner = inner.strip_suffix(CLOSE).unwrap_or(inner).replace(OPEN, "⟨!--");
    format!("{}{inner}{}", mark(class, ""), mark(class, " ends"))
}

/// The next comment. One that is not closed goes to the end, as in a browser.
fn comment(text: &str, from: usize) -> Option<Range<usize>> {
    let start = from + text.get(from..)?.find(OPEN)?;
    let inside = start + OPEN.len();
    let rest = text.get(inside..)?;
    let end = rest.find(CLOSE).map_or(text.len(), |at| inside + at + CLOSE.len());
    Some(start..end)
}

/// The next tag that hides its element and is not marked yet; with all of the element, when it is to be taken out.
fn hidden(text: &str, from: usize, treatment: Treatment) -> Option<Range<usize>> {
    let marked = mark(Class::HiddenStyle, "");
    let mut at = from;
    loop {
        let start = at + text.get(at..)?.find('<')?;
        at = start + 1;
        let Some(tag) = tag(text, start).filter(|tag| tag.hides) else { continue };
        if treatment == Treatment::Remove {
            return Some(start..end_of(text, &tag));
        }
        if !text.get(..start)?.ends_with(&marked) {
            return Some(start..tag.end);
        }
    }
}

struct Tag<'t> {
    name: &'t str,
    end: usize,
    hides: bool,
}

/// The opening tag that begins here.
fn tag(text: &str, start: usize) -> Option<Tag<'_>> {
    let rest = text.get(start + 1..)?;
    let name_len = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'-').count();
    let name =
        rest.get(..name_len).filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()))?;
    let mut quote: Option<u8> = None;
    let after = rest.as_bytes().get(name_len..)?;
    let len = after.iter().take(TAG_MAX).position(|&b| {
        match (quote, b) {
            (None, b'"' | b'\'') => quote = Some(b),
            (Some(open), b) if open == b => quote = None,
            _ => {}
        }
        // What is no tag ends at the next one.
        quote.is_none() && matches!(b, b'>' | b'<')
    })?;
    if after.get(len) != Some(&b'>') {
        return None;
    }
    let attributes = rest.get(name_len..name_len + len)?;
    Some(Tag { name, end: start + 1 + name_len + len + 1, hides: hides(attributes) })
}

/// Whether a tag's attributes say that its element is not to be seen.
fn hides(attributes: &str) -> bool {
    let mut rest = attributes.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
    while !rest.is_empty() {
        let name_len =
            rest.find(|c: char| c.is_whitespace() || matches!(c, '=' | '/')).unwrap_or(rest.len());
        let (name, after) = rest.split_at(name_len);
        let (value, after) = value(after);
        if name.eq_ignore_ascii_case("hidden")
            || (name.eq_ignore_ascii_case("style") && is_invisible(value))
        {
            return true;
        }
        let next = after.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '/' | '='));
        // Whatever this is, it is passed over.
        rest = if next.len() < rest.len() { next } else { "" };
    }
    false
}

/// The value behind an attribute's name, and what follows.
fn value(after: &str) -> (&str, &str) {
    let Some(said) = after.trim_start().strip_prefix('=').map(str::trim_start) else {
        return ("", after);
    };
    for quote in ['"', '\''] {
        if let Some(quoted) = said.strip_prefix(quote) {
            return quoted.split_once(quote).unwrap_or((quoted, ""));
        }
    }
    said.split_at(said.find(char::is_whitespace).unwrap_or(said.len()))
}

fn is_invisible(style: &str) -> bool {
    let said = style.split(';').filter_map(|one| one.split_once(':'));
    said.map(|(key, value)| (key.trim().to_ascii_lowercase(), value)).any(|(key, value)| {
        let value = value.trim().to_ascii_lowercase();
        let value = value.trim_end_matches("!important").trim_end();
        match key.as_str() {
            "display" => value == "none",
            "visibility" => matches!(value, "hidden" | "collapse"),
            "font-size" | "opacity" | "height" | "width" | "max-height" => is_nought(value),
            "left" | "top" | "text-indent" | "margin-left" => value.starts_with("-9999"),
            _ => false,
        }
    })
}

/// `0`, `0px`, `0.0em`; not `0.5`.
fn is_nought(value: &str) -> bool {
    let number = value.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '%');
    !number.is_empty() && number.bytes().all(|b| matches!(b, b'0' | b'.'))
}

/// Where the element of a tag ends; at the end of the text, if it is not closed.
fn end_of(text: &str, tag: &Tag<'_>) -> usize {
    if VOID.iter().any(|void| tag.name.eq_ignore_ascii_case(void)) {
        return tag.end;
    }
    let mut depth = 1_usize;
    let mut at = tag.end;
    while let Some(next) = text.get(at..).and_then(|rest| rest.find('<')) {
        let start = at + next;
        at = start + 1;
        let inner = text.get(at..).unwrap_or_default();
        let closes = inner.starts_with('/');
        let name = inner.trim_start_matches('/');
        let same = name.split_at_checked(tag.name.len()).is_some_and(|(word, after)| {
            let ends = after.starts_with(|c: char| c.is_whitespace() || matches!(c, '>' | '/'));
            word.eq_ignore_ascii_case(tag.name) && ends
        });
        if same && !closes {
            depth += 1;
        } else if same {
            depth -= 1;
            if depth == 0 {
                return text
                    .get(at..)
                    .and_then(|rest| rest.find('>'))
                    .map_or(text.len(), |end| at + end + 1);
            }
        }
    }
    text.len()
}

const OPEN: &str = "<!--";
const CLOSE: &str = "-->";
/// What stands in the place of a text whose hidden elements are hidden in each other.
const WITHHELD: &str = "[withheld by bartizan: what is hidden in it has no end]";
const ROUNDS_MAX: usize = 16;
/// The longest tag that is read.
const TAG_MAX: usize = 1024;
/// Elements without an inside.
const VOID: [&str; 13] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track",
    "wbr",
];
