//! An authorised call is copied, to be used again later.
//~ mismatched types
use bartizan_gate::call::Authorized;

fn copy(call: &Authorized) -> Authorized {
    call.clone()
}

fn main() {
    let _ = copy;
}
