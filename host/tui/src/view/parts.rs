//! Small things that several views are made of.

use flowctl_client::plain;
use ratatui::layout::{Alignment, Constraint, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthChar as _;

use super::theme::Theme;
use crate::model::input::Input;
use crate::model::rates::Rate;

/// Parts of a sparkline's height.
const STEPS: [&str; 6] = ["▁", "▂", "▃", "▄", "▅", "▆"];

/// `text` on one line, as it is safe to show.
pub(super) fn safe(text: &str) -> String {
    plain(text).replace(['\n', '\t'], " ")
}

/// `text` on one row of `width` columns; more is cut with `…`.
pub(super) fn cut(text: &str, width: u16) -> String {
    fold(text, usize::from(width), 1).swap_remove(0)
}

/// `text` on one row of `width` columns; of more the middle is left out, as `…`: names often differ at their ends.
pub(super) fn cut_middle(text: &str, width: u16) -> String {
    let width = usize::from(width);
    if fitting(text.chars(), width).len() == text.chars().count() {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    let begin = fitting(text.chars(), room / 2);
    let end = fitting(text.chars().rev(), room - room / 2);
    begin.into_iter().chain(['…']).chain(end.into_iter().rev()).collect()
}

/// The first of `chars`, as many as fit into `width` columns.
fn fitting(chars: impl Iterator<Item = char>, width: usize) -> Vec<char> {
    let mut column = 0;
    chars
        .take_while(|c| {
            column += c.width().unwrap_or(0);
            column <= width
        })
        .collect()
}

/// The last of a rate's history as a line of bars, `width` wide; the highest is the tallest.
pub(super) fn sparkline(rate: &Rate, width: usize) -> String {
    let values: Vec<f64> = rate.last(width).collect();
    let most = values.iter().copied().fold(0.0, f64::max);
    let bar = |value: &f64| match most {
        most if most <= 0.0 => STEPS[0],
        most => STEPS[((value / most * STEPS.len() as f64).ceil() as usize).clamp(1, STEPS.len()) - 1],
    };
    let bars: String = values.iter().map(bar).collect();
    format!("{}{bars}", " ".repeat(width - values.len()))
}

/// How full something is, `width` wide.
pub(super) fn gauge(theme: Theme, fill: f64, width: usize) -> [Span<'static>; 2] {
    let full = ((fill * width as f64).ceil() as usize).min(width);
    [Span::styled("━".repeat(full), theme.fill(fill)), Span::styled("─".repeat(width - full), theme.dim())]
}

/// Names of keys, each with what it does; as many as there is room for.
pub(super) fn keys(theme: Theme, keys: &[(&'static str, &'static str)], width: u16) -> Line<'static> {
    let mut line = Line::default();
    for (key, does) in keys {
        let more =
            [Span::raw(" "), Span::styled(*key, theme.accent()), Span::raw(" "), Span::styled(*does, theme.dim())];
        let n_columns: usize = more.iter().map(Span::width).sum();
        if line.width() + n_columns + 1 > usize::from(width) {
            break;
        }
        line.extend(more);
        line.push_span(Span::raw(" "));
    }
    line
}

/// A line that is being typed, with its cursor.
pub(super) fn typed(input: &Input, style: Style, theme: Theme) -> Vec<Span<'static>> {
    let (text, before) = (input.text(), input.before_cursor());
    let mut rest = text[before.len()..].chars();
    let under = rest.next().unwrap_or(' ');
    let after = rest.collect::<String>();
    vec![Span::styled(before, style), Span::styled(under.to_string(), theme.chosen()), Span::styled(after, style)]
}

/// `text` in rows of at most `width` columns, at most `most` of them; more is cut with `…`.
pub(super) fn fold(text: &str, width: usize, most: usize) -> Vec<String> {
    let width = width.max(1);
    let mut rows = vec![String::new()];
    let mut column = 0;
    for c in plain(text).chars() {
        let is_break = c == '\n';
        let n_columns = if c == '\t' { 1 } else { c.width().unwrap_or(0) };
        if is_break || column + n_columns > width {
            if rows.len() == most {
                if let Some(row) = rows.last_mut() {
                    row.pop();
                    row.push('…');
                }
                return rows;
            }
            rows.push(String::new());
            column = 0;
        }
        if let Some(row) = rows.last_mut().filter(|_| !is_break) {
            row.push(if c == '\t' { ' ' } else { c });
            column += n_columns;
        }
    }
    rows
}

/// `text` in rows of whole words, as far as words fit. Lines that show a source stay as they are, since their columns
/// say where something is wrong; one that is too long goes on in the next row.
pub(super) fn words(text: &str, width: usize) -> Vec<String> {
    let rows = |line: &str| if is_excerpt(line) { fold(line, width, usize::MAX) } else { wrapped(line, width) };
    text.split('\n').flat_map(rows).collect()
}

/// Whether a line shows a source, or where it is: ` --> shop.yaml:12:9`, `12 | plugin: a`, `   |         ^`.
fn is_excerpt(line: &str) -> bool {
    let line = line.trim_start_matches(' ');
    let behind_number = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches(' ');
    line.starts_with("--> ") || behind_number.starts_with('|')
}

