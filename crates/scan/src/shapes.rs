//! Does something stand here that has the shape of a secret we do not know?

use crate::finding::{Confidence, Finding, Kind};
use crate::key::ScanKey;
use crate::label::label;
use crate::rules::{Left, Rule, Rules, Window};
use crate::verify::judge;
use aho_corasick::automaton::StateID;
use std::collections::BTreeSet;
use std::ops::Range;

/// Replaces values of secret shapes in a stream. All places are counted from the stream's first byte.
///
/// A rule is judged once its whole window has come in, in the order of the places where rules begin; nothing from
/// the first open place on is let go. The outcome therefore depends on the bytes alone, not on how they were cut.
#[derive(Debug, Default)]
pub(crate) struct ShapeStage {
    state: Option<StateID>,
    /// What has come in; the first `gone` bytes of it have gone out, and what follows begins at `base`.
    buf: Vec<u8>,
    gone: usize,
    base: usize,
    /// The byte before `base`; nothing at the beginning and after a label.
    before: Option<u8>,
    /// Where the earliest beginning of a keyword stands.
    live: usize,
    queue: BTreeSet<(usize, usize)>,
    /// What was found and has not gone out, in order and apart.
    pending: Vec<Hit>,
    /// Set while the rest of a secret longer than its window is being swallowed.
    swallow: Option<Window>,
    /// The last stretch known to hold only token bytes, so that a long one is walked once.
    token: Range<usize>,
}

#[derive(Debug)]
struct Hit {
    span: Range<usize>,
    kind: Kind,
    confidence: Confidence,
    /// The secret goes on beyond its window.
    open: Option<Window>,
}

impl Hit {
    /// One hit over both: the leftmost names it, of two at one place the surer.
    fn with(self, other: Self) -> Self {
        let span = self.span.start.min(other.span.start)..self.span.end.max(other.span.end);
        let open = self.open.or(other.open);
        let rank = |hit: &Self| (hit.span.start, std::cmp::Reverse(hit.confidence));
        let named_by = if rank(&self) < rank(&other) { self } else { other };
        Self { span, open, ..named_by }
    }
}

/// What a rule may look at.
struct View {
    end: usize,
    /// The window ended because of its size.
    cut: bool,
}

impl ShapeStage {
    /// Takes more input; appends to `out` what is certain. `end` says that nothing follows.
    pub(crate) fn push(
        &mut self,
        (rules, key): (&Rules, &ScanKey),
        input: &[u8],
        end: bool,
        (out, found): (&mut Vec<u8>, &mut Vec<Finding>),
    ) {
        let from = self.total();
        self.buf.drain(..self.gone);
        self.gone = 0;
        self.buf.extend_from_slice(input);
        let mut state = self.state;
        rules.candidates(&mut state, input, |at, len, rule| {
            let start = (from + at).saturating_sub(len);
            if self.may_begin(start, rules.get(rule)) {
                self.queue.insert((start, rule));
            }
        });
        self.state = state;
        let unsure = self.bytes(self.live..self.total());
        self.live = self.total() - if end { 0 } else { rules.held(unsure) };
        let mut emitter = Emitter { key, out, found };
        self.settle(rules, end, &mut emitter);
        self.emit(&mut emitter);
    }

    /// Where the first byte stands that has not gone out.
    pub(crate) const fn sent(&self) -> usize {
        self.base
    }

    /// How many bytes are held back.
    pub(crate) const fn held(&self) -> usize {
        self.buf.len() - self.gone
    }

    const fn total(&self) -> usize {
        self.base + self.held()
    }

    fn bytes(&self, range: Range<usize>) -> &[u8] {
        let index = |place: usize| place.saturating_sub(self.base) + self.gone;
        self.buf.get(index(range.start)..index(range.end)).unwrap_or_default()
    }

    /// A quick refusal of places where a rule cannot begin whatever is found before it.
    fn may_begin(&self, start: usize, rule: Option<&Rule>) -> bool {
        let fresh = self.queue.is_empty() && self.pending.is_empty() && self.swallow.is_none();
        !fresh || rule.is_some_and(|rule| self.clear_on_the_left(start, rule.left))
    }

    /// Whether what stands before `start` ends a word. A label does.
    fn clear_on_the_left(&self, start: usize, left: Left) -> bool {
        if self.pending.iter().any(|hit| hit.span.end == start) {
            return true;
        }
        let before = if start > self.base {
            self.bytes(start - 1..start).first().copied()
        } else {
            self.before
        };
        before.is_none_or(|byte| match left {
            Left::Any => true,
            Left::Word => !is_word(byte),
            Left::Token => !is_word(byte) && byte != b'-',
        })
    }

    /// Judges every place whose window is complete, in order.
    fn settle(&mut self, rules: &Rules, end: bool, emitter: &mut Emitter<'_>) {
        loop {
            self.swallow_on();
            let Some(&(start, which)) = self.queue.first() else { return };
            if self.swallow.is_some() || start < self.base {
                self.queue.pop_first();
                continue;
            }
            let Some(rule) = rules.get(which) else {
                self.queue.pop_first();
                continue;
            };
            // An earlier place may still turn up, and would have to be judged first.
            if self.live <= start && !end {
                return;
            }
            let Some(view) = self.view(start, rule, end) else { return };
            self.queue.pop_first();
            if let Some(hit) = self.look(start, rule, &view) {
                self.join(hit, emitter);
            }
        }
    }

