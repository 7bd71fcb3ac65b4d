//! What is said of a secret? Where it is found, what it is, and how long it may be kept; never what it says.

use super::check::{self, Flaw};
use super::page::Page;
use super::raw::At;
use super::raw_secret::{RawAppRole, RawRoleMint, RawSecret, RawVault};
use super::{aws, mint, units};
use crate::report::{Excerpt, Problem, did_you_mean};
use bartizan_egress::postgres::{Account, RoleMint};
use bartizan_egress::vault::{Declared, Login, SecretKind, Server};
use bartizan_egress::{SecretRef, Upstream};
use bartizan_gate::name::{HostPort, SecretName};
use std::time::Duration;

/// A secret as configured.
#[derive(Debug, Clone)]
pub(crate) struct Secret {
    /// Where it is found, and how it may be kept.
    pub(crate) declared: Declared,
    /// What it is; its placeholder has that shape.
    pub(crate) kind: SecretKind,
    /// The variables that hold its placeholder in the box.
    pub(crate) placeholder: Vec<String>,
}

/// Reads `[secrets.NAME]`; `None` when something is wrong with it, which the page then says.
pub(super) fn read(page: &mut Page<'_>, key: &At<String>, raw: &RawSecret) -> Option<Secret> {
    let name = key.get_ref();
    let RawSecret { from, role, oauth, github_app, aws, kind, placeholder, lifetime, timeout, env } =
        raw;
    let origin = match (from, role, oauth, github_app, aws) {
        (Some(from), None, None, None, None) => {
            page.take_unshown(from, |text| reference(text)).map(Declared::new)
        }
        (None, Some(role), None, None, None) => role_mint(page, role.get_ref()).map(Declared::role),
        (None, None, Some(oauth), None, None) => {
            mint::oauth(page, oauth.get_ref()).map(Declared::token)
        }
        (None, None, None, Some(app), None) => {
            mint::github_app(page, app.get_ref()).map(Declared::token)
        }
        (None, None, None, None, Some(aws)) => aws::read(page, aws).map(Declared::aws),
        _ => {
            let problem = Problem::new(format!("the secret `{name}` comes from one place"))
                .hint("write one of from = \"…\", [secrets.NAME.role], [secrets.NAME.oauth], [secrets.NAME.github_app] and [secrets.NAME.aws]");
            page.complain(key.span(), problem);
            None
        }
    };
    let kind = page.take_option(kind.as_ref(), |text| kind_of(text));
    let placeholder = page.list(placeholder.as_ref(), |text| holder(text));
    let lifetime = page.take_option(lifetime.as_ref(), |text| span(text, LIFETIME_MAX));
    let timeout = page.take_option(timeout.as_ref(), |text| span(text, TIMEOUT_MAX));
    let pass = page.list(env.as_ref(), |text| passed(text));
    let mut declared = origin?;
    if let Some(list) = env.as_ref().filter(|_| !declared.from.is_a_commands()) {
        let problem = Problem::new("only a secret from `exec://` has an `env`");
        page.complain(list.span(), problem.hint("leave it out"));
    }
    declared.lifetime = lifetime;
    declared.timeout = timeout.unwrap_or(declared.timeout);
    declared.pass = pass.unwrap_or_default();
    let placeholder = placeholder.unwrap_or_default();
    Some(Secret { declared, kind: kind.unwrap_or_default(), placeholder })
}

/// Whether every secret that is named somewhere exists.
pub(super) fn check<'a>(
    named: &[(SecretName, Excerpt)],
    known: &(impl Iterator<Item = &'a SecretName> + Clone),
    problems: &mut Vec<Problem>,
) {
    for (secret, at) in named {
        if known.clone().any(|known| known == secret) {
            continue;
        }
        let problem = Problem::new(format!("there is no secret `{secret}`")).at(at.clone());
        let likely = did_you_mean(secret.as_str(), known.clone().map(SecretName::as_str));
        problems.push(match likely {
            Some(likely) => problem.hint(format!("did you mean `{likely}`?")),
            None => problem.hint(format!("define it: [secrets.{secret}]")),
        });
    }
}

