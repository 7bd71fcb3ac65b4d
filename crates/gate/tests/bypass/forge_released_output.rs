//! A door passes raw text off as released.
//~ fields `output` and `outcome` of struct `Released` are private
use bartizan_gate::call::{Outcome, Released};

fn pass(raw: String, outcome: Outcome) -> Released<String> {
    Released { output: raw, outcome }
}

fn main() {
    let _ = pass;
}
