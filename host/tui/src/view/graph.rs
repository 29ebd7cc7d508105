//! The nodes of a pipeline as boxes, and the edges as lines between them.

use std::collections::BTreeSet;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::lines::{Drawing, Point};
use super::parts::{between, cut, gauge, safe, sparkline};
use super::theme::Theme;
use crate::format::{self, count};
use crate::model::detail::Detail;
use crate::model::graph::{Graph, Link, Place, Slot};
use crate::model::track::Track;

/// Heights of a box, the best first.
const HEIGHTS: [i32; 4] = [6, 5, 4, 3];
/// Widths of a box.
const WIDTHS: (i32, i32) = (15, 30);
/// The least columns between two layers.
const GAP: i32 = 3;
/// Columns at each side.
const MARGIN: i32 = 1;

const LIGHT: [&str; 6] = ["╭", "╮", "╰", "╯", "─", "│"];
const HEAVY: [&str; 6] = ["┏", "┓", "┗", "┛", "━", "┃"];

/// Where everything of a graph is.
struct Plan {
    box_width: i32,
    box_height: i32,
    /// The left side of each layer.
    lefts: Vec<i32>,
    /// The upper side of each slot of each layer.
    tops: Vec<Vec<i32>>,
    /// Rows that turn between a layer and the next: each has a column of its own.
    turns: Vec<Vec<usize>>,
    width: i32,
}

/// Rows that the drawing of a graph takes, where there are at most `most`.
pub(super) fn height(graph: &Graph, most: u16) -> u16 {
    let (_, height) = fit(graph, i32::from(most));
    u16::try_from(height).unwrap_or(most).min(most)
}

/// Draws the graph of the open pipeline; where it is larger than `area`, the part around the chosen node.
pub(super) fn draw(detail: &Detail, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let graph = &detail.graph;
    let plan = Plan::new(graph, area);
    let chosen = detail.chosen.as_deref().and_then(|id| graph.place(id)).unwrap_or(Place { layer: 0, row: 0 });
    let Some(at) = plan.place(chosen) else { return };
    let around = |middle: i32, shown: u16, all: i32| {
        let shown = i32::from(shown);
        if all <= shown { (all - shown) / 2 } else { (middle - shown / 2).clamp(0, all - shown) }
    };
    let x =
        if plan.width <= i32::from(area.width) { 0 } else { around(at.0 + plan.box_width / 2, area.width, plan.width) };
    let y = around(at.1 + plan.box_height / 2, area.height, fit(graph, i32::from(area.height)).1);
    let mut drawing = Drawing::new(frame.buffer_mut(), area, (x, y));
    for link in graph.links() {
        drawing.line(&plan.way(graph, link), theme.dim());
    }
    for (at, slot) in slots(graph) {
        if let (Slot::Pass, Some((x, y))) = (slot, plan.place(at)) {
            drawing.line(&[(x - 1, y), (x + plan.box_width, y)], theme.dim());
        }
    }
    drawing.join();
    for link in graph.links() {
        let is_node = matches!(graph.layers()[link.to.layer][link.to.row], Slot::Node(_));
        if let Some((x, y)) = plan.place(link.to).filter(|_| is_node) {
            drawing.put((x - 1, y + plan.middle()), "▶", theme.dim());
        }
    }
    for (at, slot) in slots(graph) {
        if let (Slot::Node(id), Some(at)) = (slot, plan.place(at)) {
            let is_chosen = detail.chosen.as_ref() == Some(id);
            node(&mut drawing, at, &plan, theme, &Node { id, track: detail.tracks.get(id), detail, is_chosen });
        }
    }
    let outside = (x > 0, x + i32::from(area.width) < plan.width);
    for (is_more, column, sign) in [(outside.0, area.left(), "‹"), (outside.1, area.right().saturating_sub(1), "›")]
    {
        if is_more {
            let row = area.top() + area.height / 2;
            frame.buffer_mut()[(column, row)].set_symbol(sign).set_style(theme.accent());
        }
    }
}

