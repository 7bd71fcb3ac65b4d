//! Whom does the configuration let in, and as what? The roles that there are, and the certificates that give one; both may
//! change while clients are in.

use crate::config::mtls::{Certified, Demand, Mtls, Name};
use bartizan_mcp::front::Certificate;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

/// What is in force now. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Admits(Arc<RwLock<Arc<Known>>>);

/// What the configuration says.
#[derive(Debug, Default)]
pub(super) struct Known {
    roles: BTreeSet<String>,
    mtls: Option<Mtls>,
}

/// Why a certificate gives no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nameless {
    /// Its names give several, and nothing says which is meant.
    Ambiguous,
    /// Its names give roles, but not the one that the token has.
    AnotherRole,
    /// No name of it gives one.
    NotMapped,
}

impl Nameless {
    /// The code for the log.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Ambiguous => "certificate-ambiguous",
            Self::AnotherRole => "certificate-of-another-role",
            Self::NotMapped => "certificate-not-mapped",
        }
    }
}

impl Admits {
    pub(super) fn new(roles: BTreeSet<String>, mtls: Option<Mtls>) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(Known { roles, mtls }))))
    }

    /// What is in force now.
    pub(super) fn known(&self) -> Arc<Known> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another word of the configuration's in force. Where certificates were asked for and are spoken of no more,
    /// nobody's is good for anything: a table that was deleted opens no door.
    pub(crate) fn replace(&self, roles: BTreeSet<String>, mtls: Option<Mtls>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let closed = || Mtls { demand: Demand::Both, revoked: None, roles: Vec::new() };
        let mtls = mtls.or_else(|| known.mtls.is_some().then(closed));
        *known = Arc::new(Known { roles, mtls });
    }
}

impl Known {
    pub(super) fn roles(&self) -> &BTreeSet<String> {
        &self.roles
    }

    /// Whether there is such a role.
    pub(super) fn has_role(&self, role: &str) -> bool {
        self.roles.contains(role)
    }

    /// What a client has to show; `None` when its certificate is not looked at.
    pub(super) fn demand(&self) -> Option<Demand> {
        self.mtls.as_ref().map(|mtls| mtls.demand)
    }

    /// Whether a name still gives a role.
    pub(super) fn gives(&self, name: &str, role: &str) -> bool {
        let gives = |one: &Certified| one.role.as_str() == role && one.name.to_string() == name;
        self.mtls.as_ref().is_some_and(|mtls| mtls.roles.iter().any(gives))
    }

    /// The name by which a certificate gives a role, and the role: that of the token beside it, or else the only one.
    pub(super) fn certified(
        &self,
        certificate: &Certificate,
        beside: Option<&str>,
    ) -> Result<(String, String), Nameless> {
        let stands = |one: &&Certified| match &one.name {
            Name::Dns(name) => certificate.dns.contains(name),
            Name::Uri(name) => certificate.uris.contains(name),
        };
        let given = self.mtls.iter().flat_map(|mtls| &mtls.roles).filter(stands);
        let given: Vec<&Certified> = given.collect();
        let first = *given.first().ok_or(Nameless::NotMapped)?;
        let meant = match beside {
            Some(role) => {
                let meant = given.into_iter().find(|one| one.role.as_str() == role);
                meant.ok_or(Nameless::AnotherRole)?
            }
            None if given.iter().any(|one| one.role != first.role) => {
                return Err(Nameless::Ambiguous);
            }
            None => first,
        };
        Ok((meant.name.to_string(), meant.role.to_string()))
    }
}
