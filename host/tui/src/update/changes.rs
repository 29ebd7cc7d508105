//! A change of the topology: asked for, planned, looked at, and made.
//!
//! Invariant: nothing is made that was not shown to its end: what is made has the plan's hash.

use crossterm::event::KeyCode;
use flowctl_client::admin::{self, ChangeTopologyResponse, Plugin};

use admin::change_topology_request::Change;

use crate::message::{Effect, Order, Trouble};
use crate::model::Model;
use crate::model::detail::{Component, Detail, Panel};
use crate::model::dialog::{ChangeDialog, Choice, Dialog, Field, Kind, Reading, Stage};
use crate::settings;

impl Model {
    /// Begins a change: asks what it is to be, or plans it at once where that is clear.
    pub(super) fn ask_for_change(&mut self, kind: Kind) -> Option<Effect> {
        let detail = self.detail.as_ref()?;
        if !detail.is_going() {
            let text = format!("`{}` does not run: only a pipeline that runs can be changed here", detail.pipeline);
            self.tell(text);
            return None;
        }
        let mut dialog = Box::new(ChangeDialog::new(&detail.pipeline, kind));
        let effect = if dialog.has_component() { Some(Effect::Components) } else { dialog.plan() };
        self.dialog = Some(Dialog::Change(dialog));
        effect
    }

    pub(super) fn press_in_change(&mut self, code: KeyCode) -> Option<Effect> {
        let Some(Dialog::Change(dialog)) = &mut self.dialog else { return None };
        match &dialog.stage {
            _ if code == KeyCode::Esc => {
                self.dialog = None;
                None
            }
            Stage::Planning(_) => None,
            Stage::Refused { .. } => {
                if code == KeyCode::Enter {
                    self.back_to_asking();
                }
                None
            }
            Stage::Planned { order, plan, reading } => match code {
                KeyCode::Char('y' | 'Y') if reading.is_done && !plan.changes.is_empty() => {
                    let (title, order, plan_hash) = (dialog.title(), order.clone(), plan.plan_hash.clone());
                    self.dialog = None;
                    Some(self.make(title, order, plan_hash))
                }
                KeyCode::Char('n' | 'N' | 'q') => {
                    self.dialog = None;
                    None
                }
                _ => None,
            },
            Stage::Asking => dialog.press(code),
        }
    }

    pub(super) fn paste_in_dialog(&mut self, text: &str) {
        if let Some(Dialog::Change(dialog)) = &mut self.dialog
            && matches!(dialog.stage, Stage::Asking)
        {
            text.chars().for_each(|c| dialog.line().insert(c));
            (dialog.marked, dialog.complaint) = (None, None);
        }
    }

    pub(super) fn hear_components(&mut self, found: Result<Vec<Plugin>, Trouble>) {
        let Some(Dialog::Change(dialog)) = &mut self.dialog else { return };
        match found {
            Ok(plugins) => {
                dialog.choices = self.detail.as_ref().map(|detail| choices(detail, &dialog.kind, plugins));
            }
            // a component can be typed all the same
            Err(trouble) => dialog.complaint = Some(format!("what there is cannot be listed: {}", trouble.text)),
        }
    }

    pub(super) fn hear_plan(&mut self, order: Order, planned: Result<ChangeTopologyResponse, Trouble>) {
        let Some(Dialog::Change(dialog)) = &mut self.dialog else { return };
        // it may be of a dialog that was left before it came
        if !matches!(&dialog.stage, Stage::Planning(wanted) if *wanted == order) {
            return;
        }
        let reading = Reading::default();
        dialog.stage = match planned {
            Ok(plan) => Stage::Planned { order, plan: Box::new(plan), reading },
            Err(trouble) => Stage::Refused { trouble, reading },
        };
    }

    /// Has it be made, where what becomes of it is shown. Nobody has to wait for it.
    fn make(&mut self, title: String, order: Order, plan_hash: String) -> Effect {
        if let Some(detail) = &mut self.detail {
            detail.open(Panel::History);
        }
        self.making = Some(title.clone());
        Effect::Make { title, order, plan_hash }
    }

    pub(super) fn hear_made(&mut self, title: &str, made: Result<ChangeTopologyResponse, Trouble>) {
        self.making.take_if(|making| making == title);
        match made {
            Ok(made) => {
                let pause = made.pause_us as f64 / 1e3;
                let lost = match made.n_lost {
                    0 => "no events lost".to_owned(),
                    n => format!("{n} batches were lost"),
                };
                self.tell(format!("changed: pause {pause:.2} ms, {lost}; what becomes of it is in the history"));
            }
            // an answer that was lost says nothing
            Err(trouble) if trouble.is_away => {
                self.fail(format!("{title}: perhaps not done; the history says it"), trouble);
            }
            Err(trouble) => self.fail(format!("{title}: not done"), trouble),
        }
    }

