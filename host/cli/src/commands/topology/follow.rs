//! `flowctl run --watch`: the pipeline becomes what its file says, whenever that changes.

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use flowctl_client::{Client, admin};
use flowctl_intent::Document;
use flowctl_types::NodeId;
use tokio::task::JoinSet;

use admin::change_topology_request::Change;

use super::change::{Shown, file as submitted, settle, tell_trial};
use crate::commands::processors::workbench::Workbench;
use crate::pipeline;
use crate::plane::refused;
use crate::report::{self, Hinted};
use crate::status;

/// Between two looks at the file.
const PERIOD: Duration = Duration::from_millis(300);

/// For so long a file that is just being written may not be there.
const ABSENCE: Duration = Duration::from_secs(1);

/// The longest time that a component which was just built is on trial.
const TRIAL: Duration = Duration::from_secs(3);

/// What a pipeline is to be.
#[derive(Clone, PartialEq, Eq)]
struct Wanted {
    text: String,
    /// Files of plugins that belong to it.
    components: Vec<PathBuf>,
}

/// Why the file cannot be read, while it cannot.
#[derive(Default)]
struct Trouble {
    /// Since when it is not there.
    absent_since: Option<Instant>,
    /// What was said of it.
    said: String,
}

/// Follows the file at `path`, whose text is `text`, and what `bench` builds, for as long as
/// it is polled. A change that cannot be made is said, and the pipeline goes on as it is.
pub(crate) async fn file(client: &Client, path: &Path, text: String, bench: Option<&Workbench>) -> Infallible {
    let wanted = |text: String| match bench {
        Some(bench) => bench.text(&text).map(|text| Wanted { text, components: bench.components() }),
        None => Ok(Wanted { text, components: Vec::new() }),
    };
    let name = document(path, &text).ok().map(|document| document.name);
    let mut trials = JoinSet::new();
    let mut seen = text.clone();
    // what runs was made of it
    let mut last = wanted(text).ok();
    let mut trouble = Trouble::default();
    loop {
        tokio::time::sleep(PERIOD).await;
        let read = pipeline::read(path).map(|text| {
            // what is just being written looks different the next time
            let is_settled = text == seen;
            seen = text;
            is_settled
        });
        let now = match read {
            Ok(false) => continue,
            Ok(true) => wanted(seen.clone()),
            Err(error) => Err(error),
        };
        let now = match now {
            Ok(now) => now,
            Err(error) => {
                if trouble.is_news(&error, Instant::now()) {
                    report::failure(&error);
                    status::say("the pipeline goes on as it was");
                }
                continue;
            }
        };
        trouble = Trouble::default();
        if last.as_ref() == Some(&now) {
            continue;
        }
        last = Some(now.clone());
        let settled = match change(client, path, now, name.as_ref(), bench.is_some()).await {
            Ok(shown) => shown.filter(|_| bench.is_none()),
            Err(error) => {
                report::failure(&error);
                status::say("the pipeline goes on as it was");
                None
            }
        };
        if let Some(mut shown) = settled {
            let client = client.clone();
            // the file is followed meanwhile, and whoever follows it may end before
            trials.spawn(async move { settle(&client, &mut shown).await });
        }
        while trials.try_join_next().is_some() {}
    }
}

impl Trouble {
    /// Takes in why the file could not be read at `now`; answers whether that is to be said: each
    /// reason is once, and that the file is not there only when it stays away.
    fn is_news(&mut self, error: &anyhow::Error, now: Instant) -> bool {
        let is_absent = error
            .chain()
            .filter_map(|cause| cause.downcast_ref::<io::Error>())
            .any(|error| error.kind() == io::ErrorKind::NotFound);
        self.absent_since = is_absent.then(|| self.absent_since.unwrap_or(now));
        if self.absent_since.is_some_and(|since| now.duration_since(since) < ABSENCE) {
            return false;
        }
        let text = report::text(error);
        let is_news = self.said != text;
        self.said = text;
        is_news
    }
}

fn document(path: &Path, text: &str) -> Result<Document> {
    let environment = |name: &str| std::env::var(name).ok();
    Ok(flowctl_intent::parse(&path.to_string_lossy(), text, &environment)?)
}

/// Has the pipeline `name` become what is wanted. Answers what was made, if anything was; of a
/// build how its trial ended, too.
async fn change(
    client: &Client,
    path: &Path,
    wanted: Wanted,
    name: Option<&NodeId>,
    is_built: bool,
) -> Result<Option<Shown>> {
    let document = document(path, &wanted.text)?;
    if let Some(name) = name.filter(|name| **name != document.name) {
        return Err(Hinted::error(
            format!("the file is of the pipeline `{}` by now, and `{name}` runs", document.name),
            format!("call it `{name}` again, or stop that and run the other"),
        ));
    }
    let components = wanted.components.iter().map(|path| path.display().to_string()).collect();
    let trial = admin::Trial { time: Some(TRIAL.try_into()?), ..admin::Trial::default() };
    let request = admin::ChangeTopologyRequest {
        pipeline: document.name.to_string(),
        change: Some(Change::File(admin::PipelineFile { plugins: components, ..submitted(path, wanted.text)? })),
        trial: is_built.then_some(trial),
        ..admin::ChangeTopologyRequest::default()
    };
    status::say("Reconfiguring topology...");
    tell_trial(client, document.name.as_str()).await;
    let changed = client.change_topology(request).await.map_err(refused)?;
    let mut shown = Shown::of(document.name.to_string(), changed);
    shown.say();
    if is_built && shown.is_made {
        settle(client, &mut shown).await?;
    }
    Ok(shown.is_made.then_some(shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_the_file_from_being_read_is_said_once_and_a_short_absence_not_at_all() {
        let (start, mut trouble) = (Instant::now(), Trouble::default());
        for (millis, kind, is_said) in [
            (0, io::ErrorKind::NotFound, false),
            (900, io::ErrorKind::NotFound, false),
            (1_000, io::ErrorKind::NotFound, true),
            (1_300, io::ErrorKind::NotFound, false),
            (1_600, io::ErrorKind::PermissionDenied, true),
            (1_900, io::ErrorKind::PermissionDenied, false),
            (2_200, io::ErrorKind::NotFound, false),
            (3_200, io::ErrorKind::NotFound, true),
        ] {
            let error = anyhow::Error::from(io::Error::from(kind)).context("cannot read pipeline `a.yaml`");
            assert_eq!(trouble.is_news(&error, start + Duration::from_millis(millis)), is_said, "{millis}: {error:#}");
        }
    }
}
