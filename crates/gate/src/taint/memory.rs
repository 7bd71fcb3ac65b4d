//! What has this session heard from its person, and what has it read from others? Bounded: what falls out of it
//! counts as neither, which asks more and never less.

use super::index::{Around, Hit, Index};
use super::spell::{self, Mark, Token};
use super::{Impression, Reading, Taint, Trust};
use bartizan_scan::{Detector, display_line};
use bartizan_store::Digest;
use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One session's memory. Every clone of its caller shares it.
#[derive(Debug)]
pub(crate) struct Memory {
    key: RandomState,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
pub(super) struct Kept {
    /// The person's own words, strictly spelled.
    person: Index,
    /// What tools returned whose results the operator trusts, strictly spelled.
    operator: Index,
    /// Everything else that was read, loosely spelled.
    read: Index,
    texts: VecDeque<Arc<Text>>,
    /// Bytes of text that are kept to be shown.
    shown: usize,
    /// What the agent itself wrote for somebody to say later.
    own: VecDeque<Vec<Token>>,
    seen: HashSet<u64>,
    taint: Taint,
}

/// A text that was read.
#[derive(Debug, Clone)]
pub(super) struct Text {
    number: u32,
    pub(super) source: String,
    pub(super) trust: Trust,
    /// What an endorsement of it is bound to: these very words from this source.
    pub(super) key: Digest,
    /// Where it reads like orders, in bytes.
    hot: Vec<(u32, u32)>,
    kept: Option<Box<str>>,
}

/// A value that stands in texts that were read.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) text: Arc<Text>,
    at: u32,
}

/// What kind of name a value is, which says where it may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Host,
    Path,
    Word,
}

impl Memory {
    pub(crate) fn new() -> Self {
        let kept = Kept {
            person: Index::new(PERSON_TOKENS),
            operator: Index::new(PERSON_TOKENS),
            read: Index::new(READ_TOKENS),
            texts: VecDeque::new(),
            shown: 0,
            own: VecDeque::new(),
            seen: HashSet::new(),
            taint: Taint::default(),
        };
        Self { key: RandomState::new(), kept: Mutex::new(kept) }
    }

    /// The person said this; unless it repeats what was read, or what the agent had somebody say later.
    pub(crate) fn heard(&self, text: &str) {
        let text = beginning(text, TEXT_MAX);
        let mark = self.key.hash_one(("heard", text));
        if !self.lock().is_new(mark) {
            return;
        }
        let words = spell::loose(text, &self.key);
        let spelled = self.spelled(text);
        let mut kept = self.lock();
        if kept.repeats(&words) {
            return;
        }
        for tokens in spelled {
            kept.person.add(&tokens);
        }
    }

    /// The agent wrote this, for another agent or a later time; whoever says it then, it is no person's word.
    pub(crate) fn wrote(&self, text: &str) {
        let words = spell::loose(beginning(text, TEXT_MAX), &self.key);
        if words.len() < ECHO_WORDS {
            return;
        }
        let mut kept = self.lock();
        kept.own.push_back(words);
        if kept.own.len() > OWN_MAX {
            kept.own.pop_front();
        }
    }

    /// The session has read this. Gives how much it looks like orders; nothing when it was known.
    pub(crate) fn read(&self, reading: &Reading<'_>) -> Option<Impression> {
        let mark = self.key.hash_one(("read", reading.source, reading.text));
        if reading.trust == Trust::Nothing || !self.lock().is_new(mark) {
            return None;
        }
        let text = beginning(reading.text, TEXT_MAX);
        if reading.trust == Trust::Operator {
            let spelled = self.spelled(text);
            let mut kept = self.lock();
            for tokens in spelled {
                kept.operator.add(&tokens);
            }
            return Some(Impression::default());
        }
        let detection = Detector::new().score(beginning(reading.text, SCORED_MAX));
        let score = percent(detection.score);
        let orders = detection.signals.iter().filter(|_| score >= HOT_SCORE).take(HOT_MAX);
        let hot = orders.map(|signal| {
            let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
            (offset(signal.span.start), offset(signal.span.end))
        });
        let source = display_line(reading.source, SOURCE_CHARS);
        let key = Digest::of_parts(&[b"source", source.as_bytes(), reading.text.as_bytes()]);
        let tokens = spell::loose(text, &self.key);
        let hot = hot.collect();
        let signals = detection.signals.iter().map(|signal| signal.id).collect();
        let mut kept = self.lock();
        let number = kept.read.add(&tokens);
        kept.taint.add(&source, reading.trust, score);
        kept.keep(Text { number, source, trust: reading.trust, key, hot, kept: Some(text.into()) });
        Some(Impression { score, signals, worst: detection.worst, text: Some(key) })
    }

