//! Where is the value that a name, a header or a sentence gives?

use crate::before;
use crate::bytes::{is, kind};
use crate::extent::{bare_len, quoted_len};
use crate::fold::escape_len;
use crate::memo::Memo;
use crate::names::{self, Word};
use crate::spoken;
use crate::values::{Place, is_secret, labelled, placeholder};
use std::ops::Range;

/// A value that stands where a name says that a secret stands.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) value: Range<usize>,
    pub(crate) place: Place,
}

/// The secret that the name around `word`, found at `at`, is given.
pub(crate) fn secret(
    text: &[u8],
    word: &Word,
    at: usize,
    budget: &mut usize,
    memo: &mut Memo,
) -> Option<Given> {
    let left =
        text.get(..at)?.iter().rev().take(names::MAX_PART).take_while(|b| in_name(**b)).count();
    let right = text.get(at..)?.iter().take(names::MAX_PART).take_while(|b| in_name(**b)).count();
    let name = text.get(at - left..at + right)?;
    let mut place = names::judge(name, word, left)?;
    // `API key`, `access key`: the word before says which key it is.
    if word.text == "key" && left == 0 && names::strong_before(text.get(..at)?) {
        place = Place::Secret;
    }
    let behind = at + right;
    // `arn:aws:secretsmanager:…:123456789012:secret:name`.
    let numbered = text.get(..at - left).is_some_and(|head| {
        head.strip_suffix(b":").and_then(<[u8]>::last).is_some_and(u8::is_ascii_digit)
    });
    if numbered && text.get(behind) == Some(&b':') {
        return None;
    }
    let flag = name.starts_with(b"-");
    let speaks = place != Place::Likely || word.text == "key";
    match value_after(text, behind, at - left, memo) {
        // A login that is long and random is no name of a person.
        Some(found)
            if place == Place::Near
                && word.text == "login"
                && found.range.len() >= MIN_LOGIN
                && memo.is_secret(text, &found.range, Place::Likely) =>
        {
            Some(Given { value: found.range, place: Place::Secret })
        }
        Some(found) if place > Place::Near => {
            *budget = budget.saturating_sub(found.range.len());
            let place = if found.weak { place.min(Place::Likely) } else { place };
            given(text, place, found, memo)
        }
        None if speaks => spoken::secret(text, behind, place, flag, memo)
            .or_else(|| before::secret(text, (at - left, behind), place, memo)),
        _ => None,
    }
}

/// The secret that what was found behind a name is, or that stands in its place.
fn given(text: &[u8], place: Place, found: Found, memo: &mut Memo) -> Option<Given> {
    let value = text.get(found.range.clone())?;
    if memo.is_secret(text, &found.range, place) || phrase(value, place, &found) || webhook(value) {
        return Some(Given { value: found.range, place });
    }
    let other = otherwise(text, found.range.end);
    if other.is_none() && found.called && !labelled(value) {
        let secret = argument(text, found.range.end, memo)?;
        return Some(Given { value: secret, place: Place::Password });
    }
    let other = other?;
    memo.is_secret(text, &other, place).then_some(Given { value: other, place })
}

/// The next string that a call is given which is a password, as in `login("ann", "…")`, whose first ends at `at`.
fn argument(text: &[u8], mut at: usize, memo: &mut Memo) -> Option<Range<usize>> {
    let mut chosen = None;
    for _ in 0..MAX_ARGUMENTS {
        let rest = text.get(at..(at + MAX_MEMBER).min(text.len()))?;
        let Some([quote @ (b'"' | b'\''), b',', more @ ..]) = rest.get(..) else { break };
        let spaces = more.iter().take(8).take_while(|b| b.is_ascii_whitespace()).count();
        if more.get(spaces) != Some(quote) {
            break;
        }
        let from = at + 3 + spaces;
        let len = quoted_len(text.get(from..)?, *quote, 0)?;
        let value = from..from + len;
        // What has a label has been read already.
        if labelled(text.get(value.clone())?) {
            return None;
        }
        at = value.end;
        if chosen.is_none() && memo.is_secret(text, &value, Place::Password) {
            chosen = Some(value);
        }
    }
    chosen
}

/// What stands in quotes behind an expression, for when that gives nothing: `os.getenv("PW") or "…"`, `x || '…'`.
fn otherwise(text: &[u8], at: usize) -> Option<Range<usize>> {
    let ahead = text.get(at..(at + MAX_OTHERWISE).min(text.len()))?;
    let spaces = ahead.iter().take_while(|b| **b == b' ').count();
    let rest = ahead.get(spaces..)?;
    let signs = [&b"|| "[..], b"?? ", b"or ", b"?: "];
    let sign = signs.iter().find(|sign| rest.starts_with(sign))?;
    let value = rest.get(sign.len()..)?;
    let quote = *value.first().filter(|b| matches!(b, b'"' | b'\'' | b'`'))?;
    let from = at + spaces + sign.len() + 1;
    let len = quoted_len(text.get(from..)?, quote, 0)?;
    (len > 0).then_some(from..from + len)
}

