//! `flowctl run` where a control plane is running: the pipeline is submitted to it, and
//! followed to its end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use flowctl_client::admin::{self, ApplyPipelineRequest, RunStatus};
use flowctl_client::{Client, ClientError};
use flowctl_types::{Code, Tie};
use tokio::time::Instant;

use super::{is_over, refused, status_word};
use crate::ask::Asker;
use crate::pipeline::choice::{self, Undecided};
use crate::pipeline::lockfile::{self, LockFile};
use crate::report;
use crate::session::{Signals, Voice};

/// How long a control plane that went away is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two attempts to reach it.
const PAUSE: Duration = Duration::from_millis(500);

/// What is submitted.
pub(crate) struct Submission<'a> {
    pub(crate) file: &'a Path,
    pub(crate) text: String,
    pub(crate) plugins: &'a [PathBuf],
    pub(crate) is_locked: bool,
    pub(crate) is_fresh: bool,
    pub(crate) discards_state: bool,
    pub(crate) is_detached: bool,
    pub(crate) is_discovered: bool,
}

/// Has the control plane plan a pipeline and, where its chain is open, `asker` choose one.
/// Answers what stands in its file now. Nothing is started, so that whoever is asked may leave.
///
/// # Errors
///
/// When the control plane cannot plan it, or nothing was chosen.
pub(crate) async fn choose(
    client: &Client,
    submission: &mut Submission<'_>,
    mut asker: Box<dyn Asker>,
) -> Result<String> {
    let text = submission.text.clone();
    let planned = ApplyPipelineRequest { is_dry_run: true, ..submission.request()? };
    let Err(error) = client.apply(planned).await else { return Ok(text) };
    let Some(undecided) = undecided(&text, &error) else { return Err(refused(error)) };
    let choice = choice::choose(submission.file, &undecided, &mut *asker)?;
    let Some(choice) = choice else { return Err(refused(error)) };
    submission.text.clone_from(&choice.text);
    Ok(choice.keep(submission.file, text))
}

/// The pipeline of this text, where the control plane found that its chain alone is open.
fn undecided(text: &str, error: &ClientError) -> Option<Undecided> {
    let ClientError::Refused { tie: Some(tie), .. } = error else { return None };
    let environment = |name: &str| std::env::var(name).ok();
    let (document, _) = flowctl_intent::read("", text, &environment);
    Some(Undecided { document: document?, tie: Tie::clone(tie) })
}

/// Submits a pipeline, follows its run, and answers what became of it.
///
/// # Errors
///
/// When the control plane refuses it, or is gone for too long.
pub(crate) async fn run(client: Client, submission: Submission<'_>, voice: Voice) -> Result<(admin::Run, ExitCode)> {
    let mut signals = Signals::install()?;
    let applied = client.apply(submission.request()?).await.map_err(refused)?;
    submission.keep_lock(&applied.lock, voice)?;
    for warning in &applied.warnings {
        crate::status::warn(warning);
    }
    if submission.is_discovered {
        voice.say(&format!("Discovered chain: {}", applied.chain));
    }
    voice.say("Starting topology...");
    let run = applied.run.context("the control plane started nothing")?;
    let mut followed = Followed { client, run, is_up: false, is_draining: false };
    followed.follow(&mut signals, &submission, voice).await?;
    let code = match followed.run.status() {
        RunStatus::Failed => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    };
    Ok((followed.run, code))
}

