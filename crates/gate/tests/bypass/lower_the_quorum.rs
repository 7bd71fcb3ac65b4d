//! A door edits how many people must agree.
use bartizan_gate::call::Pending;

fn lower(mut pending: Pending) -> Pending {
    pending.quorum = 0;
    pending
}

fn main() {
    let _ = lower;
}
