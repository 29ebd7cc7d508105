//! `flowctl processors test`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use flowctl_schema::Role;

use super::build::near;
use super::cargo::{Crate, Say};
use super::cases::{self, Case};
use super::compare::difference;
use super::rig::{Came, Interrupted, Rig};
use crate::help::examples;
use crate::report::{self, Hinted};
use crate::{output, plane};

/// Arguments of `processors test`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl processors test", ""),
    ("flowctl processors test --case refunds --bless", "what comes out is right"),
]))]
pub(crate) struct Test {
    /// The crate's folder, or its Cargo.toml
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,
    /// Run this case alone; may be repeated
    #[arg(long = "case", value_name = "CASE")]
    cases: Vec<String>,
    /// Write what comes out as what is expected
    #[arg(long)]
    bless: bool,
}

/// What became of a case.
enum Verdict {
    /// It came out as expected.
    Kept(Came),
    /// What came out is what is expected from now on.
    Blessed(Came),
    /// It came out otherwise.
    Differs(String),
}

impl Test {
    /// Builds the crate, and prints what became of each case.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let (found, built) = plane::block_on(async {
            let of = Crate::find(&self.path).await?;
            let found = cases::find(&near(of.folder()), &self.cases)?;
            Ok((found, of.build(Say::AsItGoes).await?))
        })?;
        if built.contract.role != Role::Processor {
            let message =
                format!("`{}` is a {}, and cases are those of processors", built.contract.name, built.contract.role);
            return Err(Hinted::error(message, "name the folder of a processor"));
        }
        let mut rig = Rig::start(&built)?;
        let mut n_failed = 0;
        let mut n_new = 0;
        for case in &found {
            let name = &case.name;
            let verdict = match self.verdict(case, &mut rig) {
                Err(error) if error.is::<Interrupted>() => return Err(error),
                verdict => verdict,
            };
            n_failed += usize::from(!matches!(verdict, Ok(Verdict::Kept(_) | Verdict::Blessed(_))));
            output::line(output::plain(&match verdict {
                Ok(Verdict::Kept(came)) => format!("ok       {name}: {}", counts(&came)),
                Ok(Verdict::Blessed(came)) => {
                    n_new += 1;
                    format!("blessed  {name}: {}", counts(&came))
                }
                Ok(Verdict::Differs(lines)) => format!("FAILED   {name}\n{}", indented(&lines)),
                Err(error) => format!("FAILED   {name}\n{}", indented(&report::text(&error))),
            }))?;
        }
        match n_failed {
            0 => Ok(ExitCode::SUCCESS),
            _ => Err(Hinted::error(
                format!("{n_failed} of {} cases failed", found.len()),
                match self.bless {
                    true => format!("{n_new} were blessed; the others have to be mended"),
                    false => "where what came out is right, `--bless` writes it down".to_owned(),
                },
            )),
        }
    }

    fn verdict(&self, case: &Case, rig: &mut Rig<'_>) -> Result<Verdict> {
        let expected = (!self.bless).then(|| case.expected()).transpose()?;
        let input = case.input(rig.contract())?;
        let came = rig.run(input)?;
        match expected {
            None if case.bless(&came.lines())? => Ok(Verdict::Blessed(came)),
            None => Ok(Verdict::Kept(came)),
            Some(expected) => Ok(match difference(&expected, &came.lines()) {
                Some(lines) => Verdict::Differs(lines),
                None => Verdict::Kept(came),
            }),
        }
    }
}

fn counts(came: &Came) -> String {
    format!("{} out, {} rejected", came.n_events(), came.n_rejected())
}

fn indented(lines: &str) -> String {
    lines.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
