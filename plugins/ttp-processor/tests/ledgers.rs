//! Every ledger of the shared data gives exactly the expected transfers, in order: one
//! case a file and one for each case of the reference's unit tests.
//!
//! Without the shared data the cases are reported as ignored; in CI they fail.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::ExitCode;

use common::{event_of, trials};
use flowctl_test_support::{DATA_FILES, DataFile, Event, Outcome, UnitCase, unit_cases};
use libtest_mimic::{Arguments, Failed};
use ttp_processor::{Mode, Network, Rules};

fn main() -> ExitCode {
    let mut tests = trials(&DATA_FILES, |file| format!("transfers_of::{}", file.name), transfers_of_file);
    let cases = match flowctl_test_support::shared_data().map(|folder| unit_cases(&folder)) {
        Some(cases) => cases.unwrap(),
        None => Vec::new(),
    };
    tests.extend(common::unit_trials(cases, |case| outcome_of_case(&case)));
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

fn transfers_of_file(file: &DataFile, folder: &Path) -> Result<(), Failed> {
    let mut rules = Rules::new(Network::new(file.passphrase)?, Mode::Derive);
    let mut found = Vec::new();
    for ledger in file.ledgers(folder)? {
        rules.transfers(&ledger, &mut |transfer| found.push(event_of(transfer)))?;
    }
    same(&found, &file.expected_events(folder)?)
}

fn outcome_of_case(case: &UnitCase) -> Result<(), Failed> {
    let mut rules = Rules::new(Network::new(&case.passphrase)?, case.mode.parse::<Mode>()?);
    let mut found = Vec::new();
    let outcome = rules.transfers(&case.ledger, &mut |transfer| found.push(event_of(transfer)));
    match (&case.outcome, outcome) {
        (Outcome::Events(expected), Ok(())) => same(&found, expected),
        (Outcome::Error(_), Err(_)) => same(&found, &[]),
        (Outcome::Events(_), Err(error)) => Err(error.to_string().into()),
        (Outcome::Error(error), Ok(())) => Err(format!("no error, where the reference says: {error}").into()),
    }
}

fn same(found: &[Event], expected: &[Event]) -> Result<(), Failed> {
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        if found != expected {
            let (found, expected) = (found.to_json_line(), expected.to_json_line());
            return Err(format!("event {index}\n   found {found}\nexpected {expected}").into());
        }
    }
    if found.len() != expected.len() {
        return Err(format!("{} events, where {} are expected", found.len(), expected.len()).into());
    }
    Ok(())
}
