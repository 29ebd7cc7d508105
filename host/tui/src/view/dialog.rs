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
use crate::model::dialog::{Dialog, Reading};

/// Columns of a dialog, at most.
const WIDTH: u16 = 76;

/// A key, and what it does.
pub(super) type Key = (&'static str, &'static str);

/// What a dialog shows.
pub(super) struct Page {
    pub(super) title: String,
    pub(super) lines: Vec<Line<'static>>,
    /// The key that agrees to what is shown, once its end was.
    pub(super) agrees: Option<Key>,
    pub(super) keys: &'static [Key],
    pub(super) reading: Reading,
}

const HELP: &[(&str, &[Key])] = &[
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

/// Draws a dialog over `area`; answers what of it is shown.
pub(super) fn draw(dialog: &Dialog, theme: Theme, frame: &mut Frame<'_>, area: Rect) -> Reading {
    let width = width(area);
    let page = match dialog {
        Dialog::Help { reading } => {
            Page { lines: help(theme, width), keys: &[("esc", "close")], reading: *reading, ..Page::new("Help") }
        }
        Dialog::Stop { pipeline, .. } => {
            let lines = text(
                "Its sources stop, and what is under way flows to the sinks. It does not start again with the control plane.",
                Style::new(),
                width,
            );
            let title = format!("Stop `{}`?", safe(pipeline));
            Page { lines, keys: &[("y", "stop it"), ("esc", "leave it")], ..Page::new(title) }
        }
        Dialog::Failed { title, trouble, reading } => {
            let lines = told(trouble, theme, width);
            Page { lines, keys: &[("esc", "close")], reading: *reading, ..Page::new(title) }
        }
        Dialog::Change(dialog) => change::page(dialog, theme, area),
    };
    window(page, theme, frame, area)
}

impl Page {
    /// Nothing yet.
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), lines: Vec::new(), agrees: None, keys: &[], reading: Reading::default() }
    }
}

/// Columns that a line of a dialog over `area` has.
pub(super) fn width(area: Rect) -> usize {
    usize::from(WIDTH.min(area.width)).saturating_sub(4)
}

/// Lines that a dialog over `area` has room for, beside its frame and its keys.
pub(super) fn height(area: Rect) -> usize {
    usize::from(area.height).saturating_sub(3)
}

/// A framed window in the middle, as large as it has to be. Of what is too long a part is shown, and how much follows.
fn window(page: Page, theme: Theme, frame: &mut Frame<'_>, area: Rect) -> Reading {
    let Page { title, lines, agrees, keys: other_keys, reading } = page;
    // with an empty line before the keys, where there is room for it
    let has_gap = lines.len() < height(area);
    let n_shown = lines.len().min(height(area));
    let n_above = reading.n_above.min(lines.len() - n_shown);
    let n_below = lines.len() - n_shown - n_above;
    let (is_done, n_read) = (reading.is_done || n_below == 0, reading.n_read.max(n_above + n_shown));
    let mut shown: Vec<Line<'static>> = lines.into_iter().skip(n_above).take(n_shown).collect();
    let mut foot = Line::default();
    if n_below > 0 {
        foot.extend([Span::raw(" "), Span::styled("↓", theme.accent()), Span::raw(format!(" {n_below} more "))]);
    }
    let keys_of: Vec<_> = agrees.filter(|_| is_done).into_iter().chain(other_keys.iter().copied()).collect();
    let room = width(area).saturating_sub(foot.width());
    foot.extend(keys(theme, &keys_of, u16::try_from(room).unwrap_or(u16::MAX)));
    if foot.width() > 0 {
        shown.extend(has_gap.then(Line::default));
        shown.push(foot);
    }
    let rows = u16::try_from(shown.len() + 2).unwrap_or(u16::MAX);
    let place = middle(area, WIDTH.min(area.width), rows);
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(shown).block(block(&title, theme)), place);
    Reading { n_above, n_shown, n_below, n_read, is_done }
}

/// `text` in lines of at most `width` columns.
pub(super) fn text(text: &str, style: Style, width: usize) -> Vec<Line<'static>> {
    words(text, width).into_iter().map(|row| Line::styled(row, style)).collect()
}

/// What went wrong, and what to do about it.
pub(super) fn told(trouble: &Trouble, theme: Theme, width: usize) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> = trouble.text.lines().flat_map(|line| text(line, theme.bad(), width)).collect();
    if let Some(hint) = &trouble.hint {
        lines.push(Line::default());
        lines.extend(text(&format!("hint: {hint}"), Style::new(), width));
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

fn help(theme: Theme, width: usize) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> = Vec::new();
    for (title, keys) in HELP {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.push(Line::styled(*title, theme.strong()));
        for (key, does) in *keys {
            for (row, text) in words(does, width.saturating_sub(16)).into_iter().enumerate() {
                let key = if row == 0 { *key } else { "" };
                lines.push(Line::from(vec![Span::styled(format!("  {key:<14}"), theme.accent()), Span::raw(text)]));
            }
        }
    }
    lines
}
