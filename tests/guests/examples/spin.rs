//! Never comes back from `process`.

flowctl_test_guests::guest!(|events| {
    let mut number = events.ends.len() as u64;
    loop {
        number = std::hint::black_box(number.wrapping_mul(31));
    }
});
