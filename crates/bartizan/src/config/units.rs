//! How much is `4GiB`, how long is `2h`? Amounts as people write them, exact and bounded.

use std::time::Duration;

/// Reads a size: a whole number and a unit, `B`, `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024) or
/// `kB`, `MB`, `GB`, `TB` (powers of 1000). The result is in bytes.
pub(crate) fn size(text: &str) -> Result<u64, &'static str> {
    let (number, unit) = split(text).ok_or(SIZE)?;
    let factor: u64 = match unit {
        "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1000 * 1000,
        "GB" => 1000 * 1000 * 1000,
        "TB" => 1000 * 1000 * 1000 * 1000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(SIZE),
    };
    number.checked_mul(factor).ok_or("it is too large")
}

/// Reads a duration: whole numbers with `s`, `m`, `h` or `d`, the larger first, such as `1h30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, &'static str> {
    let mut rest = text.trim();
    let mut seconds = 0u64;
    let mut below = u64::MAX;
    if rest.is_empty() {
        return Err(DURATION);
    }
    while !rest.is_empty() {
        let (number, tail) = split(rest).ok_or(DURATION)?;
        let unit = tail.chars().next().ok_or(DURATION)?;
        let factor = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return Err(DURATION),
        };
        if factor >= below {
            return Err(DURATION);
        }
        below = factor;
        let part = number.checked_mul(factor).ok_or("it is too long")?;
        seconds = seconds.checked_add(part).ok_or("it is too long")?;
        rest = tail.get(1..).unwrap_or_default();
    }
    Ok(Duration::from_secs(seconds))
}

const SIZE: &str = "write a number and B, KiB, MiB or GiB, such as \"4GiB\"";
const DURATION: &str =
    "write numbers with s, m, h or d, the larger first, such as \"90s\" or \"1h30m\"";

/// The leading digits, and what follows them.
fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, rest.trim_start()))
}

/// A size in words: the largest unit that leaves it whole, else with one decimal.
pub(crate) fn show_size(bytes: u64) -> String {
    let units = [(1u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let Some((factor, unit)) = units.into_iter().find(|(factor, _)| bytes >= *factor) else {
        return format!("{bytes}B");
    };
    let tenths = u128::from(bytes) * 10 / u128::from(factor);
    match tenths % 10 {
        0 => format!("{}{unit}", tenths / 10),
        tenth => format!("{}.{tenth}{unit}", tenths / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_exact() {
        assert_eq!(size("4GiB"), Ok(4 << 30));
        assert_eq!(size(" 250 MB "), Ok(250_000_000));
        assert_eq!(size("0B"), Ok(0));
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        for text in [
            "",
            "GiB",
            "4",
            "4G",
            "4gib",
            "-1GiB",
            "1.5GiB",
            "4GiBs",
            "99999999999999999999B",
            "99999999TiB",
            "٤GiB",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_add_up() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("2d"), Ok(Duration::from_hours(48)));
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in [
            "",
            "h",
            "2",
            "2 weeks",
            "30m1h",
            "1h1h",
            "-1h",
            "1.5h",
            "18446744073709551615d",
            "1hé",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_size_in_words_reads_back() {
        for text in ["4GiB", "512MiB", "1KiB", "17B", "2TiB"] {
            assert_eq!(show_size(size(text).unwrap()), text);
        }
        assert_eq!(show_size(1536), "1.5KiB");
    }
}
