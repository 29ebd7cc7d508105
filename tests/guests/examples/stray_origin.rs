//! Says that its output came from an event that was not there.

flowctl_test_guests::guest!(|events| {
    let mut batch = echo(events);
    batch.origins.fill(1000);
    only(batch)
});
