//! How is a person told? Errors with their place and remedy on standard error; data stays on standard output.

mod glass;

use crate::cli::{Color, exit};
use bartizan_scan::display_line;
use glass::Glass;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

/// What went wrong, where, and what to do: one `error:` with its excerpt and hints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    what: String,
    excerpt: Option<Excerpt>,
    hints: Vec<String>,
}

impl Problem {
    /// A problem in one sentence: lower case, no full stop, foreign text in backticks.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), excerpt: None, hints: Vec::new() }
    }

    /// Takes an error of another floor apart, whose remedy stands on a line of its own.
    pub(crate) fn from_text(text: &str) -> Self {
        let mut parts = text.split("\n  hint: ");
        let problem = Self::new(parts.next().unwrap_or_default());
        parts.fold(problem, Self::hint)
    }

    /// Adds what a person can do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds where in a file it stands.
    pub(crate) fn at(mut self, excerpt: Excerpt) -> Self {
        self.excerpt = Some(excerpt);
        self
    }

    /// The file and the line where it stands, where there is one.
    pub(crate) fn place(&self) -> Option<String> {
        self.excerpt.as_ref().map(|excerpt| format!("{}:{}", excerpt.file, excerpt.line))
    }

    /// The sentence and the first hint.
    pub(crate) fn into_parts(self) -> (String, Option<String>) {
        (self.what, self.hints.into_iter().next())
    }

    /// Keeps the place and drops the line's text.
    pub(crate) fn hide_text(&mut self) {
        if let Some(excerpt) = &mut self.excerpt {
            excerpt.text.clear();
        }
    }

    /// As a warning, with its place and its remedy, for where there is no [`Voice`].
    pub(crate) fn as_warning(&self) -> String {
        render(self, "warning", Paint::Yellow, false)
    }

    /// The sentence alone.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }
}

#[cfg(test)]
impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&render(self, "error", Paint::Red, false))
    }
}

/// Problems that end a command, and what it exits with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) code: u8,
    /// What went wrong, in the order found.
    pub(crate) problems: Vec<Problem>,
}

impl Failure {
    /// One problem and its exit code.
    pub(crate) fn new(code: u8, problem: Problem) -> Self {
        Self { code, problems: vec![problem] }
    }

    /// What went wrong, on one line.
    pub(crate) fn in_words(&self) -> String {
        let words: Vec<&str> = self.problems.iter().map(|problem| problem.what.as_str()).collect();
        safe(&words.join("; "))
    }

    /// Each with its place and its remedies, for where there is no [`Voice`].
    pub(crate) fn in_lines(&self) -> String {
        self.problems.iter().map(|problem| render(problem, "error", Paint::Red, false)).collect()
    }

    /// The reader of our output has gone: nothing to report, nobody to report it to.
    pub(crate) fn silent() -> Self {
        Self { code: exit::DONE, problems: Vec::new() }
    }

    /// A file that could not be read or written.
    pub(crate) fn file(doing: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(
            exit::STATE,
            Problem::new(format!("cannot {doing} `{}`: {}", path.display(), plain(error))),
        )
    }
}

impl From<io::Error> for Failure {
    /// Errors of our own output streams; a broken pipe is an end, not an error (`bartizan audit list | head`).
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::silent();
        }
        Self::new(exit::STATE, Problem::new(format!("cannot write the output: {}", plain(&error))))
    }
}

/// An I/O error in words, without the number that std appends.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// One line of a file with a caret under what is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Excerpt {
    file: String,
    line: usize,
    column: usize,
    text: String,
    width: usize,
}

/// A line of a foreign file is shown up to here.
const SHOWN: usize = 160;

impl Excerpt {
    /// Finds the byte range `start..end` of `source`, the contents of `file`.
    pub(crate) fn new(file: &Path, source: &str, start: usize, end: usize) -> Self {
        let start = floor(source, start);
        let end = floor(source, end).max(start);
        let before = source.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let rest = source.get(line_start..).unwrap_or_default();
        let text = rest.lines().next().unwrap_or_default();
        let column = source.get(line_start..start).unwrap_or_default().chars().count();
        let left = text.chars().count().saturating_sub(column);
        let width = source
            .get(start..end)
            .unwrap_or_default()
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .count();
        Self {
            file: file.display().to_string(),
            line: before.matches('\n').count() + 1,
            column: column + 1,
            text: text.chars().take(SHOWN).collect(),
            width: width.clamp(1, left.max(1)),
        }
    }

