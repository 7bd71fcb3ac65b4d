//! Which letters of a text deceive, and what becomes of them?

use super::policy::Treatment;
use super::push_visible;
use crate::lookalike::look_alikes;

/// Treats the letters of words that look like others. Gives the text if it changed, and how many words there were.
pub(super) fn treat(text: &str, treatment: Treatment) -> (Option<String>, usize) {
    let mut found = look_alikes(text);
    let mut words = found.len();
    if treatment == Treatment::Note || found.is_empty() {
        return (None, words);
    }
    let mut out = text.to_owned();
    // So many are told apart at a time; a text that has more is gone through again.
    for _ in 0..ROUNDS_MAX {
        for one in &found {
            let mut plain = String::with_capacity(one.word.len());
            for c in one.word.chars() {
                match (one.letters.contains(&c), treatment) {
                    (false, _) => plain.push(c),
                    (true, Treatment::Remove) => {}
                    (true, Treatment::Note | Treatment::Show) => push_visible(&mut plain, c),
                }
            }
            out = out.replace(&one.word, &plain);
        }
        found = look_alikes(&out);
        if found.is_empty() {
            return (Some(out), words);
        }
        words += found.len();
    }
    (Some(WITHHELD.to_owned()), words)
}

/// What stands in the place of a text that has more such words than anybody will look at.
const WITHHELD: &str = "[withheld by bartizan: too many of its words are not what they look like]";
const ROUNDS_MAX: usize = 64;
