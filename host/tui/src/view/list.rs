//! All pipelines, and the runs of the chosen one.

use flowctl_client::{admin, status_word};
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table};

use super::parts::{self, cut, cut_middle, first_row, fold, rule, safe, sparkline};
use super::status;
use super::theme::Theme;
use crate::format::{self, count, rate_or_unknown};
use crate::model::{Model, Pipeline};

/// Rows for the runs of the chosen pipeline, where there is room for more.
const RUNS_HEIGHT: u16 = 7;

/// A column: what it is called, how wide it is, how wide the screen must be for it, and what it says on so many
/// columns of the screen.
struct Column {
    name: &'static str,
    width: Constraint,
    from_width: u16,
    is_number: bool,
    cell: fn(&Pipeline, Theme, u16) -> Line<'static>,
}

const COLUMNS: [Column; 9] = [
    Column { name: "PIPELINE", width: Constraint::Fill(2), from_width: 0, is_number: false, cell: name },
    Column { name: "STATUS", width: Constraint::Length(11), from_width: 0, is_number: false, cell: state },
    Column { name: "EVENTS/S", width: Constraint::Length(8), from_width: 0, is_number: true, cell: flow },
    Column { name: "", width: Constraint::Length(12), from_width: 64, is_number: false, cell: history },
    Column { name: "IN", width: Constraint::Length(7), from_width: 76, is_number: true, cell: read },
    Column { name: "OUT", width: Constraint::Length(7), from_width: 90, is_number: true, cell: taken },
    Column { name: "REJECTED", width: Constraint::Length(8), from_width: 0, is_number: true, cell: rejected },
    Column { name: "FOR", width: Constraint::Length(8), from_width: 100, is_number: true, cell: elapsed },
    Column { name: "ERROR", width: Constraint::Fill(3), from_width: 120, is_number: false, cell: error },
];

/// Draws the list.
pub(super) fn draw(model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let below = if area.height >= 16 { RUNS_HEIGHT.max(area.height / 4) } else { 0 };
    let rows = [Constraint::Length(2), Constraint::Min(0), Constraint::Length(below)];
    let [top, middle, below] = Layout::vertical(rows).areas(area);
    frame.render_widget(summary(model, theme), top);
    pipelines(model, theme, frame, middle);
    runs(model, theme, frame, below);
}

/// All of them in one line.
fn summary(model: &Model, theme: Theme) -> Line<'static> {
    let of = |wanted| model.pipelines.iter().filter(|pipeline| pipeline.status() == wanted).count();
    let per_second: f64 = model.pipelines.iter().filter_map(Pipeline::per_second).sum();
    let (running, failed) = (of(admin::RunStatus::Running), of(admin::RunStatus::Failed));
    let mut line = Line::from(vec![
        Span::styled(format!(" {}", model.pipelines.len()), theme.strong()),
        Span::styled(if model.pipelines.len() == 1 { " pipeline   " } else { " pipelines   " }, theme.dim()),
        Span::styled(running.to_string(), theme.strong()),
        Span::styled(" running   ", theme.dim()),
    ]);
    if failed > 0 {
        line.push_span(Span::styled(format!("{failed} failed   "), theme.bad()));
    }
    line.push_span(Span::styled(format::rate(per_second), theme.strong()));
    line.push_span(Span::styled(" events/s", theme.dim()));
    if !model.filter.input.is_empty() {
        line.push_span(Span::styled(format!("   only `{}`", model.filter.input.text()), theme.warn()));
    }
    line
}

fn pipelines(model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let listed: Vec<&Pipeline> = model.listed().collect();
    if listed.is_empty() {
        frame.render_widget(Paragraph::new(nothing(model)).style(theme.dim()), area);
        return;
    }
    let columns: Vec<&Column> = COLUMNS.iter().filter(|column| column.from_width <= area.width).collect();
    let aligned = |line: Line<'static>, column: &Column| {
        Cell::from(line.alignment(if column.is_number { Alignment::Right } else { Alignment::Left }))
    };
    let chart = if area.width >= 160 { 40 } else { 12 };
    let widths = std::iter::once(Constraint::Length(1)).chain(columns.iter().map(|column| match column.name {
        "" => Constraint::Length(chart),
        _ => column.width,
    }));
    let places = Layout::horizontal(widths).spacing(1).split(area);
    let chosen = listed.iter().position(|pipeline| Some(&pipeline.wire.name) == model.chosen.as_ref());
    let height = usize::from(area.height.saturating_sub(1));
    let first = first_row(chosen.unwrap_or(0), listed.len(), height);
    let rows = listed.iter().enumerate().skip(first).take(height).map(|(index, pipeline)| {
        let is_chosen = Some(index) == chosen;
        let cells = columns.iter().zip(places.iter().skip(1)).map(|(column, place)| {
            let line = (column.cell)(pipeline, theme, place.width);
            aligned(if is_chosen { parts::chosen(&line, theme) } else { line }, column)
        });
        let row = Row::new(std::iter::once(Cell::from(if is_chosen { "▸" } else { "" })).chain(cells));
        if is_chosen { row.style(theme.chosen()) } else { row }
    });
    let names = columns.iter().map(|column| aligned(Line::styled(column.name, theme.dim()), column));
    let widths = places.iter().map(|place| Constraint::Length(place.width));
    let table = Table::new(rows, widths).header(Row::new(std::iter::once(Cell::from("")).chain(names)));
    frame.render_widget(table, area);
}

