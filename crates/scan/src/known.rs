//! Does a value that this session has resolved stand here, in any of its forms?

use crate::encode;
use crate::finding::{Confidence, Finding, Kind};
use crate::key::ScanKey;
use crate::label::{OPEN, label};
use crate::offsets::OffsetMap;
use crate::prefix::PrefixIndex;
use crate::redact::ScanError;
use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::contiguous;
use aho_corasick::{Anchored, MatchKind, PatternID, dfa};
use secrecy::{ExposeSecret, SecretString};
use std::collections::{BTreeMap, VecDeque};
use zeroize::Zeroizing;

/// A secret value that the session has resolved and that must not come back.
#[derive(Clone, Debug)]
pub struct KnownSecret {
    /// The secret's name, as the configuration has it. It is shown in labels.
    pub name: String,
    /// The value. Space around it is ignored.
    pub value: SecretString,
}

/// The known values of one redactor, compiled.
pub(crate) struct Known {
    index: PrefixIndex,
    /// For each pattern, whose it is.
    owners: Vec<usize>,
    secrets: Vec<Entry>,
    search: Search,
}

struct Entry {
    kind: Kind,
    label: Vec<u8>,
}

/// A full table is about twice as fast, but grows with the square of what many secrets bring.
enum Search {
    Nothing,
    Table(Box<dfa::DFA>),
    Links(Box<contiguous::NFA>),
}

impl Known {
    /// Compiles the values, or refuses the one that cannot be redacted without damage.
    pub(crate) fn compile(
        key: &ScanKey,
        known: impl IntoIterator<Item = KnownSecret>,
    ) -> Result<Self, ScanError> {
        let mut secrets = Vec::new();
        let mut owner_of: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for (number, secret) in known.into_iter().enumerate() {
            let value = secret.value.expose_secret().trim();
            check(number, &secret.name, value)?;
            let kind = Kind::slug(&secret.name);
            for form in encode::forms(value) {
                owner_of.entry(form).or_insert(number);
            }
            secrets.push(Entry { label: label(key, &kind, value.as_bytes()), kind });
        }
        let (forms, owners): (Vec<_>, Vec<_>) =
            owner_of.into_iter().map(|(form, owner)| (Zeroizing::new(form), owner)).unzip();
        let search = Search::build(&forms)?;
        let known = Self { index: PrefixIndex::new(forms), owners, secrets, search };
        known.refuse_labels()?;
        Ok(known)
    }

    /// How many secrets there are.
    pub(crate) const fn len(&self) -> usize {
        self.secrets.len()
    }

    /// The labels of all secrets, in the order in which they came.
    pub(crate) fn labels(&self) -> impl Iterator<Item = &[u8]> {
        self.secrets.iter().map(|entry| entry.label.as_slice())
    }

    /// Whether any known value stands in `text`.
    pub(crate) fn occurs(&self, text: &[u8]) -> bool {
        self.owner_in(text).is_some()
    }

    /// Fails if a known value stands in a text that labels are made of.
    pub(crate) fn refuse_in(&self, text: &str) -> Result<(), ScanError> {
        match self.owner_in(text.as_bytes()) {
            Some(number) => {
                Err(ScanError::TooCommon { secret: format!("secret number {}", number + 1) })
            }
            None => Ok(()),
        }
    }

    /// Whose value stands in `text`, counted from 0.
    fn owner_in(&self, text: &[u8]) -> Option<usize> {
        let mut owner = None;
        self.search
            .run(&mut None, text, |_, form| owner = self.owners.get(form.as_usize()).copied());
        owner
    }

    /// A value that stands in a label would be found in it again, and redaction would not be idempotent.
    fn refuse_labels(&self) -> Result<(), ScanError> {
        self.refuse_in(OPEN)?;
        match self.secrets.iter().position(|entry| self.occurs(&entry.label)) {
            Some(number) => Err(ScanError::NameHoldsValue { number: number + 1 }),
            None => Ok(()),
        }
    }
}

