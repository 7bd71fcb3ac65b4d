//! What is a token of the configured issuer worth here? Its keys are read again when one is unknown, but never at the pace
//! of whoever sends unknown ones.

use crate::config::serve::{Claim, Keys, Oauth};
use bartizan_egress::Published;
use bartizan_mcp::signed::{self, Claims, Expected, Flaw, KeySet};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// An issuer whose tokens count.
pub(crate) struct Issuer {
    expected: Expected,
    roles: Vec<Claim>,
    source: Source,
    held: RwLock<Held>,
    /// When they were last asked for, whatever came of it. One asks, the others wait for what it gets.
    asked: Mutex<Option<Instant>>,
}

enum Source {
    File(PathBuf),
    Url(Published),
}

struct Held {
    keys: Arc<KeySet>,
    since: Option<Instant>,
}

/// Why a token of an issuer gives nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is good, and no claim of it gives a role.
    NoRole,
    /// The issuer's keys cannot be had.
    NoKeys,
    /// It is not good.
    Worthless(Flaw),
}

impl Issuer {
    pub(crate) fn new(configured: Oauth) -> Self {
        let source = match configured.keys {
            Keys::File(path) => Source::File(path),
            Keys::Url(from) => Source::Url(Published::at(from)),
        };
        Self::over(configured.expected, configured.roles, source)
    }

    fn over(expected: Expected, roles: Vec<Claim>, source: Source) -> Self {
        let held = RwLock::new(Held { keys: Arc::default(), since: None });
        Self { expected, roles, source, held, asked: Mutex::default() }
    }

    /// Who signs.
    pub(crate) fn name(&self) -> &str {
        &self.expected.issuer
    }

    /// Who we are to it.
    pub(crate) fn audience(&self) -> &str {
        &self.expected.audience
    }

    /// The scopes that give a role.
    pub(crate) fn scopes(&self) -> Vec<&str> {
        let scopes = self.roles.iter().filter(|role| matches!(role.path.as_str(), "scope" | "scp"));
        scopes.map(|role| role.has.as_str()).collect()
    }

    /// Reads the keys for the first time, so that what is wrong with them shows at the start.
    pub(crate) async fn begin(&self) -> Result<(), String> {
        self.read().await
    }

    /// The claims of a token, the role they give, and when that ends, in seconds since 1970. `holder` is the SHA-256 of the
    /// certificate that was shown beside it.
    pub(crate) async fn judge(
        &self,
        token: &str,
        now_s: u64,
        holder: Option<&[u8; 32]>,
    ) -> Result<(Claims, String, u64), Refused> {
        let check = |keys: &KeySet| signed::check(token, keys, &self.expected, now_s, holder);
        let keys = self.fresh().await?;
        let mut judged = check(&keys);
        if matches!(judged, Err(Flaw::KeyUnknown)) {
            self.again().await;
            // Read anew by us, or by another who asked first while we waited.
            let newer = self.fresh().await?;
            if !Arc::ptr_eq(&keys, &newer) {
                judged = check(&newer);
            }
        }
        let claims = judged.map_err(Refused::Worthless)?;
        let given = self.roles.iter().find(|role| claims.says(&role.path, &role.has));
        let role = given.ok_or(Refused::NoRole)?.role.to_string();
        let ends_s = claims.expires_s().saturating_add(self.expected.leeway_s);
        Ok((claims, role, ends_s))
    }

    /// Keys that are not too old. When they cannot be read anew, the ones that were good stay so for a while.
    async fn fresh(&self) -> Result<Arc<KeySet>, Refused> {
        let age = self.age();
        if age.is_none_or(|age| age > RENEW) {
            self.again().await;
        }
        match self.age() {
            Some(age) if age <= STALE => Ok(self.keys()),
            _ => Err(Refused::NoKeys),
        }
    }

    /// Reads the keys again, unless that was done a moment ago. When they cannot be read, those that are held stay.
    async fn again(&self) {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|at| at.elapsed() < PACE) {
            return;
        }
        *asked = Some(Instant::now());
        drop(self.read().await);
    }

    async fn read(&self) -> Result<(), String> {
        let bytes = match &self.source {
            Source::File(path) => {
                std::fs::read(path).map_err(|error| format!("`{}`: {error}", path.display()))?
            }
            Source::Url(published) => published.read().await.map_err(|fault| fault.to_string())?,
        };
        let keys =
            KeySet::parse(&bytes).map_err(|error| format!("the issuer's key set: {error}"))?;
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        *held = Held { keys: Arc::new(keys), since: Some(Instant::now()) };
        Ok(())
    }

    fn age(&self) -> Option<Duration> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).since.map(|since| since.elapsed())
    }

    fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner).keys)
    }
}

/// How often the keys are read anew without a reason.
const RENEW: Duration = Duration::from_mins(10);
/// How long keys are good that cannot be read anew.
const STALE: Duration = Duration::from_hours(1);
/// How often they are read at most, whoever asks.
const PACE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
