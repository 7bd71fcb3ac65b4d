//! An effector keeps its warrant for later.
//~ borrowed data escapes outside of method
//~ borrowed data escapes outside of method
use bartizan_gate::call::Outcome;
use bartizan_gate::effect::{Effector, Warrant};

struct Hoard(&'static std::sync::Mutex<Option<&'static Warrant<'static>>>);

impl Effector for Hoard {
    type Output = ();
    async fn run(self, warrant: &Warrant<'_>) -> (Outcome, ()) {
        *self.0.lock().unwrap() = Some(warrant);
        std::process::abort()
    }
}

fn main() {}
