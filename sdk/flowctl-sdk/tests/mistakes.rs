//! Author mistakes, each with the compile error it gives beside it in `ui/`.
//! `BLESS=1` rewrites the errors.
#![allow(clippy::unwrap_used)]

use std::process::Command;

#[test]
fn each_mistake_says_what_to_write_instead() {
    if std::env::var_os("BLESS").is_some() {
        // trybuild has a variable of its own, which has to be set before it starts.
        let mut again = Command::new(std::env::current_exe().unwrap());
        let status = again.env_remove("BLESS").env("TRYBUILD", "overwrite").status().unwrap();
        assert!(status.success());
        return;
    }
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
}
