//! Measures the rules natively over every file of the shared data, one thread.
//!
//! `cargo run --release -p ttp-processor --example throughput`
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::hint::black_box;
use std::time::Instant;

use flowctl_test_support::{DATA_FILES, shared_data};
use ttp_processor::{Mode, Network, Rules};

const N_RUNS: usize = 7;

fn main() {
    let Some(folder) = shared_data() else {
        println!("no shared data: set FLOWCTL_STELLAR_DATA");
        return;
    };
    let wanted = std::env::args().nth(1).unwrap_or_default();
    println!("{:<42} {:>8} {:>12} {:>10} {:>10}", "file", "ledgers", "ns/ledger", "MB/s", "ns/event");
    for file in DATA_FILES.iter().filter(|file| file.name.contains(&wanted)) {
        let ledgers = file.ledgers(&folder).unwrap();
        let n_bytes: usize = ledgers.iter().map(Vec::len).sum();
        let mut rules = Rules::new(Network::new(file.passphrase).unwrap(), Mode::Derive);
        let mut times = Vec::new();
        let mut n_events = 0u32;
        for _ in 0..N_RUNS {
            n_events = 0;
            let start = Instant::now();
            for ledger in &ledgers {
                rules
                    .transfers(black_box(ledger), &mut |transfer| {
                        black_box(transfer);
                        n_events += 1;
                    })
                    .unwrap();
            }
            times.push(start.elapsed());
        }
        times.sort();
        let median = times[N_RUNS / 2].as_secs_f64();
        println!(
            "{:<42} {:>8} {:>12.0} {:>10.0} {:>10.0}",
            file.name,
            ledgers.len(),
            median * 1e9 / f64::from(u32::try_from(ledgers.len()).unwrap()),
            f64::from(u32::try_from(n_bytes).unwrap()) / median / 1e6,
            median * 1e9 / f64::from(n_events),
        );
    }
}
