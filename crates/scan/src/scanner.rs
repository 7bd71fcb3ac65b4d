//! Which parts of a stretch of text are secrets?

use crate::assign;
use crate::dress;
use crate::dumps;
use crate::finding::{Confidence, Kind};
use crate::fold::Skeleton;
use crate::label::{OPEN, is_label};
use crate::marks::Marks;
use crate::memo::Memo;
use crate::names::{WORDS, Word};
use crate::prefixed;
use crate::redact::Inner;
use crate::rules::{self, Clue, Rule};
use crate::runs::{self, Code};
use crate::segment::is_token;
use crate::tables::Told;
use crate::turned;
use crate::values::Place;
use crate::verify::judge;
use crate::views::{self, TooLarge, View};
use crate::work;
use memchr::memmem::Finder;
use std::ops::Range;
use std::sync::LazyLock;

/// A part of a text that must not be shown.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    pub(crate) span: Range<usize>,
    pub(crate) what: What,
    pub(crate) confidence: Confidence,
    /// Where what told it begins: the name before a value.
    pub(crate) from: usize,
}

/// What was found.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// The value of a secret of the session, by number.
    Known(usize),
    /// Something of a kind.
    Kind(Kind),
}

/// One scan of a stretch of text, with a bound on how much it may decode.
pub(crate) struct Scan<'a> {
    inner: &'a Inner,
    budget: usize,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(inner: &'a Inner, text: &[u8]) -> Self {
        Self { inner, budget: text.len() * 16 + MIN_BUDGET }
    }

    /// Every hit in `text`, in order and apart.
    pub(crate) fn hits(&mut self, text: &[u8], marks: &Marks) -> Vec<Hit> {
        let mut hits = Vec::new();
        self.look(text, marks, 0, &mut hits);
        let mut hits = merged(hits);
        // A label ends a word where the secret did not, so what stands beside it may be found only now.
        for _ in 0..MAX_ROUNDS {
            let touched = hits.iter().any(|hit| touches(text, &hit.span));
            if !touched || !self.look_beside(text, &mut hits) {
                break;
            }
        }
        hits
    }

    /// Looks at the text as it will be, and adds what is found then. Whether there was anything.
    fn look_beside(&mut self, text: &[u8], hits: &mut Vec<Hit>) -> bool {
        let (mut after, mut from, mut places) = (Vec::new(), 0, Vec::new());
        for hit in hits.iter() {
            after.extend_from_slice(text.get(from..hit.span.start).unwrap_or_default());
            places.push((after.len() + STAND_IN.len(), hit.span.end));
            after.extend_from_slice(STAND_IN);
            from = hit.span.end;
        }
        after.extend_from_slice(text.get(from..).unwrap_or_default());
        let back =
            |at: usize| match places.partition_point(|(place, _)| *place <= at).checked_sub(1) {
                Some(last) => places.get(last).map_or(at, |(place, source)| at - place + source),
                None => at,
            };
        let Ok(more) = self.again(&after, MAX_DEPTH) else { return false };
        let any = !more.is_empty();
        hits.extend(more.into_iter().map(|hit| {
            let span = back(hit.span.start)..back(hit.span.end - 1) + 1;
            Hit { from: back(hit.from).min(span.start), span, ..hit }
        }));
        *hits = merged(std::mem::take(hits));
        any
    }

    fn look(&mut self, text: &[u8], marks: &Marks, depth: usize, hits: &mut Vec<Hit>) {
        work::count(text.len());
        let walls = labels(text);
        let from = hits.len();
        if marks.known() {
            self.known(text, &walls, hits);
        }
        let mut memo = Memo::default();
        for &(start, clue) in &marks.clues {
            if walls.iter().any(|wall| wall.contains(&start)) {
                continue;
            }
            match clue {
                Clue::Rule(rule) => hits.extend(self.rule(text, start, rule, &mut memo)),
                Clue::Word(word) => hits.extend(self.named(text, start, word, &mut memo)),
                Clue::Cell(len, told) => {
                    hits.extend(cell(text, start..start + len, told, &mut memo));
                }
                Clue::Token(len) => hits.extend(prefixed::hit(text, start..start + len, &mut memo)),
                Clue::Block
                | Clue::Escape
                | Clue::Seam
                | Clue::List
                | Clue::Foreign
                | Clue::Turned => {}
            }
            if self.budget == 0 {
                hits.push(withheld(&(0..text.len())));
                return;
            }
        }
        if depth < MAX_DEPTH {
            for (run, code) in &marks.runs {
                self.run(text, run, *code, depth, hits);
            }
            self.views(text, marks, depth, hits);
        }
        // A label of ours is never part of a secret.
        let mut found = hits.split_off(from);
        found.retain_mut(|hit| clear_of(&walls, hit));
        hits.append(&mut found);
    }

    fn known(&self, text: &[u8], walls: &[Range<usize>], hits: &mut Vec<Hit>) {
        let skeleton = Skeleton::of(text, walls);
        hits.extend(self.inner.known.find(text, &skeleton).into_iter().map(|hit| Hit {
            from: hit.span.start,
            span: hit.span,
            what: What::Known(hit.secret),
            confidence: if hit.whole { Confidence::Certain } else { Confidence::High },
        }));
    }

    fn rule(&mut self, text: &[u8], start: usize, number: usize, memo: &mut Memo) -> Option<Hit> {
        let rule = self.inner.rules.get(number)?;
        if !rule.left.allows(text, start) {
            return None;
        }
        let mut ahead = text.get(start..)?;
        if rule.window == rules::Window::Line {
            let len = memo.line_end(text, start) - start;
            ahead = if len < MAX_LOOK { ahead.get(..len)? } else { ahead };
        }
        let secret = self.secret_of(rule, ahead)?;
        let mut span = start + secret.start..start + secret.end;
        let before = text.get(..start).unwrap_or_default();
        if let Some(sign) = rule.before {
            let part = before.get(start.saturating_sub(MAX_BEFORE)..)?;
            let from = part.iter().rposition(|b| *b == sign || b.is_ascii_whitespace())?;
            span = start - (part.len() - from - 1)..start;
        }
        let confidence = judge(rule, text, &span, memo)?;
        if rule.address {
            span.start = scheme(before).unwrap_or(span.start);
        }
        let most = *rule.back.end();
        let back = before.iter().rev().take(most).take_while(|b| b.is_ascii_alphanumeric()).count();
        if !rule.back.contains(&back) {
            return None;
        }
        span.start -= back;
        // Patterns know bytes, texts have characters: never cut one in two.
        while text.get(span.end).is_some_and(|b| b & 0xC0 == 0x80) {
            span.end += 1;
        }
        let from = start.min(span.start);
        Some(Hit { span, what: What::Kind(rule.kind.clone()), confidence, from })
    }

    /// The secret that a name gives.
    fn named(&mut self, text: &[u8], start: usize, number: usize, memo: &mut Memo) -> Option<Hit> {
        let word = WORDS.get(number)?;
        let mut given = assign::secret(text, word, start, &mut self.budget, memo)?;
        // A password may end as a sentence does.
        let behind = text.get(given.value.end..).unwrap_or_default();
        let signs = behind.iter().take(2).take_while(|b| matches!(b, b'!' | b'?')).count();
        if behind.get(signs).is_none_or(u8::is_ascii_whitespace) {
            given.value.end += signs;
        }
        let kind = called(&given, word);
        let from = start.min(given.value.start);
        Some(Hit {
            span: given.value,
            what: What::Kind(kind),
            confidence: Confidence::Medium,
            from,
        })
    }

    /// The secret that a rule's pattern finds at the beginning of `ahead`. It looks at little first: most places where
    /// a rule might begin are nothing, and searching costs more the longer the text is.
    fn secret_of(&mut self, rule: &Rule, ahead: &[u8]) -> Option<Range<usize>> {
        let mut look = rule.max;
        loop {
            let window = ahead.get(..look.min(ahead.len()))?;
            let (all, secret) = rule.find(window)?;
            if all.end == window.len() && window.len() < ahead.len() && look < MAX_LOOK {
                self.budget = self.budget.saturating_sub(look);
                look *= 8;
            } else {
                return secret;
            }
        }
    }

    /// Looks into a run of digits; all of it is hidden when it says a secret.
    fn run(
        &mut self,
        text: &[u8],
        run: &Range<usize>,
        code: Code,
        depth: usize,
        hits: &mut Vec<Hit>,
    ) {
        let Some(digits) = text.get(run.clone()) else { return };
        hits.extend(numbered_token(text, run));
        let bytes = runs::decode(code, digits);
        if views::packed(&bytes) {
            hits.push(withheld(run));
            return;
        }
        let Ok(inner) = self.within(&bytes, depth) else {
            hits.push(withheld(run));
            return;
        };
        let whole = run.len() <= MAX_WHOLE_RUN || code == Code::Base32;
        for mut hit in inner {
            if whole || hit.span == (0..0) {
                hit.span = run.clone();
            } else {
                // Where a byte stands in digits is known; what lies far from the secret can stay.
                let width = if code == Code::Hex { (2, 1) } else { (4, 3) };
                let place = |at: usize| run.start + at * width.0 / width.1;
                hit.span = place(hit.span.start)..(place(hit.span.end) + 1).min(run.end);
            }
            hit.from = hit.from.min(hit.span.start).max(run.start).min(hit.span.start);
            hits.push(hit);
        }
    }

    /// The hits in decoded bytes: text, text in UTF-16, or a compressed body, whose hits have the span 0..0.
    fn within(&mut self, bytes: &[u8], depth: usize) -> Result<Vec<Hit>, TooLarge> {
        let zeros = |from: usize| {
            bytes.len() >= 8 && bytes.iter().skip(from).step_by(2).take(8).all(|b| *b == 0)
        };
        if zeros(0) || zeros(1) {
            let narrow: Vec<u8> = bytes.iter().copied().filter(|b| *b != 0).collect();
            let mut hits = self.again(&narrow, depth)?;
            for hit in &mut hits {
                hit.span = hit.span.start * 2..hit.span.end * 2;
            }
            return Ok(hits);
        }
        let mut hits = self.again(bytes, depth)?;
        if bytes.starts_with(views::ZIP) {
            for body in views::unzipped(bytes) {
                let inside = self.again(&body?, depth)?;
                hits.extend(inside.into_iter().map(|hit| Hit { span: 0..0, from: 0, ..hit }));
            }
            return Ok(hits);
        }
        let texty = bytes.iter().take(32).all(|b| matches!(b, b'\t' | b'\n' | b'\r' | b' '..=b'~'));
        if !texty && let Some(body) = views::inflated(bytes)? {
            let inside = self.again(&body, depth)?;
            hits.extend(inside.into_iter().map(|hit| Hit { span: 0..0, from: 0, ..hit }));
        }
        Ok(hits)
    }

    /// Looks at decoded bytes as at a text of its own.
    fn again(&mut self, bytes: &[u8], depth: usize) -> Result<Vec<Hit>, TooLarge> {
        self.budget = self.budget.checked_sub(bytes.len()).ok_or(TooLarge)?;
        let mut marks = Marks::default();
        let mut at = 0;
        for line in bytes.split_inclusive(|b| *b == b'\n') {
            marks.add(self.inner, line, at);
            at += line.len();
        }
        let mut hits = Vec::new();
        if !marks.is_empty() {
            self.look(bytes, &marks, depth + 1, &mut hits);
        }
        Ok(merged(hits))
    }

    /// Looks at other readings of the text.
    fn views(&mut self, text: &[u8], marks: &Marks, depth: usize, hits: &mut Vec<Hit>) {
        if marks.escaped() {
            self.view(text, &views::unescaped(text), depth, hits);
        }
        let in_pieces = marks.lines > 1 || marks.seamed();
        if in_pieces && let Some(view) = views::joined(text) {
            self.view(text, &view, depth, hits);
        }
        if marks.dumped() {
            for swapped in [false, true] {
                let from = hits.len();
                self.view(text, &dumps::read(text, swapped), depth, hits);
                // What stands beside the digits shows the same, and the rest of the line says nothing else.
                hits.iter_mut().skip(from).for_each(|hit| whole_lines(text, hit));
            }
        }
        if marks.lines > 1 && marks.events() {
            self.view(text, &views::unframed(text), depth, hits);
        }
        if marks.dressed() {
            self.view(text, &dress::plain(text), depth, hits);
        }
        if marks.listed() {
            self.view(text, &views::listed(text), depth, hits);
        }
        if marks.turned() {
            self.view(text, &turned::back(text), depth, hits);
        }
    }

    fn view(&mut self, text: &[u8], view: &View, depth: usize, hits: &mut Vec<Hit>) {
        if view.changed == 0 {
            return;
        }
        match self.again(&view.bytes, depth) {
            Ok(inner) => hits.extend(inner.into_iter().filter_map(|mut hit| {
                let span = view.span(&hit.span)?;
                // What the plain reading shows as well has been judged there.
                let mut written = text.get(span.clone()) != view.bytes.get(hit.span.clone());
                let told = hit.from..hit.span.start;
                hit.from = view
                    .span(&(hit.from..hit.from + 1))
                    .map_or(span.start, |s| s.start.min(span.start));
                // So has what tells it, unless that was written in another way.
                written |= text.get(hit.from..span.start) != view.bytes.get(told);
                hit.span = span;
                (written || depth == 0).then_some(hit)
            })),
            Err(TooLarge) => hits.push(withheld(&(0..text.len()))),
        }
    }
}

