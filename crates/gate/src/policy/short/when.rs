//! What does `send_email when unnamed` mean? A condition on what the session has read and on whose words the call's
//! values are.

use super::{Flaw, flaw, tame};
use crate::policy::source::RuleVerdict;

/// The condition behind a short form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Carries,
    Composed,
    Lifted,
    Ordered,
    Suspicious,
    Tainted,
    Unnamed,
}

impl When {
    /// The condition as Cedar. It holds of every tool's context.
    pub(super) fn cedar(self) -> &'static str {
        match self {
            Self::Carries => "context.taint.tainted && context.provenance.carries",
            Self::Composed => "context.taint.tainted && context.provenance.composed",
            Self::Lifted => "context.provenance.lifted",
            Self::Ordered => "context.provenance.ordered",
            Self::Suspicious => "context.taint.score >= 83",
            Self::Tainted => "context.taint.tainted",
            Self::Unnamed => {
                "context.taint.tainted && [\"workspace\", \"unknown\", \"untrusted\"].contains(context.provenance.worst)"
            }
        }
    }
}

/// `X when WORD` → `X`, the condition.
pub(super) fn split(form: &str, verdict: RuleVerdict) -> Result<(&str, Option<When>), Flaw> {
    let Some((before, word)) = form.trim().rsplit_once(" when ") else { return Ok((form, None)) };
    // Within parentheses it belongs to the pattern.
    if word.contains(')') {
        return Ok((form, None));
    }
    if verdict == RuleVerdict::Allow {
        return Err(flaw(
            "`allow` takes no `when`: what a session has read may only narrow what it may do",
            "allow the tool, and write the condition under `ask` or `deny`",
        ));
    }
    let found = WORDS.iter().find(|(known, _)| *known == word.trim());
    let (_, when) = found.ok_or_else(|| {
        let known: Vec<&str> = WORDS.iter().map(|(known, _)| *known).collect();
        flaw(
            format!("`{}` is no condition", tame(word)),
            format!("write one of {}", known.join(", ")),
        )
    })?;
    Ok((before, Some(*when)))
}

const WORDS: [(&str, When); 7] = [
    ("carries", When::Carries),
    ("composed", When::Composed),
    ("lifted", When::Lifted),
    ("ordered", When::Ordered),
    ("suspicious", When::Suspicious),
    ("tainted", When::Tainted),
    ("unnamed", When::Unnamed),
];
