//! Could this text trick a terminal, or the eye of the person who reads it?

mod class;
mod eye;
mod letters;
mod markup;
mod policy;

pub use class::Class;
pub use policy::{Sanitised, Sanitiser, StaysUnseen, Treatment};

use crate::finding::{Confidence, Finding, Kind};
use std::borrow::Cow;

/// For whom a text is made safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// For a model: joiners that scripts and emoji need stay, everything else invisible is shown.
    Agent,
    /// For a person's terminal or page: every invisible character is shown, without exception.
    Person,
}

/// Makes everything visible that would act on a terminal or hide from a reader: escape sequences, control
/// characters except line feed and tab (and a carriage return before a line feed), bidirectional controls,
/// zero-width and other default-ignorable characters, tag characters. Nothing is removed, so nothing can be put
/// together by removal. The result contains nothing that a second call would change.
///
/// For a person, marks that are heaped on one letter, where they would lie over other lines, are shown by their numbers too, and
/// so is what a font may draw as nothing or as anything.
pub fn sanitise(text: &str, mode: Mode) -> (Cow<'_, str>, Vec<Finding>) {
    let (clean, mut findings) = pass(text, mode, &|_| false);
    match mode {
        Mode::Agent => (clean, findings),
        Mode::Person => {
            eye::note(text, &mut findings);
            (eye::plain(clean), findings)
        }
    }
}

