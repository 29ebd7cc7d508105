//! Sink `file`: events as lines of JSON, see [`Lines`]. A batch is one write; a
//! barrier makes what was written durable.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use flowctl_runtime::{Fault, Rejection, Sink};
use flowctl_topology::Node;
use flowctl_types::Batch;
use serde::Deserialize;

use crate::base_dir::BaseDir;
use crate::line_file::{self, LineFile, Start};
use crate::lines::Lines;
use crate::output::Output;
use crate::reach::Reach;
use crate::{ConnectorError, Pipeline, config};

pub(crate) const NAME: &str = "file";

/// The configuration, as WIT; [`FileConfig`] is what it is read into.
pub(crate) const CONFIG: &str = "
/// Where events go.
record config {
    /// The file to write: a line of JSON for each event. Its directory must exist.
    path: string,
    /// Whether to add to what the file holds, which is the default, or to empty it when
    /// the pipeline starts from the beginning. One that goes on adds in any case.
    append: option<bool>,
}
";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileConfig {
    pub(crate) path: PathBuf,
    pub(crate) append: Option<bool>,
}

pub(crate) fn sink(node: &Node, pipeline: &Pipeline) -> Result<Box<dyn Sink>, ConnectorError> {
    let FileConfig { path, append } = config::read(NAME, node)?;
    check_named(&path)?;
    let path = pipeline.path(path);
    check(&path)?;
    let start = start(append, pipeline);
    Ok(Box::new(FileSink { lines: Lines::new(&node.inputs), path, start, output: None }))
}

/// What becomes of that which the file holds already.
pub(crate) fn start(append: Option<bool>, pipeline: &Pipeline) -> Start {
    if append == Some(false) && pipeline.is_new { Start::Empty } else { Start::Append }
}

/// What is wrong with a configuration that has the right fields.
pub(crate) fn check_config(config: &serde_json::Value) -> Vec<ConnectorError> {
    let read = config::read_value(NAME, config);
    read.and_then(|FileConfig { path, .. }| check_named(&path)).err().into_iter().collect()
}

/// What a sink of this configuration touches.
pub(crate) fn reach(config: &serde_json::Value, base: BaseDir<'_>) -> Result<Reach, ConnectorError> {
    let FileConfig { path, .. } = config::read_value(NAME, config)?;
    Ok(Reach { writes: vec![base.reached(path)], ..Reach::default() })
}

/// Whether a file can be written at `path`, found out without creating it.
pub(crate) fn check(path: &Path) -> Result<(), ConnectorError> {
    let error = |source| ConnectorError::File { connector: NAME, action: "write", path: path.to_owned(), source };
    check_named(path)?;
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Err(ConnectorError::field(
            NAME,
            "path",
            format!("names a directory: write `{}`, for instance", path.join("events.jsonl").display()),
        )),
        Ok(metadata) if metadata.is_file() => OpenOptions::new().append(true).open(path).map(drop).map_err(error),
        // to open a pipe would wait for its reader
        Ok(_) => Ok(()),
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            match std::fs::metadata(parent) {
                Ok(metadata) if metadata.is_dir() => Ok(()),
                Ok(_) => Err(error(io::ErrorKind::NotADirectory.into())),
                Err(source) => Err(error(source)),
            }
        }
        Err(source) => Err(error(source)),
    }
}

pub(crate) fn check_named(path: &Path) -> Result<(), ConnectorError> {
    if path.as_os_str().is_empty() {
        return Err(ConnectorError::field(NAME, "path", "is empty: name the file to write"));
    }
    Ok(())
}

struct FileSink {
    lines: Lines,
    path: PathBuf,
    start: Start,
    output: Option<Output<LineFile>>,
}

#[async_trait]
impl Sink for FileSink {
    async fn open(&mut self) -> Result<Option<u64>, Fault> {
        let file = LineFile::open(&self.path, self.start).map_err(|error| fault(&self.path, &error))?;
        // a second `open` of the same run goes on behind what is there
        self.start = Start::Append;
        self.output = Some(Output::new(file));
        Ok(None)
    }

    async fn write(&mut self, batch: &Arc<Batch>) -> Result<Vec<Rejection>, Fault> {
        let Self { lines, path, output, .. } = self;
        let output = opened(output)?;
        let buffer = output.buffer().await.map_err(|error| fault(path, &error))?;
        let rejected = lines.write(batch, buffer)?;
        output.run(LineFile::append).await.map_err(|error| fault(path, &error))?;
        Ok(rejected)
    }

    async fn flush(&mut self, _: u64) -> Result<(), Fault> {
        let result = opened(&mut self.output)?.run(|file, _| file.sync()).await;
        result.map_err(|error| fault(&self.path, &error))
    }

    async fn rewind(&mut self) -> Result<Option<u64>, Fault> {
        let result = opened(&mut self.output)?.run(|file, _| file.rewind()).await;
        result.map_err(|error| fault(&self.path, &error)).map(|()| None)
    }
}

fn opened(output: &mut Option<Output<LineFile>>) -> Result<&mut Output<LineFile>, Fault> {
    output.as_mut().ok_or_else(|| Fault::Fatal("the sink `file` was not opened before it was used".to_owned()))
}

fn fault(path: &Path, error: &io::Error) -> Fault {
    line_file::fault("", path, error)
}
