//! What in a text is worth a closer look?

use crate::dress;
use crate::dumps;
use crate::fold::Window;
use crate::prefixed;
use crate::redact::Inner;
use crate::rules::Clue;
use crate::runs::{self, Code};
use crate::shown;
use crate::tables::Table;
use memchr::memmem::{Finder, FinderRev};
use std::ops::Range;
use std::sync::LazyLock;

/// What a quick look at a text found worth a closer one.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// The rules and names that may begin, and where.
    pub(crate) clues: Vec<(usize, Clue)>,
    pub(crate) runs: Vec<(Range<usize>, Code)>,
    signs: Signs,
    pub(crate) lines: usize,
    /// The table that the text is in, and that which it was in when the segment began.
    table: Table,
    table_before: Table,
    /// The last letters and digits, up to which no known value was met.
    pub(crate) window: Window,
    /// Whether a known value may stand here in other letters, and the last of these.
    dressed: bool,
    dressed_window: Window,
}

/// What a text has, as bits.
#[derive(Clone, Copy, Debug, Default)]
struct Signs(u16);

impl Signs {
    /// A rule or a name was met, even one that a second look ruled out.
    const TOLD: u16 = 1;
    /// Something is written in escapes.
    const ESCAPE: u16 = 1 << 1;
    /// Strings are put together.
    const SEAM: u16 = 1 << 2;
    /// Character codes may be listed.
    const LIST: u16 = 1 << 3;
    /// A known value may stand here.
    const KNOWN: u16 = 1 << 4;
    /// It is a dump.
    const DUMP: u16 = 1 << 5;
    /// It is a stream of events.
    const EVENTS: u16 = 1 << 6;
    /// A block that began has not ended.
    const BLOCK: u16 = 1 << 7;
    /// Its letters are turned by half the alphabet.
    const TURNED: u16 = 1 << 8;

    const fn add(&mut self, sign: u16, there: bool) {
        if there {
            self.0 |= sign;
        }
    }

    const fn set(&mut self, sign: u16, there: bool) {
        self.0 = if there { self.0 | sign } else { self.0 & !sign };
    }

    const fn any(self, signs: u16) -> bool {
        self.0 & signs != 0
    }
}

impl Marks {
    /// Takes the next line of a text, which begins at `base`.
    pub(crate) fn add(&mut self, inner: &Inner, line: &[u8], base: usize) {
        let (mut begins, mut foreign, from) = (false, false, self.clues.len());
        inner.rules.clues(line, |at, all| {
            for &clue in all {
                match clue {
                    Clue::Block => begins = true,
                    Clue::Escape => self.signs.add(Signs::ESCAPE, true),
                    Clue::Seam => self.signs.add(Signs::SEAM, true),
                    Clue::List => self.signs.add(Signs::LIST, true),
                    Clue::Foreign => foreign = true,
                    Clue::Turned => self.signs.add(Signs::TURNED, true),
                    Clue::Rule(_) | Clue::Word(_) | Clue::Cell(..) | Clue::Token(_) => {
                        self.signs.add(Signs::TOLD, true);
                        if inner.rules.may_tell(line, at, clue) {
                            self.clues.push((base + at, clue));
                        }
                    }
                }
            }
        });
        self.tabled(line, base, from);
        if begins || self.block_open() {
            let open = block_open(line, self.block_open());
            self.signs.set(Signs::BLOCK, open);
        }
        // Once a value may stand here, all of the text is searched for it, so more of them are no news.
        if inner.known.len() > 0 && !self.known() {
            let known = inner.known.passes(line, &mut self.window) || inner.known.odd_in(line);
            self.signs.add(Signs::KNOWN, known);
        }
        if inner.known.len() > 0 && !self.dressed && (foreign || dress::mixes(line)) {
            let plain = dress::plain(line).bytes;
            self.dressed = inner.known.passes(&plain, &mut self.dressed_window);
        }
        runs::each_long(line, |run| {
            let run = runs::without_mark(line, run);
            if let Some(code) = line.get(run.clone()).and_then(runs::worth) {
                self.runs.push((base + run.start..base + run.end, code));
            } else if !inner.rules.is_empty() {
                let part = prefixed::last_part(line, &run);
                if prefixed::token(line, &part) {
                    self.clues.push((base + part.start, Clue::Token(part.len())));
                }
            }
        });
        self.signs.add(Signs::DUMP, dumps::dump_address(line));
        self.signs.add(Signs::EVENTS, line.starts_with(b"data:"));
        self.lines += 1;
    }

