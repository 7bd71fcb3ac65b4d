//! Which shapes of unknown secrets do we look for?

use crate::known::walk;
use crate::prefix::PrefixIndex;
use crate::{Confidence, Kind};
use aho_corasick::automaton::StateID;
use aho_corasick::{MatchKind, dfa};
use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use zeroize::Zeroizing;

/// Every rule, compiled, and one automaton over all their keywords.
pub(crate) struct Rules {
    all: Vec<Rule>,
    /// For each keyword of the automaton, the rules that it may begin.
    begins: Vec<Vec<usize>>,
    keywords: PrefixIndex,
    automaton: dfa::DFA,
}

/// One rule, compiled.
pub(crate) struct Rule {
    pub(crate) kind: Kind,
    pub(crate) left: Left,
    pub(crate) window: Window,
    pub(crate) max: usize,
    pub(crate) pattern: Regex,
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
    Token,
    Line,
    Block,
}

/// What else must hold of what a pattern found.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Check {
    Crc62,
    Mixed,
    Password,
}

/// The rules that ship inside the binary. They are compiled once; a test compiles them too, so the error, which
/// only a mistake in our own file can cause, is met before a release.
pub(crate) fn built_in() -> Result<&'static Rules, &'static str> {
    static BUILT_IN: LazyLock<Result<Rules, String>> = LazyLock::new(|| Rules::parse(VENDORS));
    BUILT_IN.as_ref().map_err(String::as_str)
}

impl Rules {
    fn parse(text: &str) -> Result<Self, String> {
        let file: RuleFile = toml::from_str(text).map_err(|e| e.to_string())?;
        let mut begins: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
        let mut rules = Vec::new();
        for raw in file.rule {
            for keyword in &raw.keywords {
                begins.entry(keyword.to_ascii_lowercase().into()).or_default().push(rules.len());
            }
            rules.push(raw.compile()?);
        }
        let (keywords, begins): (Vec<_>, Vec<_>) =
            begins.into_iter().map(|(keyword, rules)| (Zeroizing::new(keyword), rules)).unzip();
        let automaton = dfa::Builder::new()
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(true)
            .prefilter(false)
            .build(keywords.iter().map(|k| k.as_slice()))
            .map_err(|e| e.to_string())?;
        Ok(Self { all: rules, begins, keywords: PrefixIndex::new(keywords), automaton })
    }

    /// Reports each place in `text` where a rule may begin, as (keyword's end, keyword's length, rule).
    pub(crate) fn candidates(
        &self,
        state: &mut Option<StateID>,
        text: &[u8],
        mut hit: impl FnMut(usize, usize, usize),
    ) {
        walk(&self.automaton, state, text, |end, pattern| {
            let which = pattern.as_usize();
            if let (Some(keyword), Some(rules)) =
                (self.keywords.patterns().get(which), self.begins.get(which))
            {
                for &rule in rules {
                    hit(end, keyword.len(), rule);
                }
            }
        });
    }

    /// How many bytes of the end of `text` may be the beginning of a keyword.
    pub(crate) fn held(&self, text: &[u8]) -> usize {
        self.keywords.held(&text.to_ascii_lowercase())
    }

    pub(crate) fn get(&self, rule: usize) -> Option<&Rule> {
        self.all.get(rule)
    }

    /// The kinds of all rules.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.all.iter().map(|rule| &rule.kind)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    rule: Vec<RawRule>,
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
    #[serde(default = "default_max")]
    max: usize,
    pattern: String,
    check: Option<Check>,
    confidence: Option<RawConfidence>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawConfidence {
    High,
    Medium,
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
            window: self.window,
            max: self.max,
            pattern,
            check: self.check,
            confidence: match self.confidence {
                None | Some(RawConfidence::High) => Confidence::High,
                Some(RawConfidence::Medium) => Confidence::Medium,
            },
        })
    }
}

const fn default_max() -> usize {
    1024
}

const VENDORS: &str = include_str!("../rules/vendors.toml");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_that_ship_compile() {
        assert!(built_in().is_ok_and(|rules| rules.kinds().count() > 20));
    }

    #[test]
    fn a_mistyped_rule_is_an_error() {
        assert!(Rules::parse("[[rule]]\nkind='x'\nkeywords=['x']\npatern='x'").is_err());
        assert!(Rules::parse("[[rule]]\nkind='x'\nkeywords=['x']\npattern='('").is_err());
    }
}
