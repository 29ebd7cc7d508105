//! Topologies, and the events that pass through them.

use std::collections::HashMap;

use flowctl_proto::admin::change_topology_request::Change;
use flowctl_proto::admin::topology_service_server::TopologyService;
use flowctl_proto::admin::{
    self, ChangeTopologyRequest, ChangeTopologyResponse, GetTopologyRequest, ListRevisionsRequest,
    ListRevisionsResponse, Revision, TapNodeRequest, TappedEvent, Topology, WatchTopologyRequest,
};
use flowctl_runtime::Trial;
use flowctl_store::RevisionRecord;
use tonic::{Request, Response, Status};

use super::pipelines::file;
use super::{Services, Streamed, caller, fault};
use crate::controller::{ChangeFigures, ChangeRequest, ChangeView, ControlError, Edit, RunView, Target};
use crate::records::moment;
use crate::tenants::Tenant;

/// Nodes that one change may name at each side.
const MAX_NODES: usize = 64;
/// Values of one change of a configuration.
const MAX_VALUES: usize = 256;
/// Bytes of a value or a configuration.
const MAX_VALUE_BYTES: usize = 64 << 10;
/// Bytes of a name or a reference.
const MAX_NAME_BYTES: usize = 1 << 10;

#[tonic::async_trait]
impl TopologyService for Services {
    async fn get_topology(&self, request: Request<GetTopologyRequest>) -> Result<Response<Topology>, Status> {
        let tenant = caller(&request)?.tenant;
        let pipeline = &request.get_ref().pipeline;
        let run = self.last_run(&tenant, pipeline).await?;
        Ok(Response::new(self.topology(&tenant, &run).await?))
    }

    type WatchTopologyStream = Streamed<Topology>;

    async fn watch_topology(
        &self,
        request: Request<WatchTopologyRequest>,
    ) -> Result<Response<Self::WatchTopologyStream>, Status> {
        let tenant = caller(&request)?.tenant;
        let pipeline = request.into_inner().pipeline;
        let going = self.plane.controller.topology(&tenant, &pipeline);
        let run = self.last_run(&tenant, &pipeline).await?;
        let this = self.clone();
        Ok(Response::new(self.stream(move |feed| async move {
            let mut shown = this.topology(&tenant, &run).await?;
            if feed.send(shown.clone()).await.is_err() {
                return Ok(());
            }
            let Some((_, mut views)) = going else { return Ok(()) };
            while views.changed().await.is_ok() {
                let view = views.borrow_and_update().clone();
                let is_another = *view.resolved != *shown.json;
                let is_over = view.status.is_ended();
                if is_another {
                    shown = this.topology(&tenant, &view).await?;
                    if feed.send(shown.clone()).await.is_err() {
                        break;
                    }
                }
                if is_over {
                    break;
                }
            }
            Ok(())
        })))
    }

    async fn change_topology(
        &self,
        request: Request<ChangeTopologyRequest>,
    ) -> Result<Response<ChangeTopologyResponse>, Status> {
        let tenant = caller(&request)?.tenant;
        let request = change(request.into_inner())?;
        let pipeline = request.pipeline.clone();
        let view = self.plane.controller.change(&tenant, request).await?;
        Ok(Response::new(changed(pipeline, view)))
    }

    async fn list_revisions(
        &self,
        request: Request<ListRevisionsRequest>,
    ) -> Result<Response<ListRevisionsResponse>, Status> {
        let tenant = caller(&request)?.tenant;
        let (records, current) = self.plane.controller.revisions(&tenant, &request.get_ref().pipeline).await?;
        let revisions = records.into_iter().map(|record| revision(record, current)).collect();
        Ok(Response::new(ListRevisionsResponse { revisions }))
    }

    type TapNodeStream = Streamed<TappedEvent>;

