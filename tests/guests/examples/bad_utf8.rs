//! Rejects an event for a reason that is no UTF-8.

flowctl_test_guests::guest!(|_events| {
    // SAFETY: none; handing over a text that is no text is what this guest is for
    let reason = unsafe { String::from_utf8_unchecked(vec![b'n', b'o', 0xff, 0xfe]) };
    Ok(Outcome { outputs: vec![], rejected: vec![Rejection { index: 0, reason }] })
});
