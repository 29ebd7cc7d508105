//! Lines that a process writes, cut to a length and held to a rate.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::{LineFrom, LineSink};

/// Longest line that is kept: 8 KiB.
const MAX_LINE_BYTES: usize = 8 << 10;
/// Lines of one process that are kept in a second.
const MAX_LINES: u32 = 1_000;
const SECOND: Duration = Duration::from_secs(1);

/// Lets so many lines of a process pass, and counts the others.
pub(super) struct Valve {
    log: Arc<dyn LineSink>,
    counts: Mutex<Counts>,
}

struct Counts {
    since: Instant,
    n_passed: u32,
    n_dropped: u64,
}

impl Valve {
    pub(super) fn new(log: Arc<dyn LineSink>) -> Self {
        Self { log, counts: Mutex::new(Counts { since: Instant::now(), n_passed: 0, n_dropped: 0 }) }
    }

    fn line(&self, from: LineFrom, text: &[u8], now: Instant) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(counts.since) >= SECOND {
            self.report(&mut counts);
            *counts = Counts { since: now, n_passed: 0, n_dropped: 0 };
        }
        if counts.n_passed == MAX_LINES {
            counts.n_dropped += 1;
            return;
        }
        counts.n_passed += 1;
        self.log.line(from, &String::from_utf8_lossy(text));
    }

    /// Says what was dropped last.
    pub(super) fn close(&self) {
        self.report(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn report(&self, counts: &mut Counts) {
        if counts.n_dropped > 0 {
            let n_dropped = std::mem::take(&mut counts.n_dropped);
            self.log.line(
                LineFrom::Host,
                &format!("it wrote more than {MAX_LINES} lines in a second: {n_dropped} of them were dropped"),
            );
        }
    }
}

/// Hands over lines until there are no more.
pub(super) async fn copy(input: Option<impl AsyncRead + Unpin>, from: LineFrom, valve: &Valve) {
    let Some(mut input) = input else { return };
    let mut buffer = vec![0; 16 << 10];
    let mut line = Line::default();
    loop {
        // what cannot be read any more has ended
        let n_read = input.read(&mut buffer).await.unwrap_or(0);
        if n_read == 0 {
            break;
        }
        let mut rest = &buffer[..n_read];
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            line.extend(&rest[..end]);
            valve.line(from, line.text(), Instant::now());
            line = Line::default();
            rest = &rest[end + 1..];
        }
        line.extend(rest);
    }
    if !line.bytes.is_empty() {
        valve.line(from, line.text(), Instant::now());
    }
}

/// The start of a line.
#[derive(Default)]
struct Line {
    bytes: Vec<u8>,
}

impl Line {
    fn extend(&mut self, bytes: &[u8]) {
        let room = MAX_LINE_BYTES - self.bytes.len();
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn text(&self) -> &[u8] {
        self.bytes.strip_suffix(b"\r").unwrap_or(&self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collected() -> (Arc<Mutex<Vec<String>>>, Valve) {
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&lines);
        let log = move |from: LineFrom, text: &str| kept.lock().unwrap().push(format!("{from:?} {text}"));
        (lines, Valve::new(Arc::new(log)))
    }

    #[tokio::test]
    async fn lines_are_cut_and_the_last_needs_no_end() {
        let (lines, valve) = collected();
        let text = [&b"one\r\n\n"[..], &vec![b'x'; MAX_LINE_BYTES + 9], b"\nl\xffst"].concat();
        copy(Some(&text[..]), LineFrom::Stderr, &valve).await;
        let long = format!("Stderr {}", "x".repeat(MAX_LINE_BYTES));
        assert_eq!(*lines.lock().unwrap(), ["Stderr one", "Stderr ", &long, "Stderr l\u{fffd}st"]);
    }

    #[test]
    fn a_flood_is_dropped_and_counted() {
        let (lines, valve) = collected();
        let start = Instant::now();
        for _ in 0..MAX_LINES + 5 {
            valve.line(LineFrom::Stdout, b"x", start);
        }
        assert_eq!(lines.lock().unwrap().len(), 1_000);
        valve.line(LineFrom::Stdout, b"next", start + SECOND);
        let last = lines.lock().unwrap()[1_000..].to_vec();
        assert_eq!(last, ["Host it wrote more than 1000 lines in a second: 5 of them were dropped", "Stdout next"]);
    }
}
