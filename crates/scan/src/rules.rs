//! Where may something begin that is worth a closer look, and which shapes of secrets do we look for there?

use crate::bytes::{is, kind};
use crate::keywords::Keywords;
use crate::names::WORDS;
use crate::tables::Told;
use crate::verify::Check;
use crate::{Confidence, Kind};
use regex::bytes::{CaptureLocations, Regex, RegexBuilder};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::sync::{LazyLock, Mutex, OnceLock};

/// Every rule, compiled, and one search for all that may begin something.
pub(crate) struct Rules {
    all: Vec<Rule>,
    /// For each keyword, what it may begin.
    begins: Vec<Vec<Clue>>,
    keywords: Keywords,
}

/// Why a place is worth a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clue {
    /// A rule may begin here.
    Rule(usize),
    /// A word of which names of secrets are made stands here.
    Word(usize),
    /// A block may begin here.
    Block,
    /// Something here is written in escapes, or in pieces.
    Escape,
    /// Strings are put together here.
    Seam,
    /// Character codes may be listed here.
    List,
    /// Signs of Morse stand here.
    Foreign,
    /// A name of a secret stands here with its letters turned by half the alphabet.
    Turned,
    /// A cell of a table stands here, so long, whose column may hold secrets.
    Cell(usize, Told),
    /// A token stands here, so long, that begins as those of vendors do.
    Token(usize),
}

/// One rule, compiled.
pub(crate) struct Rule {
    pub(crate) kind: Kind,
    pub(crate) left: Left,
    pub(crate) window: Window,
    pub(crate) max: usize,
    /// How many letters and digits before the keyword belong to the secret, at least and at most.
    pub(crate) back: RangeInclusive<usize>,
    /// The secret stands before the keyword, back to this sign.
    pub(crate) before: Option<u8>,
    /// The secret stands in the lines below that of the keyword.
    pub(crate) below: bool,
    /// The secret is a whole address, back to its scheme.
    pub(crate) address: bool,
    shape: Shape,
    pub(crate) check: Option<Check>,
    pub(crate) confidence: Confidence,
}

/// How a secret is told.
enum Shape {
    Pattern(Pattern),
    /// A prefix, then at least so many of these bytes.
    Token {
        prefix: String,
        digits: Digits,
        min: usize,
    },
}

/// What a `regex` finds. It is compiled when it is first tried: most runs meet few of the rules.
struct Pattern {
    text: String,
    compiled: OnceLock<Option<Compiled>>,
}

struct Compiled {
    regex: Regex,
    /// The group that is the secret, if not all of the pattern is.
    group: Option<usize>,
    /// Room for the places of groups, from the last search.
    places: Mutex<Option<CaptureLocations>>,
}

/// A set of bytes, one bit for each.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Digits([u64; 4]);

/// What may stand before a keyword.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Left {
    Any,
    #[default]
    Word,
    Token,
}

impl Left {
    /// How far back it may matter what stands before a keyword.
    const REACH: usize = 8;

    /// Whether what stands before `at` may stand before the keyword.
    pub(crate) fn allows(self, text: &[u8], at: usize) -> bool {
        let Some(before) = at.checked_sub(1).and_then(|at| text.get(at)) else { return true };
        let parts = match self {
            Self::Any => return true,
            Self::Word => !before.is_ascii_alphanumeric() && *before != b'_',
            Self::Token => !is(*before, kind::NAME),
        };
        parts || escaped(text, at)
    }
}

/// Whether what stands before `start` is the letter of an escape such as `\n`, and no part of a word.
fn escaped(text: &[u8], start: usize) -> bool {
    let before = text.get(start.saturating_sub(3)..start).unwrap_or_default();
    let head = text.get(start.saturating_sub(Left::REACH)..start).unwrap_or_default();
    matches!(before, [.., b'\\', b'n' | b't' | b'r'] | [b'%', _, _] | [b'\x1b', ..])
        || before.ends_with(b"m") && memchr::memrchr(0x1B, head).is_some()
}

/// How far a rule looks.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Window {
    #[default]
    Line,
    Block,
}

/// The rules that ship inside the binary. They are compiled once; a test compiles them too, so the error, which
/// only a mistake in our own file can cause, is met before a release.
pub(crate) fn built_in() -> Result<&'static Rules, &'static str> {
    static BUILT_IN: LazyLock<Result<Rules, String>> =
        LazyLock::new(|| Rules::parse(&[VENDORS, PLACES]));
    BUILT_IN.as_ref().map_err(String::as_str)
}

