//! Which secret does a sentence give: `the password is …`, `--token …`, `machine … password …`?

use crate::assign::Given;
use crate::bytes::{byte_table, is, kind};
use crate::extent::{bare_len, named, quoted_len};
use crate::memo::Memo;
use crate::names;
use crate::typed::passphrase;
use crate::values::{Place, is_secret, regular_case};
use crate::words::gibberish;
use std::ops::Range;

/// The secret that a sentence gives: `the password is …`, `--token …`, `machine … password …`.
pub(crate) fn secret(
    text: &[u8],
    at: usize,
    place: Place,
    flag: bool,
    memo: &mut Memo,
) -> Option<Given> {
    let ahead = text.get(at..(at + MAX_SPOKEN).min(text.len()))?;
    // Whether nothing but a quote stands between the name and the first space.
    let bare = ahead.iter().take(2).any(|b| is(*b, kind::SPACE));
    let mut heard = Heard { said: false, turned: false, expects: Expects::Nothing, told: place };
    let mut position = 0;
    let mut number = 0;
    for (split, token) in ahead.split(|b| is(*b, kind::SPACE)).enumerate() {
        let start = at + position;
        position += token.len() + 1;
        // Columns are set apart by many spaces.
        number += usize::from(split > 0 && !(token.is_empty() && text.get(start) == Some(&b' ')));
        let last = position > ahead.len();
        // What directly follows the name belongs to it.
        if last && number == 0 {
            return None;
        }
        // An empty line between, in a mail that is quoted too.
        let empty = number > 0 && heard.said && !last && token.iter().all(|b| *b == b'>');
        if empty || heard.speaker(token, number) {
            continue;
        }
        let range = stripped(text, start..start + token.len());
        let value = text.get(range.clone())?;
        let asking = place == Place::Password && number > 1;
        if member(token) && !asking && !(number == 1 && is_secret(value, Place::Likely)) {
            return None;
        }
        // A token that the look-ahead cuts is not all of it.
        let mut whole = || range.start + bare_len(text, range.start, false, memo);
        let range = range.start..if last { whole() } else { range.end };
        let value = text.get(range.clone()).unwrap_or(value);
        let signs = signs(value);
        // `ENV API_KEY …`, `:api_key "…"`: what stands alone behind the name, or in quotes.
        let quoted = matches!(token.first(), Some(b'"' | b'\'' | b'`'));
        let given = flag && number == 1;
        let name =
            signs & SEPARATOR != 0 && !given && named(value) && !random_with_sign(value, quoted);
        if signs & BRACKET != 0 && !(quoted && is_secret(value, Place::Near)) || name {
            return None;
        }
        let alone = || stands_alone(text, start + token.len(), value);
        let placed = || quoted || (place == Place::Secret && alone());
        let next = number == 1 && (flag || place == Place::Password || (bare && placed()));
        // A call, as in `Pass *createPass();`, is no word.
        let call = token.get(1..).is_some_and(|rest| rest.contains(&b'('));
        let public = || identifier(value) && !(next && quoted && !publishable(value));
        let meant = if next { Some(place) } else { heard.said.then_some(heard.told) };
        if let Some(phrase) = phrase(text, &range, meant.filter(|_| number > 0)) {
            return Some(Given { value: phrase, place });
        }
        if number > 0 && !call && tells(value, signs, meant) && !public() {
            return Some(Given { value: range, place: Place::Near });
        }
        let ended = text.get(start + token.len()) == Some(&b'\n');
        heard.hear(token, value, (number, ended), place);
        // `PASSWORD FOR 'ann' = '…'`.
        let equals = (2..=MAX_APART).contains(&number) && token == b"=" && !heard.turned;
        if signs & ASSIGNS != 0 && !equals || stops(value) {
            return None;
        }
        let answered = matches!(token.last(), Some(b'?' | b':')) || begs(value);
        if ended && !answered && heard.expects != Expects::Value {
            return None;
        }
    }
    None
}

