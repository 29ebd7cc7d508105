//! What happened in the run, and what its components logged.

use flowctl_client::admin::RunEvent;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::parts::{fold, safe};
use super::super::theme::Theme;
use super::{nothing, tail};
use crate::format;
use crate::model::detail::Detail;

/// Rows of one event, at most.
const ROWS: usize = 6;

pub(super) fn draw(detail: &Detail, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let logs = &detail.logs;
    let shown = logs.lines.shown();
    if shown.is_empty() {
        let why = match (logs.lines.is_empty(), logs.is_of_all) {
            (false, _) => "Nothing passes the filter; esc takes it away.",
            (true, true) => "Nothing was logged.",
            (true, false) => "This node logged nothing; `n` shows all nodes.",
        };
        return nothing(why, theme, frame, area);
    }
    let end = shown.len() - logs.lines.scroll.min(shown.len() - 1);
    tail(shown[..end].iter().map(|event| line(event, logs.is_of_all, theme, area.width)), frame, area);
}

fn line(event: &RunEvent, has_node: bool, theme: Theme, width: u16) -> Vec<Line<'static>> {
    let about = match event.node.as_str() {
        node if has_node && !node.is_empty() => format!("{} {}", safe(&event.kind), safe(node)),
        _ => safe(&event.kind),
    };
    let head = vec![
        Span::styled(format!(" {} ", format::clock(event.at.as_ref())), theme.dim()),
        Span::styled(format!("{:<5} ", safe(&event.level)), theme.level(&event.level)),
        Span::styled(format!("{about}  "), theme.strong()),
    ];
    let indent: usize = head.iter().map(Span::width).sum();
    let indent = if indent + 20 > usize::from(width) { 4 } else { indent };
    let room = usize::from(width).saturating_sub(indent + 1);
    let mut rows = fold(&event.message, room, ROWS).into_iter();
    let mut first = Line::from(head);
    if indent > 4 {
        first.extend(rows.next().map(Span::raw));
    }
    std::iter::once(first).chain(rows.map(|text| Line::raw(format!("{}{text}", " ".repeat(indent))))).collect()
}
