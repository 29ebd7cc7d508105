//! What a key does, by what is in front.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::message::{Effect, Order};
use crate::model::detail::{Detail, Panel};
use crate::model::dialog::{Dialog, Kind, Reading};
use crate::model::graph::Direction;
use crate::model::input::Input;
use crate::model::{Filter, Model};

/// Lines that a page has, for what does not know how many are shown.
const PAGE: isize = 10;

impl Model {
    /// Does what a key is for.
    pub(super) fn press(&mut self, key: KeyEvent) -> Option<Effect> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            match key.code {
                KeyCode::Char('c') => self.is_done = true,
                KeyCode::Char('l') => return Some(Effect::Redraw),
                _ => {}
            }
            // an editor's other keys mean nothing here, and a letter must not be taken for one
            return None;
        }
        // a key right behind Esc comes as one with Alt, which means nothing else here
        if key.modifiers.contains(KeyModifiers::ALT) {
            self.press(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE));
        }
        if self.dialog.is_some() {
            return self.press_in_dialog(key.code);
        }
        if let Some(filter) = self.open_filter() {
            filter.press(key.code);
            return self.filtered();
        }
        match key.code {
            KeyCode::Char('q') => self.is_done = true,
            KeyCode::Char('?') | KeyCode::F(1) => self.dialog = Some(Dialog::Help { reading: Reading::default() }),
            KeyCode::Char('s') => self.ask_to_stop(),
            KeyCode::Char('/') => {
                if let Some(filter) = self.filter_in_front() {
                    filter.is_open = true;
                }
            }
            _ if self.detail.is_some() => return self.press_in_detail(key.code),
            code => self.press_in_list(code),
        }
        None
    }

    /// Takes in text that was pasted, where a line is being typed.
    pub(super) fn paste(&mut self, text: &str) {
        if self.dialog.is_some() {
            self.paste_in_dialog(text);
        } else if let Some(filter) = self.open_filter() {
            text.chars().for_each(|c| filter.input.insert(c));
            self.filtered();
        }
    }

    fn press_in_list(&mut self, code: KeyCode) {
        match code {
            KeyCode::Up | KeyCode::Char('k') => self.move_choice(-1),
            KeyCode::Down | KeyCode::Char('j') => self.move_choice(1),
            KeyCode::PageUp => self.move_choice(-PAGE),
            KeyCode::PageDown => self.move_choice(PAGE),
            KeyCode::Home | KeyCode::Char('g') => self.move_choice(isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.move_choice(isize::MAX),
            KeyCode::Enter | KeyCode::Right | KeyCode::Char('l') => {
                if let Some(pipeline) = self.chosen.as_deref().and_then(|name| self.pipeline(name)) {
                    let mut detail = Detail::new(pipeline.wire.name.clone());
                    detail.follow(pipeline.wire.last_run.as_ref().map(|run| run.id.as_str()));
                    self.detail = Some(detail);
                }
            }
            KeyCode::Esc => {
                self.filter.input.clear();
                self.filtered();
            }
            _ => {}
        }
    }

    fn press_in_detail(&mut self, code: KeyCode) -> Option<Effect> {
        let detail = self.detail.as_mut()?;
        match code {
            KeyCode::Left | KeyCode::Char('h') => detail.go(Direction::Left),
            KeyCode::Right | KeyCode::Char('l') => detail.go(Direction::Right),
            KeyCode::Up | KeyCode::Char('k') => detail.go(Direction::Up),
            KeyCode::Down | KeyCode::Char('j') => detail.go(Direction::Down),
            KeyCode::Tab => detail.open(detail.panel.next(1)),
            KeyCode::BackTab => detail.open(detail.panel.next(Panel::ALL.len() - 1)),
            KeyCode::Char(digit @ '1'..='5') => detail.open(Panel::ALL[digit as usize - '1' as usize]),
            KeyCode::PageUp => detail.scroll_by(PAGE),
            KeyCode::PageDown => detail.scroll_by(-PAGE),
            KeyCode::Home => detail.scroll_by(isize::MAX),
            KeyCode::End => detail.scroll_by(isize::MIN + 1),
            KeyCode::Char('n') if detail.panel == Panel::Logs => {
                detail.logs.is_of_all = !detail.logs.is_of_all;
                detail.logs.lines.clear();
            }
            KeyCode::Char(' ') if detail.panel == Panel::Tap => detail.tap.is_frozen = !detail.tap.is_frozen,
            KeyCode::Char('r') => {
                let track = detail.track()?;
                let (node, role) = (track.figures.node.clone(), track.figures.role.clone());
                return self.ask_for_change(Kind::Replace { node, role });
            }
            KeyCode::Char('a') => {
                let after = detail.chosen.clone()?;
                return self.ask_for_change(Kind::Add { after });
            }
            KeyCode::Char('x') => {
                let node = detail.chosen.clone()?;
                return self.ask_for_change(Kind::Remove { node });
            }
            KeyCode::Char('b') => return self.ask_for_change(Kind::Rollback),
            KeyCode::Esc | KeyCode::Backspace => match self.filter_in_front() {
                Some(filter) if !filter.input.is_empty() => filter.input.clear(),
                _ => self.detail = None,
            },
            _ => {}
        }
        None
    }

    fn press_in_dialog(&mut self, code: KeyCode) -> Option<Effect> {
        let dialog = self.dialog.as_mut()?;
        if dialog.reading().is_some_and(|reading| reading.press(code)) {
            return None;
        }
        match dialog {
            Dialog::Help { .. } => {
                if matches!(code, KeyCode::Esc | KeyCode::Enter | KeyCode::Char('?' | 'q') | KeyCode::F(1)) {
                    self.dialog = None;
                }
            }
            Dialog::Stop { run, .. } => match code {
                KeyCode::Char('y' | 'Y') => {
                    let run = std::mem::take(run);
                    self.dialog = None;
                    return Some(Effect::Stop { run });
                }
                KeyCode::Esc | KeyCode::Char('n' | 'N' | 'q') => self.dialog = None,
                _ => {}
            },
            Dialog::Failed { .. } => {
                if matches!(code, KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q' | ' ')) {
                    self.dialog = None;
                }
            }
            Dialog::Change(_) => return self.press_in_change(code),
        }
        None
    }

    /// The filter of what is shown; none where nothing is filtered.
    fn filter_in_front(&mut self) -> Option<&mut Filter> {
        match &mut self.detail {
            None => Some(&mut self.filter),
            Some(detail) => match detail.panel {
                Panel::Logs => Some(&mut detail.logs.lines.filter),
                Panel::Tap => Some(&mut detail.tap.lines.filter),
                Panel::Node | Panel::History | Panel::Runs => None,
            },
        }
    }

    fn open_filter(&mut self) -> Option<&mut Filter> {
        self.filter_in_front().filter(|filter| filter.is_open)
    }

    /// Follows a filter that may be another.
    fn filtered(&mut self) -> Option<Effect> {
        match &mut self.detail {
            None => self.keep_choice(),
            Some(detail) => (detail.logs.lines.scroll, detail.tap.lines.scroll) = (0, 0),
        }
        None
    }

    fn move_choice(&mut self, by: isize) {
        let names: Vec<&str> = self.listed().map(|pipeline| pipeline.wire.name.as_str()).collect();
        let Some(last) = names.len().checked_sub(1) else { return };
        let here = names.iter().position(|name| Some(*name) == self.chosen.as_deref()).unwrap_or(0);
        let name = names[here.saturating_add_signed(by).min(last)].to_owned();
        self.choose(Some(name));
    }

    fn ask_to_stop(&mut self) {
        let name = self.detail.as_ref().map(|detail| &detail.pipeline).or(self.chosen.as_ref());
        let Some(pipeline) = name.and_then(|name| self.pipeline(name)) else { return };
        let name = pipeline.wire.name.clone();
        match pipeline.wire.last_run.as_ref().filter(|_| pipeline.is_going()) {
            Some(run) => self.dialog = Some(Dialog::Stop { pipeline: name, run: run.id.clone() }),
            None => self.tell(format!("`{name}` does not run")),
        }
    }
}

