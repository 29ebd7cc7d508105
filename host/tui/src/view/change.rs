//! A change of the topology, from what it is to be to its plan.

use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use flowctl_client::admin::ChangeTopologyResponse;

use super::dialog::{Key, Page, height, text, told, width};
use super::parts::{chosen, first_row, fold, safe, typed};
use super::theme::Theme;
use crate::model::dialog::{ChangeDialog, Field, Stage};
use crate::model::input::Input;

/// Choices that are listed at once.
const LISTED: usize = 8;

/// What the dialog shows over `area`.
pub(super) fn page(dialog: &ChangeDialog, theme: Theme, area: Rect) -> Page {
    let page = Page::new(safe(&dialog.title()));
    let width = width(area);
    match &dialog.stage {
        Stage::Asking => {
            let keys: &[Key] = match dialog.has_config() {
                true => &[("↑↓", "choose"), ("tab", "config"), ("enter", "plan it"), ("esc", "leave it")],
                false => &[("↑↓", "choose"), ("enter", "plan it"), ("esc", "leave it")],
            };
            Page { lines: asking(dialog, theme, area), keys, ..page }
        }
        Stage::Planning(_) => {
            let lines = vec![Line::raw("Planning: nothing changes yet …")];
            Page { lines, keys: &[("esc", "leave it")], ..page }
        }
        Stage::Planned { plan, .. } if plan.changes.is_empty() => {
            Page { lines: vec![Line::raw("Nothing would change.")], keys: &[("esc", "close")], ..page }
        }
        Stage::Planned { plan, reading, .. } => {
            let lines = planned(plan, theme, width);
            Page { lines, agrees: Some(("y", "make it")), keys: &[("esc", "leave it")], reading: *reading, ..page }
        }
        Stage::Refused { trouble, reading } => {
            let keys: &[Key] = match dialog.has_component() {
                true => &[("enter", "try another"), ("esc", "leave it")],
                false => &[("esc", "close")],
            };
            Page { lines: told(trouble, theme, width), keys, reading: *reading, ..page }
        }
    }
}

/// What is asked for, in as many lines as there is room for.
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
    let room = height(area).saturating_sub(lines.len());
    let note = note(dialog, theme, width(area), room);
    let room = room.saturating_sub(note.len());
    // around the choices, where they have room as well
    let has_gaps = room >= 5;
    lines.extend(has_gaps.then(Line::default));
    lines.extend(choices(dialog, theme, width(area), if has_gaps { room - 2 } else { room }));
    lines.extend((has_gaps && !note.is_empty()).then(Line::default));
    lines.extend(note);
    lines
}

/// What is wrong with what was typed, else how it is typed, where that leaves room for choices.
fn note(dialog: &ChangeDialog, theme: Theme, width: usize, room: usize) -> Vec<Line<'static>> {
    let room = room.saturating_sub(1).max(1);
    match &dialog.complaint {
        Some(complaint) => {
            let lines = text(complaint, theme.bad(), width);
            if lines.len() <= room {
                return lines;
            }
            fold(complaint, width, room).into_iter().map(|row| Line::styled(row, theme.bad())).collect()
        }
        None if dialog.has_config() => {
            let lines = text("config is KEY=VALUE with blanks between, and may be empty", theme.dim(), width);
            if lines.len() < room { lines } else { Vec::new() }
        }
        None => Vec::new(),
    }
}

/// What can be chosen, in at most `room` lines.
fn choices(dialog: &ChangeDialog, theme: Theme, width: usize, room: usize) -> Vec<Line<'static>> {
    let listed = dialog.listed();
    if dialog.choices.is_none() {
        return vec![Line::styled("looking what there is …", theme.dim())];
    }
    if listed.is_empty() {
        let rows = fold("nothing of that name is known here; a reference or a file may be", width, room.max(1));
        return rows.into_iter().map(|row| Line::styled(row, theme.dim())).collect();
    }
    // the last line says how many more there are
    let n_shown = room.saturating_sub(usize::from(listed.len() > room)).clamp(1, LISTED);
    let first = first_row(dialog.marked.unwrap_or(0), listed.len(), n_shown);
    let name_width = listed.iter().map(|choice| choice.plugin.name.len()).max().unwrap_or(0).min(30);
    let mut lines = Vec::new();
    for (index, choice) in listed.iter().enumerate().skip(first).take(n_shown) {
        let plugin = &choice.plugin;
        let types = format!("{} → {}", plugin.input_types.join(", "), plugin.output_types.join(", "));
        let (sign, style) = if choice.fits { ("✓", theme.good()) } else { ("·", theme.dim()) };
        let name = format!(" {:<name_width$} {} ", safe(&plugin.name), safe(&plugin.version));
        let line = Line::from(vec![
            Span::styled(format!(" {sign}"), style),
            Span::styled(name, if choice.fits { theme.strong() } else { theme.dim() }),
            Span::styled(safe(&types), theme.dim()),
        ]);
        lines.push(if dialog.marked == Some(index) { chosen(&line, theme) } else { line });
    }
    let rest = listed.len().saturating_sub(first + n_shown);
    if rest > 0 && room > n_shown {
        lines.push(Line::styled(format!("   {rest} more"), theme.dim()));
    }
    lines
}

fn planned(plan: &ChangeTopologyResponse, theme: Theme, width: usize) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> = Vec::new();
    for change in &plan.changes {
        lines.extend(change.lines().flat_map(|line| text(line, sign_style(line, theme), width)));
    }
    let manner = match plan.is_at_checkpoint {
        true => "takes effect at the barrier of a checkpoint: sinks take what they have first",
        false => "takes effect in place, between two batches",
    };
    lines.push(Line::default());
    lines.extend(text(manner, Style::new(), width));
    let chain = plan.topology.as_ref().map_or("", |topology| topology.line.as_str());
    lines.extend(text(&format!("then: {}", safe(chain)), theme.strong(), width));
    lines.extend(text(&format!("plan hash: {}", safe(&plan.plan_hash)), theme.dim(), width));
    lines.extend(text("It is on trial first; what fails is taken back by itself.", theme.dim(), width));
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
