//! Ends its process, as it thinks.

// ending the process is this guest's misbehaviour
#![allow(clippy::disallowed_methods)]

flowctl_test_guests::guest!(|_events| std::process::exit(3));
