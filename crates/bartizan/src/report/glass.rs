//! What may reach a person's terminal of data that is printed byte for byte? A record in JSON may hold characters that steer a
//! terminal or turn its text round; JSON has another way to write each of them, which is the same value.

use std::io::{self, Write};

/// Lets everything through to a terminal but characters that steer it or hide, which it writes as JSON's `\uXXXX`. Our own
/// colours and line ends pass.
pub(super) struct Glass<W> {
    to: W,
    /// The beginning of a character whose end has not been written yet.
    begun: Vec<u8>,
}

impl<W: Write> Glass<W> {
    pub(super) fn before(to: W) -> Self {
        Self { to, begun: Vec::new() }
    }

    fn put(&mut self, text: &str) -> io::Result<()> {
        let mut copied = 0;
        for (at, c) in text.char_indices().filter(|(_, c)| steers_or_hides(*c)) {
            self.to.write_all(text.get(copied..at).unwrap_or_default().as_bytes())?;
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                write!(self.to, "\\u{unit:04x}")?;
            }
            copied = at + c.len_utf8();
        }
        self.to.write_all(text.get(copied..).unwrap_or_default().as_bytes())
    }
}

impl<W: Write> Write for Glass<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begun.extend_from_slice(bytes);
        let given = std::mem::take(&mut self.begun);
        let mut rest = given.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.put(text)?;
                    return Ok(bytes.len());
                }
                Err(flaw) => {
                    let (good, after) =
                        rest.split_at_checked(flaw.valid_up_to()).unwrap_or((rest, &[]));
                    self.put(std::str::from_utf8(good).unwrap_or_default())?;
                    let Some(bad) = flaw.error_len() else {
                        self.begun = after.to_vec();
                        return Ok(bytes.len());
                    };
                    self.put("\u{FFFD}")?;
                    rest = after.get(bad..).unwrap_or_default();
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

const fn steers_or_hides(c: char) -> bool {
    matches!(
        c,
        '\u{7F}'..='\u{9F}' | '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}'
            | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E0FFF}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn through(pieces: &[&[u8]]) -> String {
        let mut glass = Glass::before(Vec::new());
        for piece in pieces {
            glass.write_all(piece).unwrap();
        }
        String::from_utf8(glass.to).unwrap()
    }

    #[test]
    fn a_record_that_steers_a_terminal_is_the_same_value_and_steers_nothing() {
        let record =
            json!({ "to": "a\u{9b}2J\u{85}\u{7f}b\u{202e}c\u{200b}\u{e0041}d naïve 漢 😀" });
        let text = record.to_string();
        for size in [1, 2, 3, 7, 1000] {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            let shown = through(&pieces);
            assert!(!shown.chars().any(steers_or_hides), "{shown}");
            assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), record, "by {size}");
        }
    }

    #[test]
    fn our_colours_and_ordinary_text_pass_and_what_is_no_text_does_not() {
        let ours = "\u{1b}[32mwhole\u{1b}[0m: 漢\tx\r\n";
        assert_eq!(through(&[ours.as_bytes()]), ours);
        assert_eq!(through(&[b"a\x9b2J\xffb"]), "a\u{fffd}2J\u{fffd}b");
    }
}
