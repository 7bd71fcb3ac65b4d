//! What does one decision cost at 10, 1,000 and 10,000 policies?

fn main() {}
