//! How far may what is kept elsewhere lag behind the log? `[audit]`; each layer can only ask for more.

use super::page::Page;
use super::raw::RawAudit;
use super::units;
use std::time::Duration;

/// When nothing may be done for want of an anchor; by default always something may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Audit {
    /// How old the newest anchor may be.
    pub(crate) anchor_age: Option<Duration>,
    /// How many records it may lack.
    pub(crate) anchor_records: Option<u64>,
}

impl Audit {
    /// Takes the stricter of each.
    pub(crate) fn narrow(&mut self, other: Self) {
        let Self { anchor_age, anchor_records } = other;
        self.anchor_age = stricter(self.anchor_age, anchor_age);
        self.anchor_records = stricter(self.anchor_records, anchor_records);
    }

    /// Adds one layer's word.
    pub(super) fn add(&mut self, page: &mut Page<'_>, raw: &RawAudit) {
        let RawAudit { require_anchor, require_anchor_records } = raw;
        let anchor_age = page.take_option(require_anchor.as_ref(), |text| {
            units::duration(text).map_err(|why| (why.to_owned(), None))
        });
        let anchor_records = require_anchor_records.as_ref().map(|most| *most.get_ref());
        self.narrow(Self { anchor_age, anchor_records });
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
        let hour = Audit { anchor_age: Some(Duration::from_hours(1)), anchor_records: None };
        let mut audit = Audit::default();
        audit.narrow(hour);
        audit.narrow(Audit { anchor_age: Some(Duration::from_hours(2)), anchor_records: Some(9) });
        audit.narrow(Audit::default());
        assert_eq!(audit, Audit { anchor_records: Some(9), ..hour });
    }
}
