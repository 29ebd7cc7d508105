//! Rejects an event that was not there.

flowctl_test_guests::guest!(|events| {
    let rejected = vec![Rejection { index: events.ends.len() as u32, reason: String::new() }];
    Ok(Outcome { outputs: vec![], rejected })
});