impl Submission<'_> {
    fn request(&self) -> Result<ApplyPipelineRequest> {
        let absolute = |path: &PathBuf| {
            let path = std::path::absolute(path).with_context(|| format!("cannot resolve `{}`", path.display()))?;
            Ok(path.display().to_string())
        };
        let lock = lockfile::path(self.file).as_deref().map(LockFile::read).transpose()?.flatten();
        let file = admin::PipelineFile {
            name: self.file.display().to_string(),
            text: self.text.clone(),
            variables: variables(&self.text).into_iter().collect(),
            base_dir: std::env::current_dir().context("cannot find the working directory")?.display().to_string(),
            plugins: self.plugins.iter().map(absolute).collect::<Result<_>>()?,
            lock: lock.map(|lock| lock.text()).transpose()?.unwrap_or_default(),
        };
        Ok(ApplyPipelineRequest {
            file: Some(file),
            is_locked: self.is_locked,
            is_fresh: self.is_fresh,
            discards_state: self.discards_state,
            is_dry_run: false,
            is_attached: false,
        })
    }

    /// Brings the lock file beside the pipeline up to date.
    fn keep_lock(&self, lock: &str, voice: Voice) -> Result<()> {
        let Some(path) = lockfile::path(self.file).filter(|_| !lock.is_empty()) else { return Ok(()) };
        let before = LockFile::read(&path)?.unwrap_or_default();
        let now = LockFile::submitted(lock)?;
        let differences = before.differences(&now);
        if differences.is_empty() {
            return Ok(());
        }
        match now.write(&path) {
            Ok(()) => differences.iter().for_each(|difference| voice.say(&difference.line())),
            Err(error) => crate::status::warn(&format!("{error:#}; what runs is not locked")),
        }
        Ok(())
    }
}

/// A run that is followed.
struct Followed {
    client: Client,
    run: admin::Run,
    is_up: bool,
    is_draining: bool,
}

impl Followed {
    async fn follow(&mut self, signals: &mut Signals, submission: &Submission<'_>, voice: Voice) -> Result<()> {
        let mut away_since: Option<Instant> = None;
        loop {
            match self.watch(signals, submission, voice).await {
                Ok(()) => return Ok(()),
                Err(Broken::Given(error)) => return Err(error),
                Err(Broken::Wire(error)) if !error.is_unavailable() => return Err(refused(error)),
                Err(Broken::Wire(error)) => {
                    let since = *away_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > PATIENCE {
                        return Err(refused(error));
                    }
                    if since.elapsed() < PAUSE {
                        voice.say("The control plane is away; its pipelines go on when it is back");
                    }
                    tokio::select! {
                        () = tokio::time::sleep(PAUSE) => {}
                        () = signals.next() => return Err(refused(error)),
                    }
                    if self.find_again().await {
                        away_since = None;
                    }
                }
            }
        }
    }

    /// Whether the pipeline has a run again, after its host was away.
    async fn find_again(&mut self) -> bool {
        let Ok(pipeline) = self.client.pipeline(&self.run.pipeline).await else { return false };
        match pipeline.last_run {
            // the host that came back says what became of it before it starts another
            Some(last) if last.id != self.run.id || !pipeline.is_wanted => {
                self.is_up &= last.id == self.run.id;
                self.run.id = last.id;
                true
            }
            _ => false,
        }
    }

    async fn watch(&mut self, signals: &mut Signals, submission: &Submission<'_>, voice: Voice) -> Result<(), Broken> {
        let mut watch = self.client.watch_run(&self.run.id).await?;
        loop {
            tokio::select! {
                now = watch.next() => match now? {
                    Some(now) => self.run = now,
                    // the host ends streams when it drains
                    None if is_over(self.run.status()) => return Ok(()),
                    None => return Err(Broken::Wire(gone())),
                },
                () = signals.next() => {
                    let drain_timeout = self.is_draining.then(prost_types::Duration::default);
                    voice.say(if self.is_draining { "Stopping at once" } else { "Draining; once more to stop at once" });
                    self.is_draining = true;
                    self.client.stop_run(admin::StopRunRequest { id: self.run.id.clone(), drain_timeout }).await?;
                }
            }
            if !self.is_up
                && matches!(self.run.status(), RunStatus::Running | RunStatus::Stopping | RunStatus::Completed)
            {
                self.is_up = true;
                voice.say("  ✓ All components running");
                if submission.is_detached {
                    voice.say(&format!(
                        "Run {} goes on; `flowctl pipelines stop {}` stops it",
                        self.run.id, self.run.pipeline
                    ));
                    return Ok(());
                }
            }
            if is_over(self.run.status()) {
                return self.end(voice);
            }
        }
    }

