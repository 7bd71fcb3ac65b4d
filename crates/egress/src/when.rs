//! When is it, and when was it that somebody says? Seconds since 1970, as the texts of services write them.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time now.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// What `2026-11-27T18:05:00Z` says, also with a fraction or an offset (RFC 3339). A second that leaps is the one before.
pub(crate) fn rfc3339(text: &str) -> Option<u64> {
    let (date, clock) = text.split_once(['T', 't', ' '])?;
    let mut date = date.split('-').map(number);
    let date = [date.next()??, date.next()??, date.next()??];
    let (clock, zone) = clock.split_at_checked(8)?;
    let fraction = zone.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let offset = match fraction.split_at_checked(1)? {
        ("Z" | "z", "") => 0,
        ("+", ahead) => -minutes(ahead)?,
        ("-", behind) => minutes(behind)?,
        _ => return None,
    };
    let seconds = i64::try_from(seconds(date, clock)?).ok()?;
    u64::try_from(seconds + offset * 60).ok()
}

/// What `Fri, 27 Nov 2026 17:15:01 GMT` says (RFC 9110 §5.6.7, the form that is to be sent).
pub(crate) fn http_date(text: &str) -> Option<u64> {
    let mut words = text.split(' ').skip(1);
    let (day, month, year) = (number(words.next()?)?, words.next()?, number(words.next()?)?);
    let clock = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    (words.next() == Some("GMT")).then(|| seconds([year, month, day], clock)).flatten()
}

fn minutes(zone: &str) -> Option<i64> {
    let (hours, minutes) = zone.split_once(':')?;
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours < 24 && minutes < 60).then(|| i64::try_from(hours * 60 + minutes).ok()).flatten()
}

fn number(text: &str) -> Option<u64> {
    let plain = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// By H. Hinnant's `days_from_civil`.
fn seconds([year, month, day]: [u64; 3], clock: &str) -> Option<u64> {
    let mut clock = clock.split(':').map(number);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let real = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60
        && clock.next().is_none();
    if !real {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second.min(59))
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T00:00:00Z", 951_782_400),
            ("2015-08-30T12:36:00Z", 1_440_938_160),
            ("2015-08-30T12:36:00.123456Z", 1_440_938_160),
            ("2015-08-30T14:36:00+02:00", 1_440_938_160),
            ("2015-08-30T11:06:00-01:30", 1_440_938_160),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
        ] {
            assert_eq!(rfc3339(text), Some(seconds), "{text}");
        }
        assert_eq!(http_date("Sun, 30 Aug 2015 12:36:00 GMT"), Some(1_440_938_160));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "T",
            "2015-08-30",
            "2015-08-30T12:36Z",
            "2015-08-30T12:36:00",
            "2015-13-30T12:36:00Z",
            "2015-08-30T25:36:00Z",
            "2015-08-30T12:36:00+99:00",
            "-015-08-30T12:36:00Z",
            "2015-08-30T12:36:00Zx",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
            "é015-08-30T1é:36:00Z",
        ] {
            assert_eq!(rfc3339(text), None, "{text}");
        }
        for text in [
            "",
            "Sun, 30 Aug 2015 12:36:00",
            "Sun, 30 Foo 2015 12:36:00 GMT",
            "Sunday, 30-Aug-15 12:36:00 GMT",
        ] {
            assert_eq!(http_date(text), None, "{text}");
        }
    }
}