/// Whether a value, whose token ends at `end`, ends its line too, or is so long and random that it is no word.
fn stands_alone(text: &[u8], end: usize, value: &[u8]) -> bool {
    text.get(end).is_none_or(|b| *b == b'\n')
        || value.len() >= MIN_BARE && is_secret(value, Place::Likely)
}

/// The words of a passphrase that begins with the word in `range`: joined by a sign, or in quotes.
fn phrase(text: &[u8], range: &Range<usize>, meant: Option<Place>) -> Option<Range<usize>> {
    meant.filter(|place| *place == Place::Password)?;
    let quote = range.start.checked_sub(1).and_then(|at| text.get(at));
    let quoted = quote.filter(|b| matches!(b, b'"' | b'\'' | b'`'));
    let range = match quoted {
        Some(quote) => range.start..range.start + quoted_len(text.get(range.start..)?, *quote, 0)?,
        None => range.clone(),
    };
    let value = text.get(range.clone())?;
    let signs: &[u8] = if quoted.is_some() { b" -._" } else { b"-._" };
    signs.iter().any(|sign| passphrase(value, *sign)).then_some(range)
}

/// What the words up to here say of the next one.
struct Heard {
    said: bool,
    /// The word behind the name makes it another: `auth header = …`.
    turned: bool,
    expects: Expects,
    told: Place,
}

/// What the lines below may say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expects {
    Nothing,
    /// There was a question, and the answer follows.
    Answer,
    /// The line says that what it speaks of stands below it.
    Value,
}

impl Heard {
    /// Whether a token only says who answers: `what is the token?` and, in the next line, `[10:43] lee: …`.
    fn speaker(&mut self, token: &[u8], number: usize) -> bool {
        let there = self.expects == Expects::Answer && number <= MAX_SPEAKER && speaker(token);
        self.said |= there;
        there
    }

    /// Takes the next token, which is `value` without the signs around it.
    fn hear(&mut self, token: &[u8], value: &[u8], (number, ended): (usize, bool), place: Place) {
        // `… the following password:` and, alone in a line of its own, the password.
        let colon = token.ends_with(b":");
        if value == b"below" {
            self.expects = Expects::Value;
        }
        self.said = announces(token) || (ended && (colon || self.expects == Expects::Value));
        // `API key for billing = …`.
        if token == b"=" && place != Place::Password {
            self.told = Place::Likely;
        }
        // `Invalid API key provided: …`, `Passwort für db-1: …`.
        self.turned |= number == 1 && names::turned_by(value);
        if colon && (1..=MAX_APART).contains(&number) && !self.turned {
            self.said = true;
            let sure = place == Place::Password || GIVEN.contains(&value);
            self.told = if sure { place } else { Place::Likely };
        }
        if ended && (token.ends_with(b"?") || begs(value)) {
            self.expects = Expects::Answer;
        }
    }
}

/// Whether a word at a line's end asks for what the line names: `api key for billing pls`.
pub(crate) fn begs(word: &[u8]) -> bool {
    matches!(word, b"pls" | b"plz" | b"please" | b"thx" | b"thanks" | b"ty")
}

/// The name of another member: `"nextPageToken": …`.
fn member(token: &[u8]) -> bool {
    token.ends_with(b"\":") && memchr::memchr_iter(b'"', token).count() > 1
}

/// Whether a token says who speaks, or when: `[10:43]`, `<lee>`, `lee:`.
fn speaker(token: &[u8]) -> bool {
    let inner = match token {
        [b'[', inner @ .., b']'] | [b'<', inner @ .., b'>'] | [inner @ .., b':'] => inner,
        _ => token,
    };
    let clock = inner.iter().all(|b| is(*b, kind::DIGIT) || matches!(b, b':' | b'.' | b'-'));
    let name =
        inner.len() < token.len() && inner.iter().all(|b| is(*b, kind::LETTER) || *b == b'*');
    token.len() <= MAX_NAME && (name || (clock && token.contains(&b':')) || matches!(token, b">"))
}

