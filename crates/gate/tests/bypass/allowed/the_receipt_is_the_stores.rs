//! The receipt that an authorised call shows is the store's own. Also tells which of several builds
//! of the two crates belong together.
use bartizan_gate::call::Authorized;
use bartizan_store::Receipt;

fn shown(call: &Authorized) -> &Receipt {
    call.receipt()
}

fn main() {
    let _ = shown;
}
