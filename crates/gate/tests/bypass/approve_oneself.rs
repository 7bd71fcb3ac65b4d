//! A door makes up the proof that an approval was used.
//~ cannot construct `Consumed` with struct literal syntax due to private fields
use bartizan_store::Consumed;

fn main() {
    let _ = Consumed {};
}
