//! What stands in front: questions, help, and what did not work.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Padding, Paragraph};

use super::change;
use super::parts::{keys, middle, safe, words};
use super::theme::Theme;
use crate::message::Trouble;
use crate::model::dialog::Dialog;

/// Columns of a dialog, at most.
const WIDTH: u16 = 76;

const HELP: &[(&str, &[(&str, &str)])] = &[
    (
        "Everywhere",
        &[
            ("?", "this help"),
            ("esc", "back, and away with a filter or a question"),
            ("/", "filter pipelines, logs, or tapped events: every word has to be there"),
            ("s", "stop the pipeline; asked first"),
            ("ctrl-l", "draw everything anew"),
            ("q, ctrl-c", "quit; pipelines go on"),
        ],
    ),
    ("All pipelines", &[("↑ ↓ pgup pgdn", "choose a pipeline; k and j, g and G for the ends"), ("enter", "open it")]),
    (
        "One pipeline",
        &[
            ("← ↑ ↓ →", "choose a node; h, k, j and l"),
            ("1 … 5, tab", "what is shown below: node, logs, tap, history, runs"),
            ("pgup pgdn", "go up and down there; home and end"),
            ("n", "in the logs: this node, or all of them"),
            ("space", "in the tap: freeze it, or go on"),
        ],
    ),
    (
        "Changing it while it runs: the plan is shown first",
        &[
            ("r", "run another component at the chosen node"),
            ("a", "add a processor behind the chosen node"),
            ("x", "remove the chosen node"),
            ("b", "go back to the revision before"),
        ],
    ),
    (
        "What is shown",
        &[
            ("events/s", "the mean of the last four seconds"),
            ("queue", "how full the fullest edge to the node is, by batches or bytes"),
            ("0.34 ms", "on a node: the mean time of a call with a batch of late"),
            ("times", "UTC"),
        ],
    ),
];

/// Draws a dialog over `area`.
pub(super) fn draw(dialog: &Dialog, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    match dialog {
        Dialog::Help { scroll } => help(*scroll, theme, frame, area),
        Dialog::Stop { pipeline, .. } => {
            let mut lines = text(
                "Its sources stop, and what is under way flows to the sinks. It does not start again with the control plane.",
                Style::new(),
            );
            lines.extend([Line::default(), keys(theme, &[("y", "stop it"), ("esc", "leave it")], WIDTH)]);
            window(&format!("Stop `{}`?", safe(pipeline)), lines, theme, frame, area);
        }
        Dialog::Failed { title, trouble } => {
            let mut lines = told(trouble, theme);
            lines.extend([Line::default(), keys(theme, &[("esc", "close")], WIDTH)]);
            window(title, lines, theme, frame, area);
        }
        Dialog::Change(dialog) => change::draw(dialog, theme, frame, area),
    }
}

/// A framed window in the middle with these lines; what does not fit is cut at the end, but for the last line.
pub(super) fn window(title: &str, mut lines: Vec<Line<'static>>, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let most = usize::from(area.height.saturating_sub(2));
    if lines.len() > most && most > 0 {
        let last = lines.len() - 1;
        lines.drain(most - 1..last);
    }
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    let place = middle(area, WIDTH.min(area.width), height);
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(block(title, theme)), place);
}

/// `text` in lines that a window has room for.
pub(super) fn text(text: &str, style: Style) -> Vec<Line<'static>> {
    words(text, usize::from(WIDTH) - 4).into_iter().map(|row| Line::styled(row, style)).collect()
}

/// What went wrong, and what to do about it.
pub(super) fn told(trouble: &Trouble, theme: Theme) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> =
        trouble.text.lines().flat_map(|line| text(line, theme.bad())).take(30).collect();
    if let Some(hint) = &trouble.hint {
        lines.push(Line::default());
        lines.extend(text(&format!("hint: {hint}"), Style::new()));
    }
    lines
}

fn block(title: &str, theme: Theme) -> Block<'static> {
    Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme.accent())
        .padding(Padding::horizontal(1))
        .title(Line::from(Span::styled(format!(" {title} "), theme.strong())))
}

fn help(scroll: u16, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let mut lines: Vec<Line<'static>> = Vec::new();
    for (title, keys) in HELP {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.push(Line::styled(*title, theme.strong()));
        for (key, does) in *keys {
            for (row, text) in words(does, usize::from(WIDTH) - 20).into_iter().enumerate() {
                let key = if row == 0 { *key } else { "" };
                lines.push(Line::from(vec![Span::styled(format!("  {key:<14}"), theme.accent()), Span::raw(text)]));
            }
        }
    }
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let place = middle(area, WIDTH.min(area.width), height);
    let most = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).saturating_sub(height);
    let title = if most > 0 { "Help: ↓ shows more, esc closes" } else { "Help: esc closes" };
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).scroll((scroll.min(most), 0)).block(block(title, theme)), place);
}
