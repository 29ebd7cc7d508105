//! Events as they leave the chosen node: a sample, for a fast one.

use flowctl_client::admin::TappedEvent;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::parts::{fold, safe};
use super::super::theme::Theme;
use super::{nothing, tail};
use crate::format;
use crate::model::detail::Detail;

/// Rows of one event, at most.
const ROWS: usize = 4;

pub(super) fn draw(detail: &Detail, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let lines = &detail.tap.lines;
    let shown = lines.shown();
    if shown.is_empty() {
        let why = match (lines.is_empty(), detail.is_going()) {
            (false, _) => "Nothing passes the filter; esc takes it away.",
            (true, false) => "Nothing flows: the pipeline does not run.",
            (true, true) => "No event has come yet.",
        };
        return nothing(why, theme, frame, area);
    }
    let end = shown.len() - lines.scroll.min(shown.len() - 1);
    let is_mixed = shown.iter().any(|event| event.r#type != shown[0].r#type);
    tail(shown[..end].iter().map(|event| line(event, is_mixed, theme, area.width)), frame, area);
}

fn line(event: &TappedEvent, has_type: bool, theme: Theme, width: u16) -> Vec<Line<'static>> {
    // as wide without a time
    let clock = format!(" {:<8} ", format::clock(event.time.as_ref()));
    let indent = clock.chars().count();
    let mut head = vec![Span::styled(clock, theme.dim())];
    if has_type {
        head.push(Span::styled(format!("{} ", safe(&event.r#type)), theme.accent()));
    }
    // the first row is shorter by the type
    let first: usize = head[1..].iter().map(Span::width).sum();
    let padded = format!("{}{}", " ".repeat(first), event.json);
    let mut rows = fold(&padded, usize::from(width).saturating_sub(indent + 1), ROWS).into_iter();
    let mut line = Line::from(head);
    line.extend(rows.next().map(|row| Span::raw(row.chars().skip(first).collect::<String>())));
    std::iter::once(line).chain(rows.map(|text| Line::raw(format!("{}{text}", " ".repeat(indent))))).collect()
}
