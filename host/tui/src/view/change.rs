//! A change of the topology, from what it is to be to its plan.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use flowctl_client::admin::ChangeTopologyResponse;

use super::dialog::{text, told, window};
use super::parts::{chosen, first_row, keys, safe, typed};
use super::theme::Theme;
use crate::model::dialog::{ChangeDialog, Field, Stage};
use crate::model::input::Input;

/// Columns that keys have room for.
const WIDTH: u16 = 72;
/// Choices that are listed at once.
const LISTED: usize = 8;

/// Draws the dialog over `area`.
pub(super) fn draw(dialog: &ChangeDialog, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let lines = match &dialog.stage {
        Stage::Asking => asking(dialog, theme, area),
        Stage::Planning => vec![
            Line::raw("Planning: nothing changes yet …"),
            Line::default(),
            keys(theme, &[("esc", "leave it")], WIDTH),
        ],
        Stage::Planned { plan, .. } => planned(plan, theme),
        Stage::Making => vec![Line::raw("Changing: everything new is prepared before anything old is touched …")],
        Stage::Refused(trouble) => {
            let mut lines = told(trouble, theme);
            lines.extend([Line::default(), keys(theme, &[("enter", "try another"), ("esc", "leave it")], WIDTH)]);
            lines
        }
    };
    window(&safe(&dialog.title()), lines, theme, frame, area);
}

fn asking(dialog: &ChangeDialog, theme: Theme, area: Rect) -> Vec<Line<'static>> {
    let field = |name: &str, input: &Input, field: Field| {
        let name = Span::styled(format!("{name:<12}"), theme.dim());
        let text = match dialog.field == field && dialog.marked.is_none() {
            true => typed(input, theme.strong(), theme),
            false => vec![Span::raw(input.text())],
        };
        Line::from(std::iter::once(name).chain(text).collect::<Vec<_>>())
    };
    let mut lines = vec![field("component", &dialog.component, Field::Component)];
    if dialog.has_config() {
        lines.push(field("config", &dialog.config, Field::Config));
    }
    lines.push(Line::default());
    let listed = dialog.listed();
    // frame, fields, keys and the lines between them
    let room = usize::from(area.height).saturating_sub(10).clamp(1, LISTED);
    match &dialog.choices {
        None => lines.push(Line::styled("looking what there is …", theme.dim())),
        Some(_) if listed.is_empty() => {
            lines.push(Line::styled("nothing of that name is known here; a reference or a file may be", theme.dim()));
        }
        Some(_) => {
            let first = first_row(dialog.marked.unwrap_or(0), listed.len(), room);
            let width = listed.iter().map(|choice| choice.plugin.name.len()).max().unwrap_or(0).min(30);
            for (index, choice) in listed.iter().enumerate().skip(first).take(room) {
                let plugin = &choice.plugin;
                let types = format!("{} → {}", plugin.input_types.join(", "), plugin.output_types.join(", "));
                let (sign, style) = if choice.fits { ("✓", theme.good()) } else { ("·", theme.dim()) };
                let name = format!(" {:<width$} {} ", safe(&plugin.name), safe(&plugin.version));
                let line = Line::from(vec![
                    Span::styled(format!(" {sign}"), style),
                    Span::styled(name, if choice.fits { theme.strong() } else { theme.dim() }),
                    Span::styled(safe(&types), theme.dim()),
                ]);
                lines.push(if dialog.marked == Some(index) { chosen(&line, theme) } else { line });
            }
            let rest = listed.len().saturating_sub(first + room);
            if rest > 0 {
                lines.push(Line::styled(format!("   {rest} more"), theme.dim()));
            }
        }
    }
    lines.push(Line::default());
    if let Some(complaint) = &dialog.complaint {
        lines.extend(text(complaint, theme.bad()));
    } else if dialog.has_config() {
        lines.push(Line::styled("config is KEY=VALUE with blanks between, and may be empty", theme.dim()));
    }
    let known: &[(&str, &str)] = match dialog.has_config() {
        true => &[("↑↓", "choose"), ("tab", "config"), ("enter", "plan it"), ("esc", "leave it")],
        false => &[("↑↓", "choose"), ("enter", "plan it"), ("esc", "leave it")],
    };
    lines.push(keys(theme, known, WIDTH));
    lines
}

fn planned(plan: &ChangeTopologyResponse, theme: Theme) -> Vec<Line<'static>> {
    if plan.changes.is_empty() {
        return vec![Line::raw("Nothing would change."), Line::default(), keys(theme, &[("esc", "close")], WIDTH)];
    }
    let mut lines: Vec<Line<'static>> = Vec::new();
    for change in &plan.changes {
        lines.extend(change.lines().flat_map(|line| text(line, sign_style(line, theme))));
    }
    let manner = match plan.is_at_checkpoint {
        true => "takes effect at the barrier of a checkpoint: sinks take what they have first",
        false => "takes effect in place, between two batches",
    };
    lines.push(Line::default());
    lines.extend(text(manner, Style::new()));
    let chain = plan.topology.as_ref().map_or("", |topology| topology.line.as_str());
    lines.extend(text(&format!("then: {}", safe(chain)), theme.strong()));
    lines.extend(text(&format!("plan hash: {}", safe(&plan.plan_hash)), theme.dim()));
    lines.extend(text("It is on trial first; what fails is taken back by itself.", theme.dim()));
    lines.push(Line::default());
    lines.push(keys(theme, &[("y", "make it"), ("esc", "leave it")], WIDTH));
    lines
}

/// A change's line by its first sign: what comes, what goes, what is another.
fn sign_style(line: &str, theme: Theme) -> Style {
    match line.trim_start().chars().next() {
        Some('+') => theme.good(),
        Some('-') => theme.bad(),
        Some('~') => theme.warn(),
        _ => Style::new(),
    }
}
