//! A door makes up an authorised call.
//~ cannot construct `Authorized` with struct literal syntax due to private fields
use bartizan_gate::call::Authorized;

fn main() {
    let _ = Authorized {};
}
