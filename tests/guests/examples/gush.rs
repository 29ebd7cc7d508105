//! Answers 16 MiB, whatever it was given.

flowctl_test_guests::guest!(|events| {
    let n_events = events.ends.len().max(1);
    let n_bytes = (16 << 20) / n_events;
    only(Batch {
        data: vec![7; n_bytes * events.ends.len()],
        ends: (1..=events.ends.len()).map(|n| (n * n_bytes) as u32).collect(),
        ..echo(events)
    })
});
