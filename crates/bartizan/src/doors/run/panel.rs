//! What does a person see of a question, and what do their keys mean? Drawn line by line, for one size of a terminal.

use crate::config::units;
use crate::desk::answering::Say;
use crate::desk::rows::{Row, cells, lay, padded, tail};
use crate::desk::telling::Telling;
use std::fmt::Write as _;
use std::time::Duration;

/// A question on the screen.
#[derive(Debug)]
pub(super) struct Panel {
    title: String,
    told: Telling,
    size: (usize, usize),
    rows: Vec<Row>,
    top: usize,
    /// What has to be typed to say yes; shown, and good, only once all of the question was shown.
    code: String,
    /// Whether keys count.
    is_open: bool,
    is_read: bool,
    line: String,
    said: String,
}

/// What a person wants.
#[derive(Debug)]
pub(super) enum Act {
    /// To answer.
    Answer(Say, String),
    /// To answer later, and elsewhere.
    Leave,
    /// To be asked nothing more here.
    Quiet,
}

impl Panel {
    /// A question under its title. Until it is [open](Self::open), no key counts.
    pub(super) fn new(title: String, told: Telling, code: String, size: (usize, usize)) -> Self {
        let mut panel = Self {
            title,
            told,
            size,
            rows: Vec::new(),
            top: 0,
            code,
            is_open: false,
            is_read: false,
            line: String::new(),
            said: String::new(),
        };
        panel.fits(size);
        panel
    }

    /// Lays the question out for a terminal of so many rows and columns.
    pub(super) fn fits(&mut self, size: (usize, usize)) {
        self.size = size;
        self.rows = lay(&self.told, size.1);
        self.scroll(0);
    }

    /// From now on keys count.
    pub(super) fn open(&mut self) {
        self.is_open = true;
    }

    /// Says something above the line that is typed.
    pub(super) fn says(&mut self, what: String) {
        self.said = what;
    }

    /// The whole screen, every cell of it.
    pub(super) fn drawn(&mut self) -> String {
        let (height, width) = self.size;
        let foot = self.foot();
        let room = self.room();
        let mut screen = String::new();
        let mut row = 0;
        let mut put = |text: &str, look: &str| {
            row += 1;
            let text = padded(text, width);
            // Single size, at its place, in its look: whatever stood there is gone.
            _ = write!(screen, "\x1b[{row};1H\x1b#5\x1b[0;{look}m{text}\x1b[0m\x1b[K");
        };
        put(&self.title, "7;1");
        for at in self.top..self.top + room {
            match self.rows.get(at) {
                Some(row) if row.is_warning => put(&row.text, "1;31"),
                Some(row) => put(&row.text, "0"),
                None => put("", "0"),
            }
        }
        for line in &foot {
            put(line, "1");
        }
        let typed = format!("> {}", self.line);
        put(&tail(&typed, width.saturating_sub(1)), "0");
        let column = cells(&typed).min(width.saturating_sub(1)) + 1;
        _ = write!(screen, "\x1b[{height};{column}H");
        screen
    }

    /// Takes what came from the keyboard, and tells what it asks for.
    pub(super) fn keys(&mut self, bytes: &[u8]) -> Option<Act> {
        if !self.is_open {
            return None;
        }
        self.said.clear();
        let page = isize::try_from(self.room().saturating_sub(1)).unwrap_or(1).max(1);
        match bytes {
            b"\x1b" | b"\x03" => return Some(Act::Leave),
            b"\x1b[A" | b"\x1bOA" => self.scroll(-1),
            b"\x1b[B" | b"\x1bOB" => self.scroll(1),
            b"\x1b[5~" => self.scroll(-page),
            b"\x1b[6~" => self.scroll(page),
            b" " if self.line.is_empty() => self.scroll(page),
            [0x1b, ..] => {}
            text => return self.typed(&String::from_utf8_lossy(text), page),
        }
        None
    }

    fn typed(&mut self, text: &str, page: isize) -> Option<Act> {
        for c in text.chars() {
            match c {
                '\r' | '\n' => {
                    let line = std::mem::take(&mut self.line);
                    if line.trim().is_empty() {
                        self.scroll(page);
                    } else if let Some(act) = self.meant(line.trim()) {
                        return Some(act);
                    }
                }
                '\u{7f}' | '\u{8}' => drop(self.line.pop()),
                '\u{15}' => self.line.clear(),
                c if !c.is_control() && self.line.len() < LINE_MAX => self.line.push(c),
                _ => {}
            }
        }
        None
    }

    fn meant(&mut self, line: &str) -> Option<Act> {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        match first {
            "no" => return Some(Act::Answer(Say::No, rest.to_owned())),
            "quiet" if rest.is_empty() => return Some(Act::Quiet),
            code if code == self.code && self.is_shown_whole() => {
                if rest.is_empty() {
                    return Some(Act::Answer(
                        Say::Yes { life: None, endorse: None },
                        String::new(),
                    ));
                }
                match units::duration(rest) {
                    Ok(life) if life > Duration::ZERO => {
                        let say = Say::Yes { life: Some(life), endorse: None };
                        return Some(Act::Answer(say, String::new()));
                    }
                    _ => {
                        self.says(
                            "after the code stands a time, such as 30m, or nothing".to_owned(),
                        );
                    }
                }
            }
            _ => self.says("that is none of what is offered here".to_owned()),
        }
        None
    }

    /// Whether keys count, and all of it was on the screen.
    fn is_shown_whole(&self) -> bool {
        self.is_open && self.is_read
    }

    fn scroll(&mut self, by: isize) {
        let last = self.rows.len().saturating_sub(self.room());
        self.top = self.top.saturating_add_signed(by).min(last);
        self.is_read |= self.is_roomy() && self.top == last;
    }

    fn is_roomy(&self) -> bool {
        self.size.0 >= ROWS_MIN && self.size.1 >= COLUMNS_MIN
    }

    /// How many rows are the question's.
    fn room(&self) -> usize {
        self.size.0.saturating_sub(2 + FOOT)
    }

    fn foot(&self) -> [String; FOOT] {
        let below = self.rows.len().saturating_sub(self.top + self.room());
        let where_to = match below {
            _ if !self.is_roomy() => "make the terminal larger to answer".to_owned(),
            0 => String::new(),
            below => format!("--- {below} more lines: space or arrow down ---"),
        };
        let yes = match (self.is_open, self.is_shown_whole()) {
            (false, _) => "keys do not count yet".to_owned(),
            (true, false) => "yes: how, stands here once you have seen all of it".to_owned(),
            (true, true) => {
                let code = &self.code;
                format!("yes, once: {code} Enter | for a time: {code} 30m Enter")
            }
        };
        let no = "no: no REASON Enter | later: Esc | ask no more: quiet Enter".to_owned();
        [where_to, self.said.clone(), yes, if self.is_open { no } else { String::new() }]
    }
}

/// Rows below the question, without the one that is typed on.
const FOOT: usize = 4;
/// On a smaller terminal no yes is taken: too little is seen at a time.
const ROWS_MIN: usize = 10;
const COLUMNS_MIN: usize = 40;
/// Most bytes that are typed on the line.
const LINE_MAX: usize = 1024;

#[cfg(test)]
mod tests;
