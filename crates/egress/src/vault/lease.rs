//! What was minted and must be taken back? Written down before it is minted, struck out once it is gone.

use crate::fault::{Fault, FaultKind};
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

/// A credential that lives outside this process until it is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Our own id, never used before.
    pub id: String,
    /// Which back end can take it back: `vault`, `postgres` or `github`.
    pub back_end: String,
    /// What it is for: a path of Vault, or the name of a secret.
    pub subject: String,
    /// What the back end calls it; `None` from the moment it is asked for until it has answered. Not a secret: a token
    /// that only itself takes back is sealed.
    pub handle: Option<String>,
}

/// Where leases survive this process. Each call is durable before it returns.
pub trait LeaseBook: Send + Sync {
    /// Writes down a lease that is about to be minted, or fills in its handle.
    fn write(&self, lease: &Lease) -> Result<(), String>;
    /// Strikes out a lease that is gone.
    fn strike(&self, id: &str) -> Result<(), String>;
    /// The leases that processes which are no more have left behind.
    fn orphans(&self) -> Result<Vec<Lease>, String>;
    /// Takes down why a lease is still out, and whether a person is to hear of it: not when they were told the same lately,
    /// as long as the back end is away.
    fn is_news(&self, _lease: &Lease, _why: &str) -> bool {
        true
    }
}

impl Lease {
    pub(super) fn new(back_end: &str, subject: &str) -> Result<Self, Fault> {
        Ok(Self {
            id: random_hex()?,
            back_end: back_end.to_owned(),
            subject: subject.to_owned(),
            handle: None,
        })
    }

    pub(super) fn held_as(self, handle: &str) -> Self {
        Self { handle: Some(handle.to_owned()), ..self }
    }
}

/// 64 random bits in hexadecimal.
pub(super) fn random_hex() -> Result<String, Fault> {
    let mut bytes = [0; 8];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Fault::new(FaultKind::Down, "the kernel gives no random bytes"))?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    }))
}

/// No record, no lease.
pub(super) fn unwritten(_: String) -> Fault {
    Fault::new(FaultKind::Down, "the lease cannot be written down, so it is not asked for")
}

/// A book that is lost with the process; for tests of what uses one.
#[derive(Debug, Default)]
pub struct Forgetful {
    leases: Mutex<BTreeMap<String, Lease>>,
}

impl Forgetful {
    /// A book that was left behind with these leases in it.
    pub fn with(leases: impl IntoIterator<Item = Lease>) -> Self {
        let leases = leases.into_iter().map(|lease| (lease.id.clone(), lease)).collect();
        Self { leases: Mutex::new(leases) }
    }

    /// What stands in it.
    pub fn leases(&self) -> Vec<Lease> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

impl LeaseBook for Forgetful {
    fn write(&self, lease: &Lease) -> Result<(), String> {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.insert(lease.id.clone(), lease.clone());
        Ok(())
    }

    fn strike(&self, id: &str) -> Result<(), String> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        Ok(())
    }

    fn orphans(&self) -> Result<Vec<Lease>, String> {
        Ok(self.leases())
    }
}
