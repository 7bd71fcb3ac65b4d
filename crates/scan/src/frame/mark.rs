//! Where do the words of a marked text begin? Each carries the call's mark, whatever stands in it.

/// Puts `mark` before each word, and before every further [`STRETCH`] characters of one that does not end.
pub(super) fn put(text: &str, mark: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 2);
    let mut run = 0_usize;
    for c in text.chars() {
        if c.is_whitespace() {
            run = 0;
        } else {
            if run.is_multiple_of(STRETCH) {
                out.push_str(mark);
            }
            run += 1;
        }
        out.push(c);
    }
    out
}

/// Takes away what [`put`] has put there; `None` where a mark is missing.
pub(super) fn take(text: &str, mark: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let (mut run, mut rest) = (0_usize, text);
    while let Some(next) = rest.chars().next() {
        if next.is_whitespace() {
            run = 0;
        } else {
            if run.is_multiple_of(STRETCH) {
                rest = rest.strip_prefix(mark)?;
            }
            run += 1;
        }
        let mut chars = rest.chars();
        let c = chars.next().filter(|c| c.is_whitespace() == next.is_whitespace())?;
        out.push(c);
        rest = chars.as_str();
    }
    Some(out)
}

/// Longer than nearly every name and path, which a model has to write again as they are, and far shorter than orders
/// that do without spaces.
const STRETCH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_marked_and_a_long_one_more_than_once() {
        assert_eq!(put("a  bc\nd", "ˆ1"), "ˆ1a  ˆ1bc\nˆ1d");
        let long = "ignore-all-previous-orders-".repeat(6);
        assert_eq!(put(&long, "ˆ1").matches("ˆ1").count(), 3);
        for text in ["", " ", "ˆ1", "ˆ1 ˆ1ˆ1x", &long] {
            assert_eq!(take(&put(text, "ˆ1"), "ˆ1").as_deref(), Some(text));
        }
    }

    #[test]
    fn a_word_without_its_mark_was_not_marked_here() {
        assert_eq!(take("ˆ1a b", "ˆ1"), None);
        assert_eq!(take("ˆ1 a", "ˆ1"), None);
    }
}
