//! Under which names is `bartizan serve` reached, and whose tokens does it take? `[serve]` and `[serve.oauth]`; `[serve.mtls]` has a room of its own.

use super::check::Flaw;
use super::mtls::{self, Mtls};
use super::page::{Page, name_flaw};
use super::raw::{At, RawClaim, RawIssuer, RawServe};
use super::units;
use crate::report::{Problem, did_you_mean};
use bartizan_egress::Upstream;
use bartizan_gate::name::RoleName;
use bartizan_mcp::signed::{Algorithm, Expected};
use std::path::PathBuf;
use std::time::Duration;

/// How clients come in over the network.
#[derive(Debug, Clone, Default)]
pub(crate) struct Serve {
    /// The names that a `Host` header may have, beside this machine's own on a loopback address.
    pub(crate) hosts: Vec<String>,
    /// The pages that may ask, as `Origin` gives them.
    pub(crate) origins: Vec<String>,
    /// What the certificates of clients are worth.
    pub(crate) mtls: Option<Mtls>,
    /// The issuer whose tokens count.
    pub(crate) oauth: Option<Oauth>,
}

/// An issuer, and what its tokens are worth.
#[derive(Debug, Clone)]
pub(crate) struct Oauth {
    /// What a token must say.
    pub(crate) expected: Expected,
    /// Where its keys are.
    pub(crate) keys: Keys,
    /// Which role a claim gives; the first that fits counts.
    pub(crate) roles: Vec<Claim>,
}

/// Where an issuer's keys are.
#[derive(Debug, Clone)]
pub(crate) enum Keys {
    /// In a file.
    File(PathBuf),
    /// At an address.
    Url(Upstream),
}

/// A claim that gives a role.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    /// Its path.
    pub(crate) path: String,
    /// What it must say.
    pub(crate) has: String,
    /// The role.
    pub(crate) role: RoleName,
}

/// Reads `[serve]`; `None` when something is wrong with it, which the page then says.
pub(super) fn read(page: &mut Page<'_>, raw: &RawServe) -> Option<Serve> {
    let RawServe { hosts, origins, mtls, oauth } = raw;
    let hosts = page.list(hosts.as_ref(), |text| host(text));
    let origins = page.list(origins.as_ref(), |text| origin(text));
    let oauth = match oauth {
        Some(raw) => Some(issuer(page, raw)?),
        None => None,
    };
    let mtls = match mtls {
        Some(raw) => Some(mtls::read(page, raw)?),
        None => None,
    };
    let (hosts, origins) = (hosts.unwrap_or_default(), origins.unwrap_or_default());
    Some(Serve { hosts, origins, mtls, oauth })
}

fn issuer(page: &mut Page<'_>, raw: &At<RawIssuer>) -> Option<Oauth> {
    let RawIssuer { issuer, audience, jwks, algorithms, leeway, roles } = raw.get_ref();
    let issuer = page.take(issuer, |text| identifier(text));
    let audience = page.take(audience, |text| identifier(text));
    let keys = page.take(jwks, |text| keys(text));
    let listed = page.list(algorithms.as_ref(), |text| algorithm(text));
    let leeway = page.take_option(leeway.as_ref(), |text| near(text));
    if roles.is_empty() {
        let problem =
            Problem::new("no claim gives a role, so no token of this issuer is good for anything");
        let hint = "such as: [[serve.oauth.roles]] with claim = \"scope\", has = \"mcp\", role = \"coder\"";
        page.complain(raw.span(), problem.hint(hint));
        return None;
    }
    let roles: Vec<_> = roles.iter().map(|raw| claim(page, raw.get_ref())).collect();
    let roles: Option<Vec<_>> = roles.into_iter().collect();
    let expected = Expected {
        issuer: issuer?,
        audience: audience?,
        algorithms: listed.filter(|list| !list.is_empty()).unwrap_or(Algorithm::ALL.to_vec()),
        leeway_s: leeway.unwrap_or(LEEWAY).as_secs(),
    };
    Some(Oauth { expected, keys: keys?, roles: roles? })
}

