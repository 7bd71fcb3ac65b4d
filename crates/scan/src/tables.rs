//! Which cells of a table hold secrets, by the names at its head?

use crate::bytes::{is, kind};
use crate::names::{WORDS, judge};
use crate::values::Place;
use std::ops::Range;
use std::sync::Arc;

/// The table that a text is in, if it is in one: a line that names columns, then lines with as many cells. CSV, what
/// database clients print, and SQL's `INSERT` and `COPY`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table(Option<Arc<Columns>>);

/// What the head of a table says.
#[derive(Debug)]
struct Columns {
    /// What parts the cells of a row.
    sign: u8,
    count: usize,
    /// The columns that hold secrets.
    secret: Vec<Column>,
    /// Rows stand in brackets, several to a line.
    tuples: bool,
    /// Where rows may begin in the line of the names.
    begin: usize,
}

/// A column of secrets.
#[derive(Clone, Copy, Debug)]
struct Column {
    number: usize,
    told: Told,
}

/// What the name of a column says of its cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// The word that says so, by number.
    pub(crate) word: usize,
    pub(crate) place: Place,
}

impl Table {
    /// Takes the next line; `words` says which words of secrets' names stand in it, and where. Reports the cells that may
    /// be secrets.
    pub(crate) fn read(
        &mut self,
        line: &[u8],
        words: &[(usize, usize)],
        mut cell: impl FnMut(Range<usize>, Told),
    ) {
        if let Some(columns) = &self.0
            && (ruled(line) || columns.row(line, 0, &mut cell))
        {
            return;
        }
        let columns = if words.is_empty() { None } else { Columns::of(line, words) };
        if let Some(columns) = &columns
            && columns.tuples
        {
            columns.row(line, columns.begin, &mut cell);
        }
        self.0 = columns.map(Arc::new);
    }
}

impl Columns {
    fn of(line: &[u8], words: &[(usize, usize)]) -> Option<Self> {
        if let Some((names, sign)) = listed(line) {
            let tuples = sign == b',';
            return Self::named(line, &split(line, names, b',', &[]), words, sign, tuples);
        }
        // Most lines with such words are code or prose, and told by their first sign.
        if line.len() > MAX_HEAD || !line.iter().all(|b| in_head(*b)) {
            return None;
        }
        let all = 0..line.len();
        SIGNS.into_iter().filter(|sign| line.contains(sign)).find_map(|sign| {
            Self::named(line, &split(line, all.clone(), sign, QUOTES), words, sign, false)
        })
    }

    /// The columns, if all cells are names and some are those of secrets.
    fn named(
        line: &[u8],
        cells: &[Range<usize>],
        words: &[(usize, usize)],
        sign: u8,
        tuples: bool,
    ) -> Option<Self> {
        // What bars part is a table for people, with words at its head.
        let spaces = match sign {
            b'|' => 3,
            b',' | b'\t' if cells.len() > 2 => 3,
            _ => 1,
        };
        if cells.len() < 2
            || !cells
                .iter()
                .all(|cell| line.get(cell.clone()).is_some_and(|cell| name(cell, spaces)))
        {
            return None;
        }
        // Spaces align much that is no table: its head is in capitals, or has three columns.
        let capital = || !line.iter().any(u8::is_ascii_lowercase);
        if sign == GAP && (line.first() == Some(&b'#') || (cells.len() < 3 && !capital())) {
            return None;
        }
        let begin = cells.last().map_or(0, |cell| cell.end);
        let told = |cell: &Range<usize>| {
            let within = words.iter().filter(|(at, _)| cell.contains(at));
            let judged = within.filter_map(|&(at, word)| {
                let place = judge(line.get(cell.clone())?, WORDS.get(word)?, at - cell.start)?;
                (place >= Place::Secret).then_some(Told { word, place })
            });
            judged.max_by_key(|told| told.place)
        };
        let column = |(number, cell)| told(cell).map(|told| Column { number, told });
        let secret: Vec<Column> = cells.iter().enumerate().filter_map(column).collect();
        (!secret.is_empty()).then_some(Self { sign, count: cells.len(), secret, tuples, begin })
    }

    /// Reports the cells of a row that may be secrets; `false` if the line is no row.
    fn row(&self, line: &[u8], from: usize, mut cell: impl FnMut(Range<usize>, Told)) -> bool {
        let mut any = false;
        let mut take = |row: Range<usize>| {
            let cells = split(line, row, self.sign, QUOTES);
            if cells.len() != self.count {
                return;
            }
            any = true;
            for column in &self.secret {
                if let Some(range) = cells.get(column.number).filter(|range| !range.is_empty()) {
                    cell(range.clone(), column.told);
                }
            }
        };
        if self.tuples {
            tuples(line, from, take);
        } else {
            take(0..line.len());
        }
        any
    }
}

