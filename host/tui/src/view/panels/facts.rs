//! All that is known of the chosen node, and how fast it went.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Borders, Chart, Dataset, GraphType, Paragraph};

use super::super::parts::{safe, words};
use super::super::theme::Theme;
use super::nothing;
use crate::format::{self, bytes, count, rate_or_unknown};
use crate::model::detail::Detail;
use crate::model::track::Track;

/// Columns of the names of facts.
const NAMES: usize = 10;
/// Rows of the chart, at most.
const CHART: u16 = 14;

pub(super) fn draw(detail: &Detail, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let Some(track) = detail.track() else { return nothing("No node is chosen.", theme, frame, area) };
    let chart = if area.width >= 70 && area.height >= 4 { (area.width * 3 / 10).min(80) } else { 0 };
    let [left, _, right, _] = Layout::horizontal([
        Constraint::Min(0),
        Constraint::Length(2),
        Constraint::Length(chart),
        Constraint::Length(1),
    ])
    .areas(area);
    let lines = facts(detail, track, theme, left.width);
    let most = lines.len().saturating_sub(usize::from(left.height));
    let scroll = u16::try_from(detail.scroll.min(most)).unwrap_or(u16::MAX);
    frame.render_widget(Paragraph::new(lines).scroll((scroll, 0)), left);
    if chart > 0 {
        draw_chart(track, theme, frame, right);
    }
}

/// Facts, one a line or several where they are long.
fn facts(detail: &Detail, track: &Track, theme: Theme, width: u16) -> Vec<Line<'static>> {
    let figures = &track.figures;
    let component = detail.components.get(&figures.node).cloned().unwrap_or_default();
    let is_going = detail.is_going();
    let per_second = |rate: Option<f64>| rate_or_unknown(rate.filter(|_| is_going));
    let mut facts: Vec<(&str, String)> = Vec::new();
    let mut what = vec![format!("{} {}", component.name, component.version).trim().to_owned(), figures.origin.clone()];
    if component.parallelism > 1 {
        what.push(format!("{} instances", component.parallelism));
    }
    if component.is_stateful {
        what.push("keeps state".to_owned());
    }
    what.retain(|part| !part.is_empty());
    facts.push((if figures.role.is_empty() { "node" } else { &figures.role }, what.join(" · ")));
    if !figures.waiting.is_empty() {
        facts.push(("waits", figures.waiting.clone()));
    }
    let flow = |total: u64, rate: Option<f64>, bytes: u64| {
        format!("{} · {}/s · {}", count(total), per_second(rate), format::bytes(bytes))
    };
    let received = flow(figures.events_in, track.received.per_second(), figures.bytes_in);
    let emitted = flow(figures.events_out, track.emitted.per_second(), figures.bytes_out);
    match figures.role.as_str() {
        "source" => facts.push(("emits", emitted)),
        "sink" => facts.push(("takes", received)),
        _ => facts.extend([("takes", received), ("emits", emitted)]),
    }
    if let Some(queue) = track.queue {
        let text = format!(
            "{} of {} batches · {} · {:.0} % full",
            queue.batches,
            queue.max_batches,
            bytes(queue.bytes),
            queue.fill * 100.0
        );
        facts.push(("queue", text));
    }
    facts.push(("latency", latency(track).filter(|_| is_going).unwrap_or_else(|| format::UNKNOWN.to_owned())));
    facts.push(("rejected", format!("{} · {} restarts", count(figures.rejected), count(figures.restarts))));
    if figures.memory_bytes > 0 {
        let cpu = Duration::from_nanos(figures.cpu_ns).as_secs_f64();
        facts.push(("memory", format!("{} · {cpu:.1} s of CPU", bytes(figures.memory_bytes))));
    }
    for (name, types) in [("reads", &component.inputs), ("writes", &component.outputs)] {
        if !types.is_empty() {
            facts.push((name, types.join(", ")));
        }
    }
    let room = usize::from(width).saturating_sub(NAMES + 1);
    let row = |(name, text): (&str, String)| {
        words(&safe(&text), room).into_iter().take(3).enumerate().map({
            let name = name.to_owned();
            move |(row, text)| {
                let name = if row == 0 { name.as_str() } else { "" };
                Line::from(vec![Span::styled(format!(" {name:<NAMES$}"), theme.dim()), Span::raw(text)])
            }
        })
    };
    facts.into_iter().flat_map(row).collect()
}

/// How long a batch takes; none where none came of late.
fn latency(track: &Track) -> Option<String> {
    let mut text = format::latency(track.latencies.mean()?);
    for (share, words) in [(0.5, "half"), (0.99, "99 %")] {
        if let Some(bound) = track.latencies.at_most(share) {
            text.push_str(&format!(" · {words} ≤ {}", format::latency(bound)));
        }
    }
    Some(text)
}

fn draw_chart(track: &Track, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let [top, chart] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(area.height.saturating_sub(1).min(CHART))])
            .areas(area);
    // a sign has two columns of dots; the latest is at the right
    let n_points = usize::from(chart.width) * 2;
    let values: Vec<f64> = track.flow().last(n_points).collect();
    let most = values.iter().copied().fold(0.0, f64::max);
    let title = vec![Span::styled("events/s, up to ", theme.dim()), Span::styled(format::rate(most), theme.strong())];
    frame.render_widget(Line::from(title), top);
    let begin = n_points - values.len();
    let points: Vec<(f64, f64)> = (begin..).zip(values).map(|(x, value)| (x as f64, value)).collect();
    let line =
        Dataset::default().marker(Marker::Braille).graph_type(GraphType::Line).style(theme.chart()).data(&points);
    let chart_of = Chart::new(vec![line])
        .x_axis(Axis::default().bounds([0.0, n_points.saturating_sub(1) as f64]))
        .y_axis(Axis::default().bounds([0.0, most.max(0.1) * 1.1]))
        .block(Block::new().borders(Borders::BOTTOM).border_style(theme.dim()));
    frame.render_widget(chart_of, chart);
}
