//! Pipelines: applied, shown, watched, deleted.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use flowctl_proto::admin::pipeline_service_server::PipelineService;
use flowctl_proto::admin::{
    ApplyPipelineRequest, ApplyPipelineResponse, DeletePipelineRequest, DeletePipelineResponse, GetPipelineRequest,
    ListPipelinesRequest, ListPipelinesResponse, Pipeline, PipelineFile as WireFile, WatchPipelinesRequest,
    WatchPipelinesResponse,
};
use flowctl_runtime::Orphans;
use flowctl_store::PipelineQuery;
use tonic::{Request, Response, Status};

use super::{Services, Streamed, caller, convert, fault, page};
use crate::controller::{Apply, Controller, Intention, Locking, PipelineFile, Start, Variables};
use crate::tenants::Tenant;

const PIPELINES: &str = "pipelines";
/// Bytes of a pipeline file, and of its lock.
const FILE_BYTES: usize = 1 << 20;
/// Variables, and folders of plugins, of one file.
const MAX_ENTRIES: usize = 256;
/// Bytes of a path, or of a variable's name.
const NAME_BYTES: usize = 4 << 10;
/// Between two messages of a watch.
const PERIOD: Duration = Duration::from_millis(500);
/// Pipelines of one message of a watch.
const AT_ONCE: usize = 250;

#[tonic::async_trait]
impl PipelineService for Services {
    async fn apply_pipeline(
        &self,
        request: Request<ApplyPipelineRequest>,
    ) -> Result<Response<ApplyPipelineResponse>, Status> {
        let tenant = caller(&request)?.tenant;
        let apply = apply(request.into_inner())?;
        let applied = self.plane.controller.apply(&tenant, apply).await?;
        let pipeline = match &applied.run {
            Some(_) => {
                let (row, run) = self.plane.controller.pipeline(&tenant, &applied.pipeline).await?;
                convert::pipeline(&row, run.as_ref())
            }
            None => Pipeline { name: applied.pipeline, tenant: tenant.to_string(), ..Pipeline::default() },
        };
        Ok(Response::new(ApplyPipelineResponse {
            pipeline: Some(pipeline),
            run: applied.run.as_ref().map(convert::run),
            chain: applied.chain,
            lock: applied.lock,
            warnings: applied.warnings,
        }))
    }

    async fn get_pipeline(&self, request: Request<GetPipelineRequest>) -> Result<Response<Pipeline>, Status> {
        let tenant = caller(&request)?.tenant;
        let (row, run) = self.plane.controller.pipeline(&tenant, &request.get_ref().name).await?;
        Ok(Response::new(convert::pipeline(&row, run.as_ref())))
    }

    async fn list_pipelines(
        &self,
        request: Request<ListPipelinesRequest>,
    ) -> Result<Response<ListPipelinesResponse>, Status> {
        let tenant = caller(&request)?.tenant;
        let wanted = request.into_inner();
        let limit = page::size(wanted.page_size);
        let after = page::key(PIPELINES, &wanted.page_token)?;
        let query = PipelineQuery { tenant: tenant.to_string(), after, is_active: wanted.is_active, limit };
        let rows = self.plane.controller.pipelines(query).await?;
        let next = rows.last().filter(|_| rows.len() >= limit as usize);
        Ok(Response::new(ListPipelinesResponse {
            next_page_token: next.map(|(row, _)| page::token(PIPELINES, &row.name)).unwrap_or_default(),
            pipelines: rows.iter().map(|(row, run)| convert::pipeline(row, run.as_ref())).collect(),
        }))
    }

    type WatchPipelinesStream = Streamed<WatchPipelinesResponse>;

    async fn watch_pipelines(
        &self,
        request: Request<WatchPipelinesRequest>,
    ) -> Result<Response<Self::WatchPipelinesStream>, Status> {
        let tenant = caller(&request)?.tenant;
        let controller = self.plane.controller.clone();
        Ok(Response::new(self.stream(move |feed| async move {
            let mut changes = controller.watch();
            let mut told = BTreeMap::<String, Pipeline>::new();
            let mut is_first = true;
            loop {
                changes.mark_unchanged();
                let now = all(&controller, &tenant).await?;
                let changed = now.iter().filter(|(name, pipeline)| told.get(*name) != Some(pipeline));
                let changed: Vec<_> = changed.map(|(_, pipeline)| pipeline.clone()).collect();
                let mut deleted: Vec<_> = told.keys().filter(|name| !now.contains_key(*name)).cloned().collect();
                let has_news = is_first || !changed.is_empty() || !deleted.is_empty();
                let mut parts: Vec<_> = changed.chunks(AT_ONCE).map(<[_]>::to_vec).collect();
                if has_news && parts.is_empty() {
                    parts.push(Vec::new());
                }
                for changed in parts {
                    let deleted = std::mem::take(&mut deleted);
                    if feed.send(WatchPipelinesResponse { changed, deleted }).await.is_err() {
                        return Ok(());
                    }
                }
                (told, is_first) = (now, false);
                if changes.changed().await.is_err() {
                    return Ok(());
                }
                tokio::time::sleep(PERIOD).await;
            }
        })))
    }

