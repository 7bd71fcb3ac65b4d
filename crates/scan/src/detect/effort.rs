//! How much work does a search take? Counted in tests alone, where clocks say little.

/// So many bytes more were looked at, each several times over by what is told here.
#[cfg(not(test))]
pub(super) const fn took(_bytes: usize) {}

#[cfg(test)]
pub(super) fn took(bytes: usize) {
    TAKEN.with(|taken| taken.set(taken.get() + bytes));
}

/// The bytes that were looked at in the course of something.
#[cfg(test)]
pub(super) fn of<T>(act: impl FnOnce() -> T) -> usize {
    TAKEN.with(|taken| taken.set(0));
    act();
    TAKEN.with(std::cell::Cell::get)
}

#[cfg(test)]
thread_local! {
    static TAKEN: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}
