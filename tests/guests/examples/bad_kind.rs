//! Answers events of a kind that it does not declare.

flowctl_test_guests::guest!(|events| only(Batch { kind: 7, ..echo(events) }));