    /// Goes back to what can be asked for; where that is nothing, the dialog closes.
    fn back_to_asking(&mut self) {
        match &mut self.dialog {
            Some(Dialog::Change(dialog)) if dialog.has_component() => dialog.stage = Stage::Asking,
            _ => self.dialog = None,
        }
    }
}

impl ChangeDialog {
    fn press(&mut self, code: KeyCode) -> Option<Effect> {
        self.complaint = None;
        match code {
            KeyCode::Enter if self.meant().is_empty() => {
                self.complaint = Some("name a component, or choose one with ↓".to_owned());
            }
            KeyCode::Enter => return self.plan(),
            KeyCode::Tab | KeyCode::BackTab if self.has_config() => {
                self.settle();
                self.field = match self.field {
                    Field::Component => Field::Config,
                    Field::Config => Field::Component,
                };
            }
            KeyCode::Down if self.field == Field::Component => self.mark(1),
            KeyCode::Up if self.field == Field::Component => self.mark(-1),
            code => {
                if self.field == Field::Component {
                    self.settle();
                }
                self.line().press(code);
            }
        }
        None
    }

    fn line(&mut self) -> &mut crate::model::input::Input {
        match self.field {
            Field::Component => &mut self.component,
            Field::Config => &mut self.config,
        }
    }

    fn mark(&mut self, by: isize) {
        let Some(last) = self.listed().len().checked_sub(1) else { return };
        self.marked = match (self.marked, by) {
            (None, 1) => Some(0),
            (None, _) | (Some(0), -1) => None,
            (Some(marked), by) => Some(marked.saturating_add_signed(by).min(last)),
        };
    }

    /// Has what is marked be what was typed.
    fn settle(&mut self) {
        if self.marked.is_some() {
            let meant = self.meant();
            self.component.set(&meant);
            self.marked = None;
        }
    }

    /// Has the change be planned, if it says what it is to be.
    fn plan(&mut self) -> Option<Effect> {
        self.settle();
        match self.order() {
            Ok(order) => {
                self.stage = Stage::Planning(order.clone());
                Some(Effect::Plan(order))
            }
            Err(complaint) => {
                self.complaint = Some(complaint);
                None
            }
        }
    }

    fn order(&self) -> Result<Order, String> {
        let component = self.meant();
        let change = match &self.kind {
            Kind::Replace { node, .. } => {
                Change::Replace(admin::ReplaceNode { node: node.clone(), component, ..admin::ReplaceNode::default() })
            }
            Kind::Add { after } => Change::Add(admin::AddNode {
                component,
                after: vec![after.clone()],
                config: settings::config(&self.config.text())?,
                ..admin::AddNode::default()
            }),
            Kind::Remove { node } => Change::Remove(admin::RemoveNode { node: node.clone() }),
            Kind::Rollback => Change::Rollback(admin::Rollback::default()),
        };
        Ok(Order::new(&self.pipeline, change))
    }
}

/// What can be chosen for a change, those that fit first.
fn choices(detail: &Detail, kind: &Kind, plugins: Vec<Plugin>) -> Vec<Choice> {
    let none = Component::default();
    let (node, wanted) = match kind {
        Kind::Replace { node, role } => (node, role.as_str()),
        Kind::Add { after } => (after, "processor"),
        Kind::Remove { .. } | Kind::Rollback => return Vec::new(),
    };
    let there = detail.components.get(node).unwrap_or(&none);
    let shares =
        |some: &[String], others: &[String]| some.iter().any(|one| others.contains(one) || one.starts_with("any"));
    let fits = |plugin: &Plugin| match kind {
        Kind::Add { .. } => shares(&plugin.input_types, &there.outputs),
        _ => {
            (there.inputs.is_empty() || shares(&plugin.input_types, &there.inputs))
                && (there.outputs.is_empty() || shares(&plugin.output_types, &there.outputs))
        }
    };
    let usable = plugins.into_iter().filter(|plugin| plugin.role == wanted && plugin.status != "planned");
    let mut choices: Vec<Choice> = usable.map(|plugin| Choice { fits: fits(&plugin), plugin }).collect();
    choices.sort_by(|a, b| b.fits.cmp(&a.fits).then_with(|| a.plugin.name.cmp(&b.plugin.name)));
    choices
}