    /// Reads a line as one of a table; the clues in it begin at `from`.
    fn tabled(&mut self, line: &[u8], base: usize, from: usize) {
        let word = |(at, clue): &(usize, Clue)| match clue {
            Clue::Word(word) => Some((at - base, *word)),
            _ => None,
        };
        let words: Vec<_> = self.clues.iter().skip(from).filter_map(word).collect();
        let clues = &mut self.clues;
        self.table.read(line, &words, |cell, told| {
            clues.push((base + cell.start, Clue::Cell(cell.len(), told)));
        });
    }

    /// Forgets the segment, to look at it anew.
    pub(crate) fn restart(&mut self) {
        self.table = self.table_before.clone();
        self.clear();
    }

    /// Forgets everything but its memory and the table that goes on.
    pub(crate) fn clear(&mut self) {
        self.table_before = self.table.clone();
        self.clues.clear();
        self.runs.clear();
        self.signs = Signs::default();
        (self.lines, self.window) = (0, Window::default());
        (self.dressed, self.dressed_window) = (false, Window::default());
    }

    /// Whether there is nothing to look at.
    pub(crate) fn is_empty(&self) -> bool {
        let joined = self.lines > 1 && self.signs.any(Signs::TOLD | Signs::EVENTS);
        let alone =
            Signs::ESCAPE | Signs::SEAM | Signs::LIST | Signs::KNOWN | Signs::DUMP | Signs::TURNED;
        let quiet = self.clues.is_empty() && self.runs.is_empty() && !self.dressed;
        quiet && !self.signs.any(alone) && !joined
    }

    /// Whether a known value may stand here in other letters than plain ones.
    pub(crate) const fn dressed(&self) -> bool {
        self.dressed
    }

    /// Whether a known value may stand in the text.
    pub(crate) const fn known(&self) -> bool {
        self.signs.any(Signs::KNOWN)
    }

    /// Whether the text is a stream of events.
    pub(crate) const fn events(&self) -> bool {
        self.signs.any(Signs::EVENTS)
    }

    /// Whether a rule or a name may have begun.
    pub(crate) const fn tells(&self) -> bool {
        self.signs.any(Signs::TOLD)
    }

    /// Whether the last name that may be a secret's ends its line, so that the value may be shown in the next.
    pub(crate) fn ends_with_name(&self, line: &[u8], base: usize) -> bool {
        let last = self.clues.iter().rev().find(|(_, clue)| matches!(clue, Clue::Word(_)));
        last.and_then(|(at, _)| at.checked_sub(base)).is_some_and(|at| shown::asks(line, at))
    }

    /// Whether a rule may have begun in the last line, from `base` on, whose secret stands in the next.
    pub(crate) fn shows_below(&self, inner: &Inner, base: usize) -> bool {
        let line = self.clues.iter().rev().take_while(|(at, _)| *at >= base);
        line.filter_map(|(_, clue)| match clue {
            Clue::Rule(rule) => inner.rules.get(*rule),
            _ => None,
        })
        .any(|rule| rule.below)
    }

    /// Whether a block that began with `-----BEGIN` has not ended.
    pub(crate) const fn block_open(&self) -> bool {
        self.signs.any(Signs::BLOCK)
    }

    /// Whether something is written in escapes.
    pub(crate) const fn escaped(&self) -> bool {
        self.signs.any(Signs::ESCAPE)
    }

    /// Whether strings are put together.
    pub(crate) const fn seamed(&self) -> bool {
        self.signs.any(Signs::SEAM)
    }

    /// Whether character codes may be listed.
    pub(crate) const fn listed(&self) -> bool {
        self.signs.any(Signs::LIST)
    }

    /// Whether letters are turned by half the alphabet.
    pub(crate) const fn turned(&self) -> bool {
        self.signs.any(Signs::TURNED)
    }

    /// Whether it is a dump.
    pub(crate) const fn dumped(&self) -> bool {
        self.signs.any(Signs::DUMP)
    }
}

/// Whether a block is open behind `line`, if one was or was not before it. Keys in SSH2's own format have four dashes and a
/// space.
fn block_open(line: &[u8], before: bool) -> bool {
    // Built once: building a searcher costs more than searching a line.
    static BEGIN: LazyLock<[FinderRev<'static>; 2]> =
        LazyLock::new(|| ["-----BEGIN ", "---- BEGIN SSH2 "].map(FinderRev::new));
    static END: LazyLock<[Finder<'static>; 2]> =
        LazyLock::new(|| ["-----END", "---- END"].map(Finder::new));
    let begin = BEGIN.iter().filter_map(|begin| begin.rfind(line)).max();
    let rest = line.get(begin.unwrap_or(0)..).unwrap_or_default();
    (begin.is_some() || before) && END.iter().all(|end| end.find(rest).is_none())
}
