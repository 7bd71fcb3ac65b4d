//! Can it be undone? The operator's word on the tool, which facts may raise and nothing may lower.

use crate::gates::{Listed, Scoped};
use crate::tool::Effect;

/// Proof that the effect of this very call was weighed.
#[derive(Debug)]
pub(crate) struct Rated(Effect);

impl Rated {
    pub(crate) fn effect(&self) -> Effect {
        self.0
    }
}

pub(crate) fn rate(listed: &Listed, scoped: &Scoped) -> Rated {
    let declared = listed.tool().effect();
    // What a host tool will later execute cannot be taken back once it ran.
    let guarded = declared != Effect::Read && scoped.paths().any(|path| path.guarded);
    Rated(if guarded { Effect::Irreversible } else { declared })
}
