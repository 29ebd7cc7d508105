//! `flowctl run --watch`: the pipeline becomes what its file says, whenever that changes.

use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use flowctl_client::{Client, admin};

use admin::change_topology_request::Change;

use super::change::{Shown, file as submitted};
use crate::pipeline;
use crate::plane::refused;
use crate::{report, status};

/// Between two looks at the file.
const PERIOD: Duration = Duration::from_millis(300);

/// Follows the file at `path`, whose text is `text`, for as long as it is polled. A change that
/// cannot be made is said, and the pipeline goes on as it is.
pub(crate) async fn file(client: &Client, path: &Path, mut text: String) -> Infallible {
    loop {
        tokio::time::sleep(PERIOD).await;
        // a file that is just being written may not be there
        let Ok(now) = pipeline::read(path) else { continue };
        if now == text {
            continue;
        }
        text.clone_from(&now);
        if let Err(error) = change(client, path, now).await {
            report::failure(&error);
            status::say("the pipeline goes on as it was");
        }
    }
}

async fn change(client: &Client, path: &Path, text: String) -> Result<()> {
    let environment = |name: &str| std::env::var(name).ok();
    let document = flowctl_intent::parse(&path.to_string_lossy(), &text, &environment)?;
    let request = admin::ChangeTopologyRequest {
        pipeline: document.name.to_string(),
        change: Some(Change::File(submitted(path, text)?)),
        ..admin::ChangeTopologyRequest::default()
    };
    status::say("Reconfiguring topology...");
    let changed = client.change_topology(request).await.map_err(refused)?;
    Shown::of(document.name.to_string(), changed).say();
    Ok(())
}
