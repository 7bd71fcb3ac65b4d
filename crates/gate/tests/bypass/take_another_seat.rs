//! A door makes up a caller instead of taking the one of its socket.
//~ associated function `new` is private
use bartizan_gate::seat::{Caller, Seat};

fn sit(seat: Seat) -> Caller {
    Caller::new(seat)
}

fn main() {
    let _ = sit;
}
