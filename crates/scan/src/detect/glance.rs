//! Which parts of a text are plainly not worth telling of?

use super::landmarks::Hit;
use super::model::{Evidence, TABLE};
use super::needs::{Ends, Taken};
use super::{FEW_CHARS, NOTABLE, signatures};

/// What is known of a text before anything is sought in it.
pub(super) struct Bar {
    /// The highest odds so far: whatever is not above them changes nothing.
    pub(super) highest: f32,
    /// Whether what is not worth telling of may be told as the least it may be.
    pub(super) least: bool,
    /// Whether as much has been told of as ever will be, so that nothing is worth it.
    pub(super) told: bool,
}

/// The log odds of a part that says `text` alone and is not worth telling of: most parts of most texts are such. What hides it
/// is not worth telling of either. `hits` are the words in it that signatures are told by, and `ends` what is known of these
/// and perhaps of others. Signatures are left out that could
/// not make it worth telling of where the least will do, and those that could not bring it above the bar.
pub(super) fn glance(
    text: &str,
    hits: impl Iterator<Item = Hit> + Clone,
    ends: Ends,
    mut evidence: Evidence,
    bar: &Bar,
    taken: &mut Taken,
) -> Option<f32> {
    // Of a few words alone another rule holds.
    if text.len() < FEW_CHARS * 4 {
        return None;
    }
    let bare = TABLE.odds(&evidence);
    if bare > NOTABLE && !bar.told {
        return None;
    }
    // No weight of a signature speaks for honesty, so that those which are possible are the most there can be.
    let idle = |signatures: u32| {
        let most = TABLE.odds(&Evidence { signatures, ..evidence });
        let below = most <= bar.highest;
        (below && bar.told) || (most <= NOTABLE && (below || bar.least))
    };
    let thinkable = signatures::thinkable(ends);
    if idle(thinkable.signatures) {
        return Some(bare);
    }
    let possible = signatures::possible(hits.clone(), &thinkable, taken);
    if idle(possible.signatures) {
        return Some(bare);
    }
    evidence.signatures = signatures::bits(&signatures::find_among(text, hits, &possible));
    let odds = TABLE.odds(&evidence);
    (bar.told || odds <= NOTABLE).then_some(odds)
}
