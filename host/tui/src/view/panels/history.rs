//! What the pipeline was, change by change.

use std::time::Duration;

use flowctl_client::admin::Revision;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::parts::{cut, fold, safe};
use super::super::theme::Theme;
use super::nothing;
use crate::format;
use crate::model::detail::Detail;

/// Columns of the screen from which on there is room for pauses.
const PAUSES_FROM: u16 = 60;

pub(super) fn draw(detail: &Detail, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    if detail.revisions.is_empty() {
        return nothing("Looking …", theme, frame, area);
    }
    let revisions = detail.revisions.iter().skip(detail.scroll.min(detail.revisions.len() - 1));
    let lines: Vec<Line<'static>> =
        revisions.flat_map(|revision| lines(revision, theme, area.width)).take(usize::from(area.height)).collect();
    frame.render_widget(Paragraph::new(lines), area);
}

fn lines(revision: &Revision, theme: Theme, width: u16) -> Vec<Line<'static>> {
    let mark = if revision.is_current { "▸" } else { " " };
    let status = match revision.status.as_str() {
        "kept" => theme.good(),
        "on-trial" | "switching" => theme.warn(),
        "rolled-back" => theme.bad(),
        _ => theme.dim(),
    };
    let mut head = Line::from(vec![
        Span::styled(format!("{mark}{:>3} ", revision.number), theme.strong()),
        Span::styled(format!("{} ", format::day(revision.made_at.as_ref())), theme.dim()),
        Span::styled(format!("{:<11} ", safe(&revision.status)), status),
    ]);
    if revision.pause_us > 0 && width >= PAUSES_FROM {
        head.push_span(Span::styled(format!("pause {}  ", pause(revision.pause_us)), theme.dim()));
    }
    let room = width.saturating_sub(u16::try_from(head.width()).unwrap_or(u16::MAX));
    head.push_span(Span::raw(cut(&safe(&revision.line), room)));
    let room = usize::from(width).saturating_sub(7);
    let more = |text: &str, style| {
        fold(&safe(text), room, 3).into_iter().map(move |text| Line::styled(format!("      {text}"), style)).collect()
    };
    let mut lines = vec![head];
    let reason = if revision.status == "rolled-back" { theme.bad() } else { theme.dim() };
    let said: Vec<Vec<Line<'static>>> = match revision.reason.as_str() {
        "" => revision.changes.iter().map(|change| more(change, theme.dim())).collect(),
        text => vec![more(text, reason)],
    };
    lines.extend(said.into_iter().flatten());
    lines
}

/// A pause: `0.02 ms`, `25 ms`. It is short, since the chain behind it needs the room.
fn pause(micros: u64) -> String {
    match micros {
        us if us < 9_950 => format!("{:.2} ms", us as f64 / 1e3),
        us => format::latency(Duration::from_micros(us)),
    }
}