/// Where a value stands behind a separator.
struct Found {
    range: Range<usize>,
    quoted: bool,
    /// The separator often means something else.
    weak: bool,
    /// It is what the name, as a function's, is called with.
    called: bool,
}

/// The value behind a separator at `at`; `from` is where the name began.
fn value_after(text: &[u8], at: usize, from: usize, memo: &mut Memo) -> Option<Found> {
    let mut cursor = Cursor { text, at, memo };
    let closed = cursor.closers();
    let called = !closed && cursor.peek() == Some(b'(');
    let weak = if cursor.accessors() { false } else { cursor.separator(closed)? };
    cursor.colours();
    cursor.member(false);
    let limit = cursor.at + 16;
    while cursor.at < limit && cursor.peek().is_some_and(|b| b.is_ascii_whitespace()) {
        cursor.at += 1;
    }
    cursor.block_scalar();
    cursor.colours();
    cursor.wrappers();
    cursor.scheme();
    let in_query =
        from.checked_sub(1).and_then(|n| text.get(n)).is_some_and(|b| matches!(b, b'?' | b'&'));
    cursor.value(in_query).map(|(range, quoted)| Found { range, quoted, weak, called })
}

struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
    memo: &'a mut Memo,
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
        for sign in [&b":="[..], b"?=", b"+=", b"=>", b"->", b"<-", b"===", b"==", b"="] {
            if self.eat(sign) {
                return Some(false);
            }
        }
        if self.eat(b":") {
            self.typed();
            return Some(false);
        }
        if self.attribute() || self.element() || (closed && self.member(true)) {
            return Some(false);
        }
        match self.peek()? {
            b'>' | b'|' => self.at += 1,
            b',' if closed => self.at += 1,
            b')' if closed => return self.call(),
            b'<' => return self.heredoc(),
            b'A' | b'a' => return self.declared(),
            b'(' | b'{' => {
                self.at += 1;
                let quoted = matches!(self.peek(), Some(b'"' | b'\''));
                return quoted.then_some(false);
            }
            _ => return None,
        }
        Some(false)
    }

    /// A call of what the name was found for: `('#password').type('…`.
    fn call(&mut self) -> Option<bool> {
        let rest = self.rest();
        let name = rest.strip_prefix(b").")?;
        let len =
            name.iter().take(24).take_while(|b| b.is_ascii_alphabetic() || **b == b'_').count();
        let there = len > 0 && matches!(name.get(len..), Some([b'(', b'"' | b'\'', ..]));
        self.at += if there { len + 3 } else { 0 };
        there.then_some(false)
    }

    /// `<<EOF` and the line's end, behind which the value stands.
    fn heredoc(&mut self) -> Option<bool> {
        let rest = self.rest();
        let mark = rest.strip_prefix(b"<<")?;
        let sign = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'\'' | b'"');
        let len = mark.iter().take(24).take_while(sign).count();
        let there = len > 0 && mark.get(len) == Some(&b'\n');
        self.at += if there { len + 3 } else { 0 };
        there.then_some(false)
    }

    /// A type in words, as in `Dim token As String = "…"`.
    fn declared(&mut self) -> Option<bool> {
        let rest = self.rest();
        let kind = rest.get(..3)?.eq_ignore_ascii_case(b"as ").then(|| rest.get(3..))??;
        let len = kind.iter().take(24).take_while(|b| b.is_ascii_alphanumeric()).count();
        let there = len > 0 && kind.get(len..)?.starts_with(b" = ");
        self.at += if there { len + 6 } else { 0 };
        there.then_some(false)
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
            .take(40)
            .take_while(|b| matches!(b, b' ' | b',' | b'"' | b'\\' | b'\'' | b'\n' | b'\r' | b'\t'))
            .count();
        let skip = skip + other_member(rest.get(skip..).unwrap_or_default());
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

    /// `</name><value>`, `</dt>\n<dd><code>`: the name's element ends, and up to the next text others end and begin.
    fn element(&mut self) -> bool {
        if !self.rest().starts_with(b"</") {
            return false;
        }
        let len = tags(self.rest());
        self.at += len;
        len > 0
    }

    /// What stands around a value in a few languages: `<![CDATA[`, an element of its own, the length that PHP shows.
    fn wrappers(&mut self) {
        if self.peek() == Some(b'<') && !self.eat(b"<![CDATA[") {
            let len = tags(self.rest());
            self.at += len;
        }
        let shown = self.rest().strip_prefix(b"string(").unwrap_or_default();
        let digits = shown.iter().take(6).take_while(|b| b.is_ascii_digit()).count();
        if digits > 0 && shown.get(digits..).is_some_and(|rest| rest.starts_with(b") \"")) {
            self.at += digits + 9;
        }
    }

    /// `{ get; set; } =`, which C# has between a name and its value.
    fn accessors(&mut self) -> bool {
        let rest = self.rest();
        let body = rest.strip_prefix(b"{").unwrap_or_default();
        let Some(end) = body.iter().take(48).position(|b| *b == b'}').map(|at| at + 1) else {
            return false;
        };
        let inner = rest.get(..end).unwrap_or_default();
        let words =
            inner.iter().all(|b| b.is_ascii_alphabetic() || matches!(b, b' ' | b';' | b'{'));
        let behind = rest.get(end..).unwrap_or_default();
        let there = words && inner.contains(&b';') && behind.starts_with(b"} = ");
        self.at += if there { end + 4 } else { 0 };
        there
    }

    /// `{ "type": "string", "value": …`: what an object says its value is. `declared` also takes the default of a
    /// declaration, as in `variable "api_secret" { default = … }`.
    fn member(&mut self, declared: bool) -> bool {
        let rest = self.rest();
        let spaces = rest.iter().take(4).take_while(|b| **b == b' ').count();
        let Some(body) = rest.get(spaces..).and_then(|rest| rest.strip_prefix(b"{")) else {
            return false;
        };
        let body = body.get(..MAX_MEMBER.min(body.len())).unwrap_or_default();
        let body = body.split(|b| matches!(b, b'{' | b'}')).next().unwrap_or_default();
        let word: &[u8] = if declared { b"default" } else { b"value" };
        let Some(at) = memchr::memmem::find(body, word) else { return false };
        let from = self.at;
        self.at += spaces + 1 + at;
        let there = self.attribute();
        self.at = if there { self.at } else { from };
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
        let quote = usize::from(matches!(self.peek(), Some(b'"' | b'\'' | b'`')));
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
            .take_while(|b| matches!(b, b'b' | b'r' | b'f' | b'u' | b'@' | b'$' | b'N'))
            .count();
        if letters > 0 && matches!(prefix.get(letters), Some(b'"' | b'\'')) {
            self.at += letters;
        }
        self.at += called(self.rest());
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
        let len = bare_len(self.text, from, in_query, self.memo);
        (len > 0).then_some((from..from + len, false))
    }
}