    /// Somebody else says how much a text that was read looks like orders. It can only raise what is known of it.
    pub(crate) fn advised(&self, text: Digest, score: u8) {
        let mut kept = self.lock();
        kept.taint.score = kept.taint.score.max(score.min(100));
        if score < HOT_SCORE {
            return;
        }
        // Nobody says where in it the orders stand, so they stand everywhere.
        if let Some(text) = kept.texts.iter_mut().find(|known| known.key == text) {
            Arc::make_mut(text).hot = vec![(0, u32::MAX)];
        }
    }

    /// The session has a connection to elsewhere; nobody has seen what comes over it.
    pub(crate) fn reached(&self, host: &str) {
        self.lock().taint.add(
            &format!("host {}", display_line(host, SOURCE_CHARS)),
            Trust::Untrusted,
            0,
        );
    }

    pub(crate) fn taint(&self) -> Taint {
        self.lock().taint.clone()
    }

    /// A view for one call, while nothing else is read.
    pub(super) fn look(&self) -> Look<'_> {
        Look { key: &self.key, kept: self.lock() }
    }

    fn spelled(&self, text: &str) -> Vec<Vec<Token>> {
        let mut all = vec![spell::strict(text, &self.key)];
        all.extend(spell::opened(text).map(|opened| spell::strict(&opened, &self.key)));
        all
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn is_new(&mut self, mark: u64) -> bool {
        if self.seen.len() >= SEEN_MAX {
            self.seen.clear();
        }
        self.seen.insert(mark)
    }

    /// Whether a text is an echo: as a whole something that was read, or it holds what the agent wrote.
    fn repeats(&self, words: &[Token]) -> bool {
        if words.len() >= ECHO_WORDS && self.read.find(words, |_| true).next().is_some() {
            return true;
        }
        let holds = |own: &Vec<Token>| {
            words.windows(own.len()).any(|run| run.iter().zip(own).all(|(a, b)| a.hash == b.hash))
        };
        self.own.iter().any(holds)
    }

    fn keep(&mut self, text: Text) {
        self.shown += text.kept.as_ref().map_or(0, |kept| kept.len());
        self.texts.push_back(Arc::new(text));
        while self.texts.len() > TEXTS_MAX || self.shown > SHOWN_MAX {
            let Some(old) = self.texts.pop_front() else { break };
            self.shown -= old.kept.as_ref().map_or(0, |kept| kept.len());
        }
    }

    fn text(&self, number: u32) -> Option<&Arc<Text>> {
        let at = self.texts.binary_search_by_key(&number, |text| text.number).ok()?;
        self.texts.get(at)
    }
}

/// The memory as one call is held against it.
pub(super) struct Look<'a> {
    key: &'a RandomState,
    kept: MutexGuard<'a, Kept>,
}

impl Look<'_> {
    pub(super) fn taint(&self) -> Taint {
        self.kept.taint.clone()
    }

    pub(super) fn has_read(&self) -> bool {
        !self.kept.read.is_empty()
    }

    /// Whether the person named this value. `name` is the argument's: a short number is theirs only next to a word
    /// of it, since numbers are everywhere.
    pub(super) fn person(&self, value: &str, form: Form, name: &str) -> bool {
        self.named(&self.kept.person, value, form, name)
    }

    /// Whether a tool that the operator trusts returned this value, and nobody else did: a tool may well return what an agent
    /// has put there out of a page.
    pub(super) fn operator(&self, value: &str, form: Form) -> bool {
        !self.kept.operator.is_empty()
            && self.named(&self.kept.operator, value, form, "id")
            && self.found(value).first().is_none_or(|one| one.text.trust != Trust::Untrusted)
    }

    fn named(&self, index: &Index, value: &str, form: Form, name: &str) -> bool {
        let tokens = spell::strict(value, self.key);
        if tokens.is_empty() || !tokens.iter().any(|token| token.kind == Mark::Word) {
            return false;
        }
        let slight = is_slight(value);
        let words: Vec<u64> = if slight { self.introductions(name) } else { Vec::new() };
        let fits = |hit: Hit| {
            !slight || index.word_before(hit.place).is_some_and(|word| words.contains(&word))
        };
        index.find(&tokens, |around| ends(around, form)).any(fits)
    }

    /// The words that make a number that follows them the value of an argument.
    fn introductions(&self, name: &str) -> Vec<u64> {
        let own = name.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 1);
        ["id", "number", "no", "nr"]
            .into_iter()
            .chain(own)
            .map(|word| self.key.hash_one(word.to_lowercase().as_str()))
            .collect()
    }

    /// The texts in which a value stands, those first that nobody vouches for.
    pub(super) fn found(&self, value: &str) -> Vec<Found> {
        let words = spell::loose(value, self.key);
        if words.is_empty() {
            return Vec::new();
        }
        let hits = self.kept.read.find(&words, |_| true).take(HITS_MAX);
        let mut found: Vec<Found> = hits.filter_map(|hit| self.found_at(hit)).collect();
        found.sort_by_key(|found| found.text.trust != Trust::Untrusted);
        found
    }

    /// The first run of at least so many bytes that a text shares with one that was read.
    pub(super) fn run(&self, text: &str, bytes: usize) -> Option<Found> {
        let words = spell::loose(text, self.key);
        let mut from = 0;
        while let Some(rest) = words.get(from..).filter(|rest| !rest.is_empty()) {
            let Some((length, hit)) = self.kept.read.longest(rest) else {
                from += 1;
                continue;
            };
            let start = rest.first().map_or(0, |token| token.at as usize);
            let end = rest.get(length).map_or(text.len(), |token| token.at as usize);
            if length > 1 && end.saturating_sub(start) >= bytes {
                return self.found_at(hit);
            }
            from += length.max(1);
        }
        None
    }

    fn found_at(&self, hit: Hit) -> Option<Found> {
        self.kept.text(hit.text).map(|text| Found { text: Arc::clone(text), at: hit.at })
    }
}

