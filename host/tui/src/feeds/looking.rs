//! Looks at one thing again and again, or follows it; when the control plane is away, until it is back.

use std::time::Duration;

use flowctl_client::{Client, ClientError, Watch, admin, is_over};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::message::{Interest, Message, News, Trouble};

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(1);
/// Between two looks at what changes seldom.
const SLOW_PERIOD: Duration = Duration::from_secs(2);
/// The longest time to wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Before the second try; twice that before the next.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest time between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// Runs that are listed.
const N_RUNS: usize = 50;
/// Events of one message.
const AT_ONCE: usize = 256;
/// What comes within this time is one message.
const TOGETHER: Duration = Duration::from_millis(200);
/// Events of one sample of a tap.
const SAMPLE: u64 = 20;

/// Who reads is gone: the dashboard closes.
struct Gone;

/// Looks at one thing.
pub(super) struct Look {
    client: Client,
    interest: Interest,
    to: mpsc::Sender<Message>,
    /// Told, and tells, that the control plane answers again.
    back: watch::Sender<()>,
    n_failed: u32,
    /// The last event of a run that came.
    after: u64,
}

/// What comes after a look.
enum Next {
    /// Another one, after this time.
    Again(Duration),
    /// Nothing: it will not change any more.
    Over,
}

impl Look {
    pub(super) fn new(client: Client, interest: Interest, to: mpsc::Sender<Message>, back: watch::Sender<()>) -> Self {
        Self { client, interest, to, back, n_failed: 0, after: 0 }
    }

    /// Looks until nothing changes any more.
    pub(super) async fn go_on(mut self) {
        let mut back = self.back.subscribe();
        loop {
            back.mark_unchanged();
            let pause = match self.look().await {
                Ok(Ok(Next::Over)) | Err(Gone) => return,
                Ok(Ok(Next::Again(pause))) => {
                    if std::mem::take(&mut self.n_failed) > 0 {
                        self.back.send_replace(());
                    }
                    pause
                }
                Ok(Err(error)) => {
                    let pause = self.pause();
                    let trouble = Trouble { again_in: Some(pause), ..Trouble::from(error) };
                    if self.to.send(Message::Lost(self.interest.clone(), trouble)).await.is_err() {
                        return;
                    }
                    pause
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                // what waits long because it failed often begins at once
                _ = back.changed(), if self.n_failed > 0 => {}
            }
        }
    }

    /// The time before it is tried again: longer each time.
    fn pause(&mut self) -> Duration {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.n_failed.min(8)).min(LONGEST_PAUSE);
        self.n_failed += 1;
        pause
    }

    async fn look(&mut self) -> Result<Result<Next, ClientError>, Gone> {
        let client = self.client.clone();
        match self.interest.clone() {
            Interest::Overview => {
                let seen = within_patience(async {
                    let host = client.host().await?;
                    let pipelines = client.pipelines(admin::ListPipelinesRequest::default()).await?;
                    Ok(News::Overview(host, pipelines))
                });
                self.tell(seen.await, Next::Again(PERIOD)).await
            }
            Interest::Run(id) => match within_patience(client.run(&id)).await {
                Ok(run) => {
                    let next = if is_over(run.status()) { Next::Over } else { Next::Again(PERIOD) };
                    self.tell(Ok(News::Run(Box::new(run))), next).await
                }
                Err(error) => Ok(Err(error)),
            },
            Interest::Runs(pipeline) => {
                let wanted = admin::ListRunsRequest { pipeline, ..admin::ListRunsRequest::default() };
                let seen = within_patience(client.runs(wanted, N_RUNS)).await;
                self.tell(seen.map(News::Runs), Next::Again(SLOW_PERIOD)).await
            }
            Interest::Revisions(pipeline) => {
                let seen = within_patience(client.revisions(&pipeline)).await;
                self.tell(seen.map(News::Revisions), Next::Again(PERIOD)).await
            }
            Interest::Events { run, node } => self.follow_events(run, node.unwrap_or_default()).await,
            Interest::Tap { pipeline, node } => self.tap(pipeline, node).await,
        }
    }

    /// Follows what happens in a run, from where it was read to.
    async fn follow_events(&mut self, id: String, node: String) -> Result<Result<Next, ClientError>, Gone> {
        let request = admin::WatchRunEventsRequest { id, node, after: self.after };
        let mut watch = match within_patience(self.client.watch_run_events(request)).await {
            Ok(watch) => watch,
            Err(error) => return Ok(Err(error)),
        };
        // told at once, so that it is known that there are none yet
        self.send(News::Events(Vec::new())).await?;
        loop {
            let (events, end) = together(&mut watch, AT_ONCE).await;
            if let Some(last) = events.last() {
                (self.after, self.n_failed) = (last.number, 0);
                self.send(News::Events(events)).await?;
            }
            match end {
                None => {}
                Some(Ok(())) => return Ok(Ok(Next::Over)),
                Some(Err(error)) => return Ok(Err(error)),
            }
        }
    }

    /// Takes one sample of what leaves a node: a fast one would be more than anybody can read.
    async fn tap(&mut self, pipeline: String, node: String) -> Result<Result<Next, ClientError>, Gone> {
        let request = admin::TapNodeRequest { pipeline, node, limit: SAMPLE };
        let mut watch = match within_patience(self.client.tap(request)).await {
            Ok(watch) => watch,
            Err(error) => return Ok(Err(error)),
        };
        self.send(News::Tapped(Vec::new())).await?;
        loop {
            let (events, end) = together(&mut watch, AT_ONCE).await;
            if !events.is_empty() {
                self.send(News::Tapped(events)).await?;
            }
            match end {
                None => {}
                Some(Ok(())) => return Ok(Ok(Next::Again(PERIOD))),
                Some(Err(error)) => return Ok(Err(error)),
            }
        }
    }

    async fn tell(&self, seen: Result<News, ClientError>, next: Next) -> Result<Result<Next, ClientError>, Gone> {
        match seen {
            Ok(news) => {
                self.send(news).await?;
                Ok(Ok(next))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    async fn send(&self, news: News) -> Result<(), Gone> {
        self.to.send(Message::Seen(self.interest.clone(), news)).await.map_err(|_| Gone)
    }
}

/// Waits for an answer, within limits: a control plane that hangs is away.
pub(super) async fn within_patience<T>(answer: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
    timeout(PATIENCE, answer).await.unwrap_or_else(|_| Err(ClientError::broken("the control plane does not answer")))
}

/// Waits for a message, and takes what comes right behind it, at most `most`; with how the stream ended, if it did.
async fn together<T>(watch: &mut Watch<T>, most: usize) -> (Vec<T>, Option<Result<(), ClientError>>) {
    let mut taken = Vec::new();
    let mut until: Option<Instant> = None;
    while taken.len() < most {
        let next = match until {
            None => watch.next().await,
            Some(until) => match timeout_at(until, watch.next()).await {
                Ok(next) => next,
                Err(_) => break,
            },
        };
        match next {
            Ok(Some(message)) => taken.push(message),
            Ok(None) => return (taken, Some(Ok(()))),
            Err(error) => return (taken, Some(Err(error))),
        }
        until.get_or_insert_with(|| Instant::now() + TOGETHER);
    }
    (taken, None)
}
