//! How does a question stand on a screen of one width? In rows that fit, none of it left out, none that could pass for
//! another.

use super::telling::{Part, Telling};

/// One row of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// What stands there.
    pub(crate) text: String,
    /// Whether it says that something is not what it looks like.
    pub(crate) is_warning: bool,
}

/// The question as rows of at most `width` cells.
pub(crate) fn lay(told: &Telling, width: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    told.facts
        .iter()
        .for_each(|part| lay_part(part, &format!("{:<10} ", part.name), width, &mut rows));
    let groups = [("arguments", &told.arguments), ("answers", &told.answers)];
    for (name, parts) in groups.into_iter().filter(|(_, parts)| !parts.is_empty()) {
        rows.push(Row { text: name.to_owned(), is_warning: false });
        for part in parts {
            let kind = part.kind.map(|kind| format!(" ({kind})")).unwrap_or_default();
            lay_part(part, &format!("  {}{kind}: ", part.name), width, &mut rows);
        }
    }
    rows
}

fn lay_part(part: &Part, name: &str, width: usize, rows: &mut Vec<Row>) {
    let mut put = |text: &str, is_warning| {
        rows.extend(wrapped(text, width).into_iter().map(|text| Row { text, is_warning }));
    };
    match part.lines.as_slice() {
        [line] if cells(name) + cells(line) <= width => put(&format!("{name}{line}"), false),
        lines => {
            put(name.trim_end(), false);
            // Each row behind a bar, so that none of them can pass for one of ours.
            for line in lines {
                for piece in wrapped(line, width.saturating_sub(BAR.len())) {
                    put(&format!("{BAR}{piece}"), false);
                }
            }
        }
    }
    part.notes.iter().for_each(|note| put(&format!("  careful: {note}"), true));
}

/// A text in pieces of at most `width` cells, none of it left out.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut used = 0;
    for c in text.chars() {
        if used + cell(c) > width.max(2) {
            pieces.push(String::new());
            used = 0;
        }
        used += cell(c);
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
    }
    pieces
}

/// The beginning of a text, filled up to the width.
pub(crate) fn padded(text: &str, width: usize) -> String {
    let mut line = wrapped(text, width).into_iter().next().unwrap_or_default();
    line.extend(std::iter::repeat_n(' ', width.saturating_sub(cells(&line))));
    line
}

/// The end of a text that fits.
pub(crate) fn tail(text: &str, width: usize) -> String {
    let mut kept: Vec<char> = Vec::new();
    let mut used = 0;
    for c in text.chars().rev().take_while(|c| {
        used += cell(*c);
        used <= width
    }) {
        kept.push(c);
    }
    kept.into_iter().rev().collect()
}

pub(crate) fn cells(text: &str) -> usize {
    text.chars().map(cell).sum()
}

/// At most so many cells does a character take. What is not ASCII may take two: better a row that is too short than one
/// that runs over the next.
const fn cell(c: char) -> usize {
    if c.is_ascii() { 1 } else { 2 }
}

/// Stands before each row of a text of several.
const BAR: &str = "    | ";
