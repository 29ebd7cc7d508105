//! Behaves: gives every event back as it came.

flowctl_test_guests::guest!(|events| only(echo(events)));