/// How long a row of tags and the space between them is, up to the text behind them; 0 if that is too far.
fn tags(text: &[u8]) -> usize {
    let ahead = text.get(..MAX_MEMBER.min(text.len())).unwrap_or_default();
    let mut at = 0;
    loop {
        let rest = ahead.get(at..).unwrap_or_default();
        match rest {
            [b'<', b'/' | b'a'..=b'z' | b'A'..=b'Z', ..] => {
                let Some(end) = rest.iter().position(|b| *b == b'>') else { return 0 };
                at += end + 1;
            }
            [sign, ..] if sign.is_ascii_whitespace() => at += 1,
            _ => return at,
        }
    }
}

/// How long a member is that stands between a name and its value, as in `"Key": "DB_PW", "Type": "Secure", "Value": …`; 0 if
/// none does.
fn other_member(text: &[u8]) -> usize {
    let word = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        rest.iter().take(24).take_while(|b| is(**b, kind::NAME)).count()
    };
    let signs = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        let sign = |b: &&u8| matches!(b, b'"' | b'\\' | b':' | b',' | b' ' | b'\n');
        rest.iter().take(24).take_while(sign).count()
    };
    let key = word(0);
    let sign = signs(key);
    let value = word(key + sign);
    let end = signs(key + sign + value);
    let colon = text.get(key..key + sign).unwrap_or_default().contains(&b':');
    let comma = text.get(key + sign + value..).unwrap_or_default().get(..end);
    let comma = comma.unwrap_or_default().contains(&b',');
    if text.get(..key).is_some_and(|key| key.eq_ignore_ascii_case(b"value")) {
        return 0;
    }
    if key > 0 && value > 0 && colon && comma { key + sign + value + end } else { 0 }
}

/// How long the name of what is called with a value is, as in `String::from("…")` and `Some("…")`; 0 if there is none, or if
/// the name says that the value is looked up elsewhere.
fn called(text: &[u8]) -> usize {
    let len = text
        .iter()
        .take(40)
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':'))
        .count();
    let name = text.get(..len).unwrap_or_default().to_ascii_lowercase();
    let last = name.rsplit(|b| matches!(b, b'.' | b':')).next().unwrap_or_default();
    let looks = LOOKS.iter().any(|word| memchr::memmem::find(last, word.as_bytes()).is_some());
    match text.get(len..) {
        Some([b'(', b'"' | b'\'', ..]) if !looks => len,
        _ => 0,
    }
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

fn in_name(byte: u8) -> bool {
    is(byte, kind::NAME)
}

/// So far behind an expression what it is replaced by begins.
const MAX_OTHERWISE: usize = 16;
/// A shorter login may be somebody's name.
const MIN_LOGIN: usize = 20;
/// Within so many bytes an object says its value, or a name's element ends and its value's begins.
const MAX_MEMBER: usize = 160;
/// So many strings of a call may follow the first.
const MAX_ARGUMENTS: usize = 4;
/// What is called so is given the name of a value, not the value.
const LOOKS: [&str; 33] = [
    "env", "get", "find", "fetch", "read", "load", "look", "path", "file", "open", "param",
    "config", "require", "import", "query", "select", "format", "print", "log", "error", "warn",
    "test", "match", "regex", "compile", "exist", "contains", "equal", "assert", "key", "name",
    "header", "symbol",
];
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
