//! Dead letters: events that were refused. In a file they are one JSON object a line;
//! any other sink is sent them as events of their own type, see [`LetterEvents`].

use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use flowctl_runtime::{DeadLetter, DeadLetterSink, Fault};
use flowctl_topology::Node;

use crate::file_sink::{self, FileConfig};
use crate::letter_events::LetterEvents;
use crate::line_file::{LineFile, Start};
use crate::output::Output;
use crate::{ConnectorError, Pipeline, blackhole, config, connector};

/// Makes the dead-letter sink of `node` ready, which may be any sink.
///
/// # Errors
///
/// [`ConnectorError`] when the node's connector is no sink of this build, or cannot run
/// as it is configured.
pub fn dead_letters(node: &Node, pipeline: &Pipeline) -> Result<Box<dyn DeadLetterSink>, ConnectorError> {
    match connector(node)? {
        blackhole::NAME => Ok(Box::new(Forgotten)),
        file_sink::NAME => {
            let FileConfig { path, append } = config::read(file_sink::NAME, node)?;
            file_sink::check_named(&path)?;
            let path = pipeline.path(path);
            file_sink::check(&path)?;
            let start = file_sink::start(append, pipeline);
            Ok(Box::new(LetterFile { path, start, parent: Parent::IsThere, output: None }))
        }
        _ => {
            let schema = node.inputs.first().cloned().ok_or_else(|| ConnectorError::Types {
                connector: "dead-letter",
                node: node.id.to_string(),
                reason: "it is sent no event type".to_owned(),
            })?;
            Ok(Box::new(LetterEvents::new(crate::sink(node, pipeline)?, schema)))
        }
    }
}

/// Keeps dead letters in the file `path`: a line of JSON each, behind what it holds.
/// File and directory are created when the first letter is written.
#[must_use]
pub fn dead_letter_file(path: PathBuf) -> Box<dyn DeadLetterSink> {
    Box::new(LetterFile { path, start: Start::Append, parent: Parent::Create, output: None })
}

#[derive(Clone, Copy)]
enum Parent {
    IsThere,
    Create,
}

struct LetterFile {
    path: PathBuf,
    start: Start,
    parent: Parent,
    output: Option<Output<LineFile>>,
}

impl LetterFile {
    fn create(&self) -> io::Result<Output<LineFile>> {
        if let (Parent::Create, Some(parent)) = (self.parent, self.path.parent()) {
            std::fs::create_dir_all(parent)?;
        }
        LineFile::open(&self.path, self.start).map(Output::new)
    }
}

#[async_trait]
impl DeadLetterSink for LetterFile {
    async fn open(&mut self) -> Result<(), Fault> {
        if matches!(self.start, Start::Empty) {
            self.output = Some(self.create().map_err(|error| fault(&self.path, &error))?);
            self.start = Start::Append;
        }
        Ok(())
    }

    async fn write(&mut self, letters: &[DeadLetter]) -> Result<(), Fault> {
        if self.output.is_none() {
            self.output = Some(self.create().map_err(|error| fault(&self.path, &error))?);
        }
        let output = self.output.as_mut().expect("created above");
        let buffer = output.buffer().await.map_err(|error| fault(&self.path, &error))?;
        for letter in letters {
            serde_json::to_writer(&mut *buffer, letter)
                .map_err(|error| Fault::Fatal(format!("a dead letter is no JSON: {error}")))?;
            buffer.push(b'\n');
        }
        output.run(LineFile::append).await.map_err(|error| fault(&self.path, &error))
    }

    async fn flush(&mut self, _: u64) -> Result<(), Fault> {
        let Some(output) = &mut self.output else { return Ok(()) };
        output.run(|file, _| file.sync()).await.map_err(|error| fault(&self.path, &error))
    }
}

fn fault(path: &Path, error: &io::Error) -> Fault {
    crate::line_file::fault("dead letters to ", path, error)
}

/// Drops dead letters; the run still counts them.
struct Forgotten;

#[async_trait]
impl DeadLetterSink for Forgotten {
    async fn open(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    async fn write(&mut self, _: &[DeadLetter]) -> Result<(), Fault> {
        Ok(())
    }

    async fn flush(&mut self, _: u64) -> Result<(), Fault> {
        Ok(())
    }
}
