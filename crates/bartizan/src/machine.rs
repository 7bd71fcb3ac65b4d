//! What is needed of the machine before anything can begin? A runtime, and bytes that nobody can guess.

use crate::cli::exit;
use crate::report::{Failure, Problem};

/// A runtime with two threads, beside those for what takes long.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    runtime_of(2)
}

/// One with so many threads, beside those for what takes long.
pub(crate) fn runtime_of(workers: usize) -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let built = builder.worker_threads(workers).enable_all().build();
    built.map_err(|error| not_started(&format!("cannot start the runtime: {error}")))
}

/// Random bytes of the kernel's.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0u8; N];
    let mut filled = 0;
    while filled < N {
        let rest = bytes.get_mut(filled..).unwrap_or_default();
        filled += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty())
            .map_err(|error| not_started(&format!("the kernel gives no random bytes: {error}")))?;
    }
    Ok(bytes)
}

fn not_started(what: &str) -> Failure {
    Failure::new(exit::NOT_STARTED, Problem::from_text(what))
}