impl Search {
    fn build(forms: &[Zeroizing<Vec<u8>>]) -> Result<Self, ScanError> {
        let bytes: usize = forms.iter().map(|form| form.len()).sum();
        let patterns = || forms.iter().map(|form| form.as_slice());
        let too_many = |_| ScanError::TooMany;
        if bytes == 0 {
            Ok(Self::Nothing)
        } else if bytes <= MAX_TABLE_BYTES {
            let mut builder = dfa::Builder::new();
            builder.match_kind(MatchKind::Standard).prefilter(false);
            Ok(Self::Table(Box::new(builder.build(patterns()).map_err(too_many)?)))
        } else if bytes <= MAX_FORM_BYTES {
            let mut builder = contiguous::Builder::new();
            builder.match_kind(MatchKind::Standard).prefilter(false);
            Ok(Self::Links(Box::new(builder.build(patterns()).map_err(too_many)?)))
        } else {
            Err(ScanError::TooMany)
        }
    }

    fn run(&self, state: &mut Option<StateID>, text: &[u8], hit: impl FnMut(usize, PatternID)) {
        match self {
            Self::Nothing => {}
            Self::Table(table) => walk(&**table, state, text, hit),
            Self::Links(links) => walk(&**links, state, text, hit),
        }
    }
}

/// Takes an automaton on from `state` over `text` and reports each match with the place behind its last byte.
pub(crate) fn walk<A: Automaton>(
    automaton: &A,
    state: &mut Option<StateID>,
    text: &[u8],
    mut hit: impl FnMut(usize, PatternID),
) {
    // Both kinds of automaton are built unanchored, so a start state always exists.
    let Some(mut now) = state.or_else(|| automaton.start_state(Anchored::No).ok()) else { return };
    for (at, &byte) in text.iter().enumerate() {
        now = automaton.next_state(Anchored::No, now, byte);
        if automaton.is_special(now) && automaton.is_match(now) {
            for which in 0..automaton.match_len(now) {
                hit(at + 1, automaton.match_pattern(now, which));
            }
        }
    }
    *state = Some(now);
}

/// Replaces known values in a stream. All places are counted from the stream's first byte.
#[derive(Debug, Default)]
pub(crate) struct KnownStage {
    state: Option<StateID>,
    /// What has come in and is still needed; it begins at `base`.
    buf: Vec<u8>,
    base: usize,
    /// Up to here everything has gone out.
    sent: usize,
    /// Where the earliest beginning of a possible match stands.
    live: usize,
    runs: VecDeque<Run>,
    /// No run may begin before this.
    floor: usize,
}

/// Bytes covered by overlapping matches, and the match that names them: the leftmost, then the longest.
#[derive(Debug)]
struct Run {
    start: usize,
    end: usize,
    named_by: (usize, std::cmp::Reverse<usize>),
    secret: usize,
    closed: bool,
}

impl KnownStage {
    /// Takes more input; appends to `out` what is certain. `end` says that nothing follows.
    pub(crate) fn push(
        &mut self,
        known: &Known,
        input: &[u8],
        end: bool,
        (out, map, found): (&mut Vec<u8>, &mut OffsetMap, &mut Vec<Finding>),
    ) {
        let from = self.base + self.buf.len();
        self.buf.extend_from_slice(input);
        let total = self.base + self.buf.len();
        let mut state = self.state;
        known.search.run(&mut state, input, |at, pattern| {
            let (form, secret) = (
                known.index.patterns().get(pattern.as_usize()),
                known.owners.get(pattern.as_usize()),
            );
            if let (Some(form), Some(&secret)) = (form, secret) {
                self.note(from + at - form.len(), from + at, secret);
            }
        });
        self.state = state;
        let unsure = self.buf.get(self.live.saturating_sub(self.base)..).unwrap_or_default();
        self.live = if end { total } else { total - known.index.held(unsure) };
        self.emit(known, out, map, found);
    }

