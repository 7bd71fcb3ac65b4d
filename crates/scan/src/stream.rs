//! How is a secret found that two chunks share?

use crate::finding::{Confidence, Finding};
use crate::label;
use crate::marks::Marks;
use crate::redact::Inner;
use crate::scanner::{Hit, Scan, What};
use crate::segment::{self, Ends};
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

/// Redacts a stream of bytes. What comes out is the same however the input is cut; what may be the beginning of
/// a secret is held back until it is known, at most [`RedactStream::MAX_HELD_BYTES`] bytes.
///
/// The text is taken in segments: lines, with those that what they end with may go on in. Where a segment ends
/// depends on its bytes alone, and each is judged by itself, so cuts cannot matter. Of a line that is not complete,
/// plain words at its beginning go out at once, and no hit may begin in them, complete or not.
///
/// Nothing is let out for lack of input: a hostile process could otherwise wait between the halves of a secret.
///
/// What its redactor learns meanwhile is hidden from the next `push` on, also in what is still held back.
#[derive(Debug)]
#[must_use = "a stream holds bytes back until `finish`"]
pub struct RedactStream {
    inner: Arc<Inner>,
    /// What the redactor knows by now; `None` for a text that is all there.
    now: Option<Arc<RwLock<Arc<Inner>>>>,
    /// What has come in and is still needed: the current segment, from `start` on.
    buf: Vec<u8>,
    start: usize,
    /// How much of the segment is complete lines that `marks` has seen.
    taken: usize,
    marks: Marks,
    /// What the last of these lines ends with.
    ends: Ends,
    /// Up to here, from the segment's start, no line end was found.
    looked: usize,
    /// How much of the segment has gone out.
    released: usize,
    /// How much of the segment's first line is judged to be plain words; `false` when a word was not.
    plain: (usize, bool),
    /// Set while the rest of a secret longer than any segment is being swallowed.
    swallow: bool,
    /// Where the buffer's first byte stands in the stream.
    base: usize,
    found: Vec<Finding>,
    total_found: usize,
}

impl RedactStream {
    /// An upper bound of what is held back.
    pub const MAX_HELD_BYTES: usize = 256 * 1024;

