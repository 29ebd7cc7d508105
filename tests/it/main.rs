//! The integration tests: the `flowctl` binary over real plugins, as a person would use it.
//!
//! One binary, one case a file where there are files. Cases over the shared Stellar
//! data are reported as ignored where the data is absent, and fail where `CI` is set.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod artifacts;
mod authoring;
mod bad_input;
mod codes;
mod commands;
mod completions;
mod control_plane;
mod crash_points;
mod delivery;
mod doctor;
mod flowctl;
mod guide;
mod help;
mod hostile;
mod init;
mod kills;
mod languages;
mod manual;
mod misspelled;
mod observability;
mod pipelines;
mod resumes;
mod stellar;
mod swaps;
mod terminal;
mod types;

use libtest_mimic::{Arguments, Trial};

fn main() -> std::process::ExitCode {
    if let Some(code) = flowctl_test_support::components::child() {
        return code;
    }
    if let Some(code) = crash_points::child() {
        return code;
    }
    if let Some(code) = swaps::child() {
        return code;
    }
    let arguments = Arguments::from_args();
    let trials: Vec<Trial> = [
        stellar::trials(),
        pipelines::trials(),
        commands::trials(),
        help::trials(),
        misspelled::trials(),
        completions::trials(),
        manual::trials(),
        init::trials(),
        bad_input::trials(),
        codes::trials(),
        hostile::trials(),
        delivery::trials(),
        doctor::trials(),
        kills::trials(),
        crash_points::trials(),
        resumes::trials(),
        guide::trials(),
        authoring::trials(),
        observability::trials(),
        swaps::trials(),
        types::trials(),
        languages::trials(),
        artifacts::trials(),
        control_plane::trials(),
    ]
    .into_iter()
    .flatten()
    .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A case that panics where the fact does not hold.
fn fact(name: &str, proof: fn()) -> Trial {
    Trial::test(name, move || {
        proof();
        Ok(())
    })
}