/// The same, with those characters taken out whose class `removes` says so.
fn pass<'t>(
    text: &'t str,
    mode: Mode,
    removes: &dyn Fn(Class) -> bool,
) -> (Cow<'t, str>, Vec<Finding>) {
    let Some(first) = text.bytes().position(suspicious) else {
        return (Cow::Borrowed(text), Vec::new());
    };
    let mut out = String::new();
    let mut findings: Vec<Finding> = Vec::new();
    let mut copied = 0;
    let mut at = first;
    while let Some(rest) = text.get(at..) {
        // Continuation bytes are suspicious to nobody, so every stop is a character's first byte.
        let Some(next) = rest.bytes().position(suspicious) else { break };
        let start = at + next;
        let Some(c) = text.get(start..).and_then(|t| t.chars().next()) else { break };
        at = start + c.len_utf8();
        let Some(class) = class(c) else { continue };
        if harmless(text, start, at, c, mode) {
            continue;
        }
        out.push_str(text.get(copied..start).unwrap_or_default());
        if !removes(class) {
            push_visible(&mut out, c);
        } else if class == Class::Escape {
            at += escaped(text.get(at..).unwrap_or_default(), c);
        }
        copied = at;
        note(&mut findings, start, at, class);
    }
    if copied == 0 {
        return (Cow::Borrowed(text), findings);
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    (Cow::Owned(out), findings)
}

/// A text as one line of at most `max` characters, for tables and prompts: sanitised for a person, line feeds and
/// tabs visible; when it is cut, the length of all of it is said at the end, so that a long tail cannot hide.
pub fn display_line(text: &str, max: usize) -> String {
    // More characters than this can never be shown, however long the text is.
    let head: String = text.chars().take(max.saturating_add(1)).collect();
    let mut line = String::new();
    for c in sanitise(&head, Mode::Person).0.chars() {
        match c {
            '\n' | '\t' | '\r' => push_visible(&mut line, c),
            c => line.push(c),
        }
    }
    if head.len() == text.len() && line.chars().count() <= max {
        return line;
    }
    let suffix = format!("… ({} bytes in all)", text.len());
    let room = max.saturating_sub(suffix.chars().count());
    line.chars().take(room).chain(suffix.chars()).take(max).collect()
}

/// How much of what follows an escape's first character belongs to it.
fn escaped(rest: &str, introducer: char) -> usize {
    let (kind, skip) = match (introducer, rest.bytes().next()) {
        ('\u{1B}', Some(kind)) if kind.is_ascii() => (char::from(kind), 1),
        ('\u{90}', _) => ('P', 0),
        ('\u{98}', _) => ('X', 0),
        ('\u{9B}', _) => ('[', 0),
        ('\u{9D}', _) => (']', 0),
        ('\u{9E}', _) => ('^', 0),
        ('\u{9F}', _) => ('_', 0),
        _ => return 0,
    };
    let body = rest.as_bytes().get(skip..).unwrap_or_default();
    let near = body.iter().take(ESCAPE_MAX);
    match kind {
        '[' => {
            let end = near.clone().position(|b| !(0x20..=0x3F).contains(b));
            match end.and_then(|end| body.get(end).map(|last| (end, last))) {
                Some((end, 0x40..=0x7E)) => skip + end + 1,
                _ => skip,
            }
        }
        // A text that ends with BEL or ST.
        ']' | 'P' | 'X' | '^' | '_' => {
            let end = body
                .windows(2)
                .take(ESCAPE_MAX)
                .position(|pair| matches!(pair, [7, _] | [0x1B, b'\\'] | [0xC2, 0x9C]));
            match end.map(|end| (end, body.get(end))) {
                Some((end, Some(7))) => skip + end + 1,
                Some((end, _)) => skip + end + 2,
                None if body.last() == Some(&7) && body.len() <= ESCAPE_MAX => skip + body.len(),
                None => skip,
            }
        }
        '\u{30}'..='\u{7E}' => skip,
        _ => 0,
    }
}

/// Whether a character that begins with this byte may need a closer look. It may be asked of any byte of a text.
const fn suspicious(byte: u8) -> bool {
    (byte < 0x20 && byte != b'\n' && byte != b'\t')
        || matches!(byte, 0x7F | 0xC2 | 0xCD | 0xD8 | 0xE1..=0xE3 | 0xEF | 0xF0 | 0xF3)
}

/// What a character is, if it is none to show as it stands.
const fn class(c: char) -> Option<Class> {
    Some(match c {
        '\n' | '\t' => return None,
        // CSI, OSC, DCS, SOS, PM, APC and ST also exist as single C1 characters.
        '\u{1B}' | '\u{90}' | '\u{98}' | '\u{9B}'..='\u{9F}' => Class::Escape,
        '\0'..='\u{1F}' | '\u{7F}'..='\u{9F}' => Class::Control,
        '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {
            Class::Bidi
        }
        '\u{E0000}'..='\u{E007F}' => Class::Tag,
        '\u{AD}'
        | '\u{34F}'
        | '\u{115F}'
        | '\u{1160}'
        | '\u{17B4}'
        | '\u{17B5}'
        | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200D}'
        | '\u{2028}'
        | '\u{2029}'
        | '\u{2060}'..='\u{2065}'
        | '\u{206A}'..='\u{206F}'
        | '\u{3164}'
        | '\u{FE00}'..='\u{FE0F}'
        | '\u{FEFF}'
        | '\u{FFA0}'
        | '\u{FFF0}'..='\u{FFFB}'
        // What steers hieroglyphs, shorthand and music, and a filler of Khitan.
        | '\u{13430}'..='\u{1345F}'
        | '\u{16FE4}'
        | '\u{1BCA0}'..='\u{1BCA3}'
        | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0080}'..='\u{E0FFF}' => Class::ZeroWidth,
        _ => return None,
    })
}

/// The exceptions: the carriage return of a line end, and for an agent one joiner or variation selector between
/// visible characters that are not ASCII, as emoji and several scripts need it. One alone carries no message.
fn harmless(text: &str, start: usize, end: usize, c: char, mode: Mode) -> bool {
    let before = text.get(..start).and_then(|t| t.chars().next_back());
    let after = text.get(end..).and_then(|t| t.chars().next());
    let plain = |c: Option<char>| c.is_some_and(|c| !c.is_ascii() && class(c).is_none());
    match c {
        '\r' => after == Some('\n'),
        '\u{200C}' | '\u{200D}' => {
            let joined = before == Some('\u{FE0F}') || plain(before);
            mode == Mode::Agent && joined && plain(after)
        }
        '\u{FE0E}' | '\u{FE0F}' => mode == Mode::Agent && plain(before),
        _ => false,
    }
}

