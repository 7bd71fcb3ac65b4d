//! Which parts of a text are plainly not worth telling of?

use super::model::{Evidence, TABLE};
use super::{FEW_CHARS, NOTABLE, signatures};

/// The log odds of a part that says `text` alone, hides nothing and is not worth telling of: most parts of most texts are such.
/// With `least`, the signatures of a part that they could not make worth telling of are not sought, and the odds are
/// those without them.
pub(super) fn glance(text: &str, least: bool) -> Option<f32> {
    // Of a few words alone another rule holds.
    if text.len() < FEW_CHARS * 4 {
        return None;
    }
    let mut evidence = Evidence::default();
    (evidence.linear, evidence.ideas) = TABLE.linear(text);
    let bare = TABLE.odds(&evidence);
    if bare > NOTABLE {
        return None;
    }
    let possible = signatures::possible(text);
    // No weight of a signature speaks for honesty, so that those which are possible are the most there can be.
    if least && TABLE.odds(&Evidence { signatures: possible.signatures, ..evidence }) <= NOTABLE {
        return Some(bare);
    }
    evidence.signatures = signatures::bits(&signatures::find_among(text, &possible));
    let odds = TABLE.odds(&evidence);
    (odds <= NOTABLE).then_some(odds)
}