    fn end(&self, voice: Voice) -> Result<(), Broken> {
        let run = &self.run;
        if run.status() == RunStatus::Failed {
            let hint = Some(run.hint.clone()).filter(|hint| !hint.is_empty());
            let error = report::told(Code::from_name(&run.error_code), run.error.clone(), hint);
            if !self.is_up {
                return Err(Broken::Given(error));
            }
            report::failure(&error);
        }
        let verb = match run.status() {
            RunStatus::Completed => "Completed",
            RunStatus::Failed => "Failed",
            _ => "Stopped",
        };
        let seconds = run.elapsed.as_ref().map_or(0.0, |time| time.seconds as f64 + f64::from(time.nanos) / 1e9);
        let (n_in, n_out, rejected) = (run.events_in, run.events_out, run.rejected);
        voice.say(&format!(
            "{verb} `{}`: {n_in} events in, {n_out} out, {rejected} rejected ({seconds:.2} s)",
            run.pipeline
        ));
        if rejected > 0 && !run.dead_letters.is_empty() {
            voice.say(&format!("rejected events: {}", run.dead_letters));
        }
        Ok(())
    }
}

enum Broken {
    Wire(ClientError),
    Given(anyhow::Error),
}

impl From<ClientError> for Broken {
    fn from(error: ClientError) -> Self {
        Self::Wire(error)
    }
}

/// What a run did, as `--summary` writes it.
pub(crate) fn summary(run: &admin::Run) -> serde_json::Value {
    let per_node: serde_json::Map<String, serde_json::Value> = run
        .nodes
        .iter()
        .map(|node| {
            let figures = serde_json::json!({
                "role": node.role,
                "events_in": node.events_in,
                "events_out": node.events_out,
                "rejected": node.rejected,
                "bytes_in": node.bytes_in,
                "bytes_out": node.bytes_out,
                "batches_in": node.batches_in,
                "batches_out": node.batches_out,
                "busy_ns": node.busy_ns,
            });
            (node.node.clone(), figures)
        })
        .collect();
    let millis = run.elapsed.as_ref().map_or(0, |time| time.seconds * 1000 + i64::from(time.nanos) / 1_000_000);
    let mut summary = serde_json::json!({
        "run_id": run.id,
        "status": status_word(run.status()),
        "duration_ms": millis,
        "events_in": run.events_in,
        "events_out": run.events_out,
        "rejected": run.rejected,
        "epoch": run.epoch,
        "per_node": per_node,
    });
    if !run.error.is_empty() {
        summary["error"] = run.error.clone().into();
    }
    summary
}

/// The values of the environment variables that a pipeline's text names: in what it says,
/// and in what it grants to plugins.
pub(crate) fn variables(text: &str) -> BTreeMap<String, String> {
    let named = std::cell::RefCell::new(BTreeMap::new());
    let environment = |name: &str| {
        let value = std::env::var(name).ok()?;
        named.borrow_mut().insert(name.to_owned(), value.clone());
        Some(value)
    };
    // faults are told by who plans it
    let (document, _) = flowctl_intent::read("", text, &environment);
    let granted = document.iter().flat_map(|document| document.intent.granted_variables());
    granted.for_each(|name| drop(environment(name)));
    // connectors take some where a file leaves a field out
    for entry in flowctl_connectors::catalogue() {
        let fields = entry.config.iter().flat_map(|config| config.fields.iter());
        fields.filter_map(|field| field.env.as_deref()).for_each(|name| drop(environment(name)));
    }
    named.into_inner()
}

fn gone() -> ClientError {
    ClientError::broken("the control plane is gone")
}
