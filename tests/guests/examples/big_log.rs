//! Hands the host messages and names of counters of 8 MiB, a thousand times.

use flowctl::processor::log::{Level, log};
use flowctl::processor::metrics::counter;

flowctl_test_guests::guest!(|events| {
    let text = "é".repeat(4 << 20);
    for _ in 0..1000 {
        log(Level::Debug, &text);
        counter(&text, 1);
    }
    only(echo(events))
});
