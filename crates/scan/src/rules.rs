//! Where may something begin that is worth a closer look, and which shapes of secrets do we look for there?

use crate::keywords::Keywords;
use crate::names::WORDS;
use crate::verify::Check;
use crate::{Confidence, Kind};
use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::LazyLock;

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
    /// Something here is written in escapes, or in pieces.
    Escape,
    /// Strings are put together here.
    Seam,
    /// Character codes may be listed here.
    List,
}

/// One rule, compiled.
pub(crate) struct Rule {
    pub(crate) kind: Kind,
    pub(crate) left: Left,
    pub(crate) window: Window,
    pub(crate) max: usize,
    pub(crate) back: usize,
    pattern: Regex,
    /// The group of the pattern that is the secret, if not all of it is.
    group: Option<usize>,
    pub(crate) check: Option<Check>,
    pub(crate) confidence: Confidence,
}

/// What may stand before a keyword.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Left {
    Any,
    #[default]
    Word,
    Token,
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
            let tokens = file.token.into_iter().flat_map(RawTokens::rules);
            for raw in file.rule.into_iter().chain(tokens) {
                for keyword in &raw.keywords {
                    add(keyword.as_bytes(), Clue::Rule(rules.len()));
                }
                rules.push(raw.compile()?);
            }
        }
        for (number, word) in WORDS.iter().enumerate() {
            add(word.text.as_bytes(), Clue::Word(number));
        }
        for (sign, next, clue) in SIGNS {
            for byte in next.iter().map(Some).chain(next.is_empty().then_some(None)) {
                add(&[sign, byte.map_or(&[][..], std::slice::from_ref)].concat(), clue);
            }
        }
        let (keywords, begins): (Vec<_>, Vec<_>) = begins.into_iter().unzip();
        Ok(Self { all: rules, begins, keywords: Keywords::new(keywords) })
    }

    /// Reports each clue in `text` with the range of the keyword that gives it.
    pub(crate) fn clues(&self, text: &[u8], mut hit: impl FnMut(usize, usize, &[Clue])) {
        self.keywords.each(text, |which, at, len| {
            if let Some(clues) = self.begins.get(which) {
                hit(at, at + len, clues);
            }
        });
    }

    /// Whether anything may begin in `text`.
    pub(crate) fn any_clue(&self, text: &[u8]) -> bool {
        let mut any = false;
        self.clues(text, |_, _, _| any = true);
        any
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
    /// Where the pattern matches at the beginning of `text`, and which part of that is the secret. One search tells
    /// both.
    pub(crate) fn find(&self, text: &[u8]) -> Option<(Range<usize>, Option<Range<usize>>)> {
        if let Some(group) = self.group {
            let found = self.pattern.captures(text)?;
            Some((found.get(0)?.range(), found.get(group).map(|part| part.range())))
        } else {
            let all = self.pattern.find(text)?.range();
            Some((all.clone(), Some(all)))
        }
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
    fn rules(self) -> impl Iterator<Item = RawRule> {
        let Self { kind, prefixes, min, digits } = self;
        prefixes.into_iter().map(move |prefix| RawRule {
            kind: kind.clone(),
            pattern: format!("{}[{digits}]{{{min},}}", regex::escape(&prefix)),
            keywords: vec![prefix],
            left: Left::Word,
            window: Window::Line,
            max: None,
            back: 0,
            check: Some(Check::Mixed),
            confidence: None,
        })
    }
}

impl RawRule {
    fn compile(self) -> Result<Rule, String> {
        let pattern = RegexBuilder::new(&format!("^(?:{})", self.pattern))
            .unicode(false)
            .build()
            .map_err(|e| format!("rule `{}`: {e}", self.kind))?;
        Ok(Rule {
            kind: Kind::slug(&self.kind),
            left: self.left,
            group: pattern.capture_names().position(|name| name == Some("secret")),
            window: self.window,
            max: self.max.unwrap_or(FIRST_LOOK),
            back: self.back,
            pattern,
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
const ALNUM: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
/// What hides letters, digits or signs of values, and which bytes may follow it, if not any.
const SIGNS: [(&[u8], &[u8], Clue); 62] = [
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
        assert!(built_in().is_ok_and(|rules| rules.kinds().count() > 100));
    }

    #[test]
    fn a_mistyped_rule_is_an_error() {
        assert!(Rules::parse(&["[[rule]]\nkind='x'\nkeywords=['x']\npatern='x'"]).is_err());
        assert!(Rules::parse(&["[[rule]]\nkind='x'\nkeywords=['x']\npattern='('"]).is_err());
    }
}
