//! Writes lines without end to its log and its streams.

use flowctl::processor::log::{Level, log};
use flowctl::processor::metrics::counter;

flowctl_test_guests::guest!(|events| {
    for line in 0..20_000 {
        log(Level::Warn, &format!("line {line} \u{1b}[2J"));
        counter(&format!("counter_{line}"), 1);
        println!("stdout {line}");
    }
    counter("batches", 1);
    only(echo(events))
});
