//! Durations and sizes as a person writes them: `250ms`, `1m`, `64MiB`.

use std::time::Duration;

/// Reads `250ms`, `5s`, `1m`, `1h` or `0`. A number without a unit is refused, for
/// nobody can tell which was meant; the answer is none then.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (number, unit) = split_unit(text)?;
    match unit {
        "us" => Some(Duration::from_micros(number)),
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        "h" => Some(Duration::from_secs(number.checked_mul(3600)?)),
        _ => None,
    }
}

/// Reads `64MiB`, `1MB` or plain bytes; none where the text is no size.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    let factor = match unit {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// Writes a duration in the largest unit that keeps it whole.
#[must_use]
pub fn duration_text(duration: Duration) -> String {
    let micros = duration.as_micros();
    let units = [("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000)];
    match units.iter().find(|(_, size)| micros != 0 && micros.is_multiple_of(*size)) {
        Some((unit, size)) => format!("{}{unit}", micros / size),
        None if micros == 0 => "0".to_owned(),
        None => format!("{micros}us"),
    }
}

/// Writes a size in the largest binary unit that keeps it whole.
#[must_use]
pub fn size_text(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.iter().find(|(_, size)| bytes != 0 && bytes.is_multiple_of(*size)) {
        Some((unit, size)) => format!("{}{unit}", bytes / size),
        None => bytes.to_string(),
    }
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration("2 m"), Some(Duration::from_secs(120)));
        for bad in ["", "5", "s", "1.5s", "-1s", "5 seconds", "99999999999999999999s", "18446744073709551615h"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_are_binary_or_decimal() {
        assert_eq!(parse_size("64MiB"), Some(64 << 20));
        assert_eq!(parse_size("1MB"), Some(1_000_000));
        assert_eq!(parse_size("4096"), Some(4096));
        for bad in ["", "MiB", "1 mib", "1.5GiB", "18446744073709551615GiB"] {
            assert_eq!(parse_size(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations_and_sizes_survive_text() {
        for text in ["0", "1us", "250ms", "5s", "1m", "2h"] {
            assert_eq!(duration_text(parse_duration(text).unwrap()), text);
        }
        for text in ["0", "1000", "3KiB", "64MiB", "4GiB"] {
            assert_eq!(size_text(parse_size(text).unwrap()), text);
        }
    }
}