/// Whether a word of a sentence is a secret; `told` is what the sentence says of it, if it does.
fn tells(value: &[u8], signs: u8, told: Option<Place>) -> bool {
    // A secret has digits, or both cases: most words have neither.
    let mixed = signs & DIGIT != 0 || signs & CAPITAL != 0;
    if value.len() < MIN_SPOKEN || !mixed {
        return false;
    }
    let inner = |b: &u8| matches!(b, b'!' | b'@' | b'#' | b'$' | b'%' | b'^' | b'*');
    let signed = || told == Some(Place::Password) && value.iter().any(inner);
    let random = || signs & DIGIT != 0 || gibberish(value) || !regular_case(value) || signed();
    let meant = |place: Place| {
        random() && is_secret(value, if place == Place::Near { Place::Secret } else { place })
    };
    told.is_some_and(meant) || is_secret(value, Place::Near)
}

/// Whether a word of a sentence that has not been judged yet is a secret, given what the sentence says of it.
pub(crate) fn said_of(value: &[u8], place: Place) -> bool {
    let signs = signs(value);
    signs & BRACKET == 0 && !identifier(value) && tells(value, signs, Some(place))
}

/// Whether what looks like a name and a sign is a value that has the sign: `VdgVZkyZjSikoqphxsqeUn8XB3r=`, `AAAAyBTPJcW:APA9…`.
pub(crate) fn random_with_sign(value: &[u8], quoted: bool) -> bool {
    let Some(at) = memchr::memchr2(b'=', b':', value) else { return false };
    let (name, rest) = value.split_at_checked(at).unwrap_or((value, &[]));
    let padding = rest.iter().all(|b| *b == b'=') && rest.len() <= 2;
    let digits = name.iter().filter(|b| b.is_ascii_digit()).count();
    let odd = !regular_case(name) && (digits > 0 || gibberish(name));
    (padding && name.len() >= 16 && odd) || (quoted && odd) || (odd && name.len() >= 10)
}

/// Whether a key is one that everybody may see.
fn publishable(value: &[u8]) -> bool {
    value.starts_with(b"pk_live_") || value.starts_with(b"pk_test_") || !value.starts_with(b"pk_")
}

/// Whether the next word is what the sentence is about.
fn announces(token: &[u8]) -> bool {
    matches!(
        token,
        b"is"
            | b"was"
            | b"to"
            | b"are"
            | b"="
            | b":"
            | b"->"
            | b"<-"
            | b"as"
            | b"/"
            | b"with"
            | b"using"
            | b"from"
            | b"--body"
            | b"--value"
            | b"-Value"
            | b"got"
            | b"ist"
            | b"lautet"
            | b"est"
            | b"es"
            | b"er"
            | b"jest"
            | b"je"
            | b"este"
            | b"l\xc3\xa0"
            | b"adalah"
            | b"=>"
            | b"-b"
            | b"-v"
            | b"--secret-string"
            | b"DEFAULT"
            | b"default"
    ) || (token.first() >= Some(&0x80) && COPULAS.iter().any(|word| token == word.as_bytes()))
}

/// Whether what follows this word is no secret.
pub(crate) fn stops(value: &[u8]) -> bool {
    STOPS.iter().any(|stop| value.eq_ignore_ascii_case(stop.as_bytes()))
}

const fn sign(byte: u8) -> u8 {
    match byte {
        b'{' | b'(' | b'<' => BRACKET,
        b'=' => ASSIGNS | SEPARATOR,
        b':' => SEPARATOR,
        b'0'..=b'9' => DIGIT,
        b'A'..=b'Z' => CAPITAL,
        _ => 0,
    }
}

