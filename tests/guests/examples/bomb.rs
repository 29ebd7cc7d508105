//! Takes memory until there is none.

flowctl_test_guests::guest!(|events| {
    let mut hoard = vec![events.data.clone()];
    loop {
        hoard.push(std::hint::black_box(vec![1; 1 << 20]));
    }
});
