//! Where does the value stand that a separator puts behind a name, and what may stand between?

use crate::beside::{
    MAX_MEMBER, argument, bare_colour, bracketed, called, other_member, stands_in, tags,
};
use crate::bytes::{is, kind};
use crate::extent::{bare_len, quoted_len};
use crate::fold::escape_len;
use crate::memo::Memo;
use std::ops::Range;

/// Where a value stands behind a separator.
pub(crate) struct Found {
    pub(crate) range: Range<usize>,
    pub(crate) quoted: bool,
    /// The separator often means something else.
    pub(crate) weak: bool,
    /// It is what the name, as a function's, is called with.
    pub(crate) called: bool,
}

/// The value behind a separator at `at`; `from` is where the name began.
pub(crate) fn value_after(text: &[u8], at: usize, from: usize, memo: &mut Memo) -> Option<Found> {
    let mut cursor = Cursor { text, at, memo };
    if stands_in(text, at, from) {
        return None;
    }
    let closed = cursor.closers();
    let called = !closed && cursor.peek() == Some(b'(');
    let weak = if cursor.accessors() {
        false
    } else if !closed && cursor.cell(from) {
        true
    } else {
        cursor.separator(closed)?
    };
    cursor.colours();
    // `**API key:** …`.
    if !cursor.eat(b"**") {
        cursor.member(false);
    }
    // A mail's line may end right behind the name: `token: =`.
    if cursor.rest().starts_with(b" =\n") || cursor.rest().starts_with(b"=\n") {
        cursor.at += if cursor.peek() == Some(b' ') { 2 } else { 1 };
    }
    let limit = cursor.at + 16;
    while cursor.at < limit && cursor.peek().is_some_and(|b| b.is_ascii_whitespace()) {
        cursor.at += 1;
    }
    cursor.block_scalar();
    cursor.colours();
    cursor.anchor();
    cursor.wrappers();
    if cursor.heredoc().is_some() {
        cursor.indent();
    }
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
        while let len @ 1.. = escape_len(self.rest()).max(bare_colour(self.rest())) {
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
            .take_while(|b| matches!(b, b'"' | b'\'' | b'`' | b'\\' | b']' | b'}' | b'*'))
            .count();
        self.eat(b"[]");
        let closed = self.at > from;
        self.colours();
        self.spaces();
        closed
    }

    /// The sign between name and value; whether it is a weak one, `None` if there is none.
    fn separator(&mut self, closed: bool) -> Option<bool> {
        for sign in [
            &b":="[..],
            b"||=",
            b"??=",
            b"?=",
            b"+=",
            b"==>",
            b"-->",
            b"=>",
            b"->",
            b"<-",
            b"===",
            b"==",
            b"=",
            b":: ",
        ] {
            if self.eat(sign) {
                return Some(false);
            }
        }
        if self.eat(b":") {
            self.typed();
            return Some(false);
        }
        if self.led() || (closed && self.serialized()) {
            return Some(false);
        }
        // `API token - …` is a description as often as a value.
        if matches!(self.rest(), [b'-', b' ', ..]) {
            self.at += 2;
            return Some(true);
        }
        if self.peek() >= Some(0x80) && COPULAS.iter().any(|sign| self.eat(sign.as_bytes())) {
            return Some(false);
        }
        if self.attribute() || self.element() || (closed && self.member(true)) {
            return Some(false);
        }
        if (closed && self.attributes()) || self.registry() {
            return Some(false);
        }
        match self.peek()? {
            b'>' | b'|' => self.at += 1,
            b',' if closed => self.at += 1,
            b')' if closed => return self.call(),
            b'<' => return self.heredoc(),
            b'A'..=b'Z' | b'a'..=b'z' => return self.declared(),
            b'(' | b'{' => {
                self.at += 1;
                let quoted = matches!(self.peek(), Some(b'"' | b'\'' | b'`'));
                // `the API key (…)`, but `token(…)`.
                let apart = self.text.get(self.at.saturating_sub(2)..self.at) == Some(b" (")
                    && bracketed(self.rest());
                return (quoted || apart).then_some(!quoted);
            }
            _ => return None,
        }
        Some(false)
    }

    /// The comma behind a name that begins its line, as in a list of names and values: `api_token,…`.
    fn cell(&mut self, from: usize) -> bool {
        let begins =
            from.checked_sub(1).and_then(|at| self.text.get(at)).is_none_or(|b| *b == b'\n');
        let value = matches!(self.rest(), [b',', b, ..] if is(*b, kind::ALNUM));
        begins && value && self.eat(b",")
    }

    /// Dots that lead to the value, as in `Access token ..... …`, or the dot of a pair in Lisp.
    fn led(&mut self) -> bool {
        let dots = self.rest().iter().take(80).take_while(|b| **b == b'.').count();
        let pair = dots == 1 && matches!(self.rest(), [b'.', b' ', b'"', ..]);
        let there = dots >= 3 || pair;
        self.at += if there { dots } else { 0 };
        there
    }

    /// The length before a value in what PHP stores: `s:8:"password";s:14:"…"`.
    fn serialized(&mut self) -> bool {
        let digits = self.rest().strip_prefix(b";s:").unwrap_or_default();
        let len = digits.iter().take(6).take_while(|b| b.is_ascii_digit()).count();
        let there = len > 0 && matches!(digits.get(len..), Some([b':', b'"' | b'\\', ..]));
        self.at += if there { len + 4 } else { 0 };
        there
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

    /// A type in words, as in `Dim token As String = "…"` and `const token string = "…"`.
    fn declared(&mut self) -> Option<bool> {
        let rest = self.rest();
        let from = if rest.get(..3)?.eq_ignore_ascii_case(b"as ") { 3 } else { 0 };
        let kind = rest.get(from..)?;
        let len = kind.iter().take(24).take_while(|b| b.is_ascii_alphanumeric()).count();
        let there = len > 0
            && matches!(kind.get(len..len + 4), Some([b' ', b'=', b' ', b'"' | b'\'' | b'`']));
        self.at += if there { from + len + 3 } else { 0 };
        there.then_some(false)
    }

    /// A type between the colon and `=`, as in `let token: &str = "…"` and `token: []const u8 = "…"`.
    fn typed(&mut self) {
        let rest = self.rest();
        let signs = |b: u8| matches!(b, b' ' | b'&' | b'<' | b'>' | b'[' | b']' | b'\'');
        let count =
            |member: &dyn Fn(u8) -> bool| rest.iter().take(32).take_while(|b| member(**b)).count();
        let plain = count(&|b| b.is_ascii_alphabetic() || signs(b));
        let wide = count(&|b| is(b, kind::ALNUM) || matches!(b, b'_' | b'?' | b'*') || signs(b));
        if plain > 1 && rest.get(plain) == Some(&b'=') && rest.get(plain + 1) != Some(&b'=') {
            self.at += plain + 1;
        } else if plain > 1 && rest.get(plain..).is_some_and(|rest| rest.starts_with(b":= \"")) {
            self.at += plain + 2;
        } else if let Some([b' ', b'=', b' ', b'"' | b'\'' | b'`']) =
            wide.checked_sub(1).and_then(|from| rest.get(from..wide + 3))
        {
            self.at += wide + 1;
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
        let sign = |b: &&u8| is(**b, kind::NAME) || **b == b':';
        let mut len = name.iter().take(24).take_while(sign).count();
        // `android:value`, but `value: …`.
        len -= usize::from(name.get(len.wrapping_sub(1)) == Some(&b':'));
        let (word, behind) = name.split_at_checked(len).unwrap_or((name, &[]));
        if !["value", "val", "content", "default"].iter().any(|w| {
            let from = if *w == "value" { len.saturating_sub(w.len()) } else { 0 };
            word.get(from..).is_some_and(|word| word.eq_ignore_ascii_case(w.as_bytes()))
        }) && !argument(word)
        {
            return false;
        }
        let close =
            behind.iter().take(6).take_while(|b| matches!(b, b' ' | b'"' | b'\\' | b'\'')).count();
        let there = matches!(behind.get(close), Some(b'=' | b':'));
        if there {
            self.at += skip + word.len() + close + 1;
        }
        there
    }

    /// Other attributes between a name and what an element holds, or its `value`: `name="api_key" translatable="false">…`.
    fn attributes(&mut self) -> bool {
        let from = self.at;
        for _ in 0..MAX_ATTRIBUTES {
            let rest = self.rest();
            let name =
                rest.iter().take(40).take_while(|b| is(**b, kind::NAME) || **b == b':').count();
            let Some([b'=', quote @ (b'"' | b'\''), value @ ..]) = rest.get(name..) else { break };
            let Some(len) = value.iter().take(80).position(|b| b == quote) else { break };
            if name == 0 {
                break;
            }
            let spaces =
                value.iter().skip(len + 1).take(24).take_while(|b| is(**b, kind::SPACE)).count();
            self.at += name + len + 3 + spaces;
            if self.peek() == Some(b'>') || self.attribute() {
                self.at += usize::from(self.peek() == Some(b'>'));
                return true;
            }
        }
        self.at = from;
        false
    }

    /// The type that Windows' registry shows between a name and its value: `ApiToken    REG_SZ    …`.
    fn registry(&mut self) -> bool {
        let rest = self.rest();
        let spaces = rest.iter().take(40).take_while(|b| is(**b, kind::SPACE)).count();
        let kind = rest.get(spaces..).unwrap_or_default();
        let there = kind.starts_with(b"REG_SZ ") || kind.starts_with(b"REG_EXPAND_SZ ");
        if there {
            self.at += spaces;
            self.at += self.rest().iter().take(16).take_while(|b| !is(**b, kind::SPACE)).count();
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
            let rest = self.rest();
            let len = tags(rest);
            // What has attributes is a page, and no file of values; `<your-key>` alone stands for a value.
            let plain =
                rest.get(..len).is_some_and(|tags| tags.ends_with(b">") && !tags.contains(&b'='));
            self.at += if plain { len } else { 0 };
        }
        // `Str(…)` of OpenTelemetry, and an address before what stands there: `0x55d0 "…"`.
        if !self.eat(b"Slice([") {
            self.eat(b"Str(");
        }
        let digits = self.rest().strip_prefix(b"0x").unwrap_or_default();
        let len = digits.iter().take(16).take_while(|b| is(**b, kind::HEX)).count();
        let there = len > 0 && matches!(digits.get(len..), Some([b' ', b'"' | b'@', ..]));
        self.at += if there { len + 3 } else { 0 };
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

    fn indent(&mut self) {
        self.at += self.rest().iter().take(40).take_while(|b| b.is_ascii_whitespace()).count();
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

    /// YAML's anchor or tag before a value: `&key "…"`, `!!str …`.
    fn anchor(&mut self) {
        let rest = self.rest();
        let sign = rest.iter().take(2).take_while(|b| matches!(b, b'&' | b'!')).count();
        let name = rest.get(sign..).unwrap_or_default();
        let len = name.iter().take(24).take_while(|b| is(**b, kind::NAME)).count();
        if sign > 0 && len > 0 && name.get(len) == Some(&b' ') {
            self.at += sign + len + 1;
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
        // `apiKey={"…"}` in JSX.
        let braced = matches!(self.rest(), [b'{', b'"' | b'\'' | b'`', ..])
            && self.at.checked_sub(1).and_then(|at| self.text.get(at)) == Some(&b'=');
        self.at += usize::from(braced);
        // A template's literal: `{{ "…" | quote }}`.
        self.at += if matches!(self.rest(), [b'{', b'{', b' ', b'"', ..]) { 3 } else { 0 };
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

/// Signs and words of scripts without spaces that stand between a name and its value: `：`, `是`, `为`, `為`, `は`.
const COPULAS: [&str; 9] = [
    "\u{2502}", "\u{2192}", "\u{2013}", "\u{2014}", "\u{ff1a}", "\u{662f}", "\u{4e3a}", "\u{70ba}",
    "\u{306f}",
];
/// So many attributes may stand between.
const MAX_ATTRIBUTES: usize = 3;
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