    /// A line and column, both counted from 1, of a file whose text may not be at hand.
    pub(crate) fn of_line(file: &str, source: &str, line: u32, column: u32) -> Self {
        let as_size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let (line, column) = (as_size(line).max(1), as_size(column).max(1));
        let text = source.lines().nth(line - 1).unwrap_or_default();
        Self {
            file: file.to_owned(),
            line,
            column,
            text: text.chars().take(SHOWN).collect(),
            width: 1,
        }
    }

    /// Puts the caret under `word`, if the line has it.
    pub(crate) fn under(mut self, word: &str) -> Self {
        if let Some((before, _)) = self.text.split_once(word) {
            self.column = before.chars().count() + 1;
            self.width = word.chars().count().max(1);
        }
        self
    }

    /// The line, counted from 1.
    pub(crate) fn line(&self) -> usize {
        self.line
    }
}

/// The nearest character boundary at or below `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Makes foreign text harmless on a terminal, every invisible character shown, and keeps it on its line.
pub(crate) fn safe(text: &str) -> String {
    display_line(text, LINE)
}

/// A line of foreign text is shown up to here, in characters.
const LINE: usize = 4096;

/// A line for the person from a thread that has no [`Voice`]; a closed standard error hears nothing.
pub(crate) fn aloud(message: &str) {
    drop(io::stderr().write_all(format!("{message}\n").as_bytes()));
}

/// Where a command writes: data, messages, and whether in colour.
pub(crate) struct Voice {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    colour: bool,
    out_colour: bool,
}

impl std::fmt::Debug for Voice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Voice").field("colour", &self.colour).finish_non_exhaustive()
    }
}

impl Voice {
    /// The process's own streams, coloured as `color` and `NO_COLOR` say.
    pub(crate) fn standard(color: Color) -> Self {
        let quiet = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let wanted = |terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !quiet,
        };
        Self {
            colour: wanted(io::stderr().is_terminal()),
            out_colour: wanted(io::stdout().is_terminal()),
            out: if io::stdout().is_terminal() {
                Box::new(Glass::before(io::BufWriter::new(io::stdout())))
            } else {
                Box::new(io::BufWriter::new(io::stdout()))
            },
            err: Box::new(io::stderr()),
        }
    }

    /// Standard output, for data.
    pub(crate) fn out(&mut self) -> &mut dyn Write {
        &mut *self.out
    }

    /// Paints a word for standard output.
    pub(crate) fn paint(&self, paint: Paint, text: &str) -> String {
        coloured(self.out_colour, paint, text)
    }

    /// A message for the person, on standard error.
    pub(crate) fn say(&mut self, message: &str) -> io::Result<()> {
        self.out.flush()?;
        writeln!(self.err, "{message}")
    }

    /// A warning with its hints, on standard error.
    pub(crate) fn warn(&mut self, problem: &Problem) -> io::Result<()> {
        self.out.flush()?;
        let text = render(problem, "warning", Paint::Yellow, self.colour);
        self.err.write_all(text.as_bytes())
    }

    /// All problems of a failure, on standard error.
    pub(crate) fn fail(&mut self, failure: &Failure) -> io::Result<()> {
        // That the output cannot be written may be the very failure.
        drop(self.out.flush());
        for problem in &failure.problems {
            let text = render(problem, "error", Paint::Red, self.colour);
            self.err.write_all(text.as_bytes())?;
        }
        self.err.flush()
    }

    /// Writes out what is held back.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()?;
        self.err.flush()
    }
}

/// The colours in use, each with one meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// Allowed, whole, in order.
    Green,
    /// Asked, weak, warned.
    Yellow,
    /// Denied, broken, missing.
    Red,
    /// Headings.
    Bold,
    /// What may be skipped.
    Dim,
}

