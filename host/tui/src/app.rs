//! The life of the dashboard: input and messages come in, the screen goes out.
//!
//! Invariant: nothing in the loop waits for the network. It draws only what has changed: at once after a key, and a
//! few times a second otherwise.

use std::time::Duration;

use crossterm::event::{Event, EventStream};
use flowctl_client::Client;
use futures_util::StreamExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::feeds::Feeds;
use crate::message::{Effect, Message};
use crate::model::Model;
use crate::terminal::Terminal;
use crate::view::{self, Theme};
use crate::{DashboardError, Options};

/// Between two pictures, where only figures changed.
const CALM: Duration = Duration::from_millis(250);
/// Between two pictures, where a key was pressed.
const PROMPT: Duration = Duration::from_millis(30);
/// What is shown of passing time is right to this.
const TICK: Duration = Duration::from_secs(1);
/// Messages that wait to be taken in.
const QUEUE_LEN: usize = 64;

/// How soon a picture is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Urgency {
    Calm,
    Prompt,
}

/// The screen, and when it is drawn.
struct Screen {
    terminal: Terminal,
    theme: Theme,
    drawn_at: Instant,
    /// When it is to be drawn; none where it shows what is.
    due: Option<Instant>,
}

/// Shows the dashboard until it is closed, by a key or by a signal.
pub(crate) async fn show(client: Client, options: Options) -> Result<(), DashboardError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(DashboardError::Signals)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(DashboardError::Signals)?;
    let (to, mut messages) = mpsc::channel(QUEUE_LEN);
    let mut model = Model::new(client.address(), options.pipeline.clone());
    let mut feeds = Feeds::new(client, &options, to);
    let terminal = Terminal::take().map_err(DashboardError::Terminal)?;
    let opened_at = Instant::now();
    let mut screen = Screen { terminal, theme: Theme::new(options.colours), drawn_at: opened_at, due: Some(opened_at) };
    let mut input = EventStream::new();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while !model.is_done {
        feeds.follow(&model.interests());
        let (message, urgency) = tokio::select! {
            biased;
            _ = terminate.recv() => return Ok(()),
            _ = hang_up.recv() => return Ok(()),
            event = input.next() => match event {
                Some(Ok(Event::Key(key))) => (Message::Key(key), Urgency::Prompt),
                Some(Ok(Event::Paste(text))) => (Message::Paste(text), Urgency::Prompt),
                Some(Ok(Event::Resize(..))) => (Message::Resized, Urgency::Prompt),
                Some(Ok(_)) => continue,
                Some(Err(error)) => return Err(DashboardError::Terminal(error)),
                // the terminal is gone
                None => return Ok(()),
            },
            () = due(screen.due) => {
                screen.draw(&mut model).map_err(DashboardError::Terminal)?;
                continue;
            }
            Some(message) = messages.recv() => (message, Urgency::Calm),
            _ = ticks.tick() => {
                if !model.is_timed() {
                    continue;
                }
                (Message::Tick, Urgency::Calm)
            }
        };
        let urgency = if matches!(message, Message::Answered(_)) { Urgency::Prompt } else { urgency };
        match model.update(opened_at.elapsed(), message) {
            Some(Effect::Redraw) => screen.terminal.start_over().map_err(DashboardError::Terminal)?,
            Some(effect) => feeds.act(effect),
            None => {}
        }
        screen.want(urgency);
    }
    Ok(())
}

impl Screen {
    /// Has it be drawn soon.
    fn want(&mut self, urgency: Urgency) {
        let pause = if urgency == Urgency::Prompt { PROMPT } else { CALM };
        let soon = self.drawn_at + pause;
        self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
    }

    fn draw(&mut self, model: &mut Model) -> std::io::Result<()> {
        self.terminal.check()?;
        let mut shown = None;
        self.terminal.draw(|frame| shown = view::draw(model, &self.theme, frame))?;
        model.note_shown(shown);
        (self.drawn_at, self.due) = (Instant::now(), None);
        Ok(())
    }
}

async fn due(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
