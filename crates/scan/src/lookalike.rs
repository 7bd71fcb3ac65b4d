//! Which words of a text are not what they look like?

use unicode_security::{MixedScript, skeleton};

/// A word that a person reads as another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookAlike {
    /// The word as it stands.
    pub word: String,
    /// What it looks like, in ASCII.
    pub looks_like: String,
    /// Those of its characters that deceive, in order, each once.
    pub letters: Vec<char>,
}

/// Finds the words of a text that look like other, plain ones: letters of several scripts in one word, a word of look-alikes
/// alone where plain letters are around it, signs that look like `/`, `.` or `@`, and spaces that are none. Prose in a
/// script of its own is honest, and so is its punctuation. Gives at most [`MAX_WORDS`], in order.
pub fn look_alikes(text: &str) -> Vec<LookAlike> {
    let mut found: Vec<LookAlike> = Vec::new();
    if text.is_ascii() {
        return found;
    }
    // A text without a space is a name, a path or an address: there nothing foreign is prose.
    let is_name = !text.trim().contains([' ', '\n', '\t']);
    for token in text.split([' ', '\n', '\t']).filter(|token| !token.is_ascii()) {
        let is_near_plain = is_name || token.contains(|c: char| c.is_ascii_alphabetic());
        for word in words(token) {
            let known = found.iter().any(|old| old.word == word);
            if !known && let Some(new) = deceit(word, is_name, is_near_plain) {
                found.push(new);
            }
            if found.len() == MAX_WORDS {
                return found;
            }
        }
    }
    found
}

/// Most words that are told apart.
pub const MAX_WORDS: usize = 16;

/// The words of a token, and each sign between them that is not ASCII.
fn words(token: &str) -> impl Iterator<Item = &str> {
    let cut = |c: char| !(c.is_alphanumeric() || is_mark(c));
    token
        .split_inclusive(cut)
        .flat_map(move |piece| match piece.char_indices().next_back().filter(|(_, c)| cut(*c)) {
            Some((at, _)) => {
                let (word, sign) = piece.split_at_checked(at).unwrap_or((piece, ""));
                [word, sign]
            }
            None => [piece, ""],
        })
        .filter(|word| !word.is_ascii())
}

const fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36F}')
}

fn deceit(word: &str, is_name: bool, is_near_plain: bool) -> Option<LookAlike> {
    let mut letters: Vec<char> = Vec::new();
    for c in word.chars().filter(|c| plain(*c).is_some()) {
        if !letters.contains(&c) {
            letters.push(c);
        }
    }
    if letters.is_empty() {
        return None;
    }
    let looks_like: String = word.chars().map(|c| plain(c).unwrap_or(c)).collect();
    let is_sign = !word.contains(char::is_alphanumeric);
    let is_space = word.chars().all(char::is_whitespace);
    let has_plain = word.contains(|c: char| c.is_ascii_alphanumeric());
    let deceives = if is_space {
        true
    } else if is_sign {
        // Quotation marks and dashes are honest in prose; what steers an address or a path is not.
        is_name || looks_like.contains(['/', '.', '@', ':', '\\', '?', '#'])
    } else if has_plain {
        is_name || !word.is_single_script()
    } else {
        is_near_plain && looks_like.is_ascii()
    };
    deceives.then(|| LookAlike { word: word.to_owned(), looks_like, letters })
}

/// The ASCII character that a character of another kind looks like, marks left aside.
fn plain(c: char) -> Option<char> {
    if c.is_ascii() {
        return None;
    }
    if c.is_whitespace() {
        return Some(' ');
    }
    let mut buffer = [0; 4];
    let mut looks = skeleton(c.encode_utf8(&mut buffer));
    let first = looks.next().filter(char::is_ascii_graphic)?;
    // An accent is no disguise: `é` is read as what it is.
    (looks.next().is_none()).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<(String, String)> {
        look_alikes(text).into_iter().map(|one| (one.word, one.looks_like)).collect()
    }

    #[test]
    fn words_that_look_like_others_are_found_with_their_letters() {
        let found = look_alikes("curl https://p\u{430}ypal.com/x");
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((&*found[0].word, &*found[0].looks_like), ("p\u{430}ypal", "paypal"));
        assert_eq!(found[0].letters, ['\u{430}']);
        // A whole word of look-alikes, in an address and by itself.
        for text in ["see https://\u{441}\u{43e}\u{440}.com now", "\u{441}\u{43e}\u{440}"] {
            assert_eq!(told(text), [("\u{441}\u{43e}\u{440}".to_owned(), "cop".to_owned())]);
        }
        assert_eq!(told("\u{455}\u{43e}\u{440}hie@x.org")[0].1, "sophie");
    }

    #[test]
    fn signs_and_spaces_that_steer_are_found() {
        assert_eq!(told("https://good.com\u{2215}x@evil.org")[0].1, "/");
        assert_eq!(told("rm -rf\u{a0}/tmp")[0].1, " ");
        assert_eq!(told("go to good\u{2024}com now")[0].1, ".");
        assert!(!told("/srv/re\u{2010}port").is_empty(), "a hyphen that is none, in a path");
    }

    #[test]
    fn honest_text_in_any_script_is_left_alone() {
        for text in [
            "plain ASCII, https://example.com/a?b=c",
            "na\u{ef}ve caf\u{e9} \u{dc}n\u{ef}c\u{f6}d\u{e9}",
            "Привет, это простой русский текст о сервере и API",
            "Γειά σου κόσμε",
            "\u{201c}quoted\u{201d} \u{2013} and don\u{2019}t",
            "漢字 и кириллица",
            "/home/anna/Größe.txt",
            "/home/ivan/документы",
        ] {
            assert_eq!(told(text), [], "{text}");
        }
    }

    #[test]
    fn a_flood_of_them_is_bounded() {
        let many: Vec<String> = (0..500).map(|n| format!("p\u{430}y{n}")).collect();
        assert_eq!(look_alikes(&many.join(" ")).len(), MAX_WORDS);
    }
}
