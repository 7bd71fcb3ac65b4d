//! A door edits how many people must agree.
//~ field `quorum` of struct `bartizan_gate::call::Pending` is private
use bartizan_gate::call::Pending;

fn lower(mut pending: Pending) -> Pending {
    pending.quorum = 0;
    pending
}

fn main() {
    let _ = lower;
}
