//! What has the box's program made of the person's terminal? Its output is followed just far enough to put things back
//! after something else was drawn there.

use std::collections::BTreeMap;

/// The modes that a program has set, and where in its output it stands.
#[derive(Debug, Default)]
pub(super) struct Modes {
    place: Place,
    /// What came of the sequence that is under way.
    sequence: Vec<u8>,
    /// Whether the rest of that sequence would only be rubbish by now.
    is_torn: bool,
    /// The private modes that are set or reset, by number.
    private: BTreeMap<u16, bool>,
    /// The last sequences that gave the letters their look; more than these are not kept.
    looks: Vec<Vec<u8>>,
    /// The last sequence of each other kind.
    others: BTreeMap<Kind, Vec<u8>>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    Text,
    Escape,
    Control,
    /// In a text for the terminal itself; `true` after an escape that may end it.
    Words(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Charset,
    Cursor,
    Keypad,
    Keys,
    Kitty,
    Region,
}

impl Modes {
    /// Follows output, and gives what of it is to be shown: all of it, but for the rest of a torn sequence.
    pub(super) fn follow<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let mut shown = 0;
        for (at, byte) in bytes.iter().enumerate() {
            self.step(*byte);
            if self.is_torn {
                shown = at + 1;
                self.is_torn = self.place != Place::Text;
            }
        }
        bytes.get(shown..).unwrap_or_default()
    }

    /// Something else is drawn now: a sequence that is under way will never be whole. Tells whether there was one.
    pub(super) fn tear(&mut self) -> bool {
        self.is_torn = self.place != Place::Text;
        self.is_torn
    }

    /// Whether it has the alternate screen.
    pub(super) fn is_alternate(&self) -> bool {
        ALTERNATE.iter().any(|mode| self.private.get(mode) == Some(&true))
    }

    /// The bytes that make a terminal in its first state what the program had made of it.
    pub(super) fn again(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (mode, set) in self.private.iter().filter(|(mode, _)| !ALTERNATE.contains(mode)) {
            out.extend(format!("\x1b[?{mode}{}", if *set { 'h' } else { 'l' }).bytes());
        }
        self.others.values().chain(&self.looks).for_each(|sequence| out.extend(sequence));
        out
    }

    fn step(&mut self, byte: u8) {
        match (self.place, byte) {
            // These end whatever was under way.
            (_, 0x18 | 0x1a) | (Place::Words(_), 0x07) | (Place::Words(true), b'\\') => {
                self.place = Place::Text;
            }
            (Place::Words(_), _) => self.place = Place::Words(byte == 0x1b),
            (_, 0x1b) => {
                self.place = Place::Escape;
                self.sequence = vec![byte];
            }
            (Place::Text, _) => {}
            (Place::Escape, _) => self.escape(byte),
            (Place::Control, _) => self.control(byte),
        }
    }

    fn escape(&mut self, byte: u8) {
        self.sequence.push(byte);
        match (self.sequence.as_slice(), byte) {
            ([_, _], b'[') => self.place = Place::Control,
            ([_, _], b']' | b'P' | b'X' | b'^' | b'_') => self.place = Place::Words(false),
            (_, 0x20..=0x2f) if self.sequence.len() < LONGEST => {}
            (sequence, _) => {
                match sequence {
                    [_, b'c'] => *self = Self { is_torn: self.is_torn, ..Self::default() },
                    [_, b'=' | b'>'] => self.keep(Kind::Keypad),
                    [_, b'(', _] => self.keep(Kind::Charset),
                    _ => {}
                }
                self.place = Place::Text;
            }
        }
    }

    fn control(&mut self, byte: u8) {
        self.sequence.push(byte);
        if matches!(byte, 0x40..=0x7e) {
            self.obey(byte);
            self.place = Place::Text;
        } else if self.sequence.len() >= LONGEST {
            // None that is kept is so long; the terminal reads on as it pleases.
            self.place = Place::Text;
        }
    }

