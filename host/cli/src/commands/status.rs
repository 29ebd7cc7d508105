//! `flowctl status`.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use flowctl_client::{Client, admin};
use serde::Serialize;

use super::pipelines::rows::{PipelineRow, time};
use crate::help::examples;
use crate::output::{self, Format};
use crate::plane::{self, ControlPlaneArgs, refused};
use crate::terminal;

/// Time between two looks of `--watch`.
const INTERVAL: Duration = Duration::from_secs(1);

/// What has not changed is printed again after this time, where it cannot be drawn in place: that
/// nobody reads it any more is found by printing.
const REPEATED: Duration = Duration::from_secs(10);

/// Lines above the rows of pipelines.
const N_HEADING: usize = 4;

/// Rows of a terminal that does not say how many it has.
const ROWS: usize = 24;

/// Show the control plane, its pipelines and its components
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl status", ""),
    ("flowctl status --watch", "until Ctrl-C"),
    ("flowctl status --output json", "for a program"),
]))]
pub(crate) struct Status {
    /// Go on showing it as it changes, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
    #[command(flatten)]
    plane: ControlPlaneArgs,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Serialize)]
struct Overview {
    address: String,
    version: String,
    started_at: Option<String>,
    tenant: String,
    role: String,
    active_runs: u64,
    components: u64,
    pipelines: Vec<PipelineRow>,
}

impl Status {
    /// Prints it, once or again and again.
    pub(crate) fn run(self) -> Result<ExitCode> {
        plane::block_on(async {
            let client = self.plane.connect().await?;
            let mut watched = Watched::new(self.output);
            loop {
                let overview = Overview::of(&client).await?;
                if !self.watch {
                    output::value(self.output, &overview, || overview.text())?;
                    return Ok(ExitCode::SUCCESS);
                }
                watched.show(self.output, &overview)?;
                tokio::time::sleep(INTERVAL).await;
            }
        })
    }
}

/// What `--watch` has shown.
enum Watched {
    /// In place, on a terminal: the lines that stand there.
    InPlace(Vec<String>),
    /// One below the other: what was printed last, and when.
    Below(Option<(String, Instant)>),
}

impl Watched {
    fn new(format: Format) -> Self {
        let is_in_place = format == Format::Table && std::io::stdout().is_terminal() && !terminal::is_dumb();
        if is_in_place { Self::InPlace(Vec::new()) } else { Self::Below(None) }
    }

    /// Shows what is now, where that is not what was shown last.
    fn show(&mut self, format: Format, overview: &Overview) -> Result<()> {
        match self {
            Self::InPlace(shown) => {
                let columns = terminal::width(std::io::stdout());
                let lines = fitted(&output::plain(&overview.text()), columns, rows());
                if *shown != lines {
                    let mut stdout = std::io::stdout().lock();
                    stdout.write_all(redrawn(shown, &lines, columns).as_bytes())?;
                    stdout.flush()?;
                    *shown = lines;
                }
            }
            Self::Below(last) => {
                let text = match format {
                    Format::Table => overview.text(),
                    Format::Json | Format::Yaml => serde_json::to_string(overview).context("cannot write JSON")?,
                };
                if last.as_ref().is_some_and(|(before, at)| *before == text && at.elapsed() < REPEATED) {
                    return Ok(());
                }
                if last.is_some() && format == Format::Table {
                    output::line("")?;
                }
                output::value(format, overview, || overview.text())?;
                *last = Some((text, Instant::now()));
            }
        }
        Ok(())
    }
}

/// Rows of the terminal that stdout leads to.
fn rows() -> usize {
    let rows = rustix::termios::tcgetwinsize(std::io::stdout()).map_or(0, |size| usize::from(size.ws_row));
    if rows == 0 { ROWS } else { rows }
}

