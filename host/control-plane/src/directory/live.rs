//! Components as planning and starting need them.

use std::time::Duration;

use flowctl_registry::LiveComponent;
use flowctl_schema::Role;
use flowctl_store::ComponentRole;
use tokio::time::timeout;

use super::{Component, Directory};
use crate::tenants::Tenant;

impl Directory {
    /// The tenant's components for a registry, whatever their health. Those that say no
    /// endpoint, or no type that is one, are left out.
    #[must_use]
    pub fn live(&self, tenant: &Tenant) -> Vec<LiveComponent> {
        self.list(tenant).iter().filter_map(live).collect()
    }

    /// Waits until the component that was started for `node` is registered and well:
    /// the one that names the node, else the one whose id it is. None where it does not
    /// come `within` that time.
    pub async fn wait_for_node(&self, tenant: &Tenant, node: &str, within: Duration) -> Option<Component> {
        let mut changes = self.watch();
        let found = async {
            loop {
                changes.mark_unchanged();
                if let Some(component) = self.of_node(tenant, node) {
                    return Some(component);
                }
                changes.changed().await.ok()?;
            }
        };
        timeout(within, found).await.ok().flatten()
    }

    fn of_node(&self, tenant: &Tenant, node: &str) -> Option<Component> {
        let mut components = self.list(tenant);
        components.retain(|component| component.health.is_well());
        let names = |component: &Component| component.registration.node.as_deref() == Some(node);
        let of_node = components.iter().filter(|component| names(component));
        let latest = of_node.max_by_key(|component| component.registered_at);
        latest.or_else(|| components.iter().find(|component| component.registration.id == node)).cloned()
    }
}

fn live(component: &Component) -> Option<LiveComponent> {
    let registration = &component.registration;
    let types = |names: &[String]| names.iter().filter_map(|name| name.parse().ok()).collect::<Vec<_>>();
    let (input_types, output_types) = (types(&registration.input_types), types(&registration.output_types));
    let role = match registration.role {
        ComponentRole::Source => Role::Source,
        ComponentRole::Processor => Role::Processor,
        ComponentRole::Sink => Role::Sink,
    };
    // a sink without types takes any; one whose types are no names does not
    let is_unreadable = input_types.len() < registration.input_types.len() && input_types.is_empty();
    if registration.endpoint.is_empty() || is_unreadable || (role != Role::Sink && output_types.is_empty()) {
        return None;
    }
    Some(LiveComponent {
        id: registration.id.clone(),
        name: registration.name.clone(),
        description: registration.description.clone(),
        version: registration.version.clone(),
        role,
        input_types,
        output_types,
        endpoint: registration.endpoint.clone(),
        metadata: registration.metadata.clone(),
        status: component.health.as_str().to_owned(),
    })
}