/// No rules at all.
pub(crate) fn none() -> Result<&'static Rules, &'static str> {
    static NONE: LazyLock<Result<Rules, String>> = LazyLock::new(|| Rules::parse(&["rule = []"]));
    NONE.as_ref().map_err(String::as_str)
}

impl Rules {
    fn parse(files: &[&str]) -> Result<Self, String> {
        let mut begins: BTreeMap<Vec<u8>, Vec<Clue>> = BTreeMap::new();
        let mut add = |keyword: &[u8], clue| {
            begins.entry(keyword.to_ascii_lowercase()).or_default().push(clue);
        };
        let mut rules = Vec::new();
        for text in files {
            let file: RuleFile = toml::from_str(text).map_err(|e| e.to_string())?;
            for raw in file.rule {
                for keyword in &raw.keywords {
                    add(keyword.as_bytes(), Clue::Rule(rules.len()));
                }
                rules.push(raw.compile()?);
            }
            for (prefix, digits, rule) in file.token.into_iter().flat_map(RawTokens::rules) {
                // A short prefix is part of many words; with a digit behind it, of few.
                if digits.many() {
                    add(prefix.as_bytes(), Clue::Rule(rules.len()));
                }
                for digit in digits.few() {
                    add(&[prefix.as_bytes(), &[digit]].concat(), Clue::Rule(rules.len()));
                }
                rules.push(rule);
            }
        }
        // Where nothing is hidden for its shape, nothing is for its name.
        let words = if rules.is_empty() { &[] } else { &WORDS[..] };
        for (number, word) in words.iter().enumerate() {
            // Keywords have three bytes at least, so a shorter word is one with each sign that may follow a name.
            let signs: &[u8] = if word.text.len() < 3 { AFTER_NAMES } else { b"" };
            for sign in signs.iter().map(Some).chain(signs.is_empty().then_some(None)) {
                let sign = sign.map_or(&[][..], std::slice::from_ref);
                add(&[word.text.as_bytes(), sign].concat(), Clue::Word(number));
            }
        }
        for (sign, next, clue) in SIGNS {
            for byte in next.iter().map(Some).chain(next.is_empty().then_some(None)) {
                add(&[sign, byte.map_or(&[][..], std::slice::from_ref)].concat(), clue);
            }
        }
        let (keywords, begins): (Vec<_>, Vec<_>) = begins.into_iter().unzip();
        Ok(Self { all: rules, begins, keywords: Keywords::new(keywords) })
    }

    /// Reports what may begin in `text`, and where.
    pub(crate) fn clues(&self, text: &[u8], mut hit: impl FnMut(usize, &[Clue])) {
        self.keywords.each(text, |which, at, _| {
            if let Some(clues) = self.begins.get(which) {
                hit(at, clues);
            }
        });
    }

    /// Whether nothing is hidden for its shape.
    pub(crate) const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether a rule may match where its keyword stands in a line, or a name may be one that a word is part of: a quick
    /// look, at times wrongly yes.
    pub(crate) fn may_tell(&self, line: &[u8], at: usize, clue: Clue) -> bool {
        match clue {
            Clue::Rule(rule) => self.get(rule).is_some_and(|rule| {
                // What makes up for a letter before the keyword may stand in the line before.
                (at < Left::REACH || rule.left.allows(line, at))
                    && rule.may_match(line.get(at..).unwrap_or_default())
            }),
            Clue::Word(word) => WORDS.get(word).is_some_and(|word| word.may_name(line, at)),
            Clue::Block
            | Clue::Escape
            | Clue::Seam
            | Clue::List
            | Clue::Foreign
            | Clue::Turned
            | Clue::Token(_)
            | Clue::Cell(..) => true,
        }
    }

    /// Whether anything may begin in `text`.
    pub(crate) fn any_clue(&self, text: &[u8]) -> bool {
        self.keywords.any(text)
    }

    pub(crate) fn get(&self, rule: usize) -> Option<&Rule> {
        self.all.get(rule)
    }

    /// The kinds of all rules.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.all.iter().map(|rule| &rule.kind)
    }
}

