//! Panics with a message.

#[inline(never)]
fn parse_amount(text: &[u8]) -> u64 {
    panic!("amount of {} bytes is no number", text.len())
}

flowctl_test_guests::guest!(|events| {
    let amount = parse_amount(&events.data);
    only(Batch { watermark: Some(amount), ..events })
});
