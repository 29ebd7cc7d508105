//! Fuzzing of the parser of pipeline files.
//!
//! `cargo test` replays the corpus and what it mutates from it in a second;
//! `cargo bolero test` looks further. A text that broke something goes into the corpus.

#[test]
fn any_text_is_a_document_or_has_faults() {
    bolero::check!(name = "pipeline").for_each(|bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let environment = |name: &str| name.len().is_multiple_of(2).then(|| "value".to_owned());
        let (document, faults) = flowctl_intent::read("fuzz.yaml", &text, &environment);
        assert!(document.is_some() || !faults.is_empty(), "nothing was said of it");
        for fault in &faults {
            assert!(!fault.to_string().is_empty());
        }
    });
}
