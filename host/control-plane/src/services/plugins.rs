//! What can be a node: plugins, connectors, and live components.

use std::time::Duration;

use flowctl_proto::admin::plugin_service_server::PluginService;
use flowctl_proto::admin::{
    GetPluginRequest, ListPluginsRequest, ListPluginsResponse, Plugin, WatchPluginsRequest, WatchPluginsResponse,
};
use flowctl_types::nearest;
use tonic::{Request, Response, Status};

use super::{Services, Streamed, caller, convert, fault, page};
use crate::tenants::Tenant;

const PLUGINS: &str = "plugins";
/// Between two messages of a watch.
const PERIOD: Duration = Duration::from_secs(1);

#[tonic::async_trait]
impl PluginService for Services {
    async fn get_plugin(&self, request: Request<GetPluginRequest>) -> Result<Response<Plugin>, Status> {
        let tenant = caller(&request)?.tenant;
        let id = request.into_inner().id;
        let plugins = self.plugins(&tenant).await;
        let found = plugins.iter().filter(|plugin| plugin.id == id || plugin.name == id);
        // an id says more than a name, and a live component is nearer than a plugin
        let best = found.min_by_key(|plugin| (plugin.id != id, nearness(plugin)));
        let unknown = || {
            let near = nearest(&id, plugins.iter().flat_map(|plugin| [plugin.id.as_str(), plugin.name.as_str()]));
            fault::unknown("processor, source or sink", &id, &near)
        };
        Ok(Response::new(best.cloned().ok_or_else(unknown)?))
    }

    async fn list_plugins(
        &self,
        request: Request<ListPluginsRequest>,
    ) -> Result<Response<ListPluginsResponse>, Status> {
        let tenant = caller(&request)?.tenant;
        let wanted = request.into_inner();
        let after = page::key(PLUGINS, &wanted.page_token)?;
        let limit = page::size(wanted.page_size) as usize;
        let mut plugins = self.plugins(&tenant).await;
        plugins.retain(|plugin| is_wanted(plugin, &wanted) && after.as_ref().is_none_or(|after| key(plugin) > *after));
        let is_more = plugins.len() > limit;
        plugins.truncate(limit);
        let next = plugins.last().filter(|_| is_more).map(|last| page::token(PLUGINS, &key(last)));
        Ok(Response::new(ListPluginsResponse { plugins, next_page_token: next.unwrap_or_default() }))
    }

    type WatchPluginsStream = Streamed<WatchPluginsResponse>;

    async fn watch_plugins(
        &self,
        request: Request<WatchPluginsRequest>,
    ) -> Result<Response<Self::WatchPluginsStream>, Status> {
        let tenant = caller(&request)?.tenant;
        let services = self.clone();
        Ok(Response::new(self.stream(move |feed| async move {
            let mut changes = services.plane.directory.watch();
            let mut told = None;
            loop {
                changes.mark_unchanged();
                let plugins = services.plugins(&tenant).await;
                let shape: Vec<_> = plugins.iter().map(|plugin| (key(plugin), plugin.status.clone())).collect();
                // a change of another tenant's components is none of this one's
                if told.as_ref() != Some(&shape) {
                    told = Some(shape);
                    if feed.send(WatchPluginsResponse { plugins }).await.is_err() {
                        return Ok(());
                    }
                }
                if changes.changed().await.is_err() {
                    return Ok(());
                }
                tokio::time::sleep(PERIOD).await;
            }
        })))
    }
}

impl Services {
    /// All that the tenant can use, by role and name.
    async fn plugins(&self, tenant: &Tenant) -> Vec<Plugin> {
        let plane = &self.plane;
        let catalogue = plane.controller.catalogue(tenant).await;
        let mut plugins: Vec<_> = catalogue.into_iter().map(convert::entry).collect();
        plugins.extend(plane.directory.list(tenant).iter().map(convert::component));
        plugins.sort_by_cached_key(key);
        plugins
    }
}

/// Where a plugin stands in lists.
fn key(plugin: &Plugin) -> String {
    let role = ["source", "processor", "sink"].iter().position(|role| *role == plugin.role).unwrap_or(3);
    format!("{role}\t{}\t{}\t{}", plugin.name, plugin.id, plugin.origin)
}

fn is_live(plugin: &Plugin) -> bool {
    plugin.registered_at.is_some()
}

/// Live beats plugin beats built-in.
fn nearness(plugin: &Plugin) -> u8 {
    match plugin.origin.as_str() {
        _ if is_live(plugin) => 0,
        "built-in" => 2,
        _ => 1,
    }
}

fn is_wanted(plugin: &Plugin, wanted: &ListPluginsRequest) -> bool {
    let reads = |event_type: &String| {
        let mut inputs = plugin.input_types.iter();
        inputs.any(|input| input == event_type || input == "any" || input == "any record")
    };
    let emits = |event_type: &String| plugin.output_types.contains(event_type);
    let agrees = |(key, value): (&String, &String)| plugin.metadata.get(key).is_none_or(|found| found == value);
    let is_well = !["unhealthy", "stopping"].contains(&plugin.status.as_str());
    (wanted.input_type.is_empty() || reads(&wanted.input_type))
        && (wanted.output_type.is_empty() || emits(&wanted.output_type))
        && wanted.metadata.iter().all(agrees)
        && (!wanted.is_healthy || is_well)
}
