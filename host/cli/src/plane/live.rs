//! The components that registered at a control plane, as planning knows them.

use anyhow::Result;
use flowctl_client::{Client, admin};
use flowctl_registry::LiveComponent;
use flowctl_schema::Role;

use super::{ControlPlaneArgs, block_on, refused};

/// What the origin of a component in another process begins with.
const REMOTE: &str = "remote ";

impl ControlPlaneArgs {
    /// The components that registered at the control plane; none where there is no
    /// control plane.
    ///
    /// # Errors
    ///
    /// When one was named and does not answer.
    pub(crate) fn live(&self) -> Result<Vec<LiveComponent>> {
        block_on(async {
            match self.find().await? {
                Some(client) => of(&client).await,
                None => Ok(Vec::new()),
            }
        })
    }
}

/// The components that registered at the control plane of `client`.
///
/// # Errors
///
/// When it does not answer.
pub(crate) async fn of(client: &Client) -> Result<Vec<LiveComponent>> {
    let plugins = client.plugins(admin::ListPluginsRequest::default()).await.map_err(refused)?;
    Ok(plugins.into_iter().filter_map(component).collect())
}

/// A component as it was registered; none where it is none, or says what no component
/// can.
fn component(plugin: admin::Plugin) -> Option<LiveComponent> {
    let endpoint = plugin.origin.strip_prefix(REMOTE)?.to_owned();
    let role = match plugin.role.as_str() {
        "source" => Role::Source,
        "processor" => Role::Processor,
        "sink" => Role::Sink,
        _ => return None,
    };
    let types = |names: &[String]| names.iter().filter_map(|name| name.parse().ok()).collect();
    Some(LiveComponent {
        role,
        input_types: types(&plugin.input_types),
        output_types: types(&plugin.output_types),
        endpoint,
        id: plugin.id,
        name: plugin.name,
        description: plugin.description,
        version: plugin.version,
        metadata: plugin.metadata.into_iter().collect(),
        status: plugin.status,
    })
}