    /// Takes a whole control sequence down, if it is one that lasts.
    fn obey(&mut self, last: u8) {
        let inner = self.sequence.get(2..self.sequence.len().saturating_sub(1));
        let inner = String::from_utf8_lossy(inner.unwrap_or_default()).into_owned();
        match (inner.as_bytes().first(), last) {
            (Some(b'?'), b'h' | b'l') => {
                let modes = inner.trim_start_matches('?').split(';');
                for mode in
                    modes.filter_map(|text| text.parse().ok()).filter(|m| LASTING.contains(m))
                {
                    self.private.insert(mode, last == b'h');
                }
            }
            (Some(b'>'), b'm') => self.keep(Kind::Keys),
            (Some(b'>' | b'<' | b'='), b'u') => self.keep(Kind::Kitty),
            (Some(b'!'), b'p') => {
                self.looks.clear();
                self.others.clear();
            }
            (None | Some(b'0'..=b'9' | b';' | b':'), b'm') => {
                if matches!(&*inner, "" | "0") {
                    self.looks.clear();
                }
                if self.looks.len() < LOOKS {
                    self.looks.push(self.sequence.clone());
                }
            }
            (_, b'q') if inner.ends_with(' ') => self.keep(Kind::Cursor),
            (None | Some(b'0'..=b'9' | b';'), b'r') => self.keep(Kind::Region),
            _ => {}
        }
    }

    fn keep(&mut self, kind: Kind) {
        self.others.insert(kind, self.sequence.clone());
    }
}

/// The modes of the alternate screen.
const ALTERNATE: [u16; 3] = [47, 1047, 1049];
/// The private modes that are put back.
const LASTING: [u16; 21] = [
    1, 6, 7, 9, 25, 47, 66, 1000, 1002, 1003, 1004, 1005, 1006, 1007, 1015, 1016, 1047, 1049, 2004,
    2027, 2031,
];
/// Most bytes of a sequence that is kept.
const LONGEST: usize = 64;
/// Most sequences for the look of letters that are kept.
const LOOKS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str) -> String {
        let mut modes = Modes::default();
        assert_eq!(modes.follow(text.as_bytes()), text.as_bytes());
        String::from_utf8(modes.again()).unwrap()
    }

    #[test]
    fn what_lasts_is_put_back_and_what_does_not_is_not() {
        assert_eq!(after("plain \x1b[2J\x1b[5;5Htext \x1b]0;title\x07 more"), "");
        assert_eq!(
            after("\x1b[?2004h\x1b[?1000;1006h\x1b[?1000l"),
            "\x1b[?1000l\x1b[?1006h\x1b[?2004h"
        );
        assert_eq!(after("\x1b[31m\x1b[0m\x1b[1m\x1b[38;5;7m"), "\x1b[0m\x1b[1m\x1b[38;5;7m");
        assert_eq!(after("\x1b[>1u\x1b[2 q\x1b[3;9r\x1b="), "\x1b[2 q\x1b=\x1b[>1u\x1b[3;9r");
        assert_eq!(after("\x1b[?2004h\x1bc"), "");
    }

    #[test]
    fn the_alternate_screen_is_known() {
        let mut modes = Modes::default();
        modes.follow(b"\x1b[?10");
        modes.follow(b"49h");
        assert!(modes.is_alternate());
        modes.follow(b"\x1b[?1049l");
        assert!(!modes.is_alternate());
    }

    #[test]
    fn the_rest_of_a_torn_sequence_is_not_shown_as_text() {
        let mut modes = Modes::default();
        modes.follow(b"text \x1b[3");
        assert!(modes.tear());
        assert_eq!(modes.follow(b"1mred"), b"red");
        modes.follow(b"\x1b]0;a long ti");
        assert!(modes.tear());
        assert_eq!(modes.follow(b"tle"), b"");
        assert_eq!(modes.follow(b" of it\x1b\\shown"), b"shown");
        assert!(!modes.tear());
        assert_eq!(modes.follow(b"all"), b"all");
    }
}