    /// The rule's window from `start`, if all of it has come in.
    fn view(&mut self, start: usize, rule: &Rule, end: bool) -> Option<View> {
        let total = self.total();
        let limit = start + rule.max;
        let found = match rule.window {
            Window::Token => self.token_end(start, limit),
            Window::Line => {
                memchr::memchr(b'\n', self.bytes(start..limit.min(total))).map(|at| start + at)
            }
            Window::Block => block_end(self.bytes(start..limit.min(total))).map(|at| start + at),
        };
        match found {
            Some(end) => Some(View { end, cut: false }),
            None if total >= limit => Some(View { end: limit, cut: true }),
            None => end.then_some(View { end: total, cut: false }),
        }
    }

    /// The first byte from `start` on, before `limit`, that no token has.
    fn token_end(&mut self, start: usize, limit: usize) -> Option<usize> {
        if !self.token.contains(&start) {
            self.token = start..start;
        }
        let ahead = self.bytes(self.token.end..self.total());
        let more = ahead
            .iter()
            .take(limit.saturating_sub(self.token.end))
            .take_while(|b| is_token(**b))
            .count();
        self.token.end += more;
        (self.token.end < limit && self.token.end < self.total()).then_some(self.token.end)
    }

    fn look(&self, start: usize, rule: &Rule, view: &View) -> Option<Hit> {
        if !self.clear_on_the_left(start, rule.left) {
            return None;
        }
        let text = self.bytes(start..view.end);
        let captures = rule.pattern.captures(text)?;
        let secret = captures.name("secret").or_else(|| captures.get(0))?;
        let confidence = judge(rule, secret.as_bytes())?;
        let mut span = start + secret.start()..start + secret.end();
        // Patterns know bytes, texts have characters: never cut one in two.
        while span.end < view.end
            && self.bytes(span.end..span.end + 1).first().is_some_and(|b| b & 0xC0 == 0x80)
        {
            span.end += 1;
        }
        let open = (view.cut && span.end == view.end).then_some(rule.window);
        Some(Hit { span, kind: rule.kind.clone(), confidence, open })
    }

    /// Adds a hit in its place, as one with those that it overlaps. One that goes on beyond its window goes out.
    fn join(&mut self, mut hit: Hit, emitter: &mut Emitter<'_>) {
        for other in std::mem::take(&mut self.pending) {
            if other.span.end <= hit.span.start || hit.span.end <= other.span.start {
                self.pending.push(other);
            } else {
                hit = hit.with(other);
            }
        }
        let at = self.pending.partition_point(|other| other.span.start < hit.span.start);
        let out = hit.open.is_some() || hit.span.len() >= MAX_HIT_BYTES;
        let open = hit.open;
        self.pending.insert(at, hit);
        if out {
            self.replace(at + 1, emitter);
            self.swallow = open;
        }
    }

    /// Drops what goes on from a secret that was longer than its window.
    fn swallow_on(&mut self) {
        let Some(window) = self.swallow else { return };
        let belongs = |b: &&u8| match window {
            Window::Token => is_token(**b),
            Window::Line => is_token(**b) || **b >= 0x80,
            Window::Block => is_token(**b) || matches!(**b, b'\n' | b'\r' | b'\\'),
        };
        let rest = self.buf.iter().skip(self.gone).take_while(belongs).count();
        if rest < self.held() {
            self.swallow = None;
        }
        self.drop_front(rest);
    }

    fn emit(&mut self, emitter: &mut Emitter<'_>) {
        let open = self.queue.first().map_or(self.live, |&(start, _)| start.min(self.live));
        self.replace(self.pending.partition_point(|hit| hit.span.end <= open), emitter);
        let sure = self.pending.first().map_or(open, |hit| hit.span.start.min(open));
        self.release(sure, emitter);
    }

    /// Lets everything before `to` out as it is.
    fn release(&mut self, to: usize, emitter: &mut Emitter<'_>) {
        let text = self.bytes(self.base..to.max(self.base));
        emitter.out.extend_from_slice(text);
        if let Some(&last) = text.last() {
            let len = text.len();
            self.drop_front(len);
            self.before = Some(last);
        }
    }

    /// Writes labels for the first `count` hits.
    fn replace(&mut self, count: usize, emitter: &mut Emitter<'_>) {
        for hit in self.pending.drain(..count).collect::<Vec<_>>() {
            self.release(hit.span.start, emitter);
            let value = self.bytes(self.base..hit.span.end);
            emitter.out.extend_from_slice(&label(emitter.key, &hit.kind, value));
            let len = value.len();
            self.drop_front(len);
            self.before = None;
            emitter.found.push(Finding::new(hit.span, hit.kind, hit.confidence));
        }
    }

    fn drop_front(&mut self, len: usize) {
        self.gone += len;
        self.base += len;
    }
}

/// Where a stage's outcome goes.
struct Emitter<'a> {
    key: &'a ScanKey,
    out: &'a mut Vec<u8>,
    found: &'a mut Vec<Finding>,
}

/// The end of a PEM block: behind the dashes that close its END line.
fn block_end(text: &[u8]) -> Option<usize> {
    let end = memchr::memmem::find(text, b"-----END")? + 8;
    let close = memchr::memmem::find(text.get(end..)?, b"-----")?;
    Some(end + close + 5)
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The bytes of tokens: letters, digits and the signs of base64, URLs and versions.
const fn is_token(byte: u8) -> bool {
    is_word(byte) || matches!(byte, b'-' | b'.' | b'+' | b'/' | b'=' | b'~')
}

/// Overlapping hits are joined up to here.
const MAX_HIT_BYTES: usize = 64 * 1024;
