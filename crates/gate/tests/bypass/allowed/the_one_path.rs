//! A door proposes, the gate decides, an effector acts under its warrant, the output is released.
use bartizan_gate::call::{Decision, Outcome, Proposed};
use bartizan_gate::effect::{Effector, Warrant};
use bartizan_gate::pipeline::Pipeline;

struct Act;

impl Effector for Act {
    type Output = String;
    async fn run(self, warrant: &Warrant<'_>) -> (Outcome, String) {
        let _ = (warrant.tool(), warrant.arguments(), warrant.host());
        std::process::abort()
    }
}

async fn travel(gate: &Pipeline, proposed: Proposed) -> Option<String> {
    match gate.decide(proposed).ok()? {
        Decision::Allow(call) => {
            let executed = gate.perform(call, Act).await;
            gate.release(executed).ok().map(|released| released.into_output())
        }
        Decision::Ask(pending) => {
            let _ = gate.ask(pending);
            None
        }
    }
}

fn main() {
    let _ = travel;
}
