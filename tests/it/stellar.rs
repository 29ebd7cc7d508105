//! `stellar-ledgers → ttp-processor → stdout` over real ledgers gives exactly the
//! expected events, in order.
//!
//! One case a file of the shared data, and one for each mode of the reference's unit
//! cases. Without the data they are reported as ignored; in CI they fail.

use std::path::Path;

use flowctl_test_support::{DATA_FILES, DataFile, Event, Outcome, base64, must_have_data, shared_data, unit_cases};
use libtest_mimic::{Failed, Trial};

use crate::flowctl::Flowctl;

pub(crate) fn trials() -> Vec<Trial> {
    let files = DATA_FILES.iter().map(|file| {
        with_data(&format!("stellar::transfers_of::{}", file.name), move |folder| {
            let expected = file.expected_events(folder)?;
            transfers(file, folder, &expected)
        })
    });
    let cases = ["derive", "unified"]
        .map(|mode| with_data(&format!("stellar::unit_cases::{mode}"), move |folder| unit_cases_hold(mode, folder)));
    files.chain(cases).collect()
}

/// A case over the shared data.
pub(crate) fn with_data(name: &str, test: impl Fn(&Path) -> Result<(), Failed> + Send + 'static) -> Trial {
    match shared_data() {
        Some(folder) => Trial::test(name, move || test(&folder)),
        None => {
            let missing = || Err("the shared data is absent: set FLOWCTL_STELLAR_DATA to its folder".into());
            Trial::test(name, missing).with_ignored_flag(!must_have_data())
        }
    }
}

fn pipeline(path: &Path, passphrase: &str, mode: &str) -> String {
    format!(
        "apiVersion: flowctl/v1\nkind: Pipeline\nmetadata: {{name: transfers}}\nspec:\n  \
         sources: [{{id: ledgers, type: stellar-ledgers, config: {{path: '{}', network: '{passphrase}'}}}}]\n  \
         processors: [{{id: ttp, plugin: ttp-processor, inputs: [ledgers], config: {{network: '{passphrase}', mode: {mode}}}}}]\n  \
         sinks: [{{id: out, type: stdout, inputs: [ttp]}}]\n",
        path.display()
    )
}

fn transfers(file: &DataFile, folder: &Path, expected: &[Event]) -> Result<(), Failed> {
    let flowctl = Flowctl::new();
    flowctl.write("p.yaml", pipeline(&file.path(folder), file.passphrase, "derive"));
    let answer = flowctl.run_with_plugins("run p.yaml --summary summary.json").success();
    same(&answer.stdout, expected)?;
    let summary: serde_json::Value = serde_json::from_str(&flowctl.read("summary.json"))?;
    assert_eq!(summary["per_node"]["ledgers"]["events_out"], file.n_ledgers);
    assert_eq!(summary["rejected"], 0);
    Ok(())
}

/// All cases of one mode as one file of ledgers: those that expect an error are
/// rejected, and nothing of them comes out.
fn unit_cases_hold(mode: &str, folder: &Path) -> Result<(), Failed> {
    let cases: Vec<_> = unit_cases(folder)?.into_iter().filter(|case| case.mode == mode).collect();
    let (mut lines, mut expected, mut n_errors) = (String::new(), Vec::new(), 0);
    for case in &cases {
        lines.push_str(&base64(&case.ledger));
        lines.push('\n');
        match &case.outcome {
            Outcome::Events(events) => expected.extend(events.iter().cloned()),
            Outcome::Error(_) => n_errors += 1,
        }
    }
    let flowctl = Flowctl::new();
    let ledgers = flowctl.write("ledgers.b64", lines);
    flowctl.write("p.yaml", pipeline(&ledgers, &cases[0].passphrase, mode));
    let answer = flowctl.run_with_plugins("run p.yaml --summary summary.json --state-dir state").success();
    same(&answer.stdout, &expected)?;
    let summary: serde_json::Value = serde_json::from_str(&flowctl.read("summary.json"))?;
    assert_eq!(summary["rejected"], n_errors);
    let letters = std::fs::read_to_string(flowctl.path("state/transfers/dead-letters.jsonl")).unwrap_or_default();
    assert_eq!(letters.lines().count(), n_errors);
    Ok(())
}

fn same(stdout: &str, expected: &[Event]) -> Result<(), Failed> {
    for (number, (found, event)) in stdout.lines().zip(expected).enumerate() {
        let expected = event.to_json_line();
        if found != expected {
            return Err(format!("event {number}\n   found {found}\nexpected {expected}").into());
        }
    }
    let found = stdout.lines().count();
    if found != expected.len() {
        return Err(format!("{found} events, where {} are expected", expected.len()).into());
    }
    Ok(())
}
