//! How is a secret found that two chunks share?

use crate::finding::Finding;
use crate::known::KnownStage;
use crate::offsets::OffsetMap;
use crate::redact::Inner;
use crate::shapes::ShapeStage;
use std::sync::Arc;

/// Redacts a stream of bytes. What comes out is the same however the input is cut; what may be the beginning of
/// a secret is held back until it is known, at most [`RedactStream::MAX_HELD_BYTES`] bytes.
///
/// Nothing is let out for lack of input: a hostile process could otherwise wait between the halves of a secret.
#[derive(Debug)]
#[must_use = "a stream holds bytes back until `finish`"]
pub struct RedactStream {
    inner: Arc<Inner>,
    known: KnownStage,
    map: OffsetMap,
    shapes: ShapeStage,
    /// Known values are labels already, other secrets are not yet.
    between: Vec<u8>,
    known_found: Vec<Finding>,
    shapes_found: Vec<Finding>,
    total_found: usize,
}

impl RedactStream {
    /// An upper bound of what is held back: the longest form of the longest secret, and the widest window.
    pub const MAX_HELD_BYTES: usize = 256 * 1024;

    /// How many findings are kept in detail; those beyond are counted only.
    pub const MAX_FINDINGS: usize = 4096;

    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self {
            inner,
            known: KnownStage::default(),
            map: OffsetMap::default(),
            shapes: ShapeStage::default(),
            between: Vec::new(),
            known_found: Vec::new(),
            shapes_found: Vec::new(),
            total_found: 0,
        }
    }

    /// Takes the next bytes, of any number, and appends to `out` what may go.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        for piece in chunk.chunks(PIECE_BYTES) {
            self.step(piece, false, out);
        }
    }

    /// Says that nothing follows: the rest goes to `out`. Gives what was found in the whole stream, in order, at
    /// most [`Self::MAX_FINDINGS`].
    #[must_use = "findings belong on the record"]
    pub fn finish(mut self, out: &mut Vec<u8>) -> Vec<Finding> {
        self.step(&[], true, out);
        let mut all = self.known_found;
        all.append(&mut self.shapes_found);
        all.sort_by_key(|f| (f.span.start, std::cmp::Reverse(f.span.end)));
        // A shape that holds a known value hid it too; one finding for one label.
        let mut covered = 0;
        all.retain(|finding| {
            let new = finding.span.end > covered;
            covered = covered.max(finding.span.end);
            new
        });
        all
    }

    /// How many bytes are held back at the moment.
    pub const fn held(&self) -> usize {
        self.known.held() + self.shapes.held()
    }

    /// How many labels were written so far, those inside others included.
    pub const fn found(&self) -> usize {
        self.total_found
    }

    fn step(&mut self, piece: &[u8], end: bool, out: &mut Vec<u8>) {
        let Self { inner, known, map, shapes, between, known_found, shapes_found, total_found } =
            self;
        between.clear();
        let (before_known, before_shapes) = (known_found.len(), shapes_found.len());
        known.push(&inner.known, piece, end, (between, map, known_found));
        shapes.push((inner.rules, &inner.key), between, end, (out, shapes_found));
        for finding in shapes_found.iter_mut().skip(before_shapes) {
            finding.span = map.back(finding.span.clone());
        }
        map.forget_before(shapes.sent());
        *total_found += known_found.len() - before_known + shapes_found.len() - before_shapes;
        known_found.truncate(Self::MAX_FINDINGS);
        shapes_found.truncate(Self::MAX_FINDINGS);
    }
}

/// Long chunks are taken in pieces of this size, so that what is in work stays in the processor's cache.
const PIECE_BYTES: usize = 32 * 1024;
