//! Answers an end past its data.

flowctl_test_guests::guest!(|events| {
    only(Batch { timestamps: vec![0], ends: vec![u32::MAX], data: vec![0; 3], origins: vec![], ..events })
});
