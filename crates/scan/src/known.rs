//! Does a value that this session has resolved stand here, in any of its forms?

use crate::encode::{self, Form, Script};
use crate::filter::Filter;
use crate::finding::Kind;
use crate::fold::{Skeleton, WINDOW, Window, fold, folded};
use crate::key::ScanKey;
use crate::label::{OPEN, label};
use crate::pieces;
use crate::redact::ScanError;
use crate::windows::{Place, Windows};
use aho_corasick::AhoCorasick;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeSet;
use std::ops::Range;
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
///
/// Text and values are compared by their skeletons: a window of six letters and digits is looked up in a bit table
/// while it goes by, so the cost hardly depends on how many values and forms there are.
pub(crate) struct Known {
    secrets: Vec<Entry>,
    forms: Vec<FormEntry>,
    windows: Windows,
    /// What every form, and every value itself, begins with: one to five letters and digits.
    beginnings: Filter,
    plain_beginnings: Filter,
    /// How many letters and digits the longest form has.
    longest: usize,
    /// Values of hardly any letters and digits, searched as they are written.
    odd: Option<(AhoCorasick, Vec<usize>)>,
}

struct Entry {
    kind: Kind,
    label: Vec<u8>,
}

pub(crate) struct FormEntry {
    pub(crate) skeleton: Zeroizing<Vec<u8>>,
    pub(crate) script: Script,
    /// How long a match may be at most.
    pub(crate) longest: usize,
    pub(crate) secret: usize,
    /// What stands before the first and behind the last letter or digit of the value.
    pub(crate) edges: (Zeroizing<Vec<u8>>, Zeroizing<Vec<u8>>),
}

/// A known value that was found.
#[derive(Debug)]
pub(crate) struct KnownHit {
    pub(crate) span: Range<usize>,
    pub(crate) secret: usize,
    /// Not only pieces of it.
    pub(crate) whole: bool,
}

impl Known {
    /// Compiles the values, or refuses the one that cannot be redacted without damage.
    pub(crate) fn compile(
        key: &ScanKey,
        known: impl IntoIterator<Item = KnownSecret>,
    ) -> Result<Self, ScanError> {
        let mut builder = Builder::default();
        for (number, secret) in known.into_iter().enumerate() {
            builder.more = number < MAX_CODED;
            let value = secret.value.expose_secret().trim();
            check(number, &secret.name, value)?;
            builder.add(number, value);
            for line in encode::lines(value) {
                builder.add(number, line);
            }
            let kind = Kind::slug(&secret.name);
            builder.secrets.push(Entry { label: label(key, &kind, value.as_bytes()), kind });
        }
        let known = builder.build()?;
        known.refuse_labels()?;
        Ok(known)
    }

    /// How many secrets there are.
    pub(crate) const fn len(&self) -> usize {
        self.secrets.len()
    }

