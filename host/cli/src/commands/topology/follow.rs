//! `flowctl run --watch`: the pipeline becomes what its file says, whenever that changes.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use flowctl_client::{Client, admin};

use admin::change_topology_request::Change;

use super::change::{Shown, file as submitted, settle};
use crate::commands::processors::workbench::Workbench;
use crate::pipeline;
use crate::plane::refused;
use crate::{report, status};

/// Between two looks at the file.
const PERIOD: Duration = Duration::from_millis(300);

/// The longest time that a component which was just built is on trial.
const TRIAL: Duration = Duration::from_secs(3);

/// What a pipeline is to be.
#[derive(Clone, PartialEq, Eq)]
struct Wanted {
    text: String,
    /// Files of plugins that belong to it.
    components: Vec<PathBuf>,
}

/// Follows the file at `path`, whose text is `text`, and what `bench` builds, for as long as
/// it is polled. A change that cannot be made is said, and the pipeline goes on as it is.
pub(crate) async fn file(client: &Client, path: &Path, text: String, bench: Option<&Workbench>) -> Infallible {
    let wanted = |text: String| match bench {
        Some(bench) => Wanted { text: bench.text(&text), components: bench.components() },
        None => Wanted { text, components: Vec::new() },
    };
    let mut last = wanted(text);
    loop {
        tokio::time::sleep(PERIOD).await;
        // a file that is just being written may not be there
        let Ok(text) = pipeline::read(path) else { continue };
        let now = wanted(text);
        if now == last {
            continue;
        }
        last.clone_from(&now);
        if let Err(error) = change(client, path, now, bench.is_some()).await {
            report::failure(&error);
            status::say("the pipeline goes on as it was");
        }
    }
}

async fn change(client: &Client, path: &Path, wanted: Wanted, is_on_trial: bool) -> Result<()> {
    let environment = |name: &str| std::env::var(name).ok();
    let document = flowctl_intent::parse(&path.to_string_lossy(), &wanted.text, &environment)?;
    let components = wanted.components.iter().map(|path| path.display().to_string()).collect();
    let trial = admin::Trial { time: Some(TRIAL.try_into()?), ..admin::Trial::default() };
    let request = admin::ChangeTopologyRequest {
        pipeline: document.name.to_string(),
        change: Some(Change::File(admin::PipelineFile { plugins: components, ..submitted(path, wanted.text)? })),
        trial: is_on_trial.then_some(trial),
        ..admin::ChangeTopologyRequest::default()
    };
    status::say("Reconfiguring topology...");
    let changed = client.change_topology(request).await.map_err(refused)?;
    let mut shown = Shown::of(document.name.to_string(), changed);
    shown.say();
    if is_on_trial && shown.is_made {
        settle(client, &mut shown).await?;
    }
    Ok(())
}
