//! What would a person's eye be deceived by that every program reads rightly? Marks without end on one letter, and characters
//! that a font draws as nothing, or as whatever it likes.

use super::{MAX_FINDINGS, push_visible};
use crate::finding::{Confidence, Finding, Kind};
use std::borrow::Cow;
use unicode_normalization::char::is_combining_mark;

/// Shows such characters by their numbers. What it gives it would not change again.
pub(super) fn plain(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.is_ascii() {
        return text;
    }
    if !text.chars().any(deceiver()) {
        return text;
    }
    let (mut out, mut deceives) = (String::with_capacity(text.len()), deceiver());
    for c in text.chars() {
        if deceives(c) {
            push_visible(&mut out, c);
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Adds what of a text as it came is shown otherwise for that.
pub(super) fn note(text: &str, findings: &mut Vec<Finding>) {
    if text.is_ascii() {
        return;
    }
    let (before, mut deceives) = (findings.len(), deceiver());
    for (at, c) in text.char_indices() {
        if deceives(c) && findings.len() - before < MAX_FINDINGS {
            let span = at..at + c.len_utf8();
            findings.push(Finding::new(span, Kind::slug(DRAWN), Confidence::Certain));
        }
    }
    if findings.len() > before {
        findings.sort_by_key(|finding| finding.span.start);
    }
}

/// Tells of each character of a text, in order, whether it deceives where it stands.
fn deceiver() -> impl FnMut(char) -> bool {
    let mut heap = 0;
    move |c| {
        heap = if !c.is_ascii() && is_combining_mark(c) { heap + 1 } else { 0 };
        heap > HEAP || is_blank_or_anything(c)
    }
}

const fn is_blank_or_anything(c: char) -> bool {
    matches!(
        c,
        // Braille without dots is a space that no program takes for one.
        '\u{70F}' | '\u{2800}' | '\u{FFFC}'
            // For private use: each font has its own.
            | '\u{E000}'..='\u{F8FF}' | '\u{F0000}'..='\u{10FFFF}'
            | '\u{FDD0}'..='\u{FDEF}' | '\u{FFFE}' | '\u{FFFF}'
    )
}

const DRAWN: &str = "drawn-otherwise";
/// As many marks as a letter of any living script bears.
const HEAP: usize = 4;

#[cfg(test)]
mod tests {
    use crate::sanitise::{Mode, display_line, sanitise};

    fn person(text: &str) -> String {
        sanitise(text, Mode::Person).0.into_owned()
    }

    #[test]
    fn marks_that_are_heaped_on_a_letter_lie_over_no_other_line() {
        for mark in ['\u{301}', '\u{20dd}', '\u{e49}', '\u{64b}', '\u{489}', '\u{1ac0}'] {
            let heap = format!("a{}b", String::from(mark).repeat(500));
            let shown = person(&heap);
            assert_eq!(shown.matches(mark).count(), 4, "{mark:?}");
            assert_eq!(shown.matches(&format!("⟨U+{:04X}⟩", u32::from(mark))).count(), 496);
            assert_eq!(person(&shown), shown);
            let (_, found) = sanitise(&heap, Mode::Person);
            assert_eq!((found.len(), found[0].kind.as_str()), (496, "drawn-otherwise"));
        }
        let words = "naïve Việt ภาษาที่ हिन्दी עִבְרִית";
        assert_eq!(person(words), words);
    }

    #[test]
    fn what_a_font_draws_as_nothing_or_as_anything_is_shown_by_its_number() {
        for c in
            ['\u{2800}', '\u{fffc}', '\u{e000}', '\u{f8ff}', '\u{10fffd}', '\u{fdd0}', '\u{70f}']
        {
            let shown = display_line(&format!("rm{c}x"), 80);
            assert_eq!(shown, format!("rm⟨U+{:04X}⟩x", u32::from(c)));
            assert!(sanitise(&format!("rm{c}x"), Mode::Agent).0.contains(c), "a model reads it");
        }
        for c in ['\u{1d173}', '\u{1bca0}', '\u{13430}', '\u{16fe4}'] {
            for mode in [Mode::Person, Mode::Agent] {
                assert!(!sanitise(&format!("rm{c}x"), mode).0.contains(c), "{c:?} {mode:?}");
            }
        }
    }
}
