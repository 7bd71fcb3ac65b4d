//! Code outside the gate builds the value field by field and leaves gates out.
//~ cannot construct `Authorized` with struct literal syntax due to private fields
use bartizan_gate::call::Authorized;
use bartizan_store::Receipt;

fn forge(receipt: Receipt) -> Authorized {
    Authorized { receipt }
}

fn main() {
    let _ = forge;
}