    /// Adds a match to the runs, joining it with those that it overlaps.
    fn note(&mut self, start: usize, end: usize, secret: usize) {
        let named_by = (start, std::cmp::Reverse(end));
        let mut run = Run { start: start.max(self.floor), end, named_by, secret, closed: false };
        if run.start >= run.end {
            return;
        }
        while let Some(last) = self.runs.pop_back_if(|last| !last.closed && last.end > run.start) {
            run.start = run.start.min(last.start);
            run.end = run.end.max(last.end);
            if last.named_by < run.named_by {
                (run.named_by, run.secret) = (last.named_by, last.secret);
            }
        }
        // A text can be one endless run of overlapping matches; it is cut so that memory stays bounded.
        run.closed = run.end - run.start >= MAX_RUN_BYTES;
        if run.closed {
            self.floor = run.end;
        }
        self.runs.push_back(run);
    }

    fn emit(
        &mut self,
        known: &Known,
        out: &mut Vec<u8>,
        map: &mut OffsetMap,
        found: &mut Vec<Finding>,
    ) {
        let mut at = self.sent;
        let copy = |from: usize, to: usize, out: &mut Vec<u8>, map: &mut OffsetMap| {
            let to = to.max(from);
            let text = self.buf.get(from - self.base..to - self.base).unwrap_or_default();
            out.extend_from_slice(text);
            map.copied(text.len());
            to
        };
        while let Some(run) = self.runs.pop_front_if(|run| run.closed || run.end <= self.live) {
            at = copy(at, run.start, out, map);
            if let Some(entry) = known.secrets.get(run.secret) {
                out.extend_from_slice(&entry.label);
                map.replaced(run.end - at, entry.label.len());
                found.push(Finding::new(
                    run.start..run.end,
                    entry.kind.clone(),
                    Confidence::Certain,
                ));
                at = run.end;
            }
        }
        let sure = self.runs.front().map_or(self.live, |run| run.start.min(self.live));
        at = copy(at, sure, out, map);
        self.sent = at;
        // A cut run may have gone out while a match that began inside it is still open.
        let needed = at.min(self.live);
        self.buf.drain(..needed - self.base);
        self.base = needed;
    }

    /// How many bytes are held back.
    pub(crate) const fn held(&self) -> usize {
        self.base + self.buf.len() - self.sent
    }
}

fn check(number: usize, name: &str, value: &str) -> Result<(), ScanError> {
    // A name that holds the value must not be repeated in an error.
    let secret = if value.is_empty() || !name.contains(value) {
        format!("secret `{}`", Kind::slug(name))
    } else {
        format!("secret number {}", number + 1)
    };
    let mut chars = value.chars();
    let first = chars.next();
    if value.len() < MIN_SECRET_BYTES {
        Err(ScanError::TooShort { secret })
    } else if value.len() > MAX_SECRET_BYTES {
        Err(ScanError::TooLong { secret })
    } else if chars.all(|c| Some(c) == first) {
        Err(ScanError::Repetitive { secret })
    } else if COMMON.contains(&value.to_ascii_lowercase().as_str()) {
        Err(ScanError::TooCommon { secret })
    } else {
        Ok(())
    }
}

/// A shorter value cannot be redacted without damage to ordinary text.
pub const MIN_SECRET_BYTES: usize = 8;
/// A longer value would need too much text held back; no credential in use is near it.
pub const MAX_SECRET_BYTES: usize = 16 * 1024;
/// Above this many bytes of forms, the table would outgrow the processor's caches and then memory.
const MAX_TABLE_BYTES: usize = 32 * 1024;
/// What all forms of all secrets may take together.
const MAX_FORM_BYTES: usize = 16 * 1024 * 1024;
const MAX_RUN_BYTES: usize = 64 * 1024;
/// Values so ordinary that hiding them would tear holes into every text.
const COMMON: [&str; 14] = [
    "12345678",
    "123456789",
    "1234567890",
    "authorization",
    "changeme",
    "localhost",
    "password",
    "password1",
    "passw0rd",
    "postgres",
    "redacted",
    "root:root",
    "undefined",
    "username",
];
