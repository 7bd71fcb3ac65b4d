//! What becomes of a value that its host turned away?

use super::{Origin, Vault, keeping};
use bartizan_gate::name::SecretName;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// When each secret was last forgotten because a host turned it away.
#[derive(Default)]
pub(super) struct Turned(Mutex<HashMap<SecretName, Instant>>);

impl Vault {
    /// Says that a host turned a value of this secret away (401), as it does once a token was revoked there. Whether
    /// the value is now forgotten, so that the next use asks for a new one. Only a value that was kept is, and none twice
    /// within five minutes: a host that turns everything away must not make us mint without end.
    pub fn turned_away(&self, name: &SecretName) -> bool {
        let Ok(declared) = self.declared(name) else { return false };
        let kept = match &declared.from {
            Origin::At(reference) => !keeping(reference, declared).is_zero(),
            Origin::Token(_) => true,
            // What signs or logs in is not turned away like this.
            Origin::Aws(_) | Origin::Role(_) => false,
        };
        kept && self.forget_once(name)
    }

    /// The same of keys that sign, which are turned away with the words for it: 403, and why.
    pub(crate) fn keys_turned_away(&self, name: &SecretName) -> bool {
        let Ok(declared) = self.declared(name) else { return false };
        let kept = match &declared.from {
            Origin::Aws(identity) => !identity.keeping(declared).is_zero(),
            Origin::At(_) | Origin::Role(_) | Origin::Token(_) => false,
        };
        kept && self.forget_once(name)
    }

    fn forget_once(&self, name: &SecretName) -> bool {
        let now = Instant::now();
        let mut turned = self.0.turned.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = turned.get(name).is_some_and(|at| now.duration_since(*at) < TURNED);
        if !lately {
            turned.insert(name.clone(), now);
            self.forget(name);
        }
        !lately
    }
}

/// How long a secret that was turned away is not asked for anew, should it be turned away again.
const TURNED: Duration = Duration::from_mins(5);