/// Where the address begins that goes on behind `before`, if it says its scheme: `https://tenant.`.
fn scheme(before: &[u8]) -> Option<usize> {
    let host = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    let host = before.iter().rev().take(MAX_HOST).take_while(host).count();
    let head = before.get(..before.len() - host)?;
    let scheme = head.strip_suffix(b"://")?;
    let https = scheme.strip_suffix(b"https").or_else(|| scheme.strip_suffix(b"http"))?;
    Some(https.len())
}

/// The secret that a cell of a table is.
fn cell(text: &[u8], value: Range<usize>, told: Told, memo: &mut Memo) -> Option<Hit> {
    let word = WORDS.get(told.word)?;
    // A line of JSON is no row.
    let member = memchr::memmem::find(text.get(value.clone())?, b"\":").is_some();
    let secret = !member && memo.is_secret(text, &value, told.place);
    let given = assign::Given { value, place: told.place };
    secret.then(|| Hit {
        what: What::Kind(called(&given, word)),
        confidence: Confidence::Medium,
        from: given.value.start,
        span: given.value,
    })
}

/// Whether a token goes on beside a span.
fn touches(text: &[u8], span: &Range<usize>) -> bool {
    let token = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(|b| is_token(*b));
    token(span.start.checked_sub(1)) && text.get(span.start.saturating_sub(1)) != Some(&b'=')
        || token(Some(span.end))
}

