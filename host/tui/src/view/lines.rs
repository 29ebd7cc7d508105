//! A drawing that may be larger than the screen: a part of it is shown.
//!
//! Invariant: what lies outside is left out, wherever it is. Lines that meet are joined by the right sign.

use std::collections::BTreeMap;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

/// Where on the drawing: column and row, from the left and the top.
pub(super) type Point = (i32, i32);

const NORTH: u8 = 1;
const EAST: u8 = 2;
const SOUTH: u8 = 4;
const WEST: u8 = 8;

/// A drawing, and the part of it that is shown.
pub(super) struct Drawing<'a> {
    buffer: &'a mut Buffer,
    area: Rect,
    /// What is at the area's left upper corner.
    origin: Point,
    /// Where lines lead from each point.
    lines: BTreeMap<Point, (u8, Style)>,
}

impl<'a> Drawing<'a> {
    /// Shows what is at `origin` and right of it and below in `area`.
    pub(super) fn new(buffer: &'a mut Buffer, area: Rect, origin: Point) -> Self {
        Self { buffer, area, origin, lines: BTreeMap::new() }
    }

    /// Puts one sign.
    pub(super) fn put(&mut self, at: Point, sign: &str, style: Style) {
        if let Some((x, y)) = self.on_screen(at) {
            self.buffer[(x, y)].set_symbol(sign).set_style(style);
        }
    }

    /// Writes a line, at most `width` wide. One that is not wholly shown from its beginning is left out: half a
    /// number is a wrong one.
    pub(super) fn write(&mut self, at: Point, line: &Line<'_>, width: u16) {
        if let Some((x, y)) = self.on_screen(at) {
            let width = width.min(self.area.right().saturating_sub(x));
            self.buffer.set_line(x, y, line, width);
        }
    }

    /// Draws a frame.
    pub(super) fn frame(&mut self, (x, y): Point, width: i32, height: i32, signs: [&str; 6], style: Style) {
        let (right, bottom) = (x + width - 1, y + height - 1);
        for column in x + 1..right {
            self.put((column, y), signs[4], style);
            self.put((column, bottom), signs[4], style);
        }
        for row in y + 1..bottom {
            self.put((x, row), signs[5], style);
            self.put((right, row), signs[5], style);
        }
        for (at, sign) in [((x, y), 0), ((right, y), 1), ((x, bottom), 2), ((right, bottom), 3)] {
            self.put(at, signs[sign], style);
        }
    }

    /// Has a line lead through these points; each is straight right, above or below the one before.
    pub(super) fn line(&mut self, points: &[Point], style: Style) {
        for pair in points.windows(2) {
            let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
            for x in x0.min(x1)..x0.max(x1) {
                self.lead((x, y0), EAST, style);
                self.lead((x + 1, y0), WEST, style);
            }
            for y in y0.min(y1)..y0.max(y1) {
                self.lead((x1, y), SOUTH, style);
                self.lead((x1, y + 1), NORTH, style);
            }
        }
    }

    /// Draws all lines.
    pub(super) fn join(&mut self) {
        for (at, (ways, style)) in std::mem::take(&mut self.lines) {
            self.put(at, sign(ways), style);
        }
    }

    fn lead(&mut self, at: Point, way: u8, style: Style) {
        self.lines.entry(at).or_insert((0, style)).0 |= way;
    }

    fn on_screen(&self, (x, y): Point) -> Option<(u16, u16)> {
        let x = u16::try_from(x - self.origin.0).ok().filter(|x| *x < self.area.width)?;
        let y = u16::try_from(y - self.origin.1).ok().filter(|y| *y < self.area.height)?;
        Some((self.area.x + x, self.area.y + y))
    }
}

/// The sign for a point that lines leave these ways.
const fn sign(ways: u8) -> &'static str {
    match ways {
        6 => "╭",
        12 => "╮",
        3 => "╰",
        9 => "╯",
        1 | 4 | 5 => "│",
        7 => "├",
        13 => "┤",
        14 => "┬",
        11 => "┴",
        15 => "┼",
        _ => "─",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_meet_are_joined_and_what_is_outside_is_left_out() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 7, 3));
        let area = buffer.area;
        let mut drawing = Drawing::new(&mut buffer, area, (10, 0));
        let plain = Style::new();
        drawing.line(&[(0, 1), (13, 1), (13, 0), (17, 0)], plain);
        drawing.line(&[(9, 1), (13, 1), (13, 2), (40, 2)], plain);
        drawing.join();
        drawing.put((12, -1), "!", plain);
        drawing.put((9, 0), "!", plain);
        drawing.write((15, 1), &Line::from("longer"), 6);
        assert_eq!(buffer, Buffer::with_lines(["   ╭───", "───┤ lo", "   ╰───"]));
    }
}
