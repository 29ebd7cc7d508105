//! What a message does to the model.
//!
//! Invariant: no I/O. What is to be done in the world is answered as an [`Effect`].

mod changes;
mod keys;

use std::collections::BTreeMap;
use std::time::Duration;

use flowctl_client::admin;

use crate::message::{Answer, Effect, Interest, Message, News, Trouble};
use crate::model::rates::Rate;
use crate::model::{Link, Model, Pipeline};

impl Model {
    /// Takes in what happened at `now`; answers what is to be done.
    pub(crate) fn update(&mut self, now: Duration, message: Message) -> Option<Effect> {
        let effect = self.take_in(now, message);
        if self.dialog.is_none() {
            self.dialog = self.failed.take();
        }
        effect
    }

    fn take_in(&mut self, now: Duration, message: Message) -> Option<Effect> {
        self.now = now;
        if self.notice.as_ref().is_some_and(|notice| notice.until <= now) {
            self.notice = None;
        }
        match message {
            Message::Key(key) => return self.press(key),
            Message::Paste(text) => self.paste(&text),
            Message::Resized => return Some(Effect::Redraw),
            Message::Tick => {}
            Message::Seen(interest, news) => self.see(&interest, news),
            Message::Lost(interest, trouble) => self.lose(interest, trouble),
            Message::Answered(answer) => return self.hear(answer),
        }
        None
    }

    fn see(&mut self, interest: &Interest, news: News) {
        // it may have been under way when something else came to be shown
        if !self.interests().contains(interest) {
            return;
        }
        if let Some(detail) = &mut self.detail
            && detail.trouble.as_ref().is_some_and(|(troubled, _)| troubled == interest)
        {
            detail.trouble = None;
        }
        match (news, &mut self.detail) {
            (News::Overview(host, pipelines), _) => self.see_all(host, pipelines),
            (News::Run(run), Some(detail)) => detail.see(self.now, *run),
            (News::Runs(runs), Some(detail)) => detail.runs = runs,
            (News::Runs(runs), None) => self.runs = runs,
            (News::Revisions(revisions), Some(detail)) => detail.revisions = revisions,
            (News::Events(events), Some(detail)) => detail.logs.extend(events),
            (News::Tapped(events), Some(detail)) => detail.tap.lines.extend(events),
            (News::Run(_) | News::Revisions(_) | News::Events(_) | News::Tapped(_), None) => {}
        }
    }

    fn see_all(&mut self, host: admin::Host, pipelines: Vec<admin::Pipeline>) {
        if matches!(self.link, Link::Down { .. }) {
            self.tell("connected again");
        }
        self.link = Link::Up;
        self.host = Some(host);
        let mut before: BTreeMap<String, Pipeline> =
            self.pipelines.drain(..).map(|pipeline| (pipeline.wire.name.clone(), pipeline)).collect();
        for wire in pipelines {
            let mut pipeline = before.remove(&wire.name).unwrap_or_default();
            let id = |pipeline: &admin::Pipeline| pipeline.last_run.as_ref().map(|run| run.id.clone());
            if id(&pipeline.wire) != id(&wire) {
                pipeline.events = Rate::default();
            }
            if let Some(run) = &wire.last_run {
                pipeline.events.see(self.now, run.events_in);
            }
            pipeline.wire = wire;
            self.pipelines.push(pipeline);
        }
        self.pipelines.sort_by(|a, b| a.wire.name.cmp(&b.wire.name));
        self.keep_choice();
        let Some(detail) = &mut self.detail else { return };
        match self.pipelines.iter().find(|pipeline| pipeline.wire.name == detail.pipeline) {
            Some(pipeline) => detail.follow(pipeline.wire.last_run.as_ref().map(|run| run.id.as_str())),
            None => {
                let gone = format!("pipeline `{}` is gone", detail.pipeline);
                self.detail = None;
                self.tell(gone);
            }
        }
    }

    /// Has a pipeline that is listed be the chosen one, if any is.
    fn keep_choice(&mut self) {
        let is_listed = |name: &String| self.listed().any(|pipeline| pipeline.wire.name == *name);
        if !self.chosen.as_ref().is_some_and(is_listed) {
            let first = self.listed().next().map(|pipeline| pipeline.wire.name.clone());
            self.choose(first);
        }
    }

    fn choose(&mut self, name: Option<String>) {
        if self.chosen != name {
            self.chosen = name;
            self.runs.clear();
        }
    }

    fn lose(&mut self, interest: Interest, trouble: Trouble) {
        if interest != Interest::Overview {
            if let Some(detail) = &mut self.detail
                && !trouble.is_away
            {
                detail.trouble = Some((interest, trouble));
            }
            return;
        }
        let (since, n_tries) = match self.link {
            Link::Down { since, n_tries, .. } => (since, n_tries + 1),
            Link::New | Link::Up => (self.now, 1),
        };
        let again_at = self.now + trouble.again_in.unwrap_or_default();
        self.link = Link::Down { since, n_tries, again_at, trouble };
    }

    fn hear(&mut self, answer: Answer) -> Option<Effect> {
        match answer {
            Answer::Stopped(Ok(run)) => self.tell(format!("`{}` was told to stop", run.pipeline)),
            Answer::Stopped(Err(trouble)) => self.fail("It was not stopped", trouble),
            Answer::Components(found) => self.hear_components(found),
            Answer::Planned(order, planned) => self.hear_plan(*order, planned),
            Answer::Made(title, made) => self.hear_made(&title, made),
        }
        None
    }
}

#[cfg(test)]
mod tests;
