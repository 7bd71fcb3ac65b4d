//! What if a name is a place in the keyring? Then its value is put there instead of into a sealed file.

use super::{Desk, failure, given, load};
use crate::cli::exit;
use crate::report::{Failure, Problem};
use bartizan_egress::{SecretError, SecretRef, Vault};
use std::future::Future;

/// The place that `name` is; `None` when it is the name of a sealed file.
pub(super) fn place(name: &str) -> Result<Option<SecretRef>, Failure> {
    if !name.contains("://") {
        return Ok(None);
    }
    match SecretRef::parse(name) {
        Ok(place) if place.scheme() == "keyring" => Ok(Some(place)),
        Ok(_) => {
            let problem = Problem::new("values are kept in sealed files and in the keyring alone")
                .hint("write NAME, or keyring://SERVICE/ACCOUNT");
            Err(Failure::new(exit::NO, problem))
        }
        Err(error) => Err(Failure::new(exit::NO, Problem::new(error.to_string()))),
    }
}

pub(super) fn set(place: &SecretRef, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    let value = given(&place.to_string(), desk)?;
    wait(Vault::system().put(place, &value))?;
    desk.voice.say(&format!("`{place}` is in the keyring"))?;
    let config = load(desk)?;
    let used = |secret: &crate::config::Secret| secret.declared.from.reference() == Some(place);
    if !config.secrets.values().any(used) {
        desk.voice.say(&format!("  hint: use it with [secrets.NAME] from = \"{place}\""))?;
    }
    Ok(exit::DONE)
}

pub(super) fn remove(place: &SecretRef, desk: &mut Desk<'_>) -> Result<u8, Failure> {
    if wait(Vault::system().remove(place))? {
        desk.voice.say(&format!("removed `{place}`"))?;
        return Ok(exit::DONE);
    }
    let problem = Problem::new(format!("the keyring has no `{place}`"))
        .hint("see what is configured: bartizan secret list");
    Err(Failure::new(exit::NO, problem))
}

fn wait<T>(work: impl Future<Output = Result<T, SecretError>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(work).map_err(|error| match error {
        SecretError::BackEnd { fault, .. } => failure(&fault),
        other => Failure::new(exit::NO, Problem::new(other.to_string())),
    })
}
