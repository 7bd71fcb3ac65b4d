//! How much was looked at? Counted in tests only, which hold it to the length of the text: clocks would depend on the
//! machine.

/// Counts bytes that are about to be looked at.
#[cfg(not(test))]
pub(crate) const fn count(_bytes: usize) {}

#[cfg(test)]
pub(crate) use counter::{count, of};

#[cfg(test)]
mod counter {
    use std::cell::Cell;

    thread_local! {
        static DONE: Cell<usize> = const { Cell::new(0) };
    }

    pub(crate) fn count(bytes: usize) {
        DONE.with(|done| done.set(done.get() + bytes));
    }

    /// How many bytes are looked at while something is done on this thread.
    pub(crate) fn of(something: impl FnOnce()) -> usize {
        let before = DONE.get();
        something();
        DONE.get() - before
    }
}