/// One line in rows of whole words.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut rows: Vec<String> = vec![String::new()];
    let indent: String = text.chars().take_while(|c| *c == ' ').collect();
    for word in text.split_whitespace() {
        let row = rows.last().map_or(0, |row| row.chars().count());
        if row > indent.len() && row + 1 + word.chars().count() > width {
            rows.push(String::new());
        }
        if let Some(row) = rows.last_mut() {
            row.push_str(if row.is_empty() { &indent } else { " " });
            row.push_str(word);
        }
    }
    rows.iter().flat_map(|row| fold(row, width, usize::MAX)).collect()
}

/// A line across the screen, with a title in it.
pub(super) fn rule(title: Vec<Span<'static>>, width: u16, theme: Theme) -> Line<'static> {
    let mut line = Line::from(Span::styled("── ", theme.dim()));
    line.extend(title);
    let rest = usize::from(width).saturating_sub(line.width() + 1);
    line.push_span(Span::styled(format!(" {}", "─".repeat(rest)), theme.dim()));
    line
}

/// `line` as one that is chosen: its colours would be backgrounds.
pub(super) fn chosen(line: &Line<'_>, theme: Theme) -> Line<'static> {
    let text: String = line.spans.iter().map(|span| span.content.as_ref()).collect();
    Line::styled(text, theme.chosen()).alignment(line.alignment.unwrap_or(Alignment::Left))
}

/// Spaces, so that what follows ends at the right; at least one, where there is no room for any.
pub(super) fn between(left: &Line<'_>, right: &Line<'_>, width: u16) -> Span<'static> {
    Span::raw(" ".repeat(room_between(left, right, width).max(1)))
}

/// Columns of `width` that are left beside these two.
pub(super) fn room_between(left: &Line<'_>, right: &Line<'_>, width: u16) -> usize {
    usize::from(width).saturating_sub(left.width() + right.width())
}

/// The first of `n_rows` rows that is shown in `height` of them, so that `chosen` is near the middle.
pub(super) fn first_row(chosen: usize, n_rows: usize, height: usize) -> usize {
    chosen.saturating_sub(height / 2).min(n_rows.saturating_sub(height))
}

/// The middle of `area`, at most this large.
pub(super) fn middle(area: Rect, width: u16, height: u16) -> Rect {
    area.centered(Constraint::Max(width), Constraint::Max(height))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn text_is_folded_by_columns_and_cut() {
        assert_eq!(fold("abcdef", 4, 9), ["abcd", "ef"]);
        assert_eq!(fold("a\nb\u{1b}c", 4, 9), ["a", "b\u{fffd}c"]);
        assert_eq!(fold("世界世界", 5, 9), ["世界", "世界"]);
        assert_eq!(fold("abcdefghi", 3, 2), ["abc", "de…"]);
        assert_eq!(fold("", 0, 1), [""]);
        assert_eq!(words("ab cd efghijkl", 5), ["ab cd", "efghi", "jkl"]);
        assert_eq!(words("", 5), [""]);
    }

    #[test]
    fn lines_that_show_a_source_keep_their_columns() {
        let excerpt = [" --> shop.yaml:2:9", "  |", "2 | plugin:  /nope.wasm", "  |          ^^^^^^^^^^"];
        assert_eq!(words(&excerpt.join("\n"), 40), excerpt);
        let rows = ["10 | a:  ", "b", "   |     ", "^"];
        assert_eq!(words("10 | a:  b\n   |     ^", 9), rows, "what is below what stays so in the rows that follow");
        assert_eq!(words("  2  or | 3", 40), ["  2 or | 3"], "a sentence is none");
    }

    #[test]
    fn a_name_that_is_cut_keeps_its_ends() {
        assert_eq!(cut_middle("orders", 6), "orders");
        assert_eq!(cut_middle("orders-of-17", 8), "ord…f-17");
        assert_eq!(cut_middle("世界世界", 6), "世…界");
        assert_eq!(cut_middle("orders", 1), "…");
        assert_eq!(cut_middle("", 0), "");
    }

    #[test]
    fn two_ends_of_a_line_never_touch() {
        let (left, right) = (Line::raw("left"), Line::raw("right"));
        for (width, n_blanks) in [(12, 3), (10, 1), (9, 1), (2, 1)] {
            assert_eq!(between(&left, &right, width).width(), n_blanks);
        }
    }

    #[test]
    fn the_highest_rate_is_the_tallest_bar() {
        let mut rate = Rate::default();
        assert_eq!(sparkline(&rate, 3), "   ");
        for (second, count) in [(0, 0), (4, 0), (8, 40), (12, 120)] {
            rate.see(Duration::from_secs(second), count);
        }
        assert_eq!(sparkline(&rate, 5), "  ▁▃▆");
    }

    #[test]
    fn the_chosen_row_is_shown() {
        for (chosen, n_rows, height, first) in [(0, 5, 10, 0), (9, 10, 4, 6), (5, 10, 4, 3), (0, 0, 0, 0)] {
            assert_eq!(first_row(chosen, n_rows, height), first);
        }
    }
}
