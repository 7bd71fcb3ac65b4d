//! One authorised call is performed twice.
//~ use of moved value: `call`
use bartizan_gate::call::Authorized;
use bartizan_gate::effect::Effector;
use bartizan_gate::pipeline::Pipeline;

async fn twice<E: Effector>(gate: &Pipeline, call: Authorized, one: E, two: E) {
    let _ = gate.perform(call, one).await;
    let _ = gate.perform(call, two).await;
}

fn main() {
    let _ = twice::<Never>;
}

struct Never;
impl Effector for Never {
    type Output = ();
    async fn run(self, _: &bartizan_gate::effect::Warrant<'_>) -> (bartizan_gate::call::Outcome, ()) {
        std::process::abort()
    }
}
