//! What stands on the screen of `bartizan approvals`, and what does a key do there? Left what waits, right one question,
//! whole; below what is typed.

use crate::clock::left;
use crate::config::units;
use crate::desk::answering::Say;
use crate::desk::rows::{lay, padded, tail};
use crate::desk::telling::{Telling, brief, short, votes};
use crate::report::safe;
use bartizan_store::{Question, Waiting};
use std::collections::BTreeSet;
use std::time::Duration;

/// The questions, and where the person is with them.
#[derive(Debug, Default)]
pub(super) struct Board {
    questions: Vec<Question>,
    /// How many wait, on the board or not.
    all: usize,
    /// The chosen question, by its id: the list may change under it.
    chosen: Option<String>,
    top: usize,
    last_top: usize,
    page: usize,
    /// Those of which all was on the screen.
    read: BTreeSet<String>,
    typing: Option<Typing>,
    said: String,
}

/// A line that is being typed.
#[derive(Debug)]
struct Typing {
    what: What,
    /// The question as it was shown: an answer is to that.
    question: Question,
    line: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// `yes` approves it once.
    Yes,
    /// For how long.
    Time,
    /// Why not.
    No,
}

/// What a person wants.
#[derive(Debug)]
pub(super) enum Act {
    /// To answer this question, as it was shown.
    Answer(Box<Question>, Say, String),
    /// To leave.
    Leave,
}

impl Board {
    /// Takes what waits now.
    pub(super) fn waits(&mut self, waiting: Waiting) {
        self.questions = waiting.questions;
        self.all = waiting.all;
        if self.chosen().is_none() {
            self.chosen = self.questions.first().map(|question| question.id.clone());
            self.top = 0;
            // What is being typed was about a question that is settled.
            if self.typing.take().is_some() {
                self.says("it has been settled meanwhile");
            }
        }
    }

    /// Says something on the last line.
    pub(super) fn says(&mut self, what: &str) {
        self.said = safe(what);
    }

    /// The id of the question that is chosen.
    pub(super) fn chosen_id(&self) -> Option<&str> {
        self.chosen.as_deref()
    }

    fn chosen(&self) -> Option<&Question> {
        let id = self.chosen_id()?;
        self.questions.iter().find(|question| question.id == id)
    }

    fn place(&self) -> Option<usize> {
        self.questions.iter().position(|question| Some(&question.id) == self.chosen.as_ref())
    }

    /// Takes a key, and tells what it asks for.
    pub(super) fn key(&mut self, key: Key) -> Option<Act> {
        self.said.clear();
        match key {
            Key::Interrupt => return Some(Act::Leave),
            key if self.typing.is_some() => return self.typed(key),
            Key::Escape | Key::Sign('q') => return Some(Act::Leave),
            Key::Up => self.choose(-1),
            Key::Down => self.choose(1),
            Key::PageUp => self.top = self.top.saturating_sub(self.page),
            Key::PageDown | Key::Sign(' ') => {
                self.top = (self.top + self.page).min(self.last_top);
            }
            Key::Sign('a') => self.begin(What::Yes),
            Key::Sign('t') => self.begin(What::Time),
            Key::Sign('d') => self.begin(What::No),
            Key::Back | Key::Enter | Key::Sign(_) => {}
        }
        None
    }

    fn choose(&mut self, by: isize) {
        let last = self.questions.len().saturating_sub(1);
        let next = self.place().unwrap_or(0).saturating_add_signed(by).min(last);
        self.chosen = self.questions.get(next).map(|question| question.id.clone());
        self.top = 0;
    }

    fn begin(&mut self, what: What) {
        let Some(question) = self.chosen().cloned() else { return };
        if what != What::No && !self.read.contains(&question.id) {
            return self.says("see all of it first: space or Page Down");
        }
        self.typing = Some(Typing { what, question, line: String::new() });
    }

    fn typed(&mut self, key: Key) -> Option<Act> {
        let typing = self.typing.as_mut()?;
        match key {
            Key::Escape => self.typing = None,
            Key::Back => drop(typing.line.pop()),
            Key::Sign(c) if typing.line.len() < LINE_MAX => typing.line.push(c),
            Key::Enter => {
                let Typing { what, question, line } = self.typing.take()?;
                let line = line.trim();
                let once = Say::Yes { life: None, endorse: None };
                let say = match (what, units::duration(line)) {
                    (What::No, _) => Say::No,
                    (What::Yes, _) if line == "yes" => once,
                    (What::Time, Ok(life)) if life > Duration::ZERO => {
                        Say::Yes { life: Some(life), endorse: None }
                    }
                    _ => {
                        self.says("nothing was answered");
                        return None;
                    }
                };
                let reason = if what == What::No { line.to_owned() } else { String::new() };
                return Some(Act::Answer(Box::new(question), say, reason));
            }
            _ => {}
        }
        None
    }