    /// The kinds of all secrets, in the order in which they came.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.secrets.iter().map(|entry| &entry.kind)
    }

    pub(crate) fn kind(&self, secret: usize) -> Option<&Kind> {
        self.secrets.get(secret).map(|entry| &entry.kind)
    }

    pub(crate) fn label(&self, secret: usize) -> Option<&[u8]> {
        self.secrets.get(secret).map(|entry| entry.label.as_slice())
    }

    pub(crate) fn form(&self, form: usize) -> Option<&FormEntry> {
        self.forms.get(form)
    }

    /// Whether a window that belongs to a form goes by in `line`: see [`Windows::pass`].
    pub(crate) fn passes(&self, line: &[u8], window: &mut Window) -> bool {
        self.windows.pass(line, window)
    }

    /// Whether values must be searched for as they are written, too.
    pub(crate) fn odd_in(&self, text: &[u8]) -> bool {
        self.odd.as_ref().is_some_and(|(search, _)| search.is_match(text))
    }

    /// Whether any known value stands in `text`.
    pub(crate) fn occurs(&self, text: &[u8]) -> bool {
        !self.find(text, &Skeleton::of(text, &[])).is_empty()
    }

    /// Every known value in a text whose skeleton is given.
    pub(crate) fn find(&self, text: &[u8], skeleton: &Skeleton) -> Vec<KnownHit> {
        let mut hits = self.odd_hits(text);
        let mut found = Vec::new();
        self.each_window(skeleton, |start, form, offset| {
            if let Some(entry) = self.forms.get(form)
                && let Some(piece) = pieces::grow(form, entry, skeleton, start, offset, &found)
            {
                found.push(piece);
            }
        });
        pieces::judge(self, text, skeleton, found, &mut hits);
        hits
    }

    /// Whether the end of a text may be the beginning of a value that goes on. `short` says that its last line
    /// has so few letters that a value may be spread over many such lines.
    pub(crate) fn goes_on(&self, text: &[u8], line: &[u8], short: bool) -> bool {
        if self.begins_at_end(line, if short { 1 } else { 4 }) {
            return true;
        }
        // What stands farther apart than in any value is no beginning of one; and a text of many short lines would
        // be walked over for each of them.
        let tail = text.len().saturating_sub(self.longest.saturating_mul(pieces::MAX_GAP + 1));
        let skeleton = &Skeleton::of(text.get(tail..).unwrap_or_default(), &[]);
        let mut alive = false;
        self.each_window(skeleton, |start, form, offset| {
            let rest = skeleton.bytes().get(start..).unwrap_or_default();
            alive |= self
                .forms
                .get(form)
                .and_then(|entry| entry.skeleton.get(offset..))
                .is_some_and(|form| form.len() > rest.len() && form.starts_with(rest));
        });
        alive
    }

    /// Whether a text may end with the first four or five letters of a form, which `window` tells. Quick, and at times
    /// wrongly yes.
    pub(crate) fn may_begin_at_end(&self, window: Window) -> bool {
        [4, 5].into_iter().any(|len| self.beginnings.has(beginning(len, window.last(len))))
    }

    /// Whether a line ends with the first letters and digits of a form, at least `least` of them and fewer than a
    /// window has. Quick, and at times wrongly yes.
    pub(crate) fn begins_at_end(&self, line: &[u8], least: usize) -> bool {
        let mut tail = 0;
        let letters = line.iter().rev().take(MAX_TAIL).map(|b| fold(*b)).filter(|b| *b != 0);
        letters.take(WINDOW - 1).enumerate().any(|(at, letter)| {
            tail |= u64::from(letter) << (8 * at);
            at + 1 >= least && self.beginnings.has(beginning(at + 1, tail))
        })
    }

    /// Whether a value itself, or a form of it in words, may begin so.
    pub(crate) fn plain_begins_with(&self, start: &[u8]) -> bool {
        let packed = start.iter().take(WINDOW).fold(0, |v, b| v << 8 | u64::from(*b));
        self.plain_beginnings.has(beginning(start.len(), packed))
    }

    fn each_window(&self, skeleton: &Skeleton, mut hit: impl FnMut(usize, usize, usize)) {
        let mut window = Window::default();
        for (at, &byte) in skeleton.bytes().iter().enumerate() {
            if !window.push(byte) {
                window = Window::default();
            } else if at + 1 >= WINDOW {
                for place in self.windows.places(window.value()) {
                    hit(at + 1 - WINDOW, place.form, place.offset);
                }
            }
        }
    }

    fn odd_hits(&self, text: &[u8]) -> Vec<KnownHit> {
        let Some((search, owners)) = &self.odd else { return Vec::new() };
        let owner = |found: &aho_corasick::Match| owners.get(found.pattern().as_usize()).copied();
        search
            .find_overlapping_iter(text)
            .filter_map(|found| {
                Some(KnownHit { span: found.range(), secret: owner(&found)?, whole: true })
            })
            .collect()
    }

    /// Fails if a known value stands in a text that labels are made of.
    pub(crate) fn refuse_in(&self, text: &str) -> Result<(), ScanError> {
        let text = text.as_bytes();
        match self.find(text, &Skeleton::of(text, &[])).first() {
            Some(hit) => {
                Err(ScanError::TooCommon { secret: format!("secret number {}", hit.secret + 1) })
            }
            None => Ok(()),
        }
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

#[derive(Default)]
struct Builder {
    /// Whether to search for every code, however unlikely.
    more: bool,
    secrets: Vec<Entry>,
    forms: Vec<FormEntry>,
    odd: Vec<Zeroizing<Vec<u8>>>,
    odd_owners: Vec<usize>,
}

impl Builder {
    fn add(&mut self, secret: usize, value: &str) {
        let letters = folded(value.as_bytes()).len();
        let odd = letters < MIN_SECRET_BYTES || letters * 2 < value.chars().count();
        if odd {
            for text in written(value) {
                self.odd.push(Zeroizing::new(text.into_bytes()));
                self.odd_owners.push(secret);
            }
        }
        let alnum = |b: &u8| b.is_ascii_alphanumeric();
        let bytes = value.as_bytes();
        let first = bytes.iter().position(alnum).unwrap_or(bytes.len());
        let last = bytes.iter().rposition(alnum).map_or(bytes.len(), |at| at + 1);
        let edge = |part: Option<&[u8]>| Zeroizing::new(part.unwrap_or_default().to_vec());
        let digits_only = bytes.iter().all(u8::is_ascii_digit);
        for Form { skeleton, script, written } in encode::forms(value, self.more) {
            if odd && script == Script::Plain {
                continue;
            }
            let bare = script == Script::Plain && letters == bytes.len();
            let exact = bare && (digits_only || letters < 10);
            self.forms.push(FormEntry {
                skeleton: Zeroizing::new(skeleton),
                script,
                longest: if exact { written } else { usize::MAX },
                secret,
                edges: (edge(bytes.get(..first)), edge(bytes.get(last..))),
            });
        }
    }

    fn build(self) -> Result<Known, ScanError> {
        let bytes: usize = self.forms.iter().map(|form| form.skeleton.len()).sum();
        if bytes > MAX_FORM_BYTES {
            return Err(ScanError::TooMany);
        }
        let longest = self.forms.iter().map(|form| form.skeleton.len()).max().unwrap_or(0);
        let mut windows = Vec::new();
        let (mut beginnings, mut plain_beginnings) = (Vec::new(), Vec::new());
        for (number, form) in self.forms.iter().enumerate() {
            let mut packed = 0;
            // What is written in letters may come word by word: `tango kilo …`.
            let letters = form.skeleton.iter().take(WINDOW - 1).all(u8::is_ascii_alphabetic);
            let worded =
                form.script == Script::Plain || (form.script == Script::Spelled && letters);
            for (at, letter) in form.skeleton.iter().take(WINDOW - 1).enumerate() {
                packed = packed << 8 | u64::from(*letter);
                beginnings.push(beginning(at + 1, packed));
                if worded {
                    plain_beginnings.push(beginning(at + 1, packed));
                }
            }
            let count = if form.script == Script::Plain { form.skeleton.len() } else { WINDOW };
            let all = form.skeleton.get(..count).unwrap_or_default().windows(WINDOW);
            windows.extend(all.enumerate().map(|(offset, window)| {
                (Window::over(window).value(), Place { form: number, offset })
            }));
        }
        for all in [&mut beginnings, &mut plain_beginnings] {
            all.sort_unstable();
            all.dedup();
        }
        let odd = if self.odd.is_empty() {
            None
        } else {
            let search = AhoCorasick::builder()
                .build(self.odd.iter().map(|text| text.as_slice()))
                .map_err(|_| ScanError::TooMany)?;
            Some((search, self.odd_owners))
        };
        Ok(Known {
            secrets: self.secrets,
            forms: self.forms,
            windows: Windows::new(windows),
            longest,
            beginnings: Filter::new(beginnings.into_iter(), 64),
            plain_beginnings: Filter::new(plain_beginnings.into_iter(), 64),
            odd,
        })
    }
}

/// A beginning of so many letters, as one number.
const fn beginning(len: usize, packed: u64) -> u64 {
    packed | (len as u64) << 56
}

/// The ways in which a value of hardly any letters is written, apart from codes.
fn written(value: &str) -> BTreeSet<String> {
    let quoted = serde_json::Value::from(value).to_string();
    let quoted = quoted.strip_prefix('"').and_then(|q| q.strip_suffix('"')).unwrap_or(&quoted);
    let nested = serde_json::Value::from(quoted).to_string();
    let nested = nested.strip_prefix('"').and_then(|q| q.strip_suffix('"')).unwrap_or(&nested);
    let html = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    BTreeSet::from([
        value.to_owned(),
        value.to_ascii_lowercase(),
        value.to_ascii_uppercase(),
        value.chars().rev().collect(),
        quoted.to_owned(),
        quoted.replace('/', "\\/"),
        quoted.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026"),
        nested.to_owned(),
        html.replace('"', "&quot;").replace('\'', "&#39;"),
        html.replace('"', "&quot;").replace('\'', "&#x27;"),
        html.replace('"', "&quot;").replace('\'', "&apos;"),
    ])
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
/// Only so many secrets, those that came first, are searched for in the codes that only malice would choose: the table of
/// more would leave the nearest cache.
const MAX_CODED: usize = 32;
/// What all forms of all secrets may take together.
const MAX_FORM_BYTES: usize = 16 * 1024 * 1024;
/// How far from a line's end its last letters are looked for.
const MAX_TAIL: usize = 32;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn known(values: &[&str]) -> Known {
        let secrets =
            values.iter().map(|value| KnownSecret { name: "k".to_owned(), value: (*value).into() });
        Known::compile(&ScanKey::new([3; 32]), secrets).unwrap()
    }

    #[test]
    fn the_first_secrets_are_known_in_every_code_however_many_there_are() {
        let values: Vec<String> =
            (0..=MAX_CODED).map(|n| format!("Qz{n:02}-{}x9", "kTw".repeat(3))).collect();
        let known = known(&values.iter().map(String::as_str).collect::<Vec<_>>());
        let shifted = |value: &str| value.bytes().map(|b| char::from(b + 1)).collect::<String>();
        let found =
            |value: Option<&String>| value.is_some_and(|v| known.occurs(shifted(v).as_bytes()));
        assert!(found(values.first()));
        assert!(!found(values.last()));
        assert!(values.iter().all(|value| known.occurs(value.as_bytes())));
    }

    #[test]
    fn the_quick_look_says_what_a_slow_one_says() {
        let value = "Zk7-q9Lm_x2Wv";
        let known = known(&[value, "another-Value-4711"]);
        let mut met = [0, 0];
        for (at, _) in value.char_indices() {
            for sign in ["", "-", "\n", " Q", "\u{fc}", "\u{1b}[0m"] {
                let (left, right) = value.split_at(at);
                let text = format!("see {left}{sign}{right} and more");
                let slow = folded(text.as_bytes())
                    .windows(WINDOW)
                    .any(|letters| known.windows.has(Window::over(letters).value()));
                met[usize::from(slow)] += 1;
                for cut in 0..=text.len() {
                    let (mut window, bytes) = (Window::default(), text.as_bytes());
                    let quick = known.passes(&bytes[..cut], &mut window)
                        || known.passes(&bytes[cut..], &mut window);
                    assert_eq!(quick, slow, "{text:?} cut at {cut}");
                }
            }
        }
        assert!(known.passes(b"zK7Q9l", &mut Window::default()));
        assert!(!known.passes(b"zK7Q9k", &mut Window::default()));
        assert!(met[1] > 0);
    }
}
