//! Has it been called often enough already? Looked at before anybody is asked, and counted in the very commit that
//! puts the call on the log.

use crate::gates::{Identified, Listed};
use crate::limit::Limits;
use crate::name::RoleName;
use crate::refusal::Refusal;
use bartizan_store::{Allowance, Allowances, Entry, Per, Receipt, Spent, StoreError};

/// Proof that there was room for the call, and what it is counted under.
#[derive(Debug)]
pub(crate) struct Limited {
    tool: String,
    under: Vec<Allowance>,
}

pub(crate) fn check(
    limits: &Limits,
    allowances: &dyn Allowances,
    who: &Identified,
    listed: &Listed,
) -> Result<Limited, Refusal> {
    let name = listed.tool().name();
    let roles: Vec<&RoleName> = who.chain().iter().map(|one| &one.role).collect();
    let limited = Limited { tool: name.to_string(), under: limits.on(&roles, name, who.session()) };
    if limited.under.is_empty() {
        return Ok(limited);
    }
    match allowances.spent(&limited.under).map_err(|error| down(&error))? {
        None => Ok(limited),
        Some(spent) => Err(limited.reached(&spent)),
    }
}

impl Limited {
    /// Whether anything is counted.
    pub(crate) fn counts(&self) -> bool {
        !self.under.is_empty()
    }

    /// Counts the call, with its record. Of many at the same time no more pass than may.
    pub(crate) fn count(
        &self,
        allowances: &dyn Allowances,
        intent: Entry,
    ) -> Result<Receipt, Refusal> {
        let counted = allowances.spend(self.under.clone(), intent).map_err(|error| down(&error))?;
        counted.map_err(|spent| self.reached(&spent))
    }

    fn reached(&self, spent: &Spent) -> Refusal {
        let limit = self.under.get(spent.which).map_or_else(String::new, shown);
        let frees = match spent.free_in_ms {
            None => "nothing more of it happens in this session".to_owned(),
            Some(ms) => format!("the next one may be made in {}", span(ms)),
        };
        Refusal::LimitReached { tool: self.tool.clone(), limit, frees }
    }
}

fn down(error: &StoreError) -> Refusal {
    Refusal::LedgerUnavailable { cause: error.to_string() }
}

fn shown(allowance: &Allowance) -> String {
    let per = match allowance.per {
        Per::Minute => "a minute",
        Per::Day => "a day",
        Per::Session(_) => "a session",
    };
    format!("{} {} {per}", allowance.most, allowance.key)
}

/// A time in words, rounded up.
fn span(ms: u64) -> String {
    let (seconds, minutes) = (ms.div_ceil(1000).max(1), ms.div_ceil(60_000));
    match seconds {
        1..=120 => format!("{seconds} s"),
        121..=7200 => format!("{minutes} min"),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}
