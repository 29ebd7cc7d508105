//! Answers ends that do not ascend.

flowctl_test_guests::guest!(|events| {
    only(Batch { timestamps: vec![0, 0], ends: vec![5, 3], data: vec![0; 3], origins: vec![], ..events })
});