    async fn tap_node(&self, request: Request<TapNodeRequest>) -> Result<Response<Self::TapNodeStream>, Status> {
        let tenant = caller(&request)?.tenant;
        let TapNodeRequest { pipeline, node, limit } = request.into_inner();
        // of another tenant's pipeline nothing is said, not even that it does not run
        self.plane.controller.pipeline(&tenant, &pipeline).await?;
        let mut events = self.plane.controller.tap(&tenant, &pipeline, &node)?;
        Ok(Response::new(self.stream(move |feed| async move {
            let mut n_sent = 0;
            while let Some(event) = events.next().await {
                if feed.send(tapped(event)).await.is_err() {
                    break;
                }
                n_sent += 1;
                if n_sent == limit {
                    break;
                }
            }
            Ok(())
        })))
    }
}

impl Services {
    /// What a run is, or was.
    async fn topology(&self, tenant: &Tenant, run: &RunView) -> Result<Topology, Status> {
        let controller = &self.plane.controller;
        let revision = match controller.revision(tenant, &run.pipeline) {
            Some(revision) => revision,
            None => controller.revisions(tenant, &run.pipeline).await?.1,
        };
        Ok(Topology {
            pipeline: run.pipeline.to_string(),
            run_id: run.id.to_string(),
            revision,
            json: run.resolved.to_string(),
            line: run.figures.chain.clone(),
        })
    }

    /// The run of a pipeline that goes on, else its last one, with all that is known of it.
    async fn last_run(&self, tenant: &Tenant, pipeline: &str) -> Result<RunView, Status> {
        let (_, run) = self.plane.controller.pipeline(tenant, pipeline).await?;
        let run = run.ok_or_else(|| ControlError::NotRunning { pipeline: pipeline.to_owned() })?;
        Ok(self.plane.controller.run(tenant, &run.id).await?)
    }
}

/// What is asked for, within its bounds.
fn change(request: ChangeTopologyRequest) -> Result<ChangeRequest, Status> {
    let ChangeTopologyRequest { pipeline, change, is_dry_run, plan_hash, discards_state, trial, variables } = request;
    if variables.len() > MAX_VALUES {
        return Err(fault::invalid("variables", &format!("has more than {MAX_VALUES} entries")));
    }
    let variables = variables.into_iter().collect();
    let change = change.ok_or_else(|| fault::invalid("change", "is missing"))?;
    let target = match change {
        Change::Add(admin::AddNode { component, id, after, before, config }) => {
            name("add.component", &component)?;
            let id = (!id.is_empty()).then_some(id);
            names("add.after", &after)?;
            names("add.before", &before)?;
            let config = match config.is_empty() {
                true => serde_json::Map::new(),
                false => match value("add.config", &config)? {
                    serde_json::Value::Object(config) => config,
                    _ => return Err(fault::invalid("add.config", "is no JSON object")),
                },
            };
            Target::Edit(Edit::Add { component, id, after, before, config })
        }
        Change::Remove(admin::RemoveNode { node }) => {
            name("remove.node", &node)?;
            Target::Edit(Edit::Remove { node })
        }
        Change::Replace(admin::ReplaceNode { node, component, values }) => {
            name("replace.node", &node)?;
            name("replace.component", &component)?;
            Target::Edit(Edit::Replace { node, component, values: settings("replace.values", values)? })
        }
        Change::Configure(admin::ConfigureNode { node, values }) => {
            name("configure.node", &node)?;
            if values.is_empty() {
                return Err(fault::invalid("configure.values", "is empty"));
            }
            Target::Edit(Edit::Configure { node, values: settings("configure.values", values)? })
        }
        Change::File(submitted) => Target::File(Box::new(file(submitted)?)),
        Change::Rollback(admin::Rollback { revision }) => Target::Revision((revision > 0).then_some(revision)),
    };
    let plan_hash = (!plan_hash.is_empty()).then_some(plan_hash);
    let trial = on_trial(trial)?;
    Ok(ChangeRequest { pipeline, target, is_dry_run, plan_hash, discards_state, trial, variables })
}

