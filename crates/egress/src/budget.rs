//! How much may a host, or a session, still take? Counted across all connections.

use crate::name::HostPort;
use crate::refuse::{Refusal, Status};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What may go to one host, or to all of them together; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests.
    pub requests: Option<u64>,
    /// Bytes that leave, as they go over the wire.
    pub bytes_out: Option<u64>,
    /// Bytes of one request's body.
    pub body: Option<u64>,
}

/// What is left of some [`Limits`].
#[derive(Debug)]
pub(crate) struct Allowance {
    requests: AtomicU64,
    bytes: AtomicU64,
    body: u64,
}

impl Allowance {
    fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            requests: AtomicU64::new(limits.requests.unwrap_or(u64::MAX)),
            bytes: AtomicU64::new(limits.bytes_out.unwrap_or(u64::MAX)),
            body: limits.body.unwrap_or(u64::MAX),
        })
    }

    pub(crate) fn bytes_left(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn spend_bytes(&self, count: u64) {
        let spent = |left: u64| Some(left.saturating_sub(count));
        // `Some` is always returned, so this always succeeds.
        let _before = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spent);
    }

    fn take_request(&self) -> bool {
        let one = |left: u64| left.checked_sub(1);
        self.requests.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one).is_ok()
    }
}

/// The allowances of one session.
#[derive(Debug)]
pub struct Allowances {
    session: Arc<Allowance>,
    hosts: HashMap<HostPort, Arc<Allowance>>,
}

impl Default for Allowances {
    /// No limits.
    fn default() -> Self {
        Self::new(Limits::default(), [])
    }
}

impl Allowances {
    /// Full allowances: for the session as a whole, and for some hosts.
    pub fn new(session: Limits, hosts: impl IntoIterator<Item = (HostPort, Limits)>) -> Self {
        let hosts = hosts.into_iter().map(|(host, limits)| (host, Allowance::new(limits)));
        Self { session: Allowance::new(session), hosts: hosts.collect() }
    }

    /// What a connection to `target` draws on.
    pub(crate) fn of(&self, target: &HostPort) -> Vec<Arc<Allowance>> {
        let host = self.hosts.get(target).map(Arc::clone);
        host.into_iter().chain([Arc::clone(&self.session)]).collect()
    }

    /// How many bytes one body to `target` may have.
    pub(crate) fn body(&self, target: &HostPort) -> u64 {
        self.of(target).iter().map(|allowance| allowance.body).min().unwrap_or(u64::MAX)
    }

    /// Takes one request off, or refuses it; `size` is what it announces of its body. A body that announces nothing is
    /// counted as it goes.
    pub(crate) fn take_request(&self, target: &HostPort, size: Option<u64>) -> Result<(), Refusal> {
        if size.is_some_and(|size| size > self.body(target)) {
            return Err(too_large());
        }
        let drawn = self.of(target);
        if drawn.iter().any(|allowance| allowance.bytes_left() == 0) {
            return Err(spent("bytes"));
        }
        if drawn.iter().all(|allowance| allowance.take_request()) {
            Ok(())
        } else {
            Err(spent("requests"))
        }
    }
}

pub(crate) fn too_large() -> Refusal {
    let sentence = "the request's body is larger than this host or session may get";
    Refusal::new(Status::BodyTooLarge, "body-too-large", sentence)
}

pub(crate) fn spent(what: &str) -> Refusal {
    let sentence = format!("the budget of {what} for this host or session is used up");
    Refusal::new(Status::Forbidden, "budget-spent", sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_stopped_by_its_own_limit_and_by_the_sessions() {
        let (one, two) =
            (HostPort::parse("a.test:443").unwrap(), HostPort::parse("b.test:443").unwrap());
        let two_each = Limits { requests: Some(2), bytes_out: Some(10), ..Limits::default() };
        let three = Limits { requests: Some(3), ..Limits::default() };
        let allowances = Allowances::new(three, [(one.clone(), two_each)]);
        assert!(allowances.take_request(&one, None).is_ok());
        assert!(allowances.take_request(&one, None).is_ok());
        assert_eq!(allowances.take_request(&one, None).unwrap_err().code(), "budget-spent");
        assert!(allowances.take_request(&two, None).is_ok());
        assert!(allowances.take_request(&two, None).is_err(), "the session's three are gone");
    }

    #[test]
    fn bytes_are_counted_across_connections() {
        let host = HostPort::parse("a.test:443").unwrap();
        let ten = Limits { bytes_out: Some(10), ..Limits::default() };
        let allowances = Allowances::new(Limits::default(), [(host.clone(), ten)]);
        for allowance in allowances.of(&host) {
            allowance.spend_bytes(11);
        }
        assert!(allowances.of(&host).iter().any(|allowance| allowance.bytes_left() == 0));
        assert!(allowances.take_request(&host, None).is_err());
    }
}
