//! When was that, for a person? Milliseconds since 1970 as dates and as distances.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now, in milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A calendar that nobody can set: it begins with the machine's, and goes on by the clock that counts since boot.
#[derive(Debug)]
pub(crate) struct Steady {
    began_ms: u64,
    began: Duration,
}

impl Steady {
    /// One that is right now.
    pub(crate) fn new() -> Self {
        Self { began_ms: now_ms(), began: since_boot() }
    }

    /// Now, in milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> u64 {
        let since = since_boot().saturating_sub(self.began).as_millis();
        self.began_ms.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }
}

fn since_boot() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

/// A moment as `2026-11-21 09:48:34Z`.
pub(crate) fn date(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

/// How long ago a moment was.
pub(crate) fn age(ms: u64) -> String {
    format!("{} ago", distance(now_ms().saturating_sub(ms)))
}

/// How long it is until a moment.
pub(crate) fn left(ms: u64) -> String {
    match ms.checked_sub(now_ms()) {
        Some(left) => format!("in {}", distance(left)),
        None => age(ms),
    }
}

/// So much time, in one unit.
pub(crate) fn distance(ms: u64) -> String {
    match ms / 1000 {
        seconds @ 0..=119 => format!("{seconds}s"),
        seconds @ 120..=7199 => format!("{}m", seconds / 60),
        seconds @ 7200..=172_799 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// The Gregorian date so many days after 1970-01-01 (H. Hinnant's `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00:00Z");
        assert_eq!(date(951_782_400_000), "2000-02-29 00:00:00Z");
        assert_eq!(date(1_795_254_514_999), "2026-11-21 09:48:34Z");
        assert_eq!(date(4_107_542_399_000), "2100-02-28 23:59:59Z");
        assert_eq!(date(4_107_542_400_000), "2100-03-01 00:00:00Z");
    }

    #[test]
    fn a_steady_calendar_goes_on_from_where_it_began() {
        let set_back = Steady { began_ms: 5000, began: since_boot() };
        std::thread::sleep(Duration::from_millis(20));
        let now = set_back.now_ms();
        assert!((5020..60_000).contains(&now), "{now}");
        assert!(Steady::new().now_ms().abs_diff(now_ms()) < 5000);
    }

    #[test]
    fn distances_are_short() {
        assert_eq!(distance(119_999), "119s");
        assert_eq!(distance(120_000), "2m");
        assert_eq!(distance(7_200_000), "2h");
        assert_eq!(distance(u64::MAX), "213503982334d");
    }
}