/// The lines of `text` as they fit on a terminal of so many columns and rows, with the cursor below
/// them. Pipelines that have no place are counted in the last line.
fn fitted(text: &str, columns: usize, rows: usize) -> Vec<String> {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    // a line that fills its row would have the cursor beside it
    let narrowed =
        |lines: &[&str]| lines.iter().map(|line| output::cut(line, columns.saturating_sub(1))).collect::<Vec<_>>();
    let n_places = rows.saturating_sub(1).max(2);
    if lines.len() <= n_places {
        return narrowed(&lines);
    }
    let n_shown = n_places - 1;
    let n_more = lines.len().saturating_sub(n_shown.max(N_HEADING));
    let more = format!("… {n_more} more: `flowctl pipelines list` shows all");
    narrowed(&[&lines[..n_shown], &[more.as_str()]].concat())
}

/// What has a terminal show `lines` in place of `shown`, below which the cursor stands. Where the
/// terminal became narrower, what was shown takes more rows now.
fn redrawn(shown: &[String], lines: &[String], columns: usize) -> String {
    let n_rows: usize = shown.iter().map(|line| line.chars().count().div_ceil(columns.max(1)).max(1)).sum();
    let mut text = if n_rows == 0 { String::new() } else { format!("\u{1b}[{n_rows}A\r\u{1b}[J") };
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    text
}

impl Overview {
    async fn of(client: &Client) -> Result<Self> {
        let host = client.host().await.map_err(refused)?;
        let pipelines = client.pipelines(admin::ListPipelinesRequest::default()).await.map_err(refused)?;
        Ok(Self {
            address: client.address().to_owned(),
            version: host.version,
            started_at: time(host.started_at.as_ref()),
            tenant: host.tenant,
            role: host.role,
            active_runs: host.n_active_runs,
            components: host.n_components,
            pipelines: pipelines.iter().map(PipelineRow::of).collect(),
        })
    }

    fn text(&self) -> String {
        let since = self.started_at.as_ref().map(|at| format!(", since {at}")).unwrap_or_default();
        let mut text = format!(
            "flowctl {} at {}{since}\ntenant {} as {}: {} pipelines, {} running, {} components\n",
            self.version,
            self.address,
            self.tenant,
            self.role,
            self.pipelines.len(),
            self.active_runs,
            self.components,
        );
        if !self.pipelines.is_empty() {
            let cells: Vec<Vec<String>> = self.pipelines.iter().map(PipelineRow::cells).collect();
            text.push('\n');
            text.push_str(&output::table(&PipelineRow::HEADER, &cells));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An overview of so many pipelines.
    fn text(n_pipelines: usize) -> String {
        let rows: String = (1..=n_pipelines).map(|n| format!("p{n}    running\n")).collect();
        format!("flowctl 1 at here\ntenant default\n\nNAME  STATUS\n{rows}")
    }

    #[test]
    fn what_has_no_place_on_the_terminal_is_counted_below_its_heading() {
        let check = |n_pipelines: usize, rows: usize, last: &str| {
            let lines = fitted(&text(n_pipelines), 80, rows);
            assert!(lines.len() < rows, "{lines:?}");
            assert_eq!(lines[3], "NAME  STATUS");
            assert_eq!(lines.last().map(String::as_str), Some(last), "{lines:?}");
        };
        check(3, 24, "p3    running");
        check(3, 8, "p3    running");
        check(4, 8, "… 2 more: `flowctl pipelines list` shows all");
        check(100, 8, "… 98 more: `flowctl pipelines list` shows all");
        check(100, 6, "… 100 more: `flowctl pipelines list` shows all");
        // nothing of use is left, and it is not longer than the terminal
        assert_eq!(fitted(&text(9), 80, 4).len(), 3);
    }

    #[test]
    fn no_line_fills_its_row() {
        assert_eq!(fitted("12345\n123456\n\näöüäöü\n", 6, 24), ["12345", "1234…", "", "äöüä…"]);
    }

    #[test]
    fn what_stood_there_is_taken_away_first() {
        let lines = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let check = |shown: &[&str], columns: usize, wanted: &str| {
            assert_eq!(redrawn(&lines(shown), &lines(&["x", ""]), columns), wanted);
        };
        check(&[], 80, "x\n\n");
        check(&["a", "", "b"], 80, "\u{1b}[3A\r\u{1b}[Jx\n\n");
        // the terminal became narrower
        check(&["12345", ""], 2, "\u{1b}[4A\r\u{1b}[Jx\n\n");
    }
}
