//! Whatever the text, reading ends with an intent or faults that fit on a screen.
#![allow(clippy::unwrap_used)]

use flowctl_intent::parse;
use proptest::prelude::*;

/// Texts that mutations start from: each uses many of the format's keys.
const SEEDS: [&str; 3] = [
    include_str!("../../../tests/pipelines/valid/discover-full.yaml"),
    include_str!("../../../tests/pipelines/valid/explicit-full.yaml"),
    include_str!("../../../tests/pipelines/valid/aliases.yaml"),
];

/// Pieces that mean something to YAML or to the reader.
const PIECES: &str =
    "(\\PC|[\\[\\]{}:,#&*!|>'\"%@`$\\-?~\t\r\n ]|\\$\\{[A-Z]|: |- |\n  |<<|---\n|&a |\\*a|null|\u{feff}|\u{0}){0,40}";

/// Reads a text, and checks what holds of every fault.
fn read(text: &str) -> Result<(), TestCaseError> {
    let env = |name: &str| (name.len() == 1).then(|| "[x]: \u{7}\n".to_owned());
    let Err(faults) = parse("any.yaml", text, &env) else { return Ok(()) };
    prop_assert!(faults.iter().len() > 0);
    for fault in &faults {
        prop_assert!(fault.line >= 1 && fault.column >= 1 && fault.width >= 1);
        prop_assert!(fault.source_line.chars().count() <= 122);
        prop_assert!(!fault.source_line.contains(char::is_control));
        prop_assert!(fault.message.chars().count() <= 400, "{}", fault.message);
        let shows_variable = fault.to_string().contains('\u{7}');
        prop_assert!(!shows_variable);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_text_is_read_or_refused(text in PIECES) {
        read(&text)?;
    }

    #[test]
    fn any_spec_is_read_or_refused(is_v2: bool, text in PIECES) {
        let (version, kind) = if is_v2 { ("v2", "Topology") } else { ("v1", "Pipeline") };
        read(&format!("apiVersion: flowctl/{version}\nkind: {kind}\nspec:\n  {text}"))?;
    }

    #[test]
    fn damaged_files_are_read_or_refused(seed in 0usize..SEEDS.len(), cut in any::<(u16, u8)>(), put in PIECES) {
        let text = SEEDS[seed];
        let mut start = usize::from(cut.0) % text.len();
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let mut end = (start + usize::from(cut.1)).min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        read(&format!("{}{put}{}", &text[..start], &text[end.max(start)..]))?;
    }
}

#[test]
fn a_file_beyond_the_bound_is_refused() {
    let faults = parse("big.yaml", &"# comment\n".repeat(200_000), &|_| None).unwrap_err();
    let message = "the file has 2000000 bytes, more than the 1048576 that a pipeline may have";
    assert_eq!(faults.iter().map(|fault| fault.message.as_str()).collect::<Vec<_>>(), [message]);
}

#[test]
fn nesting_of_any_kind_is_refused_in_time() {
    for open in ["[", "{a: ", "- ", "? ", "{"] {
        let text = format!("spec: \n {}", open.repeat(100_000));
        assert!(parse("deep.yaml", &text, &|_| None).is_err(), "{open}");
    }
}

#[test]
fn long_aliased_texts_are_refused() {
    let aliases = "*long, ".repeat(9_000);
    let text = format!("a: &long {}\nb: [{aliases}]\n", "x".repeat(100_000));
    let faults = parse("long.yaml", &text, &|_| None).unwrap_err();
    assert!(faults.to_string().contains("with aliases expanded"), "{faults}");
}

#[test]
fn very_many_faults_are_counted_instead() {
    let keys: String = (0..4_000).map(|number| format!("k{number}: 1\n")).collect();
    let faults = parse("many.yaml", &keys, &|_| None).unwrap_err();
    let last = faults.iter().last().unwrap();
    assert_eq!((faults.iter().len(), last.message.as_str()), (501, "3503 more faults follow"));
}
