//! Whether a component is what the topology expects.
//!
//! What a component leaves out is not held against it: a type that it does not say, or no
//! list of event types at all.

use flowctl_proto::v1::{ComponentInfo, ComponentType};
use flowctl_schema::Role;
use flowctl_types::EventType;

use super::{Calls, PeerSettings};
use crate::{RemoteError, fault};

/// Asks the component what it is, and holds that against what is expected.
pub(super) async fn check(settings: &PeerSettings, calls: &mut Calls) -> Result<(), RemoteError> {
    match calls.info().await {
        Ok(info) => {
            let reason = match difference(settings, &info) {
                None => return Ok(()),
                Some(reason) => reason,
            };
            Err(RemoteError::Mismatch { node: settings.node.clone(), endpoint: settings.endpoint.clone(), reason })
        }
        Err(status) if fault::is_unknown(&status) => {
            tracing::debug!(node = %settings.node, "component does not say what it is");
            Ok(())
        }
        Err(status) => Err(RemoteError::Info { endpoint: settings.endpoint.clone(), reason: fault::describe(&status) }),
    }
}

fn difference(settings: &PeerSettings, info: &ComponentInfo) -> Option<String> {
    let is = match info.r#type() {
        ComponentType::Unspecified => settings.role,
        ComponentType::Source => Role::Source,
        ComponentType::Processor => Role::Processor,
        ComponentType::Consumer => Role::Sink,
    };
    if is != settings.role {
        return Some(format!("it is a {}, not a {}", word(is), word(settings.role)));
    }
    let missing = |wanted: &[EventType], said: &[String]| -> Option<EventType> {
        let is_missing = |wanted: &&EventType| !said.is_empty() && !said.iter().any(|said| said == wanted.as_str());
        wanted.iter().find(is_missing).cloned()
    };
    if let Some(event_type) = missing(&settings.inputs, &info.input_event_types) {
        return Some(format!("it reads {}, not `{event_type}`", listed(&info.input_event_types)));
    }
    if let Some(event_type) = missing(&settings.outputs, &info.output_event_types) {
        return Some(format!("it emits {}, not `{event_type}`", listed(&info.output_event_types)));
    }
    let is_extra = |said: &&String| !settings.outputs.iter().any(|wanted| wanted.as_str() == said.as_str());
    if let Some(event_type) = info.output_event_types.iter().find(is_extra) {
        tracing::warn!(
            node = %settings.node,
            %event_type,
            "component may emit a type that its node does not declare: such events become dead letters"
        );
    }
    None
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Source => "source",
        Role::Processor => "processor",
        Role::Sink => "consumer",
    }
}

fn listed(types: &[String]) -> String {
    let shown: Vec<_> = types.iter().take(10).map(|name| format!("`{name}`")).collect();
    shown.join(", ")
}
