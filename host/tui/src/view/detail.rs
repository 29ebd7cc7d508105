//! One pipeline: its run in a line, its nodes, and the panel below.

use flowctl_client::{admin, status_word};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::parts::{between, cut_middle, fold, room_between, safe, sparkline};
use super::theme::Theme;
use super::{graph, panels, status};
use crate::format::{self, count};
use crate::model::Model;
use crate::model::detail::{Detail, Panel};

/// Columns of the history in the pipeline's line.
const HISTORY: usize = 12;

/// Draws the open pipeline.
pub(super) fn draw(detail: &Detail, model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let error = error(detail, area.width, theme);
    let is_empty = detail.graph.height() == 0;
    // the panel has half, and more where the nodes need less
    let most = (area.height.saturating_sub(2 + error.len() as u16) * 3 / 5).max(3);
    let nodes = if is_empty { 3 } else { graph::height(&detail.graph, most) };
    let heights = [
        Constraint::Length(1),
        Constraint::Length(error.len() as u16),
        Constraint::Length(nodes),
        Constraint::Length(1),
        Constraint::Min(0),
    ];
    let [head, wrong, nodes, tabs, panel] = Layout::vertical(heights).areas(area);
    frame.render_widget(run_line(detail, theme, area.width), head);
    frame.render_widget(Paragraph::new(error), wrong);
    if is_empty {
        frame.render_widget(Paragraph::new(nothing(detail, model)).style(theme.dim()), nodes);
    } else {
        graph::draw(detail, theme, frame, nodes);
    }
    frame.render_widget(tab_line(detail, theme, area.width), tabs);
    panels::draw(detail, theme, frame, panel);
}

/// Why no nodes are shown.
fn nothing(detail: &Detail, model: &Model) -> &'static str {
    match (&detail.run_id, &detail.run) {
        (None, _) if model.host.is_some() => "\n  It never ran.",
        (_, Some(_)) => "\n  Its nodes are not ready yet.",
        _ => "\n  Looking …",
    }
}

/// The run in one line: what it is, and as many of its figures as there is room for.
fn run_line(detail: &Detail, theme: Theme, width: u16) -> Line<'static> {
    let name = |room: u16| Span::styled(format!(" {} ", cut_middle(&safe(&detail.pipeline), room)), theme.strong());
    let Some(run) = &detail.run else { return Line::from(name(width.saturating_sub(2))) };
    let status = status(theme, run.status(), status_word(run.status()));
    let lasts = if detail.is_going() { "for" } else { "after" };
    let time = Span::styled(format!(" {lasts} {}", format::elapsed(run)), theme.dim());
    // with the blanks around the name, and one behind all
    let taken = u16::try_from(status.width() + time.width() + 3).unwrap_or(u16::MAX);
    let mut left = Line::from(vec![name(width.saturating_sub(taken)), status, time]);
    let mut right = Line::default();
    for figure in figures(detail, run, theme) {
        let before = if right.spans.is_empty() { "" } else { " " };
        // half a number is a wrong one
        if room_between(&left, &right, width) <= before.len() + figure.width() + 1 {
            break;
        }
        right.push_span(Span::raw(before));
        right.extend(figure);
        right.push_span(Span::raw(" "));
    }
    if width >= 100 && detail.is_going() && room_between(&left, &right, width) > HISTORY + 2 {
        let history = format!("{}  ", sparkline(&detail.events, HISTORY));
        right.spans.insert(0, Span::styled(history, theme.chart()));
    }
    let gap = between(&left, &right, width);
    left.push_span(gap);
    left.extend(right);
    left
}

/// The figures of a run, the first one read first.
fn figures(detail: &Detail, run: &admin::Run, theme: Theme) -> [Line<'static>; 4] {
    let rate = detail.events.per_second().filter(|_| detail.is_going());
    let figure = |text: String, style: Style, word: &'static str| {
        Line::from(vec![Span::styled(text, style), Span::styled(word, theme.dim())])
    };
    let rejected = if run.rejected > 0 { theme.warn() } else { theme.dim() };
    [
        figure(format::rate_or_unknown(rate), theme.strong(), "/s"),
        figure(count(run.events_in), Style::new(), " in"),
        figure(count(run.events_out), Style::new(), " out"),
        Line::from(Span::styled(format!("{} rejected", count(run.rejected)), rejected)),
    ]
}

/// Why the run failed, and what to do about it.
fn error(detail: &Detail, width: u16, theme: Theme) -> Vec<Line<'static>> {
    let Some(run) = detail.run.as_ref().filter(|run| !run.error.is_empty()) else { return Vec::new() };
    let width = usize::from(width).saturating_sub(4);
    let text = match run.error_code.as_str() {
        "" => run.error.clone(),
        code => format!("error[{code}]: {}", run.error),
    };
    let mut lines: Vec<Line<'static>> = fold(&text, width, 3)
        .into_iter()
        .enumerate()
        .map(|(row, text)| Line::styled(format!(" {} {text}", if row == 0 { "✗" } else { " " }), theme.bad()))
        .collect();
    if !run.hint.is_empty() {
        lines.extend(
            fold(&format!("hint: {}", run.hint), width, 2).into_iter().map(|text| Line::raw(format!("   {text}"))),
        );
    }
    lines
}

/// The names of the panels, and what the open one is about.
fn tab_line(detail: &Detail, theme: Theme, width: u16) -> Line<'static> {
    let mut line = Line::from(Span::styled("──", theme.dim()));
    for (index, panel) in Panel::ALL.into_iter().enumerate() {
        let name = format!(" {} {} ", index + 1, panel.name());
        let style = if panel == detail.panel { theme.chosen().patch(theme.strong()) } else { theme.dim() };
        line.push_span(Span::styled(name, style));
        line.push_span(Span::styled("─", theme.dim()));
    }
    let node = detail.chosen.as_deref().unwrap_or_default();
    let about = match detail.panel {
        Panel::Node => safe(node),
        Panel::Logs if detail.logs.is_of_all => "all nodes".to_owned(),
        Panel::Logs | Panel::Tap => format!("of {}", safe(node)),
        Panel::History | Panel::Runs => format!("of {}", safe(&detail.pipeline)),
    };
    let filter = match detail.panel {
        Panel::Logs => detail.logs.lines.filter.input.text(),
        Panel::Tap => detail.tap.lines.filter.input.text(),
        _ => String::new(),
    };
    line.push_span(Span::styled(format!(" {about} "), theme.accent()));
    if !filter.is_empty() {
        line.push_span(Span::styled(format!("only `{}` ", safe(&filter)), theme.warn()));
    }
    if detail.panel == Panel::Tap && detail.tap.is_frozen {
        line.push_span(Span::styled("frozen ", theme.warn()));
    }
    let rest = usize::from(width).saturating_sub(line.width());
    line.push_span(Span::styled("─".repeat(rest), theme.dim()));
    line
}
