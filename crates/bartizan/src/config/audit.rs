//! How far may what is kept elsewhere lag behind the log, and how much of its disk stays free? `[audit]`; each layer can
//! only ask for more.

use super::page::Page;
use super::raw::RawAudit;
use super::units;
use std::time::Duration;

/// When nothing may be done for want of an anchor, or of room; by default nothing waits for an anchor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Audit {
    /// How old the newest anchor may be.
    pub(crate) anchor_age: Option<Duration>,
    /// How many records it may lack.
    pub(crate) anchor_records: Option<u64>,
    /// How many bytes of the log's disk stay free; `None` is the store's own measure.
    pub(crate) keep_free: Option<u64>,
}

impl Audit {
    /// Takes the stricter of each.
    pub(crate) fn narrow(&mut self, other: Self) {
        let Self { anchor_age, anchor_records, keep_free } = other;
        self.anchor_age = stricter(self.anchor_age, anchor_age);
        self.anchor_records = stricter(self.anchor_records, anchor_records);
        self.keep_free = self.keep_free.max(keep_free);
    }

    /// Adds one layer's word.
    pub(super) fn add(&mut self, page: &mut Page<'_>, raw: &RawAudit) {
        let RawAudit { require_anchor, require_anchor_records, keep_free } = raw;
        let anchor_age = page.take_option(require_anchor.as_ref(), |text| {
            units::duration(text).map_err(|why| (why.to_owned(), None))
        });
        let anchor_records = require_anchor_records.as_ref().map(|most| *most.get_ref());
        let keep_free = page.take_option(keep_free.as_ref(), |text| {
            units::size(text).map_err(|why| (why.to_owned(), None))
        });
        self.narrow(Self { anchor_age, anchor_records, keep_free });
    }
}

fn stricter<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_layer_asks_for_less_than_another() {
        let hour = Audit {
            anchor_age: Some(Duration::from_hours(1)),
            keep_free: Some(7),
            ..Audit::default()
        };
        let mut audit = Audit::default();
        audit.narrow(hour);
        audit.narrow(Audit {
            anchor_age: Some(Duration::from_hours(2)),
            anchor_records: Some(9),
            keep_free: Some(3),
        });
        audit.narrow(Audit::default());
        assert_eq!(audit, Audit { anchor_records: Some(9), ..hour });
    }
}
