//! Who is told of questions and flags, and where? `[notify]` and `[notify.webhooks.NAME]`.

use super::check::{self, Flaw};
use super::page::{Page, name_flaw};
use super::raw::{At, RawNotify, RawWebhook};
use super::secret;
use crate::report::{Excerpt, Problem, did_you_mean};
use bartizan_egress::Upstream;
use bartizan_gate::name::SecretName;
use std::collections::BTreeMap;

/// Who is told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notify {
    /// The program that shows it on the person's desktop, called as `notify-send` is.
    pub(crate) desktop: Option<String>,
    /// Where the console is for those who are told, if it is anywhere.
    pub(crate) console: Option<check::Upstream>,
    /// Addresses, by name.
    pub(crate) webhooks: BTreeMap<String, Webhook>,
    /// Where secrets are named, so that one that does not exist is found.
    named: Vec<(SecretName, Excerpt)>,
}

/// An address that is told.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    /// Where it is.
    pub(crate) to: Upstream,
    /// The rest of its path, where that is a secret.
    pub(crate) path: Option<SecretName>,
    /// What signs.
    pub(crate) secret: SecretName,
    /// Of what it is told.
    pub(crate) on: Vec<Occasion>,
    /// Whether its name may lead to an address that is not public.
    pub(crate) internal: bool,
}

/// Of what somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// A rule of high severity flagged a run.
    Flag,
    /// A rule of low severity noted something.
    Note,
    /// A person is asked.
    Question,
}

impl Occasion {
    /// Every occasion, with its name.
    const ALL: [(&'static str, Self); 3] =
        [("question", Self::Question), ("flag", Self::Flag), ("note", Self::Note)];
    /// What nothing else is said of.
    pub(crate) const USUAL: [Self; 2] = [Self::Question, Self::Flag];

    /// Its name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Note => "note",
            Self::Question => "question",
        }
    }
}

impl Notify {
    /// Whether anybody is told.
    pub(crate) fn is_silent(&self) -> bool {
        self.desktop.is_none() && self.webhooks.is_empty()
    }

    /// Adds one layer's word. A later layer's webhook takes the place of an earlier one of its name, whole.
    pub(super) fn add(&mut self, page: &mut Page<'_>, raw: &RawNotify) {
        let RawNotify { desktop, console, webhooks } = raw;
        let desktop = page.take_option(desktop.as_ref(), |text| program(text));
        self.desktop = desktop.or(self.desktop.take());
        let console = page.take_option(console.as_ref(), |text| check::Upstream::parse(text));
        self.console = console.or(self.console.take());
        for (name, webhook) in webhooks {
            let key = page.take(name, |text| label(text));
            let webhook = self.webhook(page, webhook);
            self.webhooks.extend(key.zip(webhook));
        }
    }

    fn webhook(&mut self, page: &mut Page<'_>, raw: &RawWebhook) -> Option<Webhook> {
        let RawWebhook { url, path_secret, secret, on, internal } = raw;
        // An address may be the secret itself, pasted whole.
        let to = page.take_unshown(url, |text| address(text));
        let path = match path_secret {
            Some(path) => Some(self.secret(page, path)?),
            None => None,
        };
        let secret = self.secret(page, secret);
        let on = page.list(on.as_ref(), |text| occasion(text));
        Some(Webhook {
            to: to?,
            path,
            secret: secret?,
            on: on.filter(|on| !on.is_empty()).unwrap_or(Occasion::USUAL.to_vec()),
            internal: internal.as_ref().is_some_and(|internal| *internal.get_ref()),
        })
    }

    fn secret(&mut self, page: &mut Page<'_>, raw: &At<String>) -> Option<SecretName> {
        let name = page.take(raw, |text| SecretName::parse(text).map_err(|why| name_flaw(&why)))?;
        self.named.push((name.clone(), page.at(raw.span())));
        Some(name)
    }

    /// Whether every secret that is named exists.
    pub(super) fn check<'a>(
        &self,
        known: &(impl Iterator<Item = &'a SecretName> + Clone),
        problems: &mut Vec<Problem>,
    ) {
        secret::check(&self.named, known, problems);
    }
}

fn label(text: &str) -> Result<String, Flaw> {
    let tame = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !text.is_empty() && text.len() <= 64 && text.chars().all(tame) {
        return Ok(text.to_owned());
    }
    Err((format!("`{text}` has more than letters, digits, `_` and `-`"), None))
}

fn program(text: &str) -> Result<String, Flaw> {
    let tame = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let whole = text.starts_with('/') || !text.contains('/');
    if !text.is_empty() && text.chars().all(tame) && whole {
        return Ok(text.to_owned());
    }
    let hint = "write \"notify-send\", or the whole path of a program that is called as it is";
    Err((format!("`{text}` is no program"), Some(hint.to_owned())))
}

/// Reads where somebody is told or asked.
pub(super) fn address(text: &str) -> Result<Upstream, Flaw> {
    let hint = "write it as https://hooks.example.com/path; http is for loopback addresses alone, and a path that \
                is a secret, or has a query, goes into `path_secret`";
    Upstream::parse(text).map_err(|_| ("this is no address".to_owned(), Some(hint.to_owned())))
}

fn occasion(text: &str) -> Result<Occasion, Flaw> {
    let found = Occasion::ALL.iter().find(|(name, _)| *name == text);
    found.map(|(_, occasion)| *occasion).ok_or_else(|| {
        let known = Occasion::ALL.map(|(name, _)| name);
        let hint = match did_you_mean(text, known) {
            Some(likely) => format!("did you mean `{likely}`?"),
            None => format!("known: {}", known.join(", ")),
        };
        (format!("nobody can be told of `{text}`"), Some(hint))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_may_be_a_secret_is_not_repeated() {
        for text in ["http://hooks.example/T0/B0", "https://x.example/a?sig=s3cret", "hooks", ""] {
            let (what, hint) = address(text).unwrap_err();
            assert!(!format!("{what}{hint:?}").contains("s3cret"));
        }
        assert!(address("https://hooks.example.com/x").is_ok());
        assert!(address("http://127.0.0.1:8080").is_ok());
    }

    #[test]
    fn what_nobody_can_be_told_of_is_refused_with_the_likely_word() {
        assert_eq!(occasion("flag").unwrap(), Occasion::Flag);
        let (_, hint) = occasion("questions").unwrap_err();
        assert_eq!(hint.as_deref(), Some("did you mean `question`?"));
        assert!(label("a b").is_err() && label("ops-1").is_ok());
    }
}