impl Rule {
    /// Where the rule matches at the beginning of `text`, and which part of that is the secret.
    pub(crate) fn find(&self, text: &[u8]) -> Option<(Range<usize>, Option<Range<usize>>)> {
        match &self.shape {
            Shape::Pattern(pattern) => pattern.find(text),
            Shape::Token { prefix, digits, min } => {
                let rest = text.strip_prefix(prefix.as_bytes())?;
                let len = rest.iter().take_while(|b| digits.has(**b)).count();
                let all = 0..prefix.len() + len;
                (len >= *min).then(|| (all.clone(), Some(all)))
            }
        }
    }

    /// Whether the rule, whose keyword begins `text`, may match there: a quick look, at times wrongly yes.
    fn may_match(&self, text: &[u8]) -> bool {
        match &self.shape {
            Shape::Pattern(_) => true,
            Shape::Token { prefix, digits, min } => {
                let rest = text.strip_prefix(prefix.as_bytes()).and_then(|rest| rest.get(..*min));
                rest.is_some_and(|rest| rest.iter().all(|b| digits.has(*b)))
            }
        }
    }
}

impl Pattern {
    fn new(text: &str) -> Result<Self, String> {
        let text = format!("^(?:{text})");
        let parsed = regex_syntax::ast::parse::Parser::new().parse(&text);
        parsed.map_err(|e| e.to_string())?;
        Ok(Self { text, compiled: OnceLock::new() })
    }

    /// One search tells where the pattern matches and which part is the secret.
    fn find(&self, text: &[u8]) -> Option<(Range<usize>, Option<Range<usize>>)> {
        // A test compiles every pattern that ships. One that did not compile would hide all it is shown.
        let Some(Compiled { regex, group, places }) = self.compiled() else {
            return Some((0..text.len(), Some(0..text.len())));
        };
        let Some(group) = group else {
            let all = regex.find(text)?.range();
            return Some((all.clone(), Some(all)));
        };
        let spare = places.try_lock().ok().and_then(|mut spare| spare.take());
        let mut room = spare.unwrap_or_else(|| regex.capture_locations());
        let found = regex.captures_read(&mut room, text);
        let part = room.get(*group).map(|(start, end)| start..end);
        if let Ok(mut spare) = places.try_lock() {
            *spare = Some(room);
        }
        Some((found?.range(), part))
    }

    fn compiled(&self) -> Option<&Compiled> {
        let compile = || {
            let regex = RegexBuilder::new(&self.text).unicode(false).build().ok()?;
            let group = regex.capture_names().position(|name| name == Some("secret"));
            Some(Compiled { regex, group, places: Mutex::default() })
        };
        self.compiled.get_or_init(compile).as_ref()
    }
}

impl Digits {
    /// Reads a class as patterns write it: bytes, and ranges such as `a-z`.
    fn parse(class: &str) -> Self {
        let mut digits = Self([0; 4]);
        let mut rest = class.as_bytes();
        loop {
            let (from, to, next) = match rest {
                [from, b'-', to, next @ ..] => (*from, *to, next),
                [byte, next @ ..] => (*byte, *byte, next),
                [] => return digits,
            };
            for byte in from..=to {
                if let Some(word) = digits.0.get_mut(usize::from(byte >> 6)) {
                    *word |= 1 << (byte & 63);
                }
            }
            rest = next;
        }
    }

    /// Whether there are more than the digits of a number and a sign.
    fn many(self) -> bool {
        self.0.iter().map(|word| word.count_ones()).sum::<u32>() > 18
    }

    /// All of them, if they are few.
    fn few(self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(move |byte| !self.many() && self.has(*byte))
    }