    /// How many findings are kept in detail; those beyond are counted only.
    pub const MAX_FINDINGS: usize = 4096;

    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self {
            inner,
            now: None,
            buf: Vec::new(),
            start: 0,
            taken: 0,
            marks: Marks::default(),
            ends: Ends::Closed,
            looked: 0,
            released: 0,
            plain: (0, true),
            swallow: false,
            base: 0,
            found: Vec::new(),
            total_found: 0,
        }
    }

    /// One that keeps up with what `now` holds.
    pub(crate) fn following(now: Arc<RwLock<Arc<Inner>>>) -> Self {
        let inner = Arc::clone(&now.read().unwrap_or_else(PoisonError::into_inner));
        Self { now: Some(now), ..Self::new(inner) }
    }

    /// Takes the next bytes, of any number, and appends to `out` what may go.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        self.catch_up();
        for piece in chunk.chunks(PIECE_BYTES) {
            self.buf.extend_from_slice(piece);
            self.run(false, out);
        }
    }

    /// Says that nothing follows: the rest goes to `out`. Gives what was found in the whole stream, in order, at
    /// most [`Self::MAX_FINDINGS`].
    #[must_use = "findings belong on the record"]
    pub fn finish(mut self, out: &mut Vec<u8>) -> Vec<Finding> {
        self.catch_up();
        self.run(true, out);
        self.found
    }

    /// How many bytes are held back at the moment.
    pub const fn held(&self) -> usize {
        self.buf.len() - self.start - self.released
    }

    /// How many labels were written so far.
    pub const fn found(&self) -> usize {
        self.total_found
    }

    /// Takes over what was learnt since; what is held back is looked at anew, from the segment's first line.
    fn catch_up(&mut self) {
        let Some(now) = &self.now else { return };
        let now = now.read().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&now, &self.inner) {
            self.inner = Arc::clone(&now);
            (self.taken, self.looked, self.ends) = (0, 0, Ends::Closed);
            self.marks.restart();
        }
    }

    fn run(&mut self, end: bool, out: &mut Vec<u8>) {
        // The buffers are lent out so that the steps can borrow the rest of the stream.
        let buf = std::mem::take(&mut self.buf);
        while self.step(&buf, end, out) {}
        self.buf = buf;
        if self.taken == 0 && !end {
            self.release_words(out);
        }
        self.buf.drain(..self.start);
        self.base += self.start;
        self.start = 0;
    }

    /// Takes one line, closes a segment, or cuts an endless line. `false` when there is nothing more to do.
    fn step(&mut self, buf: &[u8], end: bool, out: &mut Vec<u8>) -> bool {
        self.swallow_on(buf);
        let segment = buf.get(self.start..).unwrap_or_default();
        let ahead = segment.get(self.looked.max(self.taken)..).unwrap_or_default();
        let line_end = memchr::memchr(b'\n', ahead).map(|at| segment.len() - ahead.len() + at + 1);
        self.looked = segment.len();
        let line_end = match line_end {
            Some(at) => at,
            None if segment.len() > MAX_SEGMENT => segment.len(),
            None if end && segment.len() > self.taken => segment.len(),
            None if end && self.taken > 0 => {
                self.close(segment, self.taken, out);
                return false;
            }
            None => return false,
        };
        self.looked = 0;
        if line_end > MAX_SEGMENT {
            if self.taken > 0 {
                self.close(segment, self.taken, out);
            } else {
                self.cut(segment, out);
            }
            return true;
        }
        let line = segment.get(self.taken..line_end).unwrap_or_default();
        let before = segment.get(..self.taken).unwrap_or_default();
        if self.ends == Ends::Value && !segment::continued(before, line) {
            self.close(segment, self.taken, out);
            return true;
        }
        self.marks.add(&self.inner, line, self.taken);
        self.taken = line_end;
        let text = segment.get(..line_end).unwrap_or_default();
        self.ends = segment::ends(&self.inner, &self.marks, text, line);
        if self.ends == Ends::Closed {
            self.close(segment, line_end, out);
        }
        true
    }

    /// Judges the first `len` bytes of the segment and lets them out.
    fn close(&mut self, segment: &[u8], len: usize, out: &mut Vec<u8>) {
        let text = segment.get(..len).unwrap_or_default();
        if !self.marks.is_empty() {
            let marks = std::mem::take(&mut self.marks);
            let mut hits = Scan::new(&self.inner, text).hits(text, &marks);
            self.clip(text, &mut hits);
            for hit in hits {
                self.replace(text, hit, out);
            }
            self.marks = marks;
        }
        self.copy(text, len, out);
        self.next(len);
    }

    /// Lets go of an endless line's beginning: up to a place that no hit, with what tells it, lies across.
    fn cut(&mut self, segment: &[u8], out: &mut Vec<u8>) {
        let text = segment.get(..MAX_SEGMENT).unwrap_or_default();
        let mut marks = Marks::default();
        marks.add(&self.inner, text, 0);
        let mut hits = Scan::new(&self.inner, text).hits(text, &marks);
        self.clip(text, &mut hits);
        // Words that may have gone out already belong to what goes now, or they would go again.
        let plain = segment::plain_words(&self.inner, text, 0).0.max(self.released);
        let mut cut = segment::cut(text, MAX_SEGMENT - OVERLAP).max(plain);
        for hit in hits.iter().rev() {
            if hit.span.end == text.len() && hit.from < MAX_SEGMENT / 2 {
                cut = text.len();
                self.swallow = true;
            } else if hit.from < cut && cut < hit.span.end {
                cut = hit.from.max(plain).max(1);
            }
        }
        for hit in hits {
            if hit.span.end <= cut {
                self.replace(text, hit, out);
            }
        }
        self.copy(text, cut, out);
        self.next(cut);
    }

    /// Hits may not reach into words that could have gone out already.
    fn clip(&self, text: &[u8], hits: &mut Vec<Hit>) {
        if !hits.is_empty() {
            let plain = segment::plain_words(&self.inner, text, 0).0.max(self.released);
            for hit in hits.iter_mut() {
                hit.span.start = hit.span.start.max(plain);
            }
            hits.retain(|hit| !hit.span.is_empty());
        }
    }

    fn replace(&mut self, text: &[u8], hit: Hit, out: &mut Vec<u8>) {
        self.copy(text, hit.span.start, out);
        let value = text.get(hit.span.clone()).unwrap_or_default();
        let (kind, confidence) = match hit.what {
            What::Known(secret) => {
                let (Some(label), Some(kind)) =
                    (self.inner.known.label(secret), self.inner.known.kind(secret))
                else {
                    return;
                };
                out.extend_from_slice(label);
                (kind.clone(), Confidence::Certain)
            }
            What::Kind(kind) => {
                label::write(&self.inner.key, &kind, value, out);
                (kind, hit.confidence)
            }
        };
        self.released = hit.span.end;
        self.total_found += 1;
        if self.found.len() < Self::MAX_FINDINGS {
            let place = self.base + self.start;
            let span: Range<usize> = place + hit.span.start..place + hit.span.end;
            self.found.push(Finding::new(span, kind, confidence));
        }
    }

    /// Lets out what has not gone out of the segment's first `to` bytes.
    fn copy(&mut self, text: &[u8], to: usize, out: &mut Vec<u8>) {
        if let Some(rest) = text.get(self.released..to) {
            out.extend_from_slice(rest);
            self.released = to;
        }
    }

    /// Begins the next segment, `len` bytes on.
    fn next(&mut self, len: usize) {
        self.start += len;
        (self.taken, self.looked, self.released, self.plain) = (0, 0, 0, (0, true));
        self.marks.clear();
        self.ends = Ends::Closed;
    }

    /// Lets plain words go out before their line is complete.
    fn release_words(&mut self, out: &mut Vec<u8>) {
        if self.plain.1 && !self.swallow {
            let buf = std::mem::take(&mut self.buf);
            let segment = buf.get(self.start..).unwrap_or_default();
            self.plain = segment::plain_words(&self.inner, segment, self.plain.0);
            self.copy(segment, self.plain.0.max(self.released), out);
            self.buf = buf;
        }
    }

    /// Drops what goes on from a secret that was longer than a segment.
    fn swallow_on(&mut self, buf: &[u8]) {
        if self.swallow {
            let rest = buf.get(self.start..).unwrap_or_default();
            let more = rest.iter().take_while(|b| segment::is_token(**b)).count();
            self.swallow = more == rest.len();
            self.next(more);
        }
    }
}

