//! A receipt is made without a record.
use bartizan_store::Receipt;

fn main() {
    let _ = Receipt { seq: 1 };
}
