//! Could this text be taken for one of our markers? Whatever could is broken, so that it can be made whole again.

/// Breaks everything that could be read as a marker: a backslash goes between `<` and what follows. Backslashes that
/// stand there already make room for one more, so that it can be undone exactly.
pub(super) fn defang(text: &str) -> String {
    rewrite(text, |out, gap, word| {
        out.push('<');
        out.push('\\');
        out.push_str(gap);
        out.push_str(word);
    })
}

pub(super) fn refang(text: &str) -> String {
    rewrite(text, |out, gap, word| {
        out.push('<');
        out.push_str(gap.strip_prefix('\\').unwrap_or(gap));
        out.push_str(word);
    })
}

/// Hands each `<`, gap of slashes and space, `bartizan` (in any case) to `change`, and copies the rest.
fn rewrite(text: &str, change: impl Fn(&mut String, &str, &str)) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        out.push_str(before);
        let word_at = after
            .find(|c: char| !matches!(c, '\\' | '/') && !c.is_whitespace())
            .unwrap_or(after.len());
        let (gap, word_on) = after.split_at(word_at);
        match word_on.split_at_checked(NAME.len()) {
            Some((word, tail)) if word.eq_ignore_ascii_case(NAME) => {
                change(&mut out, gap, word);
                rest = tail;
            }
            _ => {
                out.push('<');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

const NAME: &str = "bartizan";