/// The names in brackets of `INSERT INTO t (…) VALUES`, and of `COPY t (…) FROM`, and what parts the values that follow.
fn listed(line: &[u8]) -> Option<(Range<usize>, u8)> {
    let start = line.trim_ascii_start();
    let begins =
        |word: &[u8]| start.get(..word.len()).is_some_and(|s| s.eq_ignore_ascii_case(word));
    let sign = match () {
        () if begins(b"insert ") || begins(b"replace into ") => b',',
        () if begins(b"copy ") => b'\t',
        () => return None,
    };
    let open = memchr::memchr(b'(', line)?;
    let len = memchr::memchr(b')', line.get(open..)?)?;
    Some((open + 1..open + len, sign))
}

/// Reports what stands in each pair of brackets, quoted brackets aside.
fn tuples(line: &[u8], from: usize, mut found: impl FnMut(Range<usize>)) {
    let (mut open, mut quote, mut escaped) = (None, None, false);
    for (at, &byte) in line.iter().enumerate().skip(from) {
        if escaped {
            escaped = false;
            continue;
        }
        match (quote, byte) {
            (Some(_), b'\\') => escaped = true,
            (Some(sign), _) if sign == byte => quote = None,
            (None, b'\'' | b'"') if open.is_some() => quote = Some(byte),
            (None, b'(') => open = Some(at + 1),
            (None, b')') => {
                if let Some(from) = open.take() {
                    found(from..at);
                }
            }
            _ => {}
        }
    }
}

/// The cells of a row, without the space and the quotes around each. A sign in quotes parts nothing.
fn split(line: &[u8], row: Range<usize>, sign: u8, quotes: &[u8]) -> Vec<Range<usize>> {
    let bytes = line.get(row.clone()).unwrap_or_default();
    let (bytes, before) = match sign {
        b'\t' => (bytes, 0),
        _ => (bytes.trim_ascii_start(), bytes.len() - bytes.trim_ascii_start().len()),
    };
    // Wikis draw two before and behind each name of a column.
    let wiki = sign == b'|' && bytes.starts_with(b"||");
    let bytes = bytes.get(usize::from(wiki)..).unwrap_or_default();
    let before = before + usize::from(wiki);
    let drawn = usize::from(sign == b'|' && bytes.first() == Some(&sign));
    let body = bytes.get(drawn..).unwrap_or_default();
    let body = body.strip_suffix(b"\n").unwrap_or(body);
    let body = body.strip_suffix(b"\r").unwrap_or(body);
    let body =
        if drawn > 0 { body.trim_ascii_end().strip_suffix(b"|").unwrap_or(body) } else { body };
    let body = if wiki { body.strip_suffix(b"|").unwrap_or(body) } else { body };
    let base = row.start + before + drawn;
    let (mut cells, mut from, mut quote) = (Vec::new(), 0, None);
    let mut fresh = true;
    for (at, &byte) in body.iter().enumerate() {
        if wiki && byte == sign && at > 0 && body.get(at - 1) == Some(&sign) {
            from = at + 1;
            continue;
        }
        if quote == Some(byte) {
            quote = None;
        } else if quote.is_none() && byte == sign && (sign != GAP || gap(body, at)) {
            cells.push(inner(body, from..at, base));
            (from, fresh) = (at + 1, true);
            if cells.len() > MAX_CELLS {
                return Vec::new();
            }
            continue;
        } else if fresh && quotes.contains(&byte) {
            quote = Some(byte);
        }
        fresh &= byte == b' ';
    }
    cells.push(inner(body, from..body.len(), base));
    cells
}

/// Whether a gap between cells ends here: at least two spaces, and then no other.
fn gap(body: &[u8], at: usize) -> bool {
    at > 0 && body.get(at - 1) == Some(&b' ') && body.get(at + 1).is_some_and(|b| *b != b' ')
}

/// A cell without what stands around its text, as a range of the line.
fn inner(body: &[u8], cell: Range<usize>, base: usize) -> Range<usize> {
    let around = |b: &u8| matches!(b, b' ' | b'\t' | b'"' | b'\'' | b'`' | b'[' | b']' | b'*');
    let bytes = body.get(cell.clone()).unwrap_or_default();
    let left = bytes.iter().take_while(|b| around(b)).count();
    let right = bytes.iter().skip(left).rev().take_while(|b| around(b)).count();
    base + cell.start + left..base + cell.end - right
}