/// Every slot, with where it is.
fn slots(graph: &Graph) -> impl Iterator<Item = (Place, &Slot)> {
    let layers = graph.layers().iter().enumerate();
    layers.flat_map(|(layer, slots)| slots.iter().enumerate().map(move |(row, slot)| (Place { layer, row }, slot)))
}

/// The height of a box, and of the whole.
fn fit(graph: &Graph, most: i32) -> (i32, i32) {
    let whole = |box_height| graph.layers().iter().map(|slots| layer_height(slots, box_height)).max().unwrap_or(0);
    let box_height = HEIGHTS.into_iter().find(|height| whole(*height) <= most).unwrap_or(3);
    (box_height, whole(box_height))
}

fn slot_height(slot: &Slot, box_height: i32) -> i32 {
    match slot {
        Slot::Node(_) => box_height,
        Slot::Pass => 1,
    }
}

fn layer_height(slots: &[Slot], box_height: i32) -> i32 {
    slots.iter().map(|slot| slot_height(slot, box_height)).sum()
}

impl Plan {
    fn new(graph: &Graph, area: Rect) -> Self {
        let (box_height, whole) = fit(graph, i32::from(area.height));
        let tops: Vec<Vec<i32>> = graph
            .layers()
            .iter()
            .map(|slots| {
                let mut y = (whole - layer_height(slots, box_height)) / 2;
                let top = |slot| {
                    let top = y;
                    y += slot_height(slot, box_height);
                    top
                };
                slots.iter().map(top).collect()
            })
            .collect();
        let mut plan = Self { box_width: WIDTHS.0, box_height, lefts: Vec::new(), tops, turns: Vec::new(), width: 0 };
        plan.turns = (0..graph.layers().len())
            .map(|layer| {
                let of_layer = graph.links().iter().filter(|link| link.from.layer == layer);
                let turning = of_layer.filter(|link| plan.port(graph, link.from) != plan.port(graph, link.to));
                turning.map(|link| link.from.row).collect::<BTreeSet<_>>().into_iter().collect()
            })
            .collect();
        let gaps: Vec<i32> = plan.turns.iter().map(|turns: &Vec<usize>| GAP.max(turns.len() as i32 + 3)).collect();
        let n_layers = gaps.len().max(1) as i32;
        let all_gaps: i32 = gaps.iter().take(gaps.len().saturating_sub(1)).sum();
        let room = (i32::from(area.width) - all_gaps - 2 * MARGIN) / n_layers;
        plan.box_width = room.clamp(WIDTHS.0, WIDTHS.1);
        let mut left = MARGIN;
        for gap in &gaps {
            plan.lefts.push(left);
            left += plan.box_width + gap;
        }
        plan.width = left - gaps.last().unwrap_or(&0) + MARGIN;
        plan
    }

    /// The left upper corner of a slot.
    fn place(&self, place: Place) -> Option<Point> {
        Some((*self.lefts.get(place.layer)?, *self.tops.get(place.layer)?.get(place.row)?))
    }

    /// The row of a box at which lines come and go, from its upper side.
    const fn middle(&self) -> i32 {
        (self.box_height - 1) / 2
    }

    /// The row at which lines come and go.
    fn port(&self, graph: &Graph, place: Place) -> i32 {
        let top = self.tops[place.layer][place.row];
        match graph.layers()[place.layer][place.row] {
            Slot::Node(_) => top + self.middle(),
            Slot::Pass => top,
        }
    }

    /// The points of a line.
    fn way(&self, graph: &Graph, link: &Link) -> Vec<Point> {
        let (from, to) = (self.port(graph, link.from), self.port(graph, link.to));
        let (begin, end) = (self.lefts[link.from.layer] + self.box_width, self.lefts[link.to.layer] - 1);
        if from == to {
            return vec![(begin, from), (end, to)];
        }
        let turn = self.turns[link.from.layer].iter().position(|row| *row == link.from.row).unwrap_or(0);
        let turn = begin + 1 + turn as i32;
        vec![(begin, from), (turn, from), (turn, to), (end, to)]
    }
}

