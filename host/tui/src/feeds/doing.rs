//! Does one thing at the control plane.

use flowctl_client::{Client, ClientError, admin};

use admin::change_topology_request::Change;

use super::looking::within_patience;
use crate::Variables;
use crate::message::{Answer, Effect, Order, Trouble};

/// Does it, and answers what it came to; nothing where there is nothing to do at the control plane.
pub(super) async fn act(client: &Client, variables: Variables, effect: Effect) -> Option<Answer> {
    Some(match effect {
        Effect::Redraw => return None,
        Effect::Stop { run } => {
            let request = admin::StopRunRequest { id: run, drain_timeout: None };
            Answer::Stopped(told(within_patience(client.stop_run(request)).await))
        }
        Effect::Components => {
            let wanted = admin::ListPluginsRequest::default();
            Answer::Components(told(within_patience(client.plugins(wanted)).await))
        }
        // these have limits of their own: a plugin may have to be pulled and compiled
        Effect::Plan(order) => {
            let request = admin::ChangeTopologyRequest { is_dry_run: true, ..request(order.clone(), variables) };
            Answer::Planned(Box::new(order), told(client.change_topology(request).await))
        }
        Effect::Make { title, order, plan_hash } => {
            let request = admin::ChangeTopologyRequest { plan_hash, ..request(order, variables) };
            Answer::Made(title, told(client.change_topology(request).await))
        }
    })
}

fn told<T>(answer: Result<T, ClientError>) -> Result<T, Trouble> {
    answer.map_err(Trouble::from)
}

fn request(order: Order, variables: Variables) -> admin::ChangeTopologyRequest {
    let Order { pipeline, mut change } = order;
    let mut named = Vec::new();
    match &mut change {
        Change::Add(add) => {
            add.component = located(&add.component);
            named = variables(&add.config);
        }
        Change::Replace(replace) => replace.component = located(&replace.component),
        _ => {}
    }
    admin::ChangeTopologyRequest {
        pipeline,
        change: Some(change),
        variables: named.into_iter().collect(),
        ..admin::ChangeTopologyRequest::default()
    }
}

/// A component as the control plane finds it: files by their absolute path.
fn located(component: &str) -> String {
    match std::path::absolute(component) {
        Ok(path) if component.ends_with(".wasm") => path.display().to_string(),
        _ => component.to_owned(),
    }
}
