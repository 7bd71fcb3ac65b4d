//! Who is asked about a text that the detector is not sure of, or finds hostile, and about which calls? `[second_opinion]`.

use super::check::Flaw;
use super::page::{Page, name_flaw};
use super::raw::At;
use super::{notify, secret, units};
use crate::report::{Excerpt, Problem};
use bartizan_egress::Upstream;
use bartizan_gate::name::SecretName;
use bartizan_gate::tool::Effect;
use serde::Deserialize;
use std::ops::RangeInclusive;
use std::time::Duration;

/// `[second_opinion]` as typed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSecondOpinion {
    url: At<String>,
    model: At<String>,
    secret: At<String>,
    from: Option<At<u64>>,
    to: Option<At<u64>>,
    bytes: Option<At<String>>,
    per_minute: Option<At<u64>>,
    time: Option<At<String>>,
    internal: Option<At<bool>>,
    calls: Option<At<RawCalls>>,
}

/// `[second_opinion.calls]` as typed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCalls {
    effects: Option<At<String>>,
    from: Option<At<u64>>,
    silent: Option<At<String>>,
}

/// Who is asked, of what, and how much.
#[derive(Debug, Clone)]
pub(crate) struct SecondOpinion {
    /// The whole address.
    pub(crate) to: Upstream,
    /// Whether its name may lead to an address that is not public.
    pub(crate) internal: bool,
    /// The model.
    pub(crate) model: String,
    /// The key.
    pub(crate) secret: SecretName,
    /// Texts that our own detector scores so are asked about.
    pub(crate) band: RangeInclusive<u8>,
    /// So much of a text is shown.
    pub(crate) bytes: usize,
    /// So many are asked about in a minute.
    pub(crate) per_minute: usize,
    /// How long an answer is waited for.
    pub(crate) time: Duration,
    /// Which calls are asked about too; none unless that is said.
    pub(crate) calls: Option<AskedCalls>,
    named: (SecretName, Excerpt),
}

/// Which calls are asked about, and what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AskedCalls {
    /// Those with these effects.
    pub(crate) effects: &'static [Effect],
    /// From this number on a person is asked.
    pub(crate) from: u8,
    /// Whether a person is asked where nobody answers.
    pub(crate) silence_asks: bool,
}

impl AskedCalls {
    fn read(page: &mut Page<'_>, raw: &RawCalls) -> Option<Self> {
        let RawCalls { effects, from, silent } = raw;
        let effects = taken(page, effects.as_ref(), WRITES, |text| match text.as_str() {
            "irreversible" => Ok(IRREVERSIBLE),
            "write" => Ok(WRITES),
            _ => Err((
                format!("`{text}` is no effect of calls that are asked about"),
                Some(
                    "write \"irreversible\", or \"write\" for all that change something".to_owned(),
                ),
            )),
        });
        // Nobody would ever be let through from 0 on.
        let from = taken(page, from.as_ref(), DOUBTS, |from| within(*from, 1, 100));
        let silence_asks = taken(page, silent.as_ref(), true, |text| match text.as_str() {
            "ask" => Ok(true),
            "allow" => Ok(false),
            _ => Err((
                format!("`{text}` is nothing to do"),
                Some("write \"ask\" or \"allow\"".to_owned()),
            )),
        });
        Some(Self { effects: effects?, from: score(from?), silence_asks: silence_asks? })
    }
}

impl SecondOpinion {
    /// Parses what a file says, or notes on the page what is wrong with it.
    pub(super) fn read(page: &mut Page<'_>, raw: &RawSecondOpinion) -> Option<Self> {
        let to = page.take_unshown(&raw.url, |text| notify::address(text));
        let model = page.take(&raw.model, |text| model(text));
        let secret =
            page.take(&raw.secret, |text| SecretName::parse(text).map_err(|why| name_flaw(&why)));
        let from = taken(page, raw.from.as_ref(), FROM, |from| within(*from, 0, 100));
        let to_score = taken(page, raw.to.as_ref(), 100, |to| within(*to, 0, 100));
        let bytes = taken(page, raw.bytes.as_ref(), BYTES, |text| bytes(text));
        let per_minute =
            taken(page, raw.per_minute.as_ref(), PER_MINUTE, |count| within(*count, 1, 600));
        let time = taken(page, raw.time.as_ref(), TIME, |text| time(text));
        let calls = match &raw.calls {
            Some(calls) => Some(AskedCalls::read(page, calls.get_ref())?),
            None => None,
        };
        let band = score(from?)..=score(to_score?);
        if band.is_empty() {
            let at = raw.from.as_ref().or(raw.to.as_ref()).map_or(0..0, At::span);
            page.complain(at, Problem::new("`from` is above `to`, so nobody would ever be asked"));
            return None;
        }
        let secret = secret?;
        Some(Self {
            to: to?,
            internal: raw.internal.as_ref().is_some_and(|internal| *internal.get_ref()),
            model: model?,
            named: (secret.clone(), page.at(raw.secret.span())),
            secret,
            band,
            bytes: bytes?,
            per_minute: usize::try_from(per_minute?).unwrap_or(usize::MAX),
            time: time?,
            calls,
        })
    }