fn claim(page: &mut Page<'_>, raw: &RawClaim) -> Option<Claim> {
    let RawClaim { claim, has, role } = raw;
    let word = |text: &String| {
        let plain = !text.is_empty() && !text.chars().any(char::is_control);
        let flaw = || ("a claim and what it has are texts that are not empty".to_owned(), None);
        plain.then(|| text.clone()).ok_or_else(flaw)
    };
    let (claim, has) = (page.take(claim, word), page.take(has, word));
    let role = page.take(role, |text| RoleName::parse(text).map_err(|error| name_flaw(&error)));
    Some(Claim { path: claim?, has: has?, role: role? })
}

pub(super) fn host(text: &str) -> Result<String, Flaw> {
    let tame = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    if !text.is_empty() && text.chars().all(tame) {
        return Ok(text.to_owned());
    }
    let hint = "write it as a client does: \"mcp.example.com\" or \"mcp.example.com:8443\"";
    Err((format!("`{text}` is no host"), Some(hint.to_owned())))
}

fn origin(text: &str) -> Result<String, Flaw> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match rest {
        Some(rest) if host(rest).is_ok() => Ok(text.to_owned()),
        _ => {
            let hint = "write scheme and host alone, such as \"https://app.example.com\"";
            Err((format!("`{text}` is no origin"), Some(hint.to_owned())))
        }
    }
}

/// An issuer or an audience: compared to the letter, and written into a header.
fn identifier(text: &str) -> Result<String, Flaw> {
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\');
    if !text.is_empty() && text.len() <= 512 && text.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    Err((format!("`{text}` cannot be an issuer or an audience"), None))
}

fn keys(text: &str) -> Result<Keys, Flaw> {
    if text.starts_with('/') {
        return Ok(Keys::File(PathBuf::from(text)));
    }
    let hint =
        "write https://… or the absolute path of a file; http is for loopback addresses alone";
    Upstream::parse(text).map(Keys::Url).map_err(|error| (error.to_string(), Some(hint.to_owned())))
}

fn algorithm(text: &str) -> Result<Algorithm, Flaw> {
    Algorithm::parse(text).ok_or_else(|| {
        let known = Algorithm::ALL.map(Algorithm::as_str);
        let hint = match did_you_mean(text, known) {
            Some(likely) => format!("did you mean `{likely}`?"),
            None => format!("known: {}; neither `none` nor a shared secret is", known.join(", ")),
        };
        (format!("`{text}` is no algorithm that is taken here"), Some(hint))
    })
}

fn near(text: &str) -> Result<Duration, Flaw> {
    let found = units::duration(text).map_err(|why| (why.to_owned(), None))?;
    if found > LEEWAY_MAX {
        let what = format!("`{text}` is too long: at most {} s", LEEWAY_MAX.as_secs());
        return Err((what, None));
    }
    Ok(found)
}

const LEEWAY: Duration = Duration::from_secs(30);
const LEEWAY_MAX: Duration = Duration::from_mins(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_weaken_a_check_is_refused() {
        for text in ["none", "HS256", "rs256", ""] {
            assert!(algorithm(text).is_err(), "{text}");
        }
        for text in [
            "http://id.example/keys",
            "HTTP://id.example/keys",
            "http://localhost.example/keys",
            "http://127.0.0.1.example/keys",
            "http://127.0.0.1@id.example/keys",
            "http://10.0.0.1/keys",
            "http://169.254.169.254/keys",
            "http://[::ffff:10.0.0.1]/keys",
            "http://0.0.0.0/keys",
            "keys.json",
            "ftp://x",
            "",
        ] {
            assert!(keys(text).is_err(), "{text}");
        }
        for text in ["*", "https://*", "https://a/b", "null", "a"] {
            assert!(origin(text).is_err(), "{text}");
        }
        for text in ["*", "", "a b", "a/b", "user@a"] {
            assert!(host(text).is_err(), "{text}");
        }
        assert!(near("3m").is_err() && near("30s").is_ok());
        assert!(matches!(keys("https://id.example/keys"), Ok(Keys::Url(_))));
        assert!(matches!(keys("http://127.0.0.1:8080/keys"), Ok(Keys::Url(_))));
        assert!(matches!(keys("/etc/keys.json"), Ok(Keys::File(_))));
        assert!(identifier("a\"b").is_err() && identifier("https://id.example").is_ok());
    }
}
