//! What is shown below the nodes.

mod facts;
mod history;
mod logs;
mod tap;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use super::list::run_table;
use super::parts::fold;
use super::theme::Theme;
use crate::model::detail::{Detail, Panel};

/// Draws the panel that is open.
pub(super) fn draw(detail: &Detail, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    if area.is_empty() {
        return;
    }
    if let Some((_, trouble)) = &detail.trouble {
        let width = usize::from(area.width).saturating_sub(2);
        let mut lines: Vec<Line<'static>> = Vec::new();
        lines.extend(
            fold(&trouble.text, width, 4).into_iter().map(|text| Line::styled(format!(" {text}"), theme.bad())),
        );
        let hint = trouble.hint.as_ref().map(|hint| fold(&format!("hint: {hint}"), width, 3));
        lines.extend(hint.into_iter().flatten().map(|text| Line::raw(format!(" {text}"))));
        frame.render_widget(Paragraph::new(lines), area);
        return;
    }
    match detail.panel {
        Panel::Node => facts::draw(detail, theme, frame, area),
        Panel::Logs => logs::draw(detail, theme, frame, area),
        Panel::Tap => tap::draw(detail, theme, frame, area),
        Panel::History => history::draw(detail, theme, frame, area),
        Panel::Runs => {
            let runs = detail.runs.iter().skip(detail.scroll);
            frame.render_widget(run_table(runs, theme, area), area);
        }
    }
}

/// Shows the last of `rows` that fill `area`, each one line or several.
fn tail(rows: impl DoubleEndedIterator<Item = Vec<Line<'static>>>, frame: &mut Frame<'_>, area: Rect) {
    let height = usize::from(area.height);
    let mut shown: Vec<Line<'static>> = Vec::new();
    for row in rows.rev() {
        shown.extend(row.into_iter().rev());
        if shown.len() >= height {
            break;
        }
    }
    shown.truncate(height);
    shown.reverse();
    frame.render_widget(Paragraph::new(shown), area);
}

/// Shows that there is nothing, and why.
fn nothing(why: &'static str, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    frame.render_widget(Paragraph::new(format!(" {why}")).style(theme.dim()), area);
}
