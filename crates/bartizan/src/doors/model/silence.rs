//! How long does a client bear to hear nothing, before it takes its request for lost?

use std::time::Duration;

/// A part of what the client waits for a whole answer: by its own word, which the vendor's libraries give with each
/// request in seconds, or as programs commonly do.
pub(super) fn borne(said: Option<&str>) -> Duration {
    let said = said.and_then(|said| said.trim().parse().ok());
    let waits = said.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    // The rest is for the way back.
    waits.unwrap_or(UNSAID).min(MOST) / 5 * 4
}

/// After so long most programs give up that set no limit of their own.
const UNSAID: Duration = Duration::from_mins(1);
/// The vendor's own limit for an answer that is not streamed.
const MOST: Duration = Duration::from_mins(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_own_word_counts_within_bounds() {
        let seconds = |said| borne(said).as_secs();
        assert_eq!((seconds(Some("600")), seconds(Some("20.0"))), (480, 16));
        assert_eq!((seconds(Some("86400")), seconds(Some("0"))), (480, 0));
        for said in [None, Some("NOT_GIVEN"), Some("-1"), Some("NaN"), Some("1e400"), Some("")] {
            assert_eq!(seconds(said), 48, "{said:?}");
        }
    }
}