/// Why the list is empty.
fn nothing(model: &Model) -> &'static str {
    if !model.filter.input.is_empty() {
        "\n  No pipeline is like that; esc shows all of them."
    } else if model.host.is_some() {
        "\n  There are no pipelines yet. `flowctl run FILE --detach` brings one here."
    } else {
        "\n  Looking …"
    }
}

/// The chosen pipeline: why it failed, and its runs.
fn runs(model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let Some(pipeline) = model.chosen.as_deref().and_then(|name| model.pipeline(name)) else { return };
    if area.height == 0 {
        return;
    }
    let title = vec![Span::raw("runs of "), Span::styled(safe(&pipeline.wire.name), theme.strong())];
    let mut lines = vec![rule(title, area.width, theme)];
    if !pipeline.error().is_empty() {
        let folded = fold(pipeline.error(), usize::from(area.width).saturating_sub(4), 2);
        lines.extend(folded.into_iter().enumerate().map(|(row, text)| {
            let sign = if row == 0 { "✗" } else { " " };
            Line::styled(format!(" {sign} {text}"), theme.bad())
        }));
    }
    let [top, rest] = Layout::vertical([Constraint::Length(lines.len() as u16), Constraint::Min(0)]).areas(area);
    frame.render_widget(Paragraph::new(lines), top);
    frame.render_widget(run_table(model.runs.iter(), theme, rest), rest);
}

/// Runs, one a row.
pub(super) fn run_table<'a>(runs: impl Iterator<Item = &'a admin::Run>, theme: Theme, area: Rect) -> Table<'static> {
    let number = |text: String| Cell::from(Line::from(text).alignment(Alignment::Right));
    let is_wide = area.width >= 100;
    let rows = runs.take(usize::from(area.height)).map(move |run| {
        let mut cells = vec![
            Cell::from(Line::from(status(theme, run.status(), status_word(run.status())))),
            Cell::from(Span::styled(format::day(run.created_at.as_ref()), theme.dim())),
            number(format::elapsed(run)),
            number(format!("{} in", count(run.events_in))),
            number(format!("{} out", count(run.events_out))),
            number(format!("{} rejected", count(run.rejected))),
        ];
        if is_wide {
            cells.push(Cell::from(Span::styled(safe(&run.id), theme.dim())));
            cells.push(Cell::from(Span::styled(safe(&run.error), theme.bad())));
        }
        Row::new(std::iter::once(Cell::from("")).chain(cells))
    });
    let mut widths = vec![1, 11, 14, 8, 10, 11, 14].into_iter().map(Constraint::Length).collect::<Vec<_>>();
    if is_wide {
        widths.extend([Constraint::Length(28), Constraint::Fill(1)]);
    }
    Table::new(rows, widths)
}

fn name(pipeline: &Pipeline, theme: Theme, width: u16) -> Line<'static> {
    Line::styled(cut_middle(&safe(&pipeline.wire.name), width), theme.strong())
}

fn state(pipeline: &Pipeline, theme: Theme, _: u16) -> Line<'static> {
    Line::from(status(theme, pipeline.status(), pipeline.status_word()))
}

fn flow(pipeline: &Pipeline, theme: Theme, _: u16) -> Line<'static> {
    let rate = pipeline.per_second();
    Line::styled(rate_or_unknown(rate), if rate.is_some() { theme.strong() } else { theme.dim() })
}

fn history(pipeline: &Pipeline, theme: Theme, width: u16) -> Line<'static> {
    let width = usize::from(width);
    if pipeline.is_going() { Line::styled(sparkline(&pipeline.events, width), theme.chart()) } else { Line::default() }
}

fn read(pipeline: &Pipeline, _: Theme, _: u16) -> Line<'static> {
    Line::from(figure(pipeline, |run| run.events_in))
}

fn taken(pipeline: &Pipeline, _: Theme, _: u16) -> Line<'static> {
    Line::from(figure(pipeline, |run| run.events_out))
}

fn rejected(pipeline: &Pipeline, theme: Theme, _: u16) -> Line<'static> {
    let is_any = pipeline.wire.last_run.as_ref().is_some_and(|run| run.rejected > 0);
    Line::styled(figure(pipeline, |run| run.rejected), if is_any { theme.warn() } else { theme.dim() })
}

fn elapsed(pipeline: &Pipeline, theme: Theme, _: u16) -> Line<'static> {
    Line::styled(pipeline.wire.last_run.as_ref().map_or_else(String::new, format::elapsed), theme.dim())
}

fn error(pipeline: &Pipeline, theme: Theme, width: u16) -> Line<'static> {
    Line::styled(cut(&format!("  {}", safe(pipeline.error())), width), theme.bad())
}

fn figure(pipeline: &Pipeline, of: fn(&admin::Run) -> u64) -> String {
    pipeline.wire.last_run.as_ref().map_or_else(|| format::UNKNOWN.to_owned(), |run| count(of(run)))
}