    /// The whole screen for a terminal of so many rows and columns: each row its pieces, which fill it.
    pub(super) fn drawn(&mut self, (height, width): (usize, usize)) -> Vec<Vec<Piece>> {
        let room = height.saturating_sub(FOOT);
        let left = width * 38 / 100;
        let right = width.saturating_sub(left + BAR.len());
        let list = self.list(room, left);
        let question = self.question(room, right);
        let both = list.into_iter().zip(question);
        let mut rows: Vec<Vec<Piece>> = both
            .map(|(list, question)| vec![list, (BAR.to_owned(), Look::Dim), question])
            .collect();
        rows.push(vec![(padded(&self.said, width), Look::Bold)]);
        rows.push(vec![(padded(&tail(&self.foot(), width), width), Look::Plain)]);
        rows.truncate(height);
        rows
    }

    /// The list, exactly `room` rows; each question has two, and the chosen one is among them.
    fn list(&self, room: usize, width: usize) -> Vec<Piece> {
        let fit = room.saturating_sub(1) / 2;
        let place = self.place().unwrap_or(0);
        let first = place.saturating_sub(fit.saturating_sub(1));
        let title = format!("{} wait", self.all);
        let mut rows = vec![(title, Look::Bold)];
        for (at, question) in self.questions.iter().enumerate().skip(first).take(fit) {
            let effect = question.shown.get("effect").and_then(serde_json::Value::as_str);
            let look = match effect {
                _ if at == place => Look::Chosen,
                Some("irreversible") => Look::Warning,
                _ => Look::Plain,
            };
            let (id, votes) = (short(&question.id), votes(question));
            rows.push((format!("{id} {votes} {}", safe(&question.agent)), look));
            rows.push((safe(&format!("  {} {}", question.tool, brief(question))), Look::Plain));
        }
        filled(rows, room, width)
    }

    /// The chosen question, exactly `room` rows of it.
    fn question(&mut self, room: usize, width: usize) -> Vec<Piece> {
        let Some(question) = self.chosen() else {
            let nothing = "nothing waits for an answer".to_owned();
            return filled(vec![(nothing, Look::Plain)], room, width);
        };
        let (id, expires) = (question.id.clone(), left(question.expires_ms));
        let laid = lay(&Telling::of(question), width);
        let height = room.saturating_sub(1);
        self.page = height.saturating_sub(1).max(1);
        self.last_top = laid.len().saturating_sub(height);
        self.top = self.top.min(self.last_top);
        if self.top == self.last_top && height >= ROWS_MIN && width >= COLUMNS_MIN {
            self.read.insert(id.clone());
        }
        let more = match self.last_top - self.top {
            0 => String::new(),
            below => format!(", {below} rows below: space"),
        };
        let mut rows = vec![(format!("{} expires {expires}{more}", short(&id)), Look::Bold)];
        rows.extend(
            laid.into_iter()
                .skip(self.top)
                .take(height)
                .map(|row| (row.text, if row.is_warning { Look::Warning } else { Look::Plain })),
        );
        filled(rows, room, width)
    }

    fn foot(&self) -> String {
        let Some(typing) = &self.typing else {
            return "a yes, once | t yes, for a time | d no | arrows choose | space reads on | q leaves"
                .to_owned();
        };
        let id = short(&typing.question.id);
        let ask = match typing.what {
            What::Yes => format!("type yes to approve exactly {id}, once"),
            What::Time => format!("approve {id} in its session for how long, such as 30m"),
            What::No => format!("deny {id}; the agent reads why"),
        };
        format!("{ask} (Esc: do not): {}", typing.line)
    }
}

/// A text and how it looks.
pub(super) type Piece = (String, Look);

/// How a piece looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Bold,
    Chosen,
    Dim,
    Plain,
    Warning,
}

/// A key, as far as one means something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Back,
    Down,
    Enter,
    Escape,
    Interrupt,
    PageDown,
    PageUp,
    Sign(char),
    Up,
}

/// Exactly `room` pieces, each filled up to the width.
fn filled(mut rows: Vec<Piece>, room: usize, width: usize) -> Vec<Piece> {
    rows.resize(room, (String::new(), Look::Plain));
    rows.into_iter().map(|(text, look)| (padded(&text, width), look)).collect()
}

/// Between the list and the question.
const BAR: &str = " | ";
/// Rows below them.
const FOOT: usize = 2;
/// Less of a question than this at a time is no way to read it.
const ROWS_MIN: usize = 6;
const COLUMNS_MIN: usize = 30;
/// Most bytes that are typed on the line.
const LINE_MAX: usize = 1024;

#[cfg(test)]
mod tests;
