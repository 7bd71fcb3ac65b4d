//! Which role does a session get? One of its own, that ends by itself, and is dropped before.

use super::wire::{Link, Undone};
use super::{Account, log_in, scram, wire};
use crate::fault::{Fault, FaultKind};
use crate::reference::SecretRef;
use crate::resolve::Resolver;
use crate::secret::SecretValue;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::time::Duration;

/// How a role is made for a session.
#[derive(Debug, Clone)]
pub struct RoleMint {
    /// The database, and the role that may make roles.
    pub admin: Account,
    /// That role's password.
    pub password: SecretRef,
    /// The roles whose rights the new one has.
    pub member_of: Vec<String>,
    /// How long the new one can log in.
    pub lives: Duration,
}

impl RoleMint {
    /// A name for the new role. It is chosen before the role is made, so that it can be written down first.
    pub(crate) fn name(random: &str) -> String {
        format!("{PREFIX}{random}")
    }

    /// Reaches the server as the role that makes others.
    pub(crate) async fn reach(
        &self,
        resolver: &Resolver,
        admin: &SecretValue,
    ) -> Result<Link, Fault> {
        Ok(log_in(resolver, &self.admin, admin, &[]).await?.0)
    }

    /// Makes the role, and gives its password. The server gets a verifier, so that the password is in none of its logs.
    pub(crate) async fn make(&self, link: &mut Link, name: &str) -> Result<SecretValue, Undone> {
        let (statement, password) = self.order(name).map_err(Undone::Refused)?;
        wire::execute(link, &statement).await?;
        Ok(password)
    }

    /// The statement that makes it, and its password.
    fn order(&self, name: &str) -> Result<(String, SecretValue), Fault> {
        checked(name)?;
        for parent in &self.member_of {
            checked(parent)?;
        }
        let password = URL_SAFE_NO_PAD.encode(scram::random::<24>()?).into_bytes();
        let verifier = scram::verifier(&password)?;
        let password = SecretValue::new(password);
        let parents: Vec<String> =
            self.member_of.iter().map(|parent| format!("\"{parent}\"")).collect();
        let parents = if parents.is_empty() {
            String::new()
        } else {
            format!(" IN ROLE {}", parents.join(", "))
        };
        // The server's own clock says until when.
        let statement = format!(
            "DO $mint$ BEGIN EXECUTE format('CREATE ROLE \"{name}\" LOGIN CONNECTION LIMIT {CONNECTIONS}{parents} \
             PASSWORD %L VALID UNTIL %L', '{verifier}', now() + interval '{} seconds'); END $mint$",
            self.lives.as_secs().max(1)
        );
        Ok((statement, password))
    }

    /// Ends the role's sessions and drops it. What it owns goes to the role that made it, since it may be work.
    pub(crate) async fn drop_role(
        &self,
        resolver: &Resolver,
        admin: &SecretValue,
        name: &str,
    ) -> Result<(), Fault> {
        checked(name)?;
        if !name.starts_with(PREFIX) {
            return Err(Fault::new(
                FaultKind::Unsafe,
                "the role is none that was made for a session",
            ));
        }
        let statement = format!(
            "DO $drop$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}') THEN \
             ALTER ROLE \"{name}\" NOLOGIN; \
             PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{name}'; \
             GRANT \"{name}\" TO CURRENT_USER; REASSIGN OWNED BY \"{name}\" TO CURRENT_USER; \
             DROP OWNED BY \"{name}\"; DROP ROLE \"{name}\"; END IF; END $drop$"
        );
        let mut link = self.reach(resolver, admin).await?;
        wire::execute(&mut link, &statement).await.map_err(Undone::fault)
    }
}

/// Names go into statements between quotes, so they have no character that could end those.
fn checked(name: &str) -> Result<(), Fault> {
    let tame = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if !name.is_empty() && name.len() <= 63 && name.bytes().all(tame) {
        return Ok(());
    }
    Err(Fault::new(FaultKind::Malformed, "a role's name has letters, digits, `_` and `-`"))
}

const PREFIX: &str = "bartizan_";
const CONNECTIONS: u32 = 20;
