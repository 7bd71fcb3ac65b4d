//! A call that waits for people is performed at once.
//~ mismatched types
use bartizan_gate::call::Pending;
use bartizan_gate::effect::Effector;
use bartizan_gate::pipeline::Pipeline;

async fn hurry<E: Effector>(gate: &Pipeline, pending: Pending, effector: E) {
    let _ = gate.perform(pending, effector).await;
}

fn main() {}
