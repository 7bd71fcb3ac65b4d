//! A door reads what an effector returned before it went the way out.
//~ field `output` of struct `Executed` is private
use bartizan_gate::call::Executed;

fn peek(executed: Executed<String>) -> String {
    executed.output
}

fn main() {
    let _ = peek;
}
