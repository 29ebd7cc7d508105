//! Waits an hour of wall clock without executing anything.

// waiting is this guest's misbehaviour
#![allow(clippy::disallowed_methods)]

flowctl_test_guests::guest!(|events| {
    std::thread::sleep(std::time::Duration::from_secs(3600));
    only(echo(events))
});
