//! The picture of a model: a function of it alone.
//!
//! Invariant: whatever the terminal's size, nothing panics. What others wrote is shown without what acts on a
//! terminal.

mod change;
mod detail;
mod dialog;
mod graph;
mod lines;
mod list;
mod panels;
mod parts;
mod theme;

use flowctl_client::admin;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

use self::parts::{between, cut_middle, keys, room_between, safe};
pub(crate) use self::theme::Theme;
use crate::format;
use crate::model::detail::Panel;
use crate::model::dialog::Reading;
use crate::model::{Link, Model};

/// The smallest terminal that something can be seen on.
const SMALLEST: (u16, u16) = (40, 10);

/// Draws `model`; answers what of the dialog in front is shown.
pub(crate) fn draw(model: &Model, theme: &Theme, frame: &mut Frame<'_>) -> Option<Reading> {
    let (area, theme) = (frame.area(), *theme);
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let text = format!("{}×{} is too small\n{}×{} is the least", area.width, area.height, SMALLEST.0, SMALLEST.1);
        frame.render_widget(Paragraph::new(text), area);
        return None;
    }
    let rows = [Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)];
    let [head, body, foot] = Layout::vertical(rows).areas(area);
    frame.render_widget(header(model, theme, head), head);
    match &model.detail {
        Some(detail) => detail::draw(detail, model, theme, frame, body),
        None => list::draw(model, theme, frame, body),
    }
    // over what is there: a note that comes and goes must not move everything else
    if let Some(said) = said(model, theme) {
        let note = Rect { y: body.bottom().saturating_sub(1), height: 1, ..body };
        frame.render_widget(Clear, note);
        frame.render_widget(said, note);
    }
    frame.render_widget(footer(model, theme, foot), foot);
    model.dialog.as_ref().map(|dialog| dialog::draw(dialog, theme, frame, body))
}

/// Where one is, and whether it answers; the first is shown as far as there is room beside the second.
fn header(model: &Model, theme: Theme, area: Rect) -> Line<'static> {
    let right = Line::from(match &model.link {
        Link::New => Span::styled("◌ connecting ", theme.warn()),
        Link::Up => Span::styled("● connected ", theme.good()),
        Link::Down { again_at, n_tries, .. } => {
            let seconds = again_at.saturating_sub(model.now).as_secs_f64().ceil();
            Span::styled(format!("✗ reconnecting, try {} in {seconds} s ", n_tries + 1), theme.bad())
        }
    });
    let mut left = Line::from(Span::styled(" flowctl ", theme.accent()));
    let room = room_between(&left, &right, area.width).saturating_sub(1);
    if room > 0 {
        left.push_span(Span::raw(cut_middle(&safe(&model.address), u16::try_from(room).unwrap_or(u16::MAX))));
    }
    let more = |host: &admin::Host| {
        let version = (area.width >= 100).then(|| format!(" · version {}", safe(&host.version)));
        [Some(format!(" · {} as {}", safe(&host.tenant), safe(&host.role))), version]
    };
    let more = model.host.as_ref().filter(|_| area.width >= 60).map(more);
    for text in more.into_iter().flatten().flatten() {
        let text = Span::styled(text, theme.dim());
        if room_between(&left, &right, area.width) > text.width() {
            left.push_span(text);
        }
    }
    let gap = between(&left, &right, area.width);
    left.push_span(gap);
    left.extend(right);
    left
}

/// What is to be known now: why nothing answers, else what is being made or just happened.
fn said(model: &Model, theme: Theme) -> Option<Line<'static>> {
    if let Link::Down { since, trouble, .. } = &model.link {
        let ago = format::length(model.now.saturating_sub(*since));
        let text = format!(" as it was {ago} ago: {}", safe(&trouble.text));
        return Some(Line::styled(text, theme.bad()));
    }
    if let Some(title) = &model.making {
        let text = format!(" {}: everything new is prepared before anything old is touched …", safe(title));
        return Some(Line::styled(text, theme.warn()));
    }
    let notice = model.notice.as_ref()?;
    Some(Line::styled(format!(" {}", safe(&notice.text)), theme.good()))
}

/// What can be done here.
fn footer(model: &Model, theme: Theme, area: Rect) -> Line<'static> {
    let filter = match &model.detail {
        None => Some(&model.filter),
        Some(detail) if detail.panel == Panel::Logs => Some(&detail.logs.lines.filter),
        Some(detail) if detail.panel == Panel::Tap => Some(&detail.tap.lines.filter),
        Some(_) => None,
    };
    if let Some(filter) = filter.filter(|filter| filter.is_open) {
        let mut line = Line::from(Span::styled(" / ", theme.accent()));
        line.extend(parts::typed(&filter.input, theme.strong(), theme));
        line.push_span(Span::styled("   enter keep · esc clear", theme.dim()));
        return line;
    }
    let here: &[(&str, &str)] = match model.detail.as_ref().map(|detail| detail.panel) {
        None => &[("?", "help"), ("↑↓", "choose"), ("enter", "open"), ("/", "filter"), ("s", "stop"), ("q", "quit")],
        Some(Panel::Logs) => &[
            ("?", "help"),
            ("esc", "back"),
            ("←↑↓→", "node"),
            ("/", "filter"),
            ("n", "all nodes"),
            ("pgup", "older"),
            ("1-5", "panel"),
            ("q", "quit"),
        ],
        Some(Panel::Tap) => &[
            ("?", "help"),
            ("esc", "back"),
            ("←↑↓→", "node"),
            ("/", "filter"),
            ("space", "freeze"),
            ("pgup", "older"),
            ("1-5", "panel"),
            ("q", "quit"),
        ],
        Some(_) => &[
            ("?", "help"),
            ("esc", "back"),
            ("←↑↓→", "node"),
            ("1-5", "panel"),
            ("r", "replace"),
            ("a", "add"),
            ("s", "stop"),
            ("q", "quit"),
            ("x", "remove"),
            ("b", "roll back"),
        ],
    };
    keys(theme, here, area.width)
}

/// A status in a word, with its sign.
fn status(theme: Theme, status: admin::RunStatus, word: &'static str) -> Span<'static> {
    Span::styled(format!("{} {word}", theme::sign(status)), theme.status(status))
}

#[cfg(test)]
mod tests;