fn role_mint(page: &mut Page<'_>, raw: &RawRoleMint) -> Option<RoleMint> {
    let RawRoleMint { host, database, user, password, member_of, lives } = raw;
    let target = page.take(host, |text| {
        HostPort::parse(text)
            .map_err(|error| (error.to_string(), Some("write \"host:5432\"".to_owned())))
    });
    let database = page.take(database, |text| plain(text));
    let user = page.take(user, |text| plain(text));
    let password = page.take_unshown(password, |text| reference(text));
    let member_of = page.list(Some(member_of), |text| plain(text));
    let lives = page.take_option(lives.as_ref(), |text| span(text, LIFETIME_MAX));
    let lives = lives.filter(|lives| !lives.is_zero()).unwrap_or(ROLE_LIVES);
    let admin = Account { target: target?, database: database?, user: user? };
    Some(RoleMint { admin, password: password?, member_of: member_of?, lives })
}

/// The name of a database or a role.
fn plain(text: &str) -> Result<String, Flaw> {
    let tame = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !text.is_empty() && text.len() <= 63 && text.chars().all(tame) {
        return Ok(text.to_owned());
    }
    Err((format!("`{text}` has more than letters, digits, `_` and `-`"), None))
}

/// Reads `[vault]`.
pub(super) fn server(page: &mut Page<'_>, raw: &At<RawVault>) -> Option<Server> {
    let RawVault { address, namespace, token, approle } = raw.get_ref();
    let base = page.take(address, |text| {
        let hint = "write it as https://vault.example:8200; http is for loopback addresses alone";
        Upstream::parse(text).map_err(|error| (error.to_string(), Some(hint.to_owned())))
    });
    let namespace = page.take_option(namespace.as_ref(), |text| label(text));
    let login = match (token, approle) {
        (Some(token), None) => page.take_unshown(token, |text| way_in(text)).map(Login::Token),
        (None, Some(role)) => app_role(page, role.get_ref()),
        (None, None) | (Some(_), Some(_)) => {
            let problem =
                Problem::new("Vault is logged in to with either a `token` or an `approle`");
            page.complain(raw.span(), problem.hint("such as token = \"file://vault-token\""));
            None
        }
    };
    Some(Server { base: base?, namespace, login: login? })
}

fn app_role(page: &mut Page<'_>, raw: &RawAppRole) -> Option<Login> {
    let RawAppRole { mount, role_id, secret_id, wrapped } = raw;
    let mount = match mount {
        Some(mount) => page.take(mount, |text| label(text)),
        None => Some("approle".to_owned()),
    };
    let role = page.take_unshown(role_id, |text| way_in(text));
    let secret = page.take_unshown(secret_id, |text| way_in(text));
    Some(Login::AppRole { mount: mount?, role: role?, secret: secret?, wrapped: *wrapped })
}

/// A reference that needs no Vault to be found.
fn way_in(text: &str) -> Result<SecretRef, Flaw> {
    let found = reference(text)?;
    if found.needs_server() {
        let hint = "keep it elsewhere, such as \"file://vault-token\"";
        return Err(("the way into Vault cannot be in Vault".to_owned(), Some(hint.to_owned())));
    }
    Ok(found)
}

/// A mount or a namespace.
fn label(text: &str) -> Result<String, Flaw> {
    let tame = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/');
    if !text.is_empty() && text.chars().all(tame) && !text.starts_with('/') && !text.contains("//")
    {
        return Ok(text.trim_end_matches('/').to_owned());
    }
    Err((format!("`{text}` has more than letters, digits, `_`, `-` and `/`"), None))
}