/// Values by their path, in the order of the paths.
fn settings(field: &str, values: HashMap<String, String>) -> Result<Vec<(String, serde_json::Value)>, Status> {
    if values.len() > MAX_VALUES {
        return Err(fault::invalid(field, &format!("has more than {MAX_VALUES} entries")));
    }
    let mut set = Vec::new();
    for (path, text) in values {
        name(field, &path)?;
        set.push((path, value(field, &text)?));
    }
    set.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(set)
}

fn on_trial(asked: Option<admin::Trial>) -> Result<Option<Trial>, Status> {
    let mut trial = Trial::default();
    let Some(admin::Trial { is_skipped, batches, time, max_rejected }) = asked else { return Ok(Some(trial)) };
    if is_skipped {
        return Ok(None);
    }
    if batches > 0 {
        trial.batches = batches;
    }
    if let Some(time) = time {
        trial.time = time.try_into().map_err(|_| fault::invalid("trial.time", "is negative"))?;
    }
    if let Some(share) = max_rejected {
        if !(0.0..=1.0).contains(&share) {
            return Err(fault::invalid("trial.max_rejected", "is not between 0 and 1"));
        }
        trial.max_rejected = share;
    }
    Ok(Some(trial))
}

fn names(field: &str, names: &[String]) -> Result<(), Status> {
    if names.len() > MAX_NODES {
        return Err(fault::invalid(field, &format!("names more than {MAX_NODES} nodes")));
    }
    names.iter().try_for_each(|text| name(field, text))
}

fn name(field: &str, text: &str) -> Result<(), Status> {
    match text.len() {
        0 => Err(fault::invalid(field, "is empty")),
        n_bytes if n_bytes > MAX_NAME_BYTES => {
            Err(fault::invalid(field, &format!("is longer than {MAX_NAME_BYTES} bytes")))
        }
        _ => Ok(()),
    }
}

fn value(field: &str, text: &str) -> Result<serde_json::Value, Status> {
    if text.len() > MAX_VALUE_BYTES {
        return Err(fault::invalid(field, &format!("has a value of more than {MAX_VALUE_BYTES} bytes")));
    }
    serde_json::from_str(text).map_err(|error| fault::invalid(field, &format!("has a value that is no JSON: {error}")))
}

fn changed(pipeline: String, view: ChangeView) -> ChangeTopologyResponse {
    let is_made = view.outcome.is_some();
    let ChangeFigures { pause_us, took_us, epoch, n_lost } = view.outcome.unwrap_or_default();
    let topology =
        Topology { pipeline, run_id: view.run, revision: view.revision, json: view.resolved, line: view.chain };
    ChangeTopologyResponse {
        changes: view.changes,
        plan_hash: view.plan_hash,
        is_at_checkpoint: view.is_at_checkpoint,
        topology: Some(topology),
        is_made,
        pause_us,
        took_us,
        epoch,
        n_lost,
    }
}

fn revision(record: RevisionRecord, current: u64) -> Revision {
    let figures: ChangeFigures = serde_json::from_str(&record.outcome).unwrap_or_default();
    let made_at = moment(record.at);
    Revision {
        number: record.number,
        run_id: record.run,
        made_at: Some(super::convert::timestamp(made_at)),
        status: record.status.to_string(),
        reason: record.reason,
        changes: serde_json::from_str(&record.changes).unwrap_or_default(),
        line: record.chain,
        pause_us: figures.pause_us,
        epoch: figures.epoch,
        is_current: record.number == current,
        text: record.text,
    }
}

fn tapped(event: crate::controller::TappedEvent) -> TappedEvent {
    let nanos_of_second = event.timestamp % 1_000_000_000;
    TappedEvent {
        id: event.id,
        r#type: event.event_type,
        time: Some(prost_types::Timestamp {
            seconds: i64::try_from(event.timestamp / 1_000_000_000).unwrap_or_default(),
            nanos: i32::try_from(nanos_of_second).unwrap_or_default(),
        }),
        json: event.json,
        n_skipped: event.n_skipped,
    }
}
