//! Figures, times and lengths as people read them: short, and of a steady width.

use std::time::Duration;

use flowctl_client::{Moment, admin};
use jiff::Timestamp;

/// A figure that is not known.
pub(crate) const UNKNOWN: &str = "–";

/// A count: `9999`, `12.3k`, `1.20M`.
pub(crate) fn count(n: u64) -> String {
    if n < 10_000 { n.to_string() } else { scaled(n as f64) }
}

/// A rate: `0`, `0.4`, `12`, `2.0k`.
pub(crate) fn rate(per_second: f64) -> String {
    match per_second {
        r if r < 0.05 => "0".to_owned(),
        r if r < 9.95 => format!("{r:.1}"),
        r if r < 999.5 => format!("{r:.0}"),
        r => scaled(r),
    }
}

/// A rate that may not be known.
pub(crate) fn rate_or_unknown(per_second: Option<f64>) -> String {
    per_second.map_or_else(|| UNKNOWN.to_owned(), rate)
}

/// Bytes: `512 B`, `1.5 MiB`.
pub(crate) fn bytes(n: u64) -> String {
    let mut value = n as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    if unit == "B" { format!("{n} B") } else { format!("{value:.1} {unit}") }
}

/// How long a call takes: `12 µs`, `0.34 ms`, `1.2 s`.
pub(crate) fn latency(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    match micros {
        us if us < 0.5 => "< 1 µs".to_owned(),
        us if us < 99.5 => format!("{us:.0} µs"),
        us if us < 9_950.0 => format!("{:.2} ms", us / 1e3),
        us if us < 999_500.0 => format!("{:.0} ms", us / 1e3),
        us => format!("{:.1} s", us / 1e6),
    }
}

/// A length of time: `3s`, `12m 3s`, `2h 2m`, `3d 4h`.
pub(crate) fn length(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s}s"),
        (0, 0, m, s) => format!("{m}m {s}s"),
        (0, h, m, _) => format!("{h}h {m}m"),
        (d, h, _, _) => format!("{d}d {h}h"),
    }
}

/// How long a run went on, or goes on.
pub(crate) fn elapsed(run: &admin::Run) -> String {
    let Some(elapsed) = &run.elapsed else { return UNKNOWN.to_owned() };
    length(Duration::from_secs(u64::try_from(elapsed.seconds).unwrap_or_default()))
}

/// The time of day, UTC: `22:13:20`.
pub(crate) fn clock(moment: Option<&Moment>) -> String {
    written(moment, "%H:%M:%S")
}

/// Day and time, UTC: `11-14 22:13:20`.
pub(crate) fn day(moment: Option<&Moment>) -> String {
    written(moment, "%m-%d %H:%M:%S")
}

fn written(moment: Option<&Moment>, form: &str) -> String {
    let moment = moment.and_then(|moment| Timestamp::new(moment.seconds, moment.nanos).ok());
    moment.map_or_else(|| UNKNOWN.to_owned(), |moment| moment.strftime(form).to_string())
}

fn scaled(n: f64) -> String {
    let (value, unit) = match n {
        n if n < 999_500.0 => (n / 1e3, "k"),
        n if n < 999_500_000.0 => (n / 1e6, "M"),
        n if n < 999_500_000_000.0 => (n / 1e9, "G"),
        n => (n / 1e12, "T"),
    };
    match value {
        v if v < 9.995 => format!("{v:.2}{unit}"),
        v if v < 99.95 => format!("{v:.1}{unit}"),
        v => format!("{v:.0}{unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_three_digits() {
        let counts = [0, 9_999, 10_000, 99_960, 999_499, 999_500, 1_234_567, 2_000_000_000_000].map(count);
        assert_eq!(counts, ["0", "9999", "10.0k", "100k", "999k", "1.00M", "1.23M", "2.00T"]);
        let rates = [0.0, 0.04, 0.4, 9.94, 12.4, 999.4, 999.6, 12_345.0].map(rate);
        assert_eq!(rates, ["0", "0", "0.4", "9.9", "12", "999", "1.00k", "12.3k"]);
        assert_eq!([0, 1023, 1024, 1 << 30].map(bytes), ["0 B", "1023 B", "1.0 KiB", "1.0 GiB"]);
    }

    #[test]
    fn times_are_as_exact_as_they_matter() {
        let latencies = [12, 340, 9_949, 25_000, 1_200_000].map(|us| latency(Duration::from_micros(us)));
        assert_eq!(latencies, ["12 µs", "0.34 ms", "9.95 ms", "25 ms", "1.2 s"]);
        let lengths = [3, 723, 7_325, 273_600].map(|s| length(Duration::from_secs(s)));
        assert_eq!(lengths, ["3s", "12m 3s", "2h 2m", "3d 4h"]);
        let moment = Moment { seconds: 1_700_000_000, nanos: 0 };
        assert_eq!((clock(Some(&moment)), day(Some(&moment))), ("22:13:20".into(), "11-14 22:13:20".into()));
        assert_eq!(clock(None), "–");
    }
}
