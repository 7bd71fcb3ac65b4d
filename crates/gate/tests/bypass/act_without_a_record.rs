//! A receipt is made without a record.
//~ field `place` of struct `Receipt` is private
use bartizan_store::Receipt;

fn main() {
    let _ = Receipt { place: None };
}