/// What the head of a table is made of: names, what parts them, and what stands around them.
fn in_head(byte: u8) -> bool {
    is(byte, kind::NAME | kind::SPACE)
        || SIGNS.contains(&byte)
        || matches!(byte, b'.' | b'#' | b'"' | b'\'' | b'`' | b'[' | b']' | b'*')
}

/// Whether a cell may be the name of a column.
fn name(cell: &[u8], spaces: usize) -> bool {
    cell.len() <= MAX_NAME
        && cell.first().is_none_or(|b| is(*b, kind::LETTER) || matches!(b, b'_' | b'#'))
        && cell.iter().all(|b| is(*b, kind::NAME) || matches!(b, b' ' | b'.' | b'#'))
        && memchr::memchr_iter(b' ', cell).count() <= spaces
        && cell.iter().filter(|b| b.is_ascii_digit()).count() <= 2
}

/// Whether a line only draws one, as between head and rows.
fn ruled(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    line.len() >= 3 && line.iter().all(|b| matches!(b, b'-' | b'+' | b'|' | b':' | b'=' | b' '))
}

/// What parts cells, the surest first.
const SIGNS: [u8; 5] = [b'\t', b'|', b';', b',', GAP];
/// Stands for two spaces or more, as clients align what they print.
const GAP: u8 = b' ';
const QUOTES: &[u8] = b"\"'";
/// A longer line is no head.
const MAX_HEAD: usize = 2048;
/// A longer cell is no name.
const MAX_NAME: usize = 40;
/// A row of more cells is none.
const MAX_CELLS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    /// What the cells say that are reported, of lines read one after another.
    fn cells(text: &str) -> Vec<String> {
        let (mut table, mut found) = (Table::default(), Vec::new());
        for line in text.split_inclusive('\n') {
            let lower = line.to_ascii_lowercase();
            let words: Vec<(usize, usize)> = WORDS
                .iter()
                .enumerate()
                .flat_map(|(word, w)| lower.match_indices(w.text).map(move |(at, _)| (at, word)))
                .collect();
            table.read(line.as_bytes(), &words, |cell, _| {
                found.push(String::from_utf8_lossy(&line.as_bytes()[cell]).into_owned());
            });
        }
        found
    }

    #[test]
    fn cells_are_told_by_the_names_of_their_columns() {
        for (text, told) in [
            ("user,password\nann,abc\nbob,\"d,e\"\n", &["abc", "d,e"][..]),
            ("id;api_key;note\r\n1;xyz;ok\r\n", &["xyz"]),
            ("login\tsecret\nann\tx y\n", &["x y"]),
            ("|| Stage || the api token || Owner ||\n| prod | abc | ann |\n", &["abc"]),
            ("| id | billing refresh token |\n|--|--|\n| 1 | `abc` |\n", &["abc"]),
            ("| id | password |\n|----|:---|\n| 1 | abc |\n", &["abc"]),
            (" id | token \n----+------\n  1 | abc\n(1 row)\n 2 | def\n", &["abc"]),
            ("INSERT INTO t (`id`, `secret`) VALUES (1,'a)b'),(2,'c,d');\n", &["a)b", "c,d"]),
            ("COPY public.t (id, secret_key) FROM stdin;\n4\tabc\n\\.\n5\tdef\n", &["abc"]),
            (
                "USER      PASSWORD  HOST\nann       abc       db 1\nbob       def       db 2\n",
                &["abc", "def"],
            ),
            ("insert into t (id, secret) values\n(1, 'abc'),\n(2, 'def');\n", &["abc", "def"]),
        ] {
            assert_eq!(cells(text), told, "{text}");
        }
    }

    #[test]
    fn what_is_no_table_has_no_cells() {
        for text in [
            "id,object_key,token_count\n1,abc,17\n",
            "password\nabc\n",
            "  struct rsa_private_key key;\n  uint8_t *digest;\n",
            "#   Password  yes\n#   Tunnel  abc\n",
            "fn login(user: &str, password: &str)\nlet a, b = 1;\n",
            "user,password\n\nann,abc\n",
            "user,password\nann,abc,def\nann,abc\n",
        ] {
            assert_eq!(cells(text), [""; 0], "{text}");
        }
    }
}