/// What a value is called that a name gives.
fn called(given: &assign::Given, word: &Word) -> Kind {
    static KINDS: LazyLock<[Kind; 6]> = LazyLock::new(|| {
        ["password", "token", "api-key", "auth-header", "session", "secret"].map(Kind::slug)
    });
    let [password, token, key, header, session, secret] = &*KINDS;
    let kind = match given.place {
        Place::Password => password,
        _ if word.text.contains("token") || word.text == "jwt" || word.text == "bearer" => token,
        _ if word.text.contains("key") => key,
        _ if word.text.contains("auth") => header,
        _ if word.text.contains("sess") || word.text == "cookie" => session,
        _ if word.text.contains("pass") => password,
        _ => secret,
    };
    kind.clone()
}

fn whole_lines(text: &[u8], hit: &mut Hit) {
    let before = text.get(..hit.span.start).unwrap_or_default();
    hit.span.start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
    let behind = text.get(hit.span.end..).unwrap_or_default();
    hit.span.end += memchr::memchr(b'\n', behind).unwrap_or(behind.len());
    hit.from = hit.from.min(hit.span.start);
}

/// A token whose first part is a number in base64, and whose others are a time and a signature: Discord's.
fn numbered_token(text: &[u8], run: &Range<usize>) -> Option<Hit> {
    let rest = text.get(run.end..)?.strip_prefix(b".")?;
    let digits = |part: &[u8]| {
        part.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')).count()
    };
    let time = digits(rest);
    let signature = digits(rest.get(time..)?.strip_prefix(b".")?);
    let number = runs::base64(text.get(run.clone())?);
    let whole =
        number.len() >= 17 && number.iter().all(u8::is_ascii_digit) && time == 6 && signature >= 27;
    whole.then(|| Hit {
        span: run.start..run.end + 2 + time + signature,
        what: What::Kind(Kind::slug("discord-token")),
        confidence: Confidence::High,
        from: run.start,
    })
}

