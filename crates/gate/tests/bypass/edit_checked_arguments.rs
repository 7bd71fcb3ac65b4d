//! An effector's caller edits the arguments inside an authorised call.
//~ field `scoped` of struct `Authorized` is private
use bartizan_gate::call::Authorized;

fn edit(mut call: Authorized) {
    call.scoped = todo!();
}

fn main() {
    let _ = edit;
}
