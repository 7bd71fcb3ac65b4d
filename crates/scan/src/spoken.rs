//! Which secret does a sentence give: `the password is …`, `--token …`, `machine … password …`?

use crate::assign::Given;
use crate::bytes::{byte_table, is, kind};
use crate::extent::{bare_len, named};
use crate::memo::Memo;
use crate::names;
use crate::segment;
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
    let mut heard = Heard { said: false, asked: false, turned: false, told: place };
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
        // An empty line between.
        if (token.is_empty() && number > 0 && heard.said && !last) || heard.speaker(token, number) {
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
        let signs =
            value.iter().fold(0, |all, b| all | SIGNS.get(usize::from(*b)).copied().unwrap_or(0));
        // `ENV API_KEY …`, `:api_key "…"`: what stands alone behind the name, or in quotes.
        let quoted = matches!(token.first(), Some(b'"' | b'\'' | b'`'));
        let given = flag && number == 1;
        let name =
            signs & SEPARATOR != 0 && !given && named(value) && !random_with_sign(value, quoted);
        if signs & BRACKET != 0 && !(quoted && is_secret(value, Place::Near)) || name {
            return None;
        }
        let alone = || text.get(start + token.len()).is_none_or(|b| *b == b'\n');
        let next = number == 1
            && (flag
                || place == Place::Password
                || (bare && (quoted || (place == Place::Secret && alone()))));
        // A call, as in `Pass *createPass();`, is no word.
        let call = token.get(1..).is_some_and(|rest| rest.contains(&b'('));
        let public = || identifier(value) && !(next && quoted && !publishable(value));
        let meant = if next { Some(place) } else { heard.said.then_some(heard.told) };
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
        if ended && !matches!(token.last(), Some(b'?' | b':')) && value != b"below" {
            return None;
        }
    }
    None
}

/// What the words up to here say of the next one.
struct Heard {
    said: bool,
    /// There was a question, and the answer follows.
    asked: bool,
    /// The word behind the name makes it another: `auth header = …`.
    turned: bool,
    told: Place,
}

impl Heard {
    /// Whether a token only says who answers: `what is the token?` and, in the next line, `[10:43] lee: …`.
    fn speaker(&mut self, token: &[u8], number: usize) -> bool {
        let there = self.asked && number <= MAX_SPEAKER && speaker(token);
        self.said |= there;
        there
    }

