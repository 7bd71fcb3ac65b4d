//! A door makes up the proof that an approval was used.
use bartizan_store::Consumed;

fn main() {
    let _ = Consumed {};
}