fn coloured(on: bool, paint: Paint, text: &str) -> String {
    if !on {
        return text.to_owned();
    }
    let code = match paint {
        Paint::Green => 32,
        Paint::Yellow => 33,
        Paint::Red => 31,
        Paint::Bold => 1,
        Paint::Dim => 2,
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// One problem as the lines a person reads.
fn render(problem: &Problem, word: &str, paint: Paint, colour: bool) -> String {
    let mut text = format!("{}: {}\n", coloured(colour, paint, word), safe(&problem.what));
    if let Some(excerpt) = &problem.excerpt {
        text.push_str(&render_excerpt(excerpt, paint, colour));
    }
    for hint in &problem.hints {
        let mut lines = hint.lines();
        let first = lines.next().unwrap_or_default();
        // Writing into a string cannot fail.
        _ = writeln!(text, "  {}: {}", coloured(colour, Paint::Bold, "hint"), safe(first));
        for line in lines {
            _ = writeln!(text, "        {}", safe(line));
        }
    }
    text
}

fn render_excerpt(excerpt: &Excerpt, paint: Paint, colour: bool) -> String {
    let Excerpt { file, line, column, text, width } = excerpt;
    let number = line.to_string();
    let gutter = " ".repeat(number.len());
    // Tabs keep their width under the caret line by being copied into it.
    let pad: String =
        text.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let shown: String = text.split('\t').map(safe).collect::<Vec<_>>().join("\t");
    let mut lines = format!("  --> {}:{line}:{column}\n", safe(file));
    if text.is_empty() {
        return lines;
    }
    let bar = coloured(colour, Paint::Dim, "|");
    _ = writeln!(lines, " {number} {bar} {shown}");
    if *column <= SHOWN {
        let caret = coloured(colour, paint, &"^".repeat((*width).min(SHOWN)));
        _ = writeln!(lines, " {gutter} {bar} {pad}{caret}");
    }
    lines
}

/// The known word that was probably meant by `given`, for a hint.
pub(crate) fn did_you_mean<'a>(
    given: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let given: Vec<char> = given.to_lowercase().chars().take(64).collect();
    let limit = (given.len() / 3).max(if given.len() < 4 { 1 } else { 2 });
    let distances = known.into_iter().map(|word| (distance(&given, &word.to_lowercase()), word));
    distances.filter(|(far, _)| *far <= limit).min_by_key(|(far, _)| *far).map(|(_, word)| word)
}

/// Levenshtein's distance; a swap of neighbours counts as two.
fn distance(a: &[char], b: &str) -> usize {
    let mut row: Vec<usize> = (0..=a.len()).collect();
    for (i, y) in b.chars().enumerate() {
        let mut last = i + 1;
        let mut next = vec![last];
        for (x, above) in a.iter().zip(row.windows(2)) {
            let [diagonal, up] = above else { continue };
            last = (diagonal + usize::from(*x != y)).min(up + 1).min(last + 1);
            next.push(last);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_its_place_and_its_remedy() {
        let source = "[roles.coder]\nalow = [\"Read\"]\n";
        let excerpt = Excerpt::new(Path::new("/etc/bartizan/bartizan.toml"), source, 14, 18);
        let problem = Problem::new("unknown key `alow`").at(excerpt).hint("did you mean `allow`?");
        insta::assert_snapshot!(render(&problem, "error", Paint::Red, false), @r#"
        error: unknown key `alow`
          --> /etc/bartizan/bartizan.toml:2:1
         2 | alow = ["Read"]
           | ^^^^
          hint: did you mean `allow`?
        "#);
    }

    #[test]
    fn a_caret_stands_under_its_character_after_wide_text_and_tabs() {
        let excerpt = Excerpt::new(Path::new("f"), "\té = 1", 4, 5);
        assert_eq!((excerpt.line, excerpt.column, excerpt.width), (1, 4, 1));
        assert!(render_excerpt(&excerpt, Paint::Red, false).ends_with("| \t  ^\n"));
    }

    #[test]
    fn a_range_outside_the_text_or_inside_a_character_is_no_panic() {
        for (start, end) in [(0, 0), (1, 1), (2, 900), (900, 2), (usize::MAX, usize::MAX)] {
            let excerpt = Excerpt::new(Path::new("f"), "é\n", start, end);
            assert!(excerpt.column >= 1 && excerpt.width >= 1);
        }
        assert_eq!(Excerpt::new(Path::new("f"), "", 0, 0).line(), 1);
    }

    #[test]
    fn what_comes_from_outside_cannot_steer_the_terminal() {
        let problem = Problem::new("bad `\u{1b}[2J\u{202e}x\r\n`").hint("a\u{7}b");
        let text = render(&problem, "error", Paint::Red, false);
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\r', '\u{7}']));
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn near_words_are_offered_and_far_ones_are_not() {
        let known = ["allow", "ask", "deny", "extends"];
        assert_eq!(did_you_mean("alow", known), Some("allow"));
        assert_eq!(did_you_mean("Allow", known), Some("allow"));
        assert_eq!(did_you_mean("extend", known), Some("extends"));
        assert_eq!(did_you_mean("dney", known), Some("deny"));
        assert_eq!(did_you_mean("permit", known), None);
        assert_eq!(did_you_mean("", known), None);
    }

    #[test]
    fn a_reader_who_left_is_not_an_error() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure, Failure::silent());
    }
}