/// A node that is drawn.
struct Node<'a> {
    id: &'a str,
    track: Option<&'a Track>,
    detail: &'a Detail,
    is_chosen: bool,
}

fn node(drawing: &mut Drawing<'_>, (x, y): Point, plan: &Plan, theme: Theme, node: &Node<'_>) {
    let (width, height) = (plan.box_width, plan.box_height);
    let role = node.track.map_or("", |track| track.figures.role.as_str());
    let is_stuck = node.track.is_some_and(|track| !track.figures.waiting.is_empty());
    let style = if is_stuck { theme.warn() } else { theme.role(role) };
    let (signs, style) = if node.is_chosen { (HEAVY, style.patch(theme.strong())) } else { (LIGHT, style) };
    drawing.frame((x, y), width, height, signs, style);
    let inner = u16::try_from(width - 4).unwrap_or(0);
    let name = cut(&safe(node.id), inner);
    let title = if node.is_chosen { theme.chosen().patch(theme.strong()) } else { theme.strong() };
    drawing.write((x + 1, y), &Line::styled(format!(" {name} "), title), inner + 2);
    let Some(track) = node.track else { return };
    let rows = rows(track, node, theme, inner);
    let order: &[usize] = match height {
        6 => &[0, 1, 2, 3],
        5 => &[0, 1, 3],
        4 => &[0, 3],
        _ => &[0],
    };
    for (row, index) in order.iter().enumerate() {
        drawing.write((x + 2, y + 1 + row as i32), &rows[*index], inner);
    }
}

/// What a box says: its rate, what waits before it, its history, and what is wrong.
fn rows(track: &Track, node: &Node<'_>, theme: Theme, width: u16) -> [Line<'static>; 4] {
    let is_going = node.detail.is_going();
    let rate = track.flow().per_second().filter(|_| is_going);
    let mut first = Line::from(Span::styled(format::rate_or_unknown(rate), theme.strong()));
    let latency = track.latencies.mean().filter(|_| is_going).map_or_else(String::new, format::latency);
    let right = Line::styled(latency, theme.dim());
    let room = usize::from(width).saturating_sub(first.width() + right.width());
    if room > "/s".len() {
        first.push_span(Span::styled("/s", theme.dim()));
    }
    if room > 0 {
        let gap = between(&first, &right, width);
        first.push_span(gap);
        first.extend(right);
    }
    let component = node.detail.components.get(node.id).map_or("", |component| component.name.as_str());
    let what = Line::styled(cut(&safe(component), width), theme.dim());
    let second = match track.queue {
        None => Line::styled(if track.figures.role == "source" { "source" } else { "" }, theme.dim()),
        Some(queue) => {
            let percent = format!(" {:.0}%", queue.fill * 100.0);
            let n_columns = usize::from(width).saturating_sub(6 + percent.len());
            let mut line = Line::from(Span::styled("queue ", theme.dim()));
            line.extend(gauge(theme, queue.fill, n_columns));
            line.push_span(Span::styled(percent, theme.dim()));
            line
        }
    };
    let third = Line::styled(sparkline(track.flow(), usize::from(width)), theme.chart());
    let figures = &track.figures;
    let fourth = if !figures.waiting.is_empty() {
        Line::styled(cut(&format!("waits: {}", safe(&figures.waiting)), width), theme.warn())
    } else if figures.rejected > 0 {
        Line::styled(format!("{} rejected", count(figures.rejected)), theme.warn())
    } else if figures.restarts > 0 {
        Line::styled(format!("{} restarts", count(figures.restarts)), theme.warn())
    } else {
        what
    };
    [first, second, third, fourth]
}
