//! Where is the value that a name, a header or a sentence gives?

use crate::fold::escape_len;
use crate::names::{self, Word};
use crate::values::{Place, is_secret, placeholder};
use crate::words::gibberish;
use std::ops::Range;

/// A value that stands where a name says that a secret stands.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) value: Range<usize>,
    pub(crate) place: Place,
}

/// The secret that the name around `word`, found at `at`, is given.
pub(crate) fn secret(text: &[u8], word: &Word, at: usize, budget: &mut usize) -> Option<Given> {
    let left = text.get(..at)?.iter().rev().take(MAX_NAME).take_while(|b| in_name(**b)).count();
    let right = text.get(at..)?.iter().take(MAX_NAME).take_while(|b| in_name(**b)).count();
    let name = text.get(at - left..at + right)?;
    let place = names::judge(name, word, left)?;
    let behind = at + right;
    let flag = name.starts_with(b"-");
    let speaks = place != Place::Likely || word.text == "key";
    match value_after(text, behind, at - left) {
        Some(found) if place > Place::Near => {
            let value = text.get(found.range.clone())?;
            *budget = budget.saturating_sub(value.len());
            let place = if found.weak { place.min(Place::Likely) } else { place };
            if is_secret(value, place) || phrase(value, place, &found) || webhook(value) {
                return Some(Given { value: found.range, place });
            }
            None
        }
        None if speaks => spoken(text, behind, place, flag),
        _ => None,
    }
}

/// Where a value stands behind a separator.
pub(crate) struct Found {
    pub(crate) range: Range<usize>,
    quoted: bool,
    /// The separator often means something else.
    weak: bool,
}

/// The value behind a separator at `at`; `from` is where the name began.
pub(crate) fn value_after(text: &[u8], at: usize, from: usize) -> Option<Found> {
    let mut cursor = Cursor { text, at };
    let closed = cursor.closers();
    let weak = cursor.separator(closed)?;
    cursor.colours();
    let limit = cursor.at + 16;
    while cursor.at < limit && cursor.peek().is_some_and(|b| b.is_ascii_whitespace()) {
        cursor.at += 1;
    }
    cursor.block_scalar();
    cursor.colours();
    cursor.scheme();
    let in_query =
        from.checked_sub(1).and_then(|n| text.get(n)).is_some_and(|b| matches!(b, b'?' | b'&'));
    cursor.value(in_query).map(|(range, quoted)| Found { range, quoted, weak })
}

struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn eat(&mut self, what: &[u8]) -> bool {
        let there = self.rest().starts_with(what);
        self.at += if there { what.len() } else { 0 };
        there
    }

    fn spaces(&mut self) {
        self.at += self.rest().iter().take(24).take_while(|b| matches!(b, b' ' | b'\t')).count();
    }

    fn colours(&mut self) {
        while let len @ 1.. = escape_len(self.rest()) {
            self.at += len;
        }
    }

    /// Quotes and brackets that close a name. Whether there were any.
    fn closers(&mut self) -> bool {
        let from = self.at;
        self.colours();
        self.at += self
            .rest()
            .iter()
            .take(6)
            .take_while(|b| matches!(b, b'"' | b'\'' | b'`' | b'\\' | b']' | b'*'))
            .count();
        let closed = self.at > from;
        self.colours();
        self.spaces();
        closed
    }

    /// The sign between name and value; whether it is a weak one, `None` if there is none.
    fn separator(&mut self, closed: bool) -> Option<bool> {
        for sign in [&b":="[..], b"=>", b"->", b"==", b"="] {
            if self.eat(sign) {
                return Some(false);
            }
        }
        if self.eat(b":") {
            self.typed();
            return Some(false);
        }
        if self.attribute() {
            return Some(false);
        }
        match self.peek()? {
            b'>' | b'|' => self.at += 1,
            b',' if closed => self.at += 1,
            b'(' => {
                self.at += 1;
                let quoted = matches!(self.peek(), Some(b'"' | b'\''));
                return quoted.then_some(false);
            }
            _ => return None,
        }
        Some(false)
    }

    /// A type between the colon and `=`, as in `let token: &str = "…"`.
    fn typed(&mut self) {
        let rest = self.rest();
        let kind = rest
            .iter()
            .take(32)
            .take_while(|b| {
                b.is_ascii_alphabetic()
                    || matches!(b, b' ' | b'&' | b'<' | b'>' | b'[' | b']' | b'\'')
            })
            .count();
        if kind > 1 && rest.get(kind) == Some(&b'=') && rest.get(kind + 1) != Some(&b'=') {
            self.at += kind + 1;
        }
    }

    /// `" value="…"`, `", "value": "…"`.
    fn attribute(&mut self) -> bool {
        let rest = self.rest();
        let skip = rest
            .iter()
            .take(8)
            .take_while(|b| matches!(b, b' ' | b',' | b'"' | b'\\' | b'\''))
            .count();
        let name = rest.get(skip..).unwrap_or_default();
        let Some(word) = ["value", "val", "content", "default"].iter().find(|word| {
            name.get(..word.len()).is_some_and(|n| n.eq_ignore_ascii_case(word.as_bytes()))
        }) else {
            return false;
        };
        let behind = name.get(word.len()..).unwrap_or_default();
        let close =
            behind.iter().take(6).take_while(|b| matches!(b, b' ' | b'"' | b'\\' | b'\'')).count();
        let there = matches!(behind.get(close), Some(b'=' | b':'));
        if there {
            self.at += skip + word.len() + close + 1;
        }
        there
    }

    /// YAML's `|` and `>-`, after which the value stands on the next line.
    fn block_scalar(&mut self) {
        let rest = self.rest();
        let mark =
            rest.iter().take(3).take_while(|b| matches!(b, b'|' | b'>' | b'-' | b'+')).count();
        if mark > 0 && matches!(rest.get(mark), Some(b'\n')) {
            let spaces =
                rest.iter().skip(mark).take(40).take_while(|b| b.is_ascii_whitespace()).count();
            self.at += mark + spaces;
        }
    }

    /// The scheme before the credential of an `Authorization` header, with or without a quote before it.
    fn scheme(&mut self) {
        let quote = usize::from(matches!(self.peek(), Some(b'"' | b'\'')));
        let rest = self.rest().get(quote..).unwrap_or_default();
        let word = rest
            .iter()
            .take(16)
            .take_while(|b| b.is_ascii_alphabetic() || matches!(b, b'-' | b'4'))
            .count();
        let name = rest.get(..word).unwrap_or_default().to_ascii_lowercase();
        let known = SCHEMES.iter().any(|scheme| name == scheme.as_bytes());
        if known && rest.get(word) == Some(&b' ') {
            self.at += quote + word;
            self.spaces();
        }
    }

    /// The value that begins here, without its quotes.
    fn value(&mut self, in_query: bool) -> Option<(Range<usize>, bool)> {
        let prefix = self.rest();
        let letters = prefix
            .iter()
            .take(2)
            .take_while(|b| matches!(b, b'b' | b'r' | b'f' | b'u' | b'@' | b'$'))
            .count();
        if letters > 0 && matches!(prefix.get(letters), Some(b'"' | b'\'')) {
            self.at += letters;
        }
        self.at += usize::from(matches!(self.rest(), [b'(' | b'[', b'"' | b'\'', ..]));
        let slashes = self.rest().iter().take(8).take_while(|b| **b == b'\\').count();
        let quote = self.rest().get(slashes).copied().filter(|b| matches!(b, b'"' | b'\'' | b'`'));
        if let Some(quote) = quote {
            self.at += slashes + 1;
            let triple = [quote, quote];
            self.eat(&triple);
            let from = self.at;
            if let Some(len) = quoted_len(self.rest(), quote, slashes) {
                return (len > 0).then_some((from..from + len, true));
            }
        }
        let from = self.at;
        let len = bare_len(self.rest(), in_query);
        (len > 0).then_some((from..from + len, false))
    }
}

/// How long a quoted value is: up to the quote, with as many backslashes before it as the first had.
fn quoted_len(text: &[u8], quote: u8, slashes: usize) -> Option<usize> {
    let mut at = 0;
    loop {
        let step =
            memchr::memchr2(quote, b'\n', text.get(at..)?.get(..MAX_VALUE.min(text.len() - at))?)?;
        at += step;
        if text.get(at) == Some(&b'\n') {
            return None;
        }
        let before = text.get(..at)?.iter().rev().take_while(|b| **b == b'\\').count();
        if before <= slashes {
            return Some(at - before);
        }
        at += 1;
    }
}

/// How long a value without quotes is.
fn bare_len(text: &[u8], in_query: bool) -> usize {
    let line = text.get(..MAX_VALUE.min(text.len())).unwrap_or_default();
    let stops = |at: usize, b: u8| {
        let next = line.get(at + 1).copied();
        match b {
            b'"' | b'\'' | b'`' | b'<' | b'>' | 0x1B => true,
            b'&' => {
                in_query
                    || named(line.get(at + 1..).unwrap_or_default())
                    || line.get(at..).is_some_and(|r| r.starts_with(b"&quot;"))
            }
            b',' | b';' => {
                next.is_none_or(|n| {
                    n.is_ascii_whitespace() || matches!(n, b'"' | b'\'' | b'}' | b']')
                }) || named(line.get(at + 1..).unwrap_or_default())
            }
            b'\\' => matches!(next, Some(b'n' | b'r' | b't' | b'"' | b'\'' | b'\\') | None),
            b => b.is_ascii_whitespace() || b.is_ascii_control(),
        }
    };
    let mut len = line.iter().enumerate().position(|(at, b)| stops(at, *b)).unwrap_or(line.len());
    while let Some(last) = len.checked_sub(1).and_then(|at| line.get(at)) {
        let opener = match last {
            b')' => b'(',
            b']' => b'[',
            b'}' => b'{',
            b',' | b';' | b'.' | b':' | b'!' | b'?' | b'|' | b'\\' => 0,
            _ => break,
        };
        if opener != 0 && line.get(..len).is_some_and(|v| v.contains(&opener)) {
            break;
        }
        len -= 1;
    }
    len
}

