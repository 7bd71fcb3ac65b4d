//! Who is a client by its certificate? `[serve.mtls]`: which names give which role, and what must be shown besides.
//!
//! A name is one of the certificate's subject alternative names, to the letter. A subject is not looked at: its parts are
//! free text, which authorities fill in as they like.

use super::check::Flaw;
use super::page::{Page, name_flaw};
use super::raw::{At, RawCertified, RawMtls};
use crate::report::{Problem, did_you_mean};
use bartizan_gate::name::RoleName;
use std::fmt;
use std::path::PathBuf;

/// What the certificates of clients are worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mtls {
    /// What a client has to show.
    pub(crate) demand: Demand,
    /// Where the lists of certificates are that count no more, if there are any.
    pub(crate) revoked: Option<PathBuf>,
    /// Which role a name gives.
    pub(crate) roles: Vec<Certified>,
}

/// What a client has to show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Demand {
    /// A certificate and a token, of the same role.
    #[default]
    Both,
    /// A certificate.
    Certificate,
    /// A certificate or a token.
    Either,
}

/// A name that gives a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certified {
    /// The name.
    pub(crate) name: Name,
    /// The role.
    pub(crate) role: RoleName,
}

/// A name in a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    /// Of a host, in lower case.
    Dns(String),
    /// Another address.
    Uri(String),
}

impl Demand {
    const ALL: [(&'static str, Self); 3] =
        [("both", Self::Both), ("certificate", Self::Certificate), ("either", Self::Either)];
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "dns:{name}"),
            Self::Uri(name) => write!(f, "uri:{name}"),
        }
    }
}

/// Reads `[serve.mtls]`; `None` when something is wrong with it, which the page then says.
pub(super) fn read(page: &mut Page<'_>, raw: &At<RawMtls>) -> Option<Mtls> {
    let RawMtls { demand, revoked, roles } = raw.get_ref();
    let said = page.take_option(demand.as_ref(), |text| self::demand(text));
    if demand.is_some() && said.is_none() {
        return None;
    }
    let demand = said.unwrap_or_default();
    let lists = page.take_option(revoked.as_ref(), |text| file(text));
    if revoked.is_some() && lists.is_none() {
        return None;
    }
    if roles.is_empty() {
        let problem = Problem::new("no name gives a role, so no certificate is good for anything");
        let hint = "such as: [[serve.mtls.roles]] with uri = \"spiffe://example.com/laptop\", role = \"coder\"";
        page.complain(raw.span(), problem.hint(hint));
        return None;
    }
    let mut read: Vec<Certified> = Vec::new();
    let mut whole = true;
    for raw in roles {
        let Some(one) = certified(page, raw) else {
            whole = false;
            continue;
        };
        let another = |known: &&Certified| known.name == one.name && known.role != one.role;
        // With a token beside it, the token chooses among the roles of a name.
        if let Some(other) = read.iter().find(another)
            && demand != Demand::Both
        {
            let what = format!("`{}` has the role `{}` already", one.name, other.role);
            let hint = "only with demand = \"both\" may a name have several roles: there the token says which";
            page.complain(raw.span(), Problem::new(what).hint(hint));
            whole = false;
        }
        read.push(one);
    }
    whole.then_some(Mtls { demand, revoked: lists, roles: read })
}

fn certified(page: &mut Page<'_>, raw: &At<RawCertified>) -> Option<Certified> {
    let RawCertified { dns, uri, role } = raw.get_ref();
    let role = page.take(role, |text| RoleName::parse(text).map_err(|error| name_flaw(&error)));
    let name = match (dns, uri) {
        (Some(name), None) => page.take(name, |text| self::dns(text)),
        (None, Some(name)) => page.take(name, |text| self::uri(text)),
        (Some(_), Some(_)) | (None, None) => {
            let problem = Problem::new("a role is given by one name");
            page.complain(raw.span(), problem.hint("write either uri = \"…\" or dns = \"…\""));
            None
        }
    };
    Some(Certified { name: name?, role: role? })
}

fn demand(text: &str) -> Result<Demand, Flaw> {
    let known = Demand::ALL.into_iter().find(|(word, _)| *word == text);
    known.map(|(_, demand)| demand).ok_or_else(|| {
        let hint = match did_you_mean(text, Demand::ALL.map(|(word, _)| word)) {
            Some(likely) => format!("did you mean `{likely}`?"),
            None => "write \"both\", \"certificate\" or \"either\"".to_owned(),
        };
        (format!("`{text}` is nothing that can be demanded"), Some(hint))
    })
}

fn file(text: &str) -> Result<PathBuf, Flaw> {
    if text.starts_with('/') && !text.contains('\0') {
        return Ok(PathBuf::from(text));
    }
    let hint = "write the absolute path of a file with revocation lists in PEM";
    Err((format!("`{text}` is no absolute path"), Some(hint.to_owned())))
}

fn dns(text: &str) -> Result<Name, Flaw> {
    let tame = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let whole = !text.starts_with('.') && !text.ends_with('.') && !text.contains("..");
    if !text.is_empty() && text.len() <= 253 && text.bytes().all(tame) && whole {
        return Ok(Name::Dns(text.to_ascii_lowercase()));
    }
    let hint = "write a whole name, such as \"laptop.example.com\"; there are no patterns";
    Err((format!("`{text}` is no name of a host"), Some(hint.to_owned())))
}

fn uri(text: &str) -> Result<Name, Flaw> {
    let scheme = text.split_once(':').map(|(scheme, _)| scheme).unwrap_or_default();
    let has_scheme = scheme.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    let plain = |b: u8| b.is_ascii_graphic() && b != b'*';
    if has_scheme && text.len() <= 2048 && text.bytes().all(plain) {
        return Ok(Name::Uri(text.to_owned()));
    }
    let hint = "write it as it stands in the certificate, such as \"spiffe://example.com/laptop\"; there are no patterns";
    Err((format!("`{text}` is no URI"), Some(hint.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_whole_and_one_reading() {
        for text in ["", "*", "*.example.com", ".example.com", "a..b", "a b", "ä.example", "a:1"] {
            assert!(dns(text).is_err(), "{text}");
        }
        for text in ["", "laptop", "://x", "spiffe://a/*", "spiffe://a b", "spiffe://ä", "1:x"] {
            assert!(uri(text).is_err(), "{text}");
        }
        assert_eq!(dns("Laptop.Example.com"), Ok(Name::Dns("laptop.example.com".to_owned())));
        let kept = "spiffe://Example.com/a";
        assert_eq!(uri(kept), Ok(Name::Uri(kept.to_owned())));
        assert!(file("revoked.pem").is_err() && file("").is_err() && file("/a/b.pem").is_ok());
        assert!(demand("token").is_err() && demand("Both").is_err());
        assert_eq!(demand("either"), Ok(Demand::Either));
    }
}