    fn has(self, byte: u8) -> bool {
        self.0.get(usize::from(byte >> 6)).is_some_and(|word| word >> (byte & 63) & 1 != 0)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    #[serde(default)]
    rule: Vec<RawRule>,
    #[serde(default)]
    token: Vec<RawTokens>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    kind: String,
    keywords: Vec<String>,
    #[serde(default)]
    left: Left,
    #[serde(default)]
    window: Window,
    max: Option<usize>,
    #[serde(default)]
    back: usize,
    #[serde(default)]
    least: usize,
    before: Option<char>,
    #[serde(default)]
    below: bool,
    #[serde(default)]
    address: bool,
    pattern: String,
    check: Option<Check>,
    confidence: Option<RawConfidence>,
}

/// Tokens that are told by how they begin: each prefix, then at least `min` of the usual characters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTokens {
    kind: String,
    prefixes: Vec<String>,
    min: usize,
    #[serde(default = "token_digits")]
    digits: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawConfidence {
    High,
    Medium,
}

impl RawTokens {
    fn rules(self) -> impl Iterator<Item = (String, Digits, Rule)> {
        let Self { kind, prefixes, min, digits } = self;
        let (kind, digits) = (Kind::slug(&kind), Digits::parse(&digits));
        prefixes.into_iter().map(move |prefix| {
            let rule = Rule {
                kind: kind.clone(),
                left: Left::Word,
                window: Window::Line,
                max: FIRST_LOOK,
                back: 0..=0,
                before: None,
                below: false,
                address: false,
                shape: Shape::Token { prefix: prefix.clone(), digits, min },
                check: Some(Check::Mixed),
                confidence: Confidence::High,
            };
            (prefix, digits, rule)
        })
    }
}

impl RawRule {
    fn compile(self) -> Result<Rule, String> {
        let pattern =
            Pattern::new(&self.pattern).map_err(|e| format!("rule `{}`: {e}", self.kind))?;
        Ok(Rule {
            kind: Kind::slug(&self.kind),
            left: self.left,
            window: self.window,
            max: self.max.unwrap_or(FIRST_LOOK),
            back: self.least..=self.back,
            before: self.before.and_then(|sign| u8::try_from(sign).ok()),
            below: self.below,
            address: self.address,
            shape: Shape::Pattern(pattern),
            check: self.check,
            confidence: match self.confidence {
                None | Some(RawConfidence::High) => Confidence::High,
                Some(RawConfidence::Medium) => Confidence::Medium,
            },
        })
    }
}

/// A rule first looks at this much, and at more only if the secret goes on.
const FIRST_LOOK: usize = 512;

fn token_digits() -> String {
    "A-Za-z0-9_=-".to_owned()
}

const VENDORS: &str = include_str!("../rules/vendors.toml");
const PLACES: &str = include_str!("../rules/places.toml");
/// The bytes that may end a character in UTF-8.
const CONTINUATION: [u8; 64] = {
    let mut all = [0x80; 64];
    let mut rest = all.as_mut_slice();
    let mut byte = 0x80;
    while let Some((slot, more)) = rest.split_first_mut() {
        *slot = byte;
        byte += 1;
        rest = more;
    }
    all
};
const HEX: &[u8] = b"0123456789abcdef";
const AFTER_NAMES: &[u8] = b"=:,;|\t\n \"'<>?)]";
const ALNUM: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
/// What hides letters, digits or signs of values, and which bytes may follow it, if not any.
const SIGNS: [(&[u8], &[u8], Clue); 75] = [
    (b"-----begin ", b"", Clue::Block),
    (b"begin ssh2 ", b"", Clue::Block),
    (b"%2", HEX, Clue::Escape),
    (b"%3", HEX, Clue::Escape),
    (b"%4", HEX, Clue::Escape),
    (b"%5", HEX, Clue::Escape),
    (b"%6", HEX, Clue::Escape),
    (b"%7", HEX, Clue::Escape),
    (b"%c", b"2345", Clue::Escape),
    (b"%d", b"01", Clue::Escape),
    (b"%e", b"23f", Clue::Escape),
    (b"%f0", b"", Clue::Escape),
    (b"%u00", b"", Clue::Escape),
    (b"\\u00", b"", Clue::Escape),
    (b"\\u{", b"", Clue::Escape),
    (b"\\x", b"234567", Clue::Escape),
    (b"\\0", b"01234567", Clue::Escape),
    (b"\\1", b"01234567", Clue::Escape),
    (b"\\5", b"01234567", Clue::Escape),
    (b"\\6", b"01234567", Clue::Escape),
    (b"\\7", b"01234567", Clue::Escape),
    (b"&#", b"x0123456789", Clue::Escape),
    (b"&amp;", b"", Clue::Escape),
    (b"&quot;", b"", Clue::Escape),
    (b"&apos;", b"", Clue::Escape),
    (b"&equals;", b"", Clue::Escape),
    (b"&sol;", b"", Clue::Escape),
    (b"=3d", b"", Clue::Escape),
    (b"\x1b[", b"0123456789m", Clue::Escape),
    (b"\xE2\x80\x8B", b"", Clue::Escape),
    (b"\xE2\x80\x8C", b"", Clue::Escape),
    (b"\xE2\x80\x8D", b"", Clue::Escape),
    (b"\xE2\x80\x8E", b"", Clue::Escape),
    (b"\xE2\x81\xA0", b"", Clue::Escape),
    (b"\xE2\x81\xA3", b"", Clue::Escape),
    (b"\xEF\xBB\xBF", b"", Clue::Escape),
    (b"\xEF\xBC", &CONTINUATION, Clue::Escape),
    (b"\xEF\xBD", &CONTINUATION, Clue::Escape),
    (b"\xE2\x92", &CONTINUATION, Clue::Escape),
    (b"\xE2\x93", &CONTINUATION, Clue::Escape),
    (b"\xF0\x9D", b"\x90\x91\x92\x93\x94\x95\x96\x97\x98\x99\x9A\x9B\x9F", Clue::Escape),
    (b"\xF3\xA0\x80", b"", Clue::Escape),
    (b"\xF3\xA0\x81", b"", Clue::Escape),
    (b"\xE2\x80\x8F", b"", Clue::Escape),
    (b"\xC2\xAD", ALNUM, Clue::Escape),
    (b"''", ALNUM, Clue::Seam),
    (b"\"\"", ALNUM, Clue::Seam),
    (b"\"+\"", b"", Clue::Seam),
    (b"'+'", b"", Clue::Seam),
    (b"\" + \"", b"", Clue::Seam),
    (b"' + '", b"", Clue::Seam),
    (b"\" . \"", b"", Clue::Seam),
    (b"' . '", b"", Clue::Seam),
    (b"\".\"", b"", Clue::Seam),
    (b"'.'", b"", Clue::Seam),
    (b"\" & \"", b"", Clue::Seam),
    (b"\" \"", ALNUM, Clue::Seam),
    (b"' '", ALNUM, Clue::Seam),
    (b" .-", b"", Clue::Foreign),
    (b" -.", b"", Clue::Foreign),
    (b"cnffjbeq", b"", Clue::Turned),
    (b"frperg", b"", Clue::Turned),
    (b"gbxra", b"", Clue::Turned),
    (b"ncv_xrl", b"", Clue::Turned),
    (b"ncv-xrl", b"", Clue::Turned),
    (b"ncvxrl", b"", Clue::Turned),
    (b"nhgubevmngvba", b"", Clue::Turned),
    (b"perqragvny", b"", Clue::Turned),
    (b"cevingr xrl", b"", Clue::Turned),
    (b"charcode", b"", Clue::List),
    (b"bytes(", b"", Clue::List),
    (b"bytearray", b"", Clue::List),
    (b"0x", b"234567", Clue::List),
    (b"chr(", b"", Clue::List),
    (b"byte[]", b"", Clue::List),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_that_ship_compile() {
        let rules = built_in().unwrap();
        assert!(rules.kinds().count() > 100);
        for rule in &rules.all {
            if let Shape::Pattern(pattern) = &rule.shape {
                assert!(pattern.compiled().is_some(), "{}: {}", rule.kind, pattern.text);
            }
        }
    }

    #[test]
    fn a_pattern_that_does_not_compile_hides_everything() {
        let broken = Pattern { text: "(".into(), compiled: OnceLock::new() };
        assert_eq!(broken.find(b"secret"), Some((0..6, Some(0..6))));
    }

    #[test]
    fn a_token_is_told_as_its_pattern_would_tell_it() {
        for class in ["A-Za-z0-9_=-", "A-Za-z0-9._+/=-"] {
            let (digits, regex) = (Digits::parse(class), Regex::new(&format!("(?-u)[{class}]")));
            let regex = regex.unwrap();
            assert!((0..=u8::MAX).all(|b| digits.has(b) == regex.is_match(&[b])), "{class}");
        }
        let file = "[[token]]\nkind='x'\nprefixes=['Ab_']\nmin=4";
        let rules = Rules::parse(&[file]).unwrap();
        let rule = rules.get(0).unwrap();
        assert_eq!(rule.find(b"Ab_1234-5 6"), Some((0..9, Some(0..9))));
        for text in [&b"Ab_123 4"[..], b"Ab_123", b"ab_12345", b"A"] {
            assert_eq!(rule.find(text), None);
            assert!(!rule.may_match(text));
        }
        assert!(rule.may_match(b"Ab_1234"));
    }

    #[test]
    fn a_mistyped_rule_is_an_error() {
        assert!(Rules::parse(&["[[rule]]\nkind='x'\nkeywords=['x']\npatern='x'"]).is_err());
        assert!(Rules::parse(&["[[rule]]\nkind='x'\nkeywords=['x']\npattern='('"]).is_err());
    }
}