    async fn delete_pipeline(
        &self,
        request: Request<DeletePipelineRequest>,
    ) -> Result<Response<DeletePipelineResponse>, Status> {
        let tenant = caller(&request)?.tenant;
        self.plane.controller.delete(&tenant, &request.get_ref().name).await?;
        Ok(Response::new(DeletePipelineResponse {}))
    }
}

/// All pipelines of a tenant.
async fn all(controller: &Controller, tenant: &Tenant) -> Result<BTreeMap<String, Pipeline>, Status> {
    let mut pipelines = BTreeMap::new();
    let mut query = PipelineQuery { limit: 1_000, ..PipelineQuery::of(tenant.as_str()) };
    loop {
        let rows = controller.pipelines(query.clone()).await?;
        let is_last = rows.len() < query.limit as usize;
        query.after = rows.last().map(|(row, _)| row.name.clone());
        pipelines.extend(rows.iter().map(|(row, run)| {
            let mut pipeline = convert::pipeline(row, run.as_ref());
            if let Some(run) = &mut pipeline.last_run {
                // it passes by itself, and is no change
                run.elapsed = None;
            }
            (row.name.clone(), pipeline)
        }));
        if is_last {
            return Ok(pipelines);
        }
    }
}

fn apply(request: ApplyPipelineRequest) -> Result<Apply, Status> {
    let wire = request.file.ok_or_else(|| fault::invalid("file", "is missing"))?;
    let intention = match (request.is_dry_run, request.is_attached) {
        (true, _) => Intention::Plan,
        (false, true) => Intention::Attached,
        (false, false) => Intention::Wanted,
    };
    Ok(Apply {
        file: file(wire)?,
        locking: if request.is_locked { Locking::Demand } else { Locking::Follow },
        start: if request.is_fresh { Start::Fresh } else { Start::Resume },
        orphans: if request.discards_state { Orphans::Discard } else { Orphans::Refuse },
        intention,
    })
}

pub(super) fn file(wire: WireFile) -> Result<PipelineFile, Status> {
    for (field, text, most) in [
        ("file.name", &wire.name, NAME_BYTES),
        ("file.text", &wire.text, FILE_BYTES),
        ("file.base_dir", &wire.base_dir, NAME_BYTES),
        ("file.lock", &wire.lock, FILE_BYTES),
    ] {
        if text.len() > most {
            return Err(fault::invalid(field, &format!("is longer than {most} bytes")));
        }
    }
    if wire.text.is_empty() {
        return Err(fault::invalid("file.text", "is empty"));
    }
    if wire.variables.len() > MAX_ENTRIES || wire.variables.keys().any(|name| name.len() > NAME_BYTES) {
        return Err(fault::invalid("file.variables", "has too many entries, or names that are too long"));
    }
    if wire.plugins.len() > MAX_ENTRIES {
        return Err(fault::invalid("file.plugins", &format!("has more than {MAX_ENTRIES} entries")));
    }
    let base_dir = if wire.base_dir.is_empty() { PathBuf::from("/") } else { path("file.base_dir", wire.base_dir)? };
    let plugins = wire.plugins.into_iter().map(|text| path("file.plugins", text)).collect::<Result<_, _>>()?;
    Ok(PipelineFile {
        name: wire.name,
        text: wire.text,
        variables: Variables::Given(wire.variables.into_iter().collect()),
        base_dir,
        plugins,
        lock: (!wire.lock.is_empty()).then_some(wire.lock),
    })
}

fn path(field: &str, text: String) -> Result<PathBuf, Status> {
    if text.len() > NAME_BYTES || text.contains('\0') {
        return Err(fault::invalid(field, "is no path"));
    }
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err(fault::invalid(field, "is not absolute")) }
}
