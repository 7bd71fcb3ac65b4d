//! Which pieces of known values add up to a value that is there?

use crate::encode::Script;
use crate::fold::Skeleton;
use crate::known::{FormEntry, Known, KnownHit};
use crate::words::gibberish;
use std::ops::Range;

/// A stretch of a form that stands in a text.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    form: usize,
    /// Which part of the form.
    part: Range<usize>,
    /// Where in the skeleton.
    at: Range<usize>,
}

/// The longest stretch around a window that belongs to a form, unless one in `found` has it already. A code of a
/// value counts whole only, so it must begin here.
pub(crate) fn grow(
    form: usize,
    entry: &FormEntry,
    skeleton: &Skeleton,
    start: usize,
    offset: usize,
    found: &[Piece],
) -> Option<Piece> {
    let same = |piece: &&Piece| {
        piece.form == form
            && piece.at.contains(&start)
            && piece.at.start + offset == start + piece.part.start
    };
    if found.iter().rev().take(64).any(|piece| same(&piece)) {
        return None;
    }
    let near = |a, b| skeleton.place(b).saturating_sub(skeleton.place(a)) <= MAX_GAP;
    let text = skeleton.bytes();
    let mut before = 0;
    while entry.script == Script::Plain
        && before < offset
        && before < start
        && text.get(start - before - 1) == entry.skeleton.get(offset - before - 1)
        && near(start - before - 1, start - before)
    {
        before += 1;
    }
    let mut len = 0;
    while let Some(letter) = entry.skeleton.get(offset + len)
        && text.get(start + len) == Some(letter)
        && (len == 0 || near(start + len - 1, start + len))
    {
        len += 1;
    }
    let piece =
        Piece { form, part: offset - before..offset + len, at: start - before..start + len };
    let whole = piece.part == (0..entry.skeleton.len());
    (whole || entry.script == Script::Plain).then_some(piece)
}

/// Turns pieces into hits: whole forms, and pieces that make up most of a value.
pub(crate) fn judge(
    known: &Known,
    text: &[u8],
    skeleton: &Skeleton,
    mut pieces: Vec<Piece>,
    hits: &mut Vec<KnownHit>,
) {
    pieces.sort_by_key(|piece| (piece.form, piece.at.start));
    let mut chain: Option<Chain> = None;
    for piece in pieces {
        let Some(entry) = known.form(piece.form) else { continue };
        if piece.part == (0..entry.skeleton.len()) {
            let span = skeleton.span(&piece.at);
            if span.len() <= entry.longest {
                hits.push(KnownHit {
                    span: reach(entry, text, span),
                    secret: entry.secret,
                    whole: true,
                });
            }
            continue;
        }
        if !chain.as_mut().is_some_and(|chain| chain.takes(&piece, skeleton)) {
            finish(chain.replace(Chain::new(&piece)), known, text, skeleton, hits);
        }
    }
    finish(chain, known, text, skeleton, hits);
}

/// Pieces of one value with something else between them, in whatever order.
struct Chain {
    form: usize,
    parts: Vec<Range<usize>>,
    at: Range<usize>,
    longest: Range<usize>,
}

impl Chain {
    fn new(piece: &Piece) -> Self {
        Self {
            form: piece.form,
            parts: vec![piece.part.clone()],
            at: piece.at.clone(),
            longest: piece.at.clone(),
        }
    }

    fn takes(&mut self, piece: &Piece, skeleton: &Skeleton) -> bool {
        let gap = skeleton.place(piece.at.start).saturating_sub(skeleton.place(self.at.end - 1));
        let near = piece.form == self.form && gap <= MAX_BETWEEN;
        if near {
            self.parts.push(piece.part.clone());
            self.at.end = self.at.end.max(piece.at.end);
            if piece.at.len() > self.longest.len() {
                self.longest = piece.at.clone();
            }
        }
        near
    }

    /// Takes the rest of the value where it follows in small pieces, each behind some sign.
    fn follow(&mut self, form: &[u8], text: &[u8], skeleton: &Skeleton) {
        let mut next = self.parts.last().map_or(0, |part| part.end);
        while next < form.len() {
            let least = (form.len() - next).min(MIN_SMALL);
            let wanted = form.get(next..next + least).unwrap_or_default();
            let apart = |at: usize| {
                let place = skeleton.place(at);
                place
                    .checked_sub(1)
                    .and_then(|before| text.get(before))
                    .is_some_and(|b| !b.is_ascii_alphanumeric())
            };
            let Some(start) = (self.at.end..self.at.end + MAX_SKIP)
                .find(|at| skeleton.bytes().get(*at..at + least) == Some(wanted) && apart(*at))
            else {
                return;
            };
            let same = form.iter().skip(next).zip(skeleton.bytes().iter().skip(start));
            let len = same.take_while(|(a, b)| a == b).count();
            self.parts.push(next..next + len);
            self.at.end = start + len;
            next += len;
        }
    }

    /// How much of the value there is.
    fn total(&mut self) -> usize {
        self.parts.sort_by_key(|part| part.start);
        let mut end = 0;
        self.parts.iter().fold(0, |total, part| {
            let new = part.end.saturating_sub(part.start.max(end));
            end = end.max(part.end);
            total + new
        })
    }
}