impl Found {
    /// Whether text that reads like orders stands near.
    pub(super) fn is_ordered(&self) -> bool {
        self.text.hot.iter().any(|(start, end)| {
            self.at.saturating_add(NEAR) >= *start && self.at <= end.saturating_add(NEAR)
        })
    }

    /// What stands round it, in one line for an approver.
    pub(super) fn excerpt(&self) -> Option<String> {
        let text = self.text.kept.as_deref()?;
        let at = self.at as usize;
        let before = text.get(..at)?.char_indices().rev().take(EXCERPT).last();
        let start = before.map_or(at, |(start, _)| start);
        let part: String = text.get(start..)?.chars().take(EXCERPT * 3).collect();
        Some(display_line(&part, EXCERPT * 4))
    }
}

/// Whether a value ends where its tokens end: not in the middle of a longer name.
fn ends(around: Around, form: Form) -> bool {
    let word = |mark: Option<Mark>| matches!(mark, Some(Mark::Word));
    let joined = |mark: Option<Mark>| matches!(mark, Some(Mark::Joiner(_)));
    let [before, farther] = around.before;
    let begins = match (before, form) {
        (Some(Mark::Joiner('/')), Form::Host) => farther == Some(Mark::Joiner('/')),
        // `@src/a.rs` mentions a file, `./src/a.rs` is one.
        (Some(Mark::Joiner('@')), Form::Path) => !word(farther) && !joined(farther),
        (Some(Mark::Joiner('/')), Form::Path) => farther == Some(Mark::Joiner('.')),
        (Some(Mark::Joiner('#' | '=' | ':') | Mark::Space | Mark::Other) | None, _) => true,
        (Some(Mark::Word | Mark::Joiner(_)), _) => false,
    };
    let [after, farther] = around.after;
    begins
        && match (after, form) {
            (Some(Mark::Joiner(':' | '/' | '?' | '#')), Form::Host)
            | (Some(Mark::Joiner(':')), Form::Path)
            | (Some(Mark::Space | Mark::Other) | None, _) => true,
            // The mark of a sentence's end.
            (Some(Mark::Joiner('.' | ':' | '?')), _) => !word(farther) && !joined(farther),
            (Some(Mark::Word | Mark::Joiner(_)), _) => false,
        }
}

/// Whether a value is so short that it stands in many a text by chance.
fn is_slight(value: &str) -> bool {
    let length = value.chars().count();
    length < 3 || length < 6 && value.chars().all(|c| c.is_ascii_digit())
}

fn percent(score: f32) -> u8 {
    // A float cast saturates, and the score is from 0 to 1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
    let percent = (score.clamp(0.0, 1.0) * 100.0) as u8;
    percent
}

fn beginning(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}

/// Tokens of the person's words; some 400 kB of text.
const PERSON_TOKENS: usize = 128 * 1024;
/// Tokens of what was read; some 1.5 MB of text.
const READ_TOKENS: usize = 256 * 1024;
/// Of one text, so many bytes are remembered.
const TEXT_MAX: usize = 512 * 1024;
/// Of one text, so many bytes are scored.
const SCORED_MAX: usize = 1024 * 1024;
/// Texts that are kept to be shown, and their bytes together.
const TEXTS_MAX: usize = 4096;
const SHOWN_MAX: usize = 2 * 1024 * 1024;
const SEEN_MAX: usize = 64 * 1024;
const OWN_MAX: usize = 256;
/// From this score on, what a text's signals point at reads like orders.
const HOT_SCORE: u8 = 50;
const HOT_MAX: usize = 64;
const HITS_MAX: usize = 4;
const SOURCE_CHARS: usize = 120;
/// A shorter text is said again by chance.
const ECHO_WORDS: usize = 6;
/// How near, in bytes, orders must stand to a value that they may be about.
const NEAR: u32 = 300;
/// Characters before a value in an excerpt; twice as many follow.
const EXCERPT: usize = 60;
