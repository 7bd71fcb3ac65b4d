//! The proposal is kept, changed and used after it was decided.
//~ use of moved value: `proposed`
use bartizan_gate::call::Proposed;
use bartizan_gate::pipeline::Pipeline;

fn swap(gate: &Pipeline, proposed: Proposed) {
    let _ = gate.decide(proposed);
    let _ = proposed.referring_to("other");
}

fn main() {
    let _ = swap;
}