fn finish(
    chain: Option<Chain>,
    known: &Known,
    text: &[u8],
    skeleton: &Skeleton,
    hits: &mut Vec<KnownHit>,
) {
    let Some(mut chain) = chain else { return };
    let Some(entry) = known.form(chain.form) else { return };
    if entry.longest != usize::MAX {
        return;
    }
    chain.follow(&entry.skeleton, text, skeleton);
    let all = entry.skeleton.len();
    let total = chain.total();
    let hit = |at: &Range<usize>| {
        let span = reach(entry, text, skeleton.span(at));
        KnownHit { span, secret: entry.secret, whole: false }
    };
    let part = skeleton.bytes().get(chain.longest.clone()).unwrap_or_default();
    let digits = part.iter().filter(|b| b.is_ascii_digit()).count();
    // Half of a value says too much; but a value may have words in it that the text has, too.
    let telling = digits >= 2 || gibberish(part);
    let much = part.len() * 5 >= all * 3 || (part.len() >= 12 && part.len() * 2 >= all);
    if total * 4 >= all * 3 && total >= 8 {
        hits.push(hit(&chain.at));
    } else if part.len() >= MIN_PART && much && telling {
        hits.push(hit(&chain.longest));
    }
}

/// A match with what belongs to it on either side: signs at the value's edges, the signs of its code, or the whole
/// run of digits of a code whose digits hold a neighbour's bits.
fn reach(entry: &FormEntry, text: &[u8], span: Range<usize>) -> Range<usize> {
    match entry.script {
        Script::Plain => edges(&entry.edges.0, &entry.edges.1, text, span),
        Script::Packed => run(text, span),
        Script::Dense => {
            let member = |b: &&u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'');
            let left = text.get(..span.start).unwrap_or_default();
            let right = text.get(span.end..).unwrap_or_default();
            let before = left.iter().rev().take(MAX_RUN).take_while(member).count();
            let behind = right.iter().take(MAX_RUN).take_while(member).count();
            span.start - before..span.end + behind
        }
        Script::Spelled => {
            let sign = |b: &&u8| matches!(b, b'\\' | b'%' | b'&' | b'#');
            let left = text.get(..span.start).unwrap_or_default();
            let signs = left.iter().rev().take(3).take_while(sign).count();
            let close = usize::from(text.get(span.end) == Some(&b';') && signs > 1);
            let span = span.start - signs..span.end + close;
            let (mut first, mut last) = (entry.edges.1.to_vec(), entry.edges.0.to_vec());
            first.reverse();
            last.reverse();
            edges(&first, &last, text, span)
        }
    }
}

/// Adds what stands before and behind, if it is what the value has there, escaped or not.
fn edges(before: &[u8], behind: &[u8], text: &[u8], mut span: Range<usize>) -> Range<usize> {
    for sign in before.iter().rev() {
        let Some(at) = span.start.checked_sub(1).filter(|at| text.get(*at) == Some(sign)) else {
            break;
        };
        span.start = at;
    }
    while span.start > 0 && !before.is_empty() && text.get(span.start - 1) == Some(&b'\\') {
        span.start -= 1;
    }
    for sign in behind {
        let rest = text.get(span.end..).unwrap_or_default();
        let slashes = rest.iter().take(4).take_while(|b| **b == b'\\').count();
        let slashes = if *sign == b'\\' { 0 } else { slashes };
        if rest.get(slashes) != Some(sign) {
            break;
        }
        span.end += slashes + 1;
    }
    span
}

/// The run of base-64 or base-32 digits around a match.
fn run(text: &[u8], span: Range<usize>) -> Range<usize> {
    let wide = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_');
    let narrow = |b: &u8| b.is_ascii_alphanumeric() || *b == b'+';
    let left = text.get(..span.start).unwrap_or_default();
    let start = |member: &dyn Fn(&u8) -> bool| {
        span.start - left.iter().rev().take(MAX_RUN).take_while(|b| member(b)).count()
    };
    let widest = start(&wide);
    let path = text.get(widest) == Some(&b'/')
        || widest
            .checked_sub(1)
            .and_then(|at| text.get(at))
            .is_some_and(|b| matches!(b, b'.' | b':' | b'~'));
    let from = if path { start(&narrow) } else { widest };
    let right = text.get(span.end..).unwrap_or_default();
    let more =
        right.iter().take(MAX_RUN).take_while(|b| if path { narrow(b) } else { wide(b) }).count();
    let pad = right.iter().skip(more).take(6).take_while(|b| **b == b'=').count();
    from..span.end + more + pad
}

/// Between two neighbouring letters of a value there may stand this many bytes of something else.
pub(crate) const MAX_GAP: usize = 48;
/// And between two pieces of it this many.
const MAX_BETWEEN: usize = 200;
/// A longer run keeps what is far from the match.
const MAX_RUN: usize = 4096;
/// A piece that stands alone has this many letters and digits.
const MIN_PART: usize = 10;
/// And one that follows others this many, unless it is the rest.
const MIN_SMALL: usize = 3;
/// Between small pieces there are at most so many letters and digits of something else.
const MAX_SKIP: usize = 16;
