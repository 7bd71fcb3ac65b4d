//! A delegated call, which the client carries out, yields a secret.
//~ field `authorized` of struct `Delegated` is private
use bartizan_gate::call::Delegated;

fn leak(call: &Delegated) {
    let _ = call.authorized.granted.secret();
}

fn main() {
    let _ = leak;
}