/// A reference to a secret, such as `env://GITHUB_TOKEN`.
pub(super) fn reference(text: &str) -> Result<SecretRef, Flaw> {
    const HINT: &str = "write where it is found, such as from = \"env://GITHUB_TOKEN\"; the value itself has no place in this file";
    SecretRef::parse(text).map_err(|error| {
        // The text is not repeated: it may be the secret, pasted by mistake.
        let bartizan_egress::SecretError::BadReference { why, .. } = error else {
            return ("this is not a reference to a secret".to_owned(), Some(HINT.to_owned()));
        };
        (format!("this is not a reference to a secret: {why}"), Some(HINT.to_owned()))
    })
}

pub(super) fn kind_of(text: &str) -> Result<SecretKind, Flaw> {
    text.parse().map_err(|()| {
        let known = SecretKind::ALL.map(|(name, _)| name);
        let hint = match did_you_mean(text, known) {
            Some(likely) => format!("did you mean `{likely}`?"),
            None => format!("known: {}", known.join(", ")),
        };
        (format!("`{text}` is no kind of secret"), Some(hint))
    })
}

/// A variable of the box that holds a placeholder.
pub(super) fn holder(text: &str) -> Result<String, Flaw> {
    if check::is_variable(text) && !check::steers(text) {
        return Ok(text.to_owned());
    }
    let what = format!("`{text}` is no variable that could hold a placeholder");
    Err((
        what,
        Some("name one that a program looks into for its token, such as GH_TOKEN".to_owned()),
    ))
}

/// A variable of ours that a secret's command gets.
fn passed(text: &str) -> Result<String, Flaw> {
    let steering = ["LD_", "BASH_", "PYTHON", "NODE_", "PERL", "RUBY"];
    if check::is_variable(text)
        && !steering.iter().any(|prefix| text.starts_with(prefix))
        && !matches!(text, "PATH" | "ENV" | "IFS")
    {
        return Ok(text.to_owned());
    }
    let what = format!("`{text}` is no variable that a secret's command may get");
    Err((
        what,
        Some("name what the tool itself reads, such as OP_SERVICE_ACCOUNT_TOKEN".to_owned()),
    ))
}

pub(super) fn span(text: &str, most: Duration) -> Result<Duration, Flaw> {
    let found = units::duration(text).map_err(|why| (why.to_owned(), None))?;
    if found > most {
        let what = format!("`{text}` is too long: at most {} s", most.as_secs());
        return Err((what, None));
    }
    Ok(found)
}

/// How long a role can log in that nothing else is said of.
const ROLE_LIVES: Duration = Duration::from_hours(1);
const LIFETIME_MAX: Duration = Duration::from_hours(24);
/// An agent's request waits that long, so no longer than its own patience.
const TIMEOUT_MAX: Duration = Duration::from_mins(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pasted_secret_is_not_repeated() {
        let pasted = ["sk-", "ant-api03-", "0123456789"].concat();
        let (what, hint) = reference(&pasted).unwrap_err();
        assert!(!format!("{what}{hint:?}").contains(&pasted));
        for text in
            ["env://lower_case", "file://x", "file:///x.age", "exec://op read x", "vault://a#b"]
        {
            assert!(reference(text).is_ok(), "{text}");
        }
        for text in ["env://", "env://A=B", "env://1A", "nope://x", "vault://x", "file://../x"] {
            assert!(reference(text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_variable_that_steers_a_program_holds_a_placeholder_or_is_passed_on() {
        assert!(holder("GH_TOKEN").is_ok() && passed("OP_SESSION_x").is_ok());
        for text in ["PATH", "LD_PRELOAD", "HOME", "BARTIZAN_BOX", "a b", ""] {
            assert!(holder(text).is_err(), "{text}");
        }
        for text in ["PATH", "LD_PRELOAD", "PYTHONPATH", "BASH_ENV", "a b", ""] {
            assert!(passed(text).is_err(), "{text}");
        }
    }
}
