//! Takes the time of contenders in turns.
//!
//! Invariant: every contender runs in every round, one after the other, so that what
//! else the machine does falls on all of them. Figures are medians over rounds.
//!
//! Two clocks run: the time this process was executed for, on all of its threads, which
//! another process's work does not change, and the wall's, which shows waiting.

use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// Rounds that count. One more comes first, to warm up.
pub(crate) const N_ROUNDS: usize = 11;

/// The time that some work took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Elapsed {
    cpu: Duration,
    wall: Duration,
}

/// A clock that runs.
pub(crate) struct Clock {
    cpu: Duration,
    wall: Instant,
}

/// Does its work once, and takes the time of what counts.
pub(crate) type Contender<'a> = Box<dyn FnMut() -> Result<Elapsed> + 'a>;

/// What one contender took, nanoseconds an event.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    /// Median of the time executed.
    pub(crate) ns_per_event: f64,
    /// Median of the time on the wall.
    pub(crate) wall_ns_per_event: f64,
    /// The time executed in each round, in order.
    pub(crate) rounds: Vec<f64>,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { cpu: executed(), wall: Instant::now() }
    }

    pub(crate) fn stop(&self) -> Elapsed {
        Elapsed { wall: self.wall.elapsed(), cpu: executed().saturating_sub(self.cpu) }
    }
}

/// Takes the time of `work`.
pub(crate) fn timed(work: impl FnOnce() -> Result<()>) -> Result<Elapsed> {
    let clock = Clock::start();
    work()?;
    Ok(clock.stop())
}

/// Lets contenders take turns on `n_events` events each.
pub(crate) fn rounds<const N: usize>(n_events: usize, mut contenders: [Contender<'_>; N]) -> Result<[Figure; N]> {
    let mut taken = [const { Vec::new() }; N];
    for round in 0..=N_ROUNDS {
        for (contender, taken) in contenders.iter_mut().zip(&mut taken) {
            let elapsed = contender()?;
            if round > 0 {
                taken.push(elapsed);
            }
        }
    }
    Ok(taken.map(|taken| Figure::of(&taken, n_events)))
}

impl Figure {
    fn of(taken: &[Elapsed], n_events: usize) -> Self {
        let per_event = |time: Duration| time.as_secs_f64() * 1e9 / n_events.max(1) as f64;
        let rounds: Vec<f64> = taken.iter().map(|elapsed| per_event(elapsed.cpu)).collect();
        Self {
            ns_per_event: median(rounds.clone()),
            wall_ns_per_event: median(taken.iter().map(|elapsed| per_event(elapsed.wall)).collect()),
            rounds,
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn executed() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let (seconds, nanoseconds) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanoseconds.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn contender(order: &RefCell<String>, name: char) -> Contender<'_> {
        Box::new(move || {
            order.borrow_mut().push(name);
            timed(|| Ok(()))
        })
    }

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn contenders_take_turns_and_the_first_round_does_not_count() {
        let order = RefCell::new(String::new());
        let figures = rounds(1, [contender(&order, 'a'), contender(&order, 'b')]).unwrap();
        assert_eq!(order.borrow().as_str(), "ab".repeat(N_ROUNDS + 1));
        assert_eq!(figures[0].rounds.len(), N_ROUNDS);
    }
}
