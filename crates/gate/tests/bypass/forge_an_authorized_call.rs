//! A door makes up an authorised call.
use bartizan_gate::call::Authorized;

fn main() {
    let _ = Authorized {};
}