impl Filter {
    fn press(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.is_open = false,
            KeyCode::Esc => *self = Self::default(),
            code => self.input.press(code),
        }
    }
}

impl Reading {
    /// Moves what is shown; answers whether that is what the key is for.
    fn press(&mut self, code: KeyCode) -> bool {
        match code {
            KeyCode::Down | KeyCode::Char('j') => self.down(1),
            KeyCode::Up | KeyCode::Char('k') => self.up(1),
            KeyCode::PageDown => self.down(self.n_shown),
            KeyCode::PageUp => self.up(self.n_shown),
            _ => return false,
        }
        true
    }
}

impl Input {
    /// Edits the line.
    pub(super) fn press(&mut self, code: KeyCode) {
        match code {
            KeyCode::Char(c) => self.insert(c),
            KeyCode::Backspace => self.backspace(),
            KeyCode::Delete => self.delete(),
            KeyCode::Left => self.move_by(-1),
            KeyCode::Right => self.move_by(1),
            KeyCode::Home => self.move_by(isize::MIN),
            KeyCode::End => self.move_by(isize::MAX),
            _ => {}
        }
    }
}

impl Order {
    /// A change of `pipeline`.
    pub(super) fn new(pipeline: &str, change: flowctl_client::admin::change_topology_request::Change) -> Self {
        Self { pipeline: pipeline.to_owned(), change }
    }
}
