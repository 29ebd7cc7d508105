//! Answers more than an answer may hold: 256 MiB, well within its own memory.

flowctl_test_guests::guest!(|events| {
    let data = vec![7; 256 << 20];
    only(Batch { timestamps: vec![0], ends: vec![data.len() as u32], data, origins: vec![0], ..events })
});