    /// Whether the secret that is named exists.
    pub(super) fn check<'a>(
        &self,
        known: &(impl Iterator<Item = &'a SecretName> + Clone),
        problems: &mut Vec<Problem>,
    ) {
        secret::check(std::slice::from_ref(&self.named), known, problems);
    }
}

/// What is said, or else `usual`; `None` when what is said is wrong.
fn taken<T, U>(
    page: &mut Page<'_>,
    said: Option<&At<T>>,
    usual: U,
    parse: impl FnOnce(&T) -> Result<U, Flaw>,
) -> Option<U> {
    match said {
        Some(said) => page.take(said, parse),
        None => Some(usual),
    }
}

fn within(number: u64, least: u64, most: u64) -> Result<u64, Flaw> {
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    Err((format!("{number} is not from {least} to {most}"), None))
}

fn score(number: u64) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

fn bytes(text: &str) -> Result<usize, Flaw> {
    let size = units::size(text).map_err(|why| (format!("`{text}` is no size: {why}"), None))?;
    within(size, 256, 256 << 10).map(|size| usize::try_from(size).unwrap_or(BYTES))
}

fn time(text: &str) -> Result<Duration, Flaw> {
    let time =
        units::duration(text).map_err(|why| (format!("`{text}` is no time: {why}"), None))?;
    within(time.as_secs(), 1, 15).map(Duration::from_secs)
}

fn model(text: &str) -> Result<String, Flaw> {
    let tame =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/' | '@');
    if !text.is_empty() && text.len() <= 128 && text.chars().all(tame) {
        return Ok(text.to_owned());
    }
    Err((format!("`{text}` is no name of a model"), None))
}

/// From this score on, if nothing is said. Below, hardly any text is an attack, and most texts are.
const FROM: u64 = 40;
const BYTES: usize = 16 << 10;
const PER_MINUTE: u64 = 20;
const TIME: Duration = Duration::from_secs(5);
/// From this number on a call is doubted, if nothing is said.
const DOUBTS: u64 = 50;
const IRREVERSIBLE: &[Effect] = &[Effect::Irreversible];
const WRITES: &[Effect] = &[Effect::Write, Effect::Irreversible];

#[cfg(test)]
mod tests {
    use super::super::tests::world;
    use super::*;

    const ASKED: &str = "[secrets.judge]\nfrom = \"file://judge\"\n[second_opinion]\n\
         url = \"https://api.anthropic.com/v1/messages\"\nmodel = \"m\"\nsecret = \"judge\"\n";

    #[test]
    fn calls_are_asked_about_only_where_that_is_said() {
        let world = world();
        let calls = |more: &str| {
            let config = world.user(&format!("{ASKED}{more}")).load();
            config.second_opinion.unwrap().calls
        };
        assert_eq!(calls(""), None);
        let usual = AskedCalls { effects: WRITES, from: 50, silence_asks: true };
        assert_eq!(calls("[second_opinion.calls]\n"), Some(usual));
        let said =
            "[second_opinion.calls]\neffects = \"irreversible\"\nfrom = 80\nsilent = \"allow\"\n";
        let other = AskedCalls { effects: IRREVERSIBLE, from: 80, silence_asks: false };
        assert_eq!(calls(said), Some(other));
        for (wrong, why) in [
            ("effects = \"read\"", "is no effect of calls"),
            ("from = 0", "is not from 1 to 100"),
            ("silent = \"deny\"", "is nothing to do"),
            ("per_minute = 3", "unknown"),
        ] {
            let errors = world.user(&format!("{ASKED}[second_opinion.calls]\n{wrong}\n")).errors();
            assert!(errors.contains(why) && errors.contains("bartizan.toml"), "{errors}");
        }
    }
}
