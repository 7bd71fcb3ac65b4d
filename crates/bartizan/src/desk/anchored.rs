//! May anything be done while nobody elsewhere holds the end of the log? Where an anchor is required, no intent is taken
//! when the newest lags too far behind; what was refused, and what people say, still goes on the log.

use crate::clock::{distance, now_ms};
use crate::config::audit::Audit;
use bartizan_store::{
    Allowance, Allowances, Durability, Entry, Event, Ledger, LedgerError, Receipt, Spent, Store,
    StoreError,
};
use std::time::Duration;

/// Under which name the newest anchor stands in the store.
pub(crate) const ANCHOR: &str = "anchor";

/// The log, as a gate sees it that needs an anchor.
pub(crate) struct Anchored {
    store: Store,
    terms: Audit,
}

impl Anchored {
    pub(crate) fn new(store: Store, terms: Audit) -> Self {
        Self { store, terms }
    }

    /// What keeps the log from being anchored far enough, if anything does.
    fn lag(&self) -> Result<Option<String>, StoreError> {
        let Audit { anchor_age, anchor_records, .. } = self.terms;
        if anchor_age.is_none() && anchor_records.is_none() {
            return Ok(None);
        }
        let Some(anchor) = self.store.marked(ANCHOR)? else {
            return Ok(Some("it was never anchored".to_owned()));
        };
        if let Some(why) = anchor_age.and_then(|most| aged(now_ms(), anchor.set_ms, most)) {
            return Ok(Some(why));
        }
        let lacking = self.store.reader().size()?.saturating_sub(anchor.seq);
        let too_many = anchor_records.is_some_and(|most| lacking > most);
        Ok(too_many.then(|| format!("its newest anchor lacks {lacking} records")))
    }
}

impl Anchored {
    fn check(&self, entry: &Entry) -> Result<(), LedgerError> {
        if entry.event != Event::Call {
            return Ok(());
        }
        match self.lag() {
            Ok(None) => Ok(()),
            Ok(Some(why)) => Err(LedgerError::Unanchored { why }),
            Err(error) => Err(LedgerError::Unanchored { why: error.to_string() }),
        }
    }
}

impl Ledger for Anchored {
    fn append_during(
        &self,
        entry: Entry,
        durability: Durability,
        meanwhile: &mut dyn FnMut(),
    ) -> Result<Receipt, LedgerError> {
        self.check(&entry)?;
        self.store.append_during(entry, durability, meanwhile)
    }
}

/// An intent that is counted goes on the log by this way.
impl Allowances for Anchored {
    fn spent(&self, of: &[Allowance]) -> Result<Option<Spent>, StoreError> {
        self.store.spent(of)
    }

    fn spend(
        &self,
        of: Vec<Allowance>,
        entry: Entry,
    ) -> Result<Result<Receipt, Spent>, StoreError> {
        self.check(&entry)?;
        self.store.spend(of, entry)
    }
}

/// Why an anchor that was set then is too old now, if it is.
fn aged(now_ms: u64, set_ms: u64, most: Duration) -> Option<String> {
    // Nobody knows how old it is then, and a clock that was set back must not make it young.
    if now_ms.saturating_add(CLOCK_STEP_MS) < set_ms {
        return Some("its newest anchor is of a time that is still to come".to_owned());
    }
    let age = now_ms.saturating_sub(set_ms);
    (Duration::from_millis(age) > most)
        .then(|| format!("its newest anchor is {} old", distance(age)))
}

/// How far the clock may be set back.
const CLOCK_STEP_MS: u64 = 5000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_is_made_young_by_no_clock() {
        let hour = Duration::from_hours(1);
        let (set, ms) = (1_800_000_000_000, 3_600_000);
        for good in [set - 4000, set, set + ms] {
            assert_eq!(aged(good, set, hour), None, "{good}");
        }
        assert!(aged(set + ms + 1, set, hour).is_some_and(|why| why.contains("old")));
        for back in [0, set - ms, set - 6000] {
            assert!(aged(back, set, hour).is_some_and(|why| why.contains("to come")), "{back}");
        }
    }

    #[test]
    fn no_way_of_an_intent_onto_the_log_passes_by_a_missing_anchor() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("state")).unwrap();
        let terms = Audit { anchor_records: Some(1), ..Audit::default() };
        let gate = Anchored::new(store.clone(), terms);
        let intent = || Entry::new(Event::Call).with("tool", "Bash");
        let both = || {
            let appended = gate.append(intent(), Durability::Durable).is_ok();
            let counted = gate.spend(Vec::new(), intent()).is_ok_and(|spent| spent.is_ok());
            (appended, counted)
        };
        assert_eq!(both(), (false, false));
        let mut begun = false;
        let during = gate.append_during(intent(), Durability::Durable, &mut || begun = true);
        assert_eq!((during.is_ok(), begun), (false, false));
        let refusal = Entry::new(Event::Refusal);
        assert!(gate.append(refusal, Durability::Durable).is_ok(), "a refusal is still on the log");
        store.set_mark(ANCHOR, 1).unwrap();
        assert_eq!(both(), (true, true), "its twin, anchored up to the refusal");
        let _receipt = store.append(Entry::new(Event::Fault), Durability::Durable).unwrap();
        assert_eq!(both(), (false, false), "the anchor lags by three");
    }
}