/// Shows a character by its picture where Unicode has one, else by its number.
fn push_visible(out: &mut String, c: char) {
    let picture = match u32::from(c) {
        code @ 0..0x20 => char::from_u32(0x2400 + code),
        0x7F => Some('\u{2421}'),
        _ => None,
    };
    match picture {
        Some(picture) => out.push(picture),
        None => out.extend(format!("⟨U+{:04X}⟩", u32::from(c)).chars()),
    }
}

/// Adds a finding, or makes the last one longer when it is of the same class and right before.
fn note(findings: &mut Vec<Finding>, start: usize, end: usize, class: Class) {
    if let Some(last) = findings.last_mut()
        && last.span.end == start
        && last.kind.as_str() == class.name()
    {
        last.span.end = end;
    } else if findings.len() < MAX_FINDINGS {
        findings.push(Finding::new(start..end, Kind::slug(class.name()), Confidence::Certain));
    }
}

/// The longest escape that is taken out as a whole.
const ESCAPE_MAX: usize = 4096;
/// More are not told apart; the text is cleaned all the same.
const MAX_FINDINGS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn person(text: &str) -> String {
        sanitise(text, Mode::Person).0.into_owned()
    }

    #[test]
    fn a_terminal_escape_is_shown_and_not_obeyed() {
        let (clean, findings) = sanitise("a\u{1b}]0;pwned\u{7}b\u{9b}2Jc", Mode::Person);
        assert_eq!(clean, "a␛]0;pwned␇b⟨U+009B⟩2Jc");
        let kinds: Vec<_> = findings.iter().map(|f| (f.span.clone(), f.kind.as_str())).collect();
        assert_eq!(
            kinds,
            [(1..2, "terminal-escape"), (10..11, "control-character"), (12..14, "terminal-escape")]
        );
    }

    #[test]
    fn ordinary_text_is_borrowed() {
        for text in ["", "fn main() {\n\tx();\r\n}", "naïve Ünïcödé ✓ 漢字 عربى 😀"]
        {
            assert!(
                matches!(sanitise(text, Mode::Person), (Cow::Borrowed(t), f) if t == text && f.is_empty()),
                "{text}"
            );
        }
    }

    #[test]
    fn text_that_reads_backwards_and_hidden_text_are_shown() {
        assert_eq!(person("rm \u{202e}x\u{2066}"), "rm ⟨U+202E⟩x⟨U+2066⟩");
        assert_eq!(person("a\u{200b}b\u{feff}\u{ad}"), "a⟨U+200B⟩b⟨U+FEFF⟩⟨U+00AD⟩");
        assert_eq!(person("\u{e0069}\u{e0067}"), "⟨U+E0069⟩⟨U+E0067⟩");
        assert_eq!(person("\u{e01ef}\u{fe05}"), "⟨U+E01EF⟩⟨U+FE05⟩");
    }

    #[test]
    fn a_carriage_return_that_would_overwrite_the_line_is_shown() {
        assert_eq!(
            person("allow rm -rf /\rallow ls      \r\n"),
            "allow rm -rf /␍allow ls      \r\n"
        );
    }

    #[test]
    fn an_agent_keeps_emoji_whole_but_not_a_run_of_selectors() {
        let family = "👩\u{200d}👧 ❤\u{fe0f}";
        assert!(matches!(sanitise(family, Mode::Agent), (Cow::Borrowed(_), _)));
        assert!(person(family).contains("⟨U+200D⟩"));
        assert_eq!(sanitise("😀\u{fe0f}\u{fe0f}", Mode::Agent).0, "😀\u{fe0f}⟨U+FE0F⟩");
        assert_eq!(sanitise("a\u{200d}b", Mode::Agent).0, "a⟨U+200D⟩b");
    }

    #[test]
    fn a_line_is_one_line_and_says_how_long_the_text_is() {
        assert_eq!(display_line("a\nb\tc\r\n", 80), "a␊b␉c␍␊");
        assert_eq!(display_line("short", 5), "short");
        let long = display_line(&"x".repeat(1000), 40);
        assert_eq!(long.chars().count(), 40);
        assert!(long.ends_with("… (1000 bytes in all)"));
        assert!(long.starts_with("xxx"));
        assert!(display_line(&"\u{1b}".repeat(1000), 3).chars().count() <= 3);
    }
}
