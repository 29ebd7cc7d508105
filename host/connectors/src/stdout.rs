//! Sink `stdout`: events as lines of JSON, see [`Lines`].

use std::io::{self, Write};
use std::sync::Arc;

use async_trait::async_trait;
use flowctl_runtime::{Fault, Rejection, Sink};
use flowctl_topology::Node;
use flowctl_types::Batch;
use serde::Deserialize;

use crate::lines::Lines;
use crate::output::Output;
use crate::{ConnectorError, config};

pub(crate) const NAME: &str = "stdout";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {}

pub(crate) fn sink(node: &Node) -> Result<Box<dyn Sink>, ConnectorError> {
    let Config {} = config::read(NAME, node)?;
    Ok(Box::new(Stdout { lines: Lines::new(&node.inputs), output: Output::new(io::stdout()) }))
}

/// Writes to standard output, or in tests to something that looks like it.
struct Stdout<W> {
    lines: Lines,
    output: Output<W>,
}

#[async_trait]
impl<W: Write + Send + 'static> Sink for Stdout<W> {
    async fn open(&mut self) -> Result<Option<u64>, Fault> {
        Ok(None)
    }

    async fn write(&mut self, batch: &Arc<Batch>) -> Result<Vec<Rejection>, Fault> {
        let buffer = self.output.buffer().await.map_err(fault)?;
        let rejected = self.lines.write(batch, buffer)?;
        self.output.run(|stdout, text| stdout.write_all(text)).await.map_err(fault)?;
        Ok(rejected)
    }

    async fn flush(&mut self, _: u64) -> Result<(), Fault> {
        self.output.run(|stdout, _| stdout.flush()).await.map_err(fault)
    }
}

/// Always fatal: part of the text may have been written, so it must not be tried again.
#[expect(clippy::needless_pass_by_value, reason = "fits `map_err`")]
fn fault(error: io::Error) -> Fault {
    Fault::Fatal(match error.kind() {
        io::ErrorKind::BrokenPipe => "standard output was closed by whoever read it".to_owned(),
        _ => format!("cannot write to standard output: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use flowctl_schema::Schema;
    use flowctl_types::{Columns, Ids};

    use super::*;

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_reader_that_went_away_ends_the_run_and_is_named() {
        let wit = "package test:point@1.0.0; interface event { record point { x: u32 } }";
        let lines = Lines::new(&Schema::from_wit(wit).unwrap());
        let mut sink = Stdout { lines, output: Output::new(Closed) };
        let mut columns = Columns::default();
        columns.push(0, &[7]);
        let batch = Arc::new(Batch::new(columns, Ids::numbered("test", 0)));
        let fault = sink.write(&batch).await.unwrap_err();
        assert_eq!(fault, Fault::Fatal("standard output was closed by whoever read it".to_owned()));
    }
}
