//! Which parts of a text are plainly not worth telling of?

use super::landmarks::Hit;
use super::model::{Evidence, TABLE};
use super::needs::Taken;
use super::{FEW_CHARS, NOTABLE, signatures};

/// What is known of a text before anything is sought in it.
pub(super) struct Bar {
    /// The highest odds so far: whatever is not above them changes nothing.
    pub(super) highest: f32,
    /// Whether what is not worth telling of may be told as the least it may be.
    pub(super) least: bool,
}

/// The log odds of a part that says `text` alone, hides nothing and is not worth telling of: most parts of most texts are such.
/// `hits` are the words in it that signatures are told by. Signatures are left out that could not make it worth telling
/// of where the least will do, and those that could not bring it above the bar.
pub(super) fn glance(
    text: &str,
    hits: impl Iterator<Item = Hit> + Clone,
    (linear, ideas): (f32, f32),
    bar: &Bar,
    taken: &mut Taken,
) -> Option<f32> {
    // Of a few words alone another rule holds.
    if text.len() < FEW_CHARS * 4 {
        return None;
    }
    let mut evidence = Evidence { linear, ideas, ..Evidence::default() };
    let bare = TABLE.odds(&evidence);
    if bare > NOTABLE {
        return None;
    }
    let possible = signatures::possible(hits.clone(), taken);
    // No weight of a signature speaks for honesty, so that those which are possible are the most there can be.
    let most = TABLE.odds(&Evidence { signatures: possible.signatures, ..evidence });
    if most <= NOTABLE && (bar.least || most <= bar.highest) {
        return Some(bare);
    }
    evidence.signatures = signatures::bits(&signatures::find_among(text, hits, &possible));
    let odds = TABLE.odds(&evidence);
    (odds <= NOTABLE).then_some(odds)
}
