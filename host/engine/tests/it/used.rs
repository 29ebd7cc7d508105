//! Every guest serves a test.

use std::fs;
use std::path::Path;

#[test]
fn every_guest_is_used_by_a_test() {
    let engine = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = String::new();
    for folder in ["tests/it", "tests"] {
        for entry in fs::read_dir(engine.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                tests += &fs::read_to_string(path).unwrap();
            }
        }
    }
    let mut n_guests = 0;
    for entry in fs::read_dir(engine.join("../../tests/guests/examples")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(tests.contains(&format!("\"{name}\"")), "no test of the engine uses the guest `{name}`");
        n_guests += 1;
    }
    assert!(n_guests > 0);
}
