//! The clock: against what others say, and against itself.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::check::Check;

/// Beyond this, tokens and certificates that are valid seem not to be.
const MAX_SKEW: Duration = Duration::from_secs(30);
/// How far the two clocks of a machine may drift apart while checks run.
const MAX_JUMP: Duration = Duration::from_secs(1);
/// No clock that is right is before this: 2025, in seconds since the Unix epoch.
const EARLIEST: u64 = 1_735_689_600;

/// What somebody said the time was, and what it was here then.
pub(super) struct Reading {
    pub(super) who: String,
    pub(super) theirs: SystemTime,
    pub(super) ours: SystemTime,
}

/// Both clocks, when the checks began.
pub(super) struct Clock {
    wall: SystemTime,
    steady: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { wall: SystemTime::now(), steady: Instant::now() }
    }

    /// Compares the clocks with each other, and with what others said.
    pub(super) fn check(&self, readings: &[Reading]) -> Check {
        check(distance(self.wall + self.steady.elapsed(), SystemTime::now()), SystemTime::now(), readings)
    }
}

fn check(jump: Duration, now: SystemTime, readings: &[Reading]) -> Check {
    const REMEDY: &str = "timedatectl set-ntp true";
    if now < UNIX_EPOCH + Duration::from_secs(EARLIEST) {
        return Check::failed("clock", "it is before 2025: certificates seem not to be valid yet", REMEDY);
    }
    if jump > MAX_JUMP {
        let found = format!("the time of day jumped by {:.1} s while checks ran", jump.as_secs_f64());
        return Check::warning("clock", found, REMEDY);
    }
    let skew = |reading: &&Reading| distance(reading.theirs, reading.ours);
    let Some(worst) = readings.iter().max_by_key(skew) else {
        return Check::ok("clock", "it runs steadily; nobody else told the time");
    };
    let (far, who) = (skew(&worst), &worst.who);
    if far <= MAX_SKEW {
        // others tell whole seconds
        return Check::ok("clock", format!("within {} s of what `{who}` says", far.as_secs() + 1));
    }
    let side = if worst.ours > worst.theirs { "ahead of" } else { "behind" };
    Check::warning(
        "clock",
        format!("{} s {side} that of `{who}`: tokens seem expired, or not valid yet", far.as_secs()),
        REMEDY,
    )
}

fn distance(a: SystemTime, b: SystemTime) -> Duration {
    a.duration_since(b).unwrap_or_else(|error| error.duration())
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;

    #[test]
    fn a_clock_that_is_off_is_told_from_one_that_is_right() {
        let now = UNIX_EPOCH + Duration::from_secs(EARLIEST + 1_000_000);
        let check = |jump: u64, now: SystemTime, seconds_behind: u64, state: State, words: &str| {
            let reading =
                Reading { who: "r.example".into(), theirs: now + Duration::from_secs(seconds_behind), ours: now };
            let found = check(Duration::from_secs(jump), now, &[reading]);
            assert!(found.state == state && found.found.contains(words), "{found:?}");
        };
        check(0, now, 0, State::Ok, "within 1 s of what `r.example` says");
        check(0, now, 300, State::Warning, "300 s behind that of `r.example`");
        check(9, now, 0, State::Warning, "jumped by 9.0 s");
        check(0, UNIX_EPOCH, 0, State::Failed, "before 2025");
    }
}