/// Long chunks are taken in pieces of this size, so that what is in work stays in the processor's cache.
const PIECE_BYTES: usize = 32 * 1024;
/// No segment is longer.
const MAX_SEGMENT: usize = 64 * 1024;
/// An endless line is cut this far before what has been seen of it.
const OVERLAP: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use crate::{KnownSecret, Redactor, ScanKey, work};

    /// How many bytes are looked at for each byte of a text.
    fn work_per_byte(redactor: &Redactor, text: &str) -> usize {
        let work = work::of(|| {
            redactor.redact(text);
        });
        work / text.len()
    }

    #[test]
    fn hostile_shapes_cost_no_more_for_each_byte_the_longer_they_are() {
        let known = KnownSecret { name: "n".into(), value: "kV9pQ2zLr7Xw-B4nT6mYc".into() };
        let redactor = Redactor::new(ScanKey::new([1; 32]), [known]).unwrap();
        let bits = |b: u8| (0..8).rev().map(move |bit| ["0", "1"][usize::from(b >> bit & 1)]);
        let spelled: Vec<&str> = "kV9pQ2zLr7Xw-B4nT6mYc".bytes().flat_map(bits).collect();
        for (piece, first) in [
            ("k\n", "kV9pQ2\n"),
            ("password=", ""),
            ("token: \"", ""),
            ("password=(", ""),
            ("key='a\\", ""),
            ("user,password\n", ""),
            ("a,b\n", "user,password\n"),
            ("-----BEGIN PRIVATE KEY-----\n", ""),
            ("%41%5", ""),
            ("aGVsbG8gd29ybGQ=", ""),
            ("UEsDBBQAAAAIAA", ""),
            ("eyJ", ""),
            ("://a:b", ""),
            ("data: k\n", "kV9pQ2\n"),
            ("\u{1b}[", ""),
            ("[REDACTED:a:", ""),
            (&spelled.join("\n"), "kV9pQ2\n"),
        ] {
            let text = |len: usize| format!("{first}{}", piece.repeat(len / piece.len()));
            let (little, much) =
                (work_per_byte(&redactor, &text(8_000)), work_per_byte(&redactor, &text(48_000)));
            assert!(much <= 2 * little + 40 && much <= 2_000, "{piece:?}: {little}, then {much}");
        }
    }
}