fn withheld(span: &Range<usize>) -> Hit {
    Hit {
        span: span.clone(),
        what: What::Kind(Kind::slug("unscanned")),
        confidence: Confidence::Certain,
        from: span.start,
    }
}

/// Where labels of ours stand.
fn labels(text: &[u8]) -> Vec<Range<usize>> {
    // Built once: building a searcher costs more than searching a line.
    static SEARCH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(OPEN));
    SEARCH
        .find_iter(text)
        .filter_map(|start| {
            let rest = text.get(start..)?;
            let end = memchr::memchr(b']', rest.get(..rest.len().min(80))?)? + 1;
            is_label(rest.get(..end)?).then_some(start..start + end)
        })
        .collect()
}

/// Cuts a hit back to what lies beside labels; `false` if nothing is left.
fn clear_of(walls: &[Range<usize>], hit: &mut Hit) -> bool {
    for wall in walls {
        if wall.start >= hit.span.end || wall.end <= hit.span.start {
            continue;
        }
        if wall.start <= hit.span.start {
            hit.span.start = wall.end.min(hit.span.end);
        } else {
            hit.span.end = wall.start;
        }
    }
    !hit.span.is_empty()
}

/// Hits in order, those that overlap as one: the leftmost names it, of two at one place the surer, then the longer.
fn merged(mut hits: Vec<Hit>) -> Vec<Hit> {
    hits.sort_by_key(|hit| {
        (hit.span.start, std::cmp::Reverse(hit.confidence), std::cmp::Reverse(hit.span.end))
    });
    let mut all: Vec<Hit> = Vec::with_capacity(hits.len());
    for hit in hits {
        match all.last_mut() {
            Some(last) if hit.span.start < last.span.end || hit.span == last.span => {
                last.span.end = last.span.end.max(hit.span.end);
                last.from = last.from.min(hit.from);
            }
            _ => all.push(hit),
        }
    }
    all
}

/// Codes within codes are followed this far.
const MAX_DEPTH: usize = 5;
/// A run of digits up to here is hidden whole.
const MAX_WHOLE_RUN: usize = 16 * 1024;
/// What is beside labels is looked at again this often.
/// A longer name of a host is left as it is.
const MAX_HOST: usize = 64;
/// How far before a keyword a secret is looked for.
const MAX_BEFORE: usize = 128;
const MAX_ROUNDS: usize = 4;
/// Stands for any label while its surroundings are looked at.
const STAND_IN: &[u8] = b"[REDACTED:x:0000]";
/// No rule looks further.
const MAX_LOOK: usize = 64 * 1024;
/// Even a short text may hold a compressed body.
const MIN_BUDGET: usize = 1024 * 1024;
