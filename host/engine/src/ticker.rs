//! The engine's clock: advances its epoch once a millisecond, and counts.
//!
//! Invariant: the thread ends with the [`Ticker`], and holds nothing alive.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::Engine;

/// Length of a tick.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// The running clock of an engine.
#[derive(Debug)]
pub(crate) struct Ticker {
    clock: Clock,
    stop: Option<mpsc::SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Starts the clock of `engine`.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub(crate) fn start(engine: &Engine) -> io::Result<Self> {
        let (stop, stopped) = mpsc::sync_channel::<()>(0);
        let engine = engine.weak();
        let clock = Clock::default();
        let ticked = clock.clone();
        let thread = thread::Builder::new().name("flowctl-ticker".to_owned()).spawn(move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let Some(engine) = engine.upgrade() else { break };
                // first the clock, so that whoever is woken by the epoch finds it advanced
                ticked.0.fetch_add(1, Ordering::Relaxed);
                engine.increment_epoch();
            }
        })?;
        Ok(Self { clock, stop: Some(stop), thread: Some(thread) })
    }

    /// What it shows.
    pub(crate) fn clock(&self) -> Clock {
        self.clock.clone()
    }
}

/// How many ticks have passed since the engine started.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clock(Arc<AtomicU64>);

impl Clock {
    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Goes on by `n_ticks`, where no engine ticks.
    #[cfg(test)]
    pub(crate) fn advance(&self, n_ticks: u64) {
        self.0.fetch_add(n_ticks, Ordering::Relaxed);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// How many ticks `time` has, one at least.
pub(crate) fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// How long `n_ticks` are.
pub(crate) fn time(n_ticks: u64) -> Duration {
    let nanos = u128::from(n_ticks) * TICK.as_nanos();
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
