//! Somebody calls an effector with a warrant of their own making.
//~ field `authorized` of struct `Warrant` is private
use bartizan_gate::call::Authorized;
use bartizan_gate::effect::Warrant;

fn forge(call: &Authorized) -> Warrant<'_> {
    Warrant { authorized: call }
}

fn main() {
    let _ = forge;
}