/// Whether a name and a sign begin here, as in `&next=`.
fn named(text: &[u8]) -> bool {
    let name = text.iter().take(40).take_while(|b| in_name(**b) || **b == b'.').count();
    let sign = name > 0 && matches!(text.get(name), Some(b'=' | b':'));
    let digits = text.iter().take(name).filter(|b| b.is_ascii_digit()).count();
    sign && digits <= 4
}

/// Words in quotes behind a password's name are a passphrase when there are several.
fn phrase(value: &[u8], place: Place, found: &Found) -> bool {
    let words = value.split(|b| matches!(b, b' ' | b'-')).filter(|word| word.len() >= 3).count();
    let plain = value.iter().all(|b| b.is_ascii_lowercase() || matches!(b, b' ' | b'-'));
    place == Place::Password
        && found.quoted
        && plain
        && words >= 4
        && value.contains(&b'-')
        && !placeholder(value)
        || place == Place::Password && words >= 12 && plain
}

/// A URL that is itself the credential: its path has a long random part.
fn webhook(value: &[u8]) -> bool {
    let Some(body) = value.strip_prefix(b"https://") else { return false };
    body.split(|b| matches!(b, b'/' | b'?' | b'=' | b'&')).skip(1).any(|part| {
        part.len() >= 16
            && is_secret(part, Place::Likely)
            && !part.iter().all(u8::is_ascii_hexdigit)
    })
}

/// The secret that a sentence gives: `the password is …`, `--token …`, `machine … password …`.
fn spoken(text: &[u8], at: usize, place: Place, flag: bool) -> Option<Given> {
    let ahead = text.get(at..(at + MAX_SPOKEN).min(text.len()))?;
    let mut said = false;
    let mut position = 0;
    for (number, token) in ahead.split(u8::is_ascii_whitespace).enumerate() {
        let start = at + position;
        position += token.len() + 1;
        let range = stripped(text, start..start + token.len());
        let value = text.get(range.clone())?;
        // A token that the look-ahead cuts is not all of it.
        let range = if position > ahead.len() {
            range.start..start + bare_len(text.get(start..)?, false)
        } else {
            range
        };
        let value = text.get(range.clone()).unwrap_or(value);
        let next = number == 1 && (flag || place == Place::Password);
        if memchr::memchr3(b'{', b'(', b'<', value).is_some() || named(value) {
            return None;
        }
        let cased = value.iter().any(u8::is_ascii_uppercase) && gibberish(value);
        let digits = cased || value.iter().any(u8::is_ascii_digit);
        let told = (next || said)
            && digits
            && value.len() >= 8
            && is_secret(value, place.max(Place::Secret));
        if number > 0 && (told || is_secret(value, Place::Near)) && !identifier(value) {
            return Some(Given { value: range, place: Place::Near });
        }
        said = matches!(
            token,
            b"is"
                | b"was"
                | b"to"
                | b"are"
                | b"="
                | b":"
                | b"->"
                | b"as"
                | b"/"
                | b"with"
                | b"using"
        );
        let assigned = memchr::memchr2(b'=', b'{', token).is_some();
        if assigned || STOPS.iter().any(|stop| value.eq_ignore_ascii_case(stop.as_bytes())) {
            return None;
        }
        let ended = text.get(start + token.len()) == Some(&b'\n');
        if ended && !matches!(token.last(), Some(b'?' | b':')) {
            return None;
        }
    }
    None
}

/// A token without the quotes, brackets and full stops around it.
fn stripped(text: &[u8], range: Range<usize>) -> Range<usize> {
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

const fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

const MAX_NAME: usize = 64;
const MAX_VALUE: usize = 8192;
const MAX_SPOKEN: usize = 120;
const SCHEMES: [&str; 14] = [
    "apikey",
    "api-key",
    "aws4-hmac-sha256",
    "basic",
    "bearer",
    "bot",
    "digest",
    "genie-key",
    "key",
    "negotiate",
    "ntlm",
    "splunk",
    "ssws",
    "token",
];
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