/// Which signs that tell something a word has.
fn signs(word: &[u8]) -> u8 {
    word.iter().fold(0, |all, b| all | SIGNS.get(usize::from(*b)).copied().unwrap_or(0))
}

static SIGNS: [u8; 256] = byte_table!(sign);
const BRACKET: u8 = 1;
const ASSIGNS: u8 = 1 << 1;
const SEPARATOR: u8 = 1 << 2;
const DIGIT: u8 = 1 << 3;
const CAPITAL: u8 = 1 << 4;
/// A shorter word says too little.
const MIN_SPOKEN: usize = 8;
/// One behind the name of a secret, in a line that goes on, is no shorter.
const MIN_BARE: usize = 20;

/// A token without the quotes, brackets and full stops around it.
pub(crate) fn stripped(text: &[u8], range: Range<usize>) -> Range<usize> {
    let token = text.get(range.clone()).unwrap_or_default();
    let wraps = |b: &&u8| {
        matches!(
            b,
            b'"' | b'\'' | b'`' | b'(' | b')' | b'[' | b']' | b',' | b';' | b'<' | b'>' | b'*'
        )
    };
    let left = token.iter().take_while(wraps).count();
    let right = token
        .iter()
        .skip(left)
        .rev()
        .take_while(|b| wraps(b) || matches!(b, b'.' | b'?' | b':'))
        .count();
    range.start + left..range.end - right
}

/// Whether a value has the prefix of an identifier that is public.
pub(crate) fn identifier(value: &[u8]) -> bool {
    IDENTIFIERS.iter().any(|prefix| value.starts_with(prefix.as_bytes()))
}

const MAX_SPOKEN: usize = 120;
/// What says of a password in other languages that it is the next word. `is` and the like are with the code.
const COPULAS: [&str; 11] = [
    "\u{e9}",
    "\u{e8}",
    "\u{e4}r",
    "\u{e6}r",
    "\u{2014}",
    "\u{2013}",
    "\u{3b5}\u{3af}\u{3bd}\u{3b1}\u{3b9}",
    "\u{939}\u{948}",
    "\u{e04}\u{e37}\u{e2d}",
    "\u{647}\u{64a}",
    "\u{5d4}\u{5d9}\u{5d0}",
];
/// What says of a credential that the value follows: `Incorrect API key provided: …`.
const GIVEN: [&[u8]; 10] = [
    b"provided",
    b"given",
    b"used",
    b"supplied",
    b"found",
    b"received",
    b"below",
    b"value",
    b"got",
    b"following",
];
/// So many words may stand between a name and a colon behind which its value stands.
const MAX_APART: usize = 4;
/// So many words may stand before what somebody answers, each no longer than this.
const MAX_SPEAKER: usize = 4;
const MAX_NAME: usize = 24;
/// What such a word names is no secret.
const STOPS: [&str; 18] = [
    "commit",
    "digest",
    "fingerprint",
    "hash",
    "id",
    "request",
    "revision",
    "rid",
    "sha",
    "sha1",
    "sha256",
    "trace",
    "traceparent",
    "version",
    "checksum",
    "uuid",
    "tx",
    "block",
];
const IDENTIFIERS: [&str; 40] = [
    "acct_",
    "ami-",
    "arn:",
    "call_",
    "ch_",
    "chatcmpl-",
    "cus_",
    "evt_",
    "file_",
    "file-",
    "i-0",
    "in_",
    "msg_",
    "pi_",
    "pk_",
    "pm_",
    "price_",
    "prod_",
    "req_",
    "req-",
    "resp_",
    "run_",
    "seti_",
    "sg-",
    "si_",
    "sub_",
    "subnet-",
    "thread_",
    "toolu_",
    "tx_",
    "txn_",
    "user_",
    "vol-",
    "vpc-",
    "asst_",
    "card_",
    "cs_",
    "ord_",
    "org-",
    "sha",
];
