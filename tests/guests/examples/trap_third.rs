//! Traps on the third event that it is ever given.

use std::sync::atomic::{AtomicUsize, Ordering};

static COUNT: AtomicUsize = AtomicUsize::new(0);

flowctl_test_guests::guest!(|events| {
    for _ in &events.ends {
        if COUNT.fetch_add(1, Ordering::Relaxed) == 2 {
            std::process::abort();
        }
    }
    only(echo(events))
});