    /// Takes the next token, which is `value` without the signs around it.
    fn hear(&mut self, token: &[u8], value: &[u8], (number, ended): (usize, bool), place: Place) {
        // `… the following password:` and, alone in a line of its own, the password.
        let colon = token.ends_with(b":");
        self.said = announces(token) || (ended && (colon || value == b"below"));
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
        self.asked |= ended && token.ends_with(b"?");
    }
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

/// Whether a line asks for what it ends with the name of, a word of which stands at `at`: a command's last argument, what is
/// typed at a prompt, a path.
pub(crate) fn asks(line: &[u8], at: usize) -> bool {
    let body = line.trim_ascii_end();
    let in_name = |b: &u8| is(*b, kind::NAME);
    let closers = |b: &u8| matches!(b, b'"' | b'\'' | b']' | b')');
    let Some((head, tail)) = body.split_at_checked(at) else { return false };
    let tail = tail.iter().skip_while(|b| in_name(b));
    let left = head.iter().rev().take_while(|b| in_name(b)).count();
    let before = head.len().checked_sub(left + 1).and_then(|at| head.get(at));
    body.len() - at <= names::MAX_PART
        && left <= names::MAX_PART
        && tail.clone().count() <= 3
        && tail.clone().all(closers)
        && before
            .is_none_or(|b| matches!(b, b' ' | b'/' | b'"' | b'\'' | b'.' | b':' | b'$' | b'{'))
        && body.len() <= MAX_ASKED
        && (head.contains(&b' ') || body.starts_with(b"/") || titled(body))
        && !body.contains(&b'+')
}

/// Whether a line is a label of its own over what stands below it: `Password`, `ACCESS_TOKEN`.
fn titled(line: &[u8]) -> bool {
    line.len() <= MAX_TITLE
        && line.first().is_some_and(u8::is_ascii_uppercase)
        && line.iter().all(|b| is(*b, kind::NAME))
        && regular_case(line)
}

/// What a command shows, alone in the line below, whose own line the name at `at` ends: `printenv API_TOKEN`,
/// `get-login-password`, `ENV["API_TOKEN"]`.
pub(crate) fn shown(text: &[u8], (name, at): (usize, usize), place: Place) -> Option<Given> {
    let (rest, from) = (text.get(at..)?, at);
    let closers =
        rest.iter().take(4).take_while(|b| matches!(b, b'"' | b'\'' | b']' | b')')).count();
    let breaks = usize::from(rest.get(closers) == Some(&b'\r'));
    let below = rest.get(closers..)?;
    if below.get(breaks) != Some(&b'\n') {
        return None;
    }
    let breaks = breaks + segment::fillers(below.get(breaks + 1..)?);
    let head = text.get(name.saturating_sub(MAX_ASKED)..from)?;
    let line = memchr::memrchr(b'\n', head).map_or(0, |at| at + 1);
    let asking = head.get(line..)?;
    // A file of the name of a key may hold many a thing, and is one when it is shown.
    let file = || memchr::memmem::find(asking, b"cat ").is_some();
    if !asks(asking, head.len() - line - (from - name)) || (place < Place::Secret && !file()) {
        return None;
    }
    let start = from + closers + breaks + 1;
    let line = text.get(start..(start + MAX_SHOWN).min(text.len()))?;
    let line = memchr::memchr(b'\n', line).and_then(|end| line.get(..end)).unwrap_or(line);
    let body = answer(line);
    let start = start + line.len() - body.len();
    let range = stripped(text, start..start + body.trim_ascii_end().len());
    let value = text.get(range.clone())?;
    let one = !value
        .iter()
        .any(|b| is(*b, kind::SPACE) || matches!(b, b'(' | b'{' | b'<' | b'[' | b',' | b';'));
    let quoted = range.start > start && text.get(range.start - 1) != Some(&b'[');
    let other = memchr::memchr2(b'=', b':', value).is_some()
        && !quoted
        && named(value)
        && !random_with_sign(value, true);
    let secret = one && !other && body.len() < MAX_SHOWN && said_of(value, place);
    secret.then_some(Given { value: range, place })
}

/// What a shell of a language shows: `=> …`, `Out[3]: …`, `$1 = …`.
fn answer(line: &[u8]) -> &[u8] {
    // The members of a list, as redis shows them: `2) "…"`.
    let listed = line.first().filter(|b| b.is_ascii_digit()).map(|_| line);
    let numbered = line.strip_prefix(b"Out[").or_else(|| line.strip_prefix(b"$")).or(listed);
    let behind = numbered.map(|rest| {
        let digits = rest.iter().take(6).take_while(|b| b.is_ascii_digit()).count();
        rest.get(digits..).unwrap_or_default()
    });
    let body = behind.and_then(|rest| {
        rest.strip_prefix(b"]: ")
            .or_else(|| rest.strip_prefix(b" = "))
            .or_else(|| rest.strip_prefix(b") "))
    });
    body.or_else(|| line.strip_prefix(b"=> ")).unwrap_or(line)
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
    let signs =
        value.iter().fold(0, |all, b| all | SIGNS.get(usize::from(*b)).copied().unwrap_or(0));
    signs & BRACKET == 0 && !identifier(value) && tells(value, signs, Some(place))
}

/// Whether what looks like a name and a sign is a value that has the sign: `VdgVZkyZjSikoqphxsqeUn8XB3r=`, `AAAAyBTPJcW:APA9…`.
fn random_with_sign(value: &[u8], quoted: bool) -> bool {
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

static SIGNS: [u8; 256] = byte_table!(sign);
const BRACKET: u8 = 1;
const ASSIGNS: u8 = 1 << 1;
const SEPARATOR: u8 = 1 << 2;
const DIGIT: u8 = 1 << 3;
const CAPITAL: u8 = 1 << 4;
/// A shorter word says too little.
const MIN_SPOKEN: usize = 8;

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
/// A longer line of one word is no label.
const MAX_TITLE: usize = 32;
/// A longer line asks for more than a value.
const MAX_ASKED: usize = 200;
/// A longer line is no value alone.
const MAX_SHOWN: usize = 512;
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
