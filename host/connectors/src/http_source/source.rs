//! The source as the runtime has it: opens spool and listener, and reads the spool.
//!
//! A position is the number of the last event that was read, as JSON. Invariant:
//! everything read is read again from the same position until it is acknowledged, and
//! dropping the source closes the listener; a task of its own answers what is under way.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use flowctl_runtime::{Bounds, Fault, Piece, Source};
use flowctl_schema::Schema;
use flowctl_types::{Batch, NodeId};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::{Duration, Instant};
use tracing::{info, warn};

use super::routes::{Desk, routes};
use super::server::{self, Limits};
use super::settings::Settings;
use super::spool::{self, Outlet, Range};
use super::writer::{self, Job, Progress};

/// How long a port may be busy: a source that was dropped lets go of it in a moment.
const PORT_PATIENCE: Duration = Duration::from_secs(2);
/// The file that says what is listened at.
const ADDRESS_FILE: &str = "address";

/// Hands over what clients posted.
pub(super) struct HttpSource {
    node: NodeId,
    schema: Schema,
    settings: Settings,
    folder: PathBuf,
    /// When the port was first found busy.
    busy_since: Option<Instant>,
    open: Option<Open>,
}

/// What runs while the source is open.
struct Open {
    name: Arc<str>,
    /// Number of the last event that was read.
    number: i64,
    /// Number of the newest event when it was opened. What a checkpoint has repeated is
    /// older.
    first_newest: i64,
    outlet: Outlet,
    progress: watch::Receiver<Progress>,
    jobs: mpsc::Sender<Job>,
    /// Closes the listener when it is dropped.
    _stop: watch::Sender<()>,
}

impl HttpSource {
    pub(super) fn new(node: NodeId, schema: Schema, settings: Settings, folder: PathBuf) -> Self {
        Self { node, schema, settings, folder, busy_since: None, open: None }
    }

    async fn listen(&mut self) -> Result<TcpListener, Fault> {
        let address = self.settings.listen;
        let error = match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) => error,
        };
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => "stop what listens there, or set `listen` to another port",
            io::ErrorKind::PermissionDenied => "set `listen` to a port from 1024 on",
            io::ErrorKind::AddrNotAvailable => "set `listen` to an address of this machine",
            _ => "set `listen` to another address",
        };
        let message = format!("`{}` cannot listen at {address}: {error}; {remedy}", self.node);
        let since = *self.busy_since.get_or_insert_with(Instant::now);
        if error.kind() == io::ErrorKind::AddrInUse && since.elapsed() < PORT_PATIENCE {
            return Err(Fault::Retry(message));
        }
        Err(Fault::Fatal(message))
    }
}

#[async_trait]
impl Source for HttpSource {
    async fn open(&mut self, position: Option<&[u8]>) -> Result<(), Fault> {
        let number = position.map_or(Ok(0), number)?;
        let listener = self.listen().await?;
        let (folder, schema, limits) = (self.folder.clone(), self.schema.clone(), self.settings.spool);
        let opened = blocking(move || spool::open(&folder, &schema, number, limits)).await?;
        let (intake, outlet) = opened.map_err(|error| error.fault())?;
        let (jobs, progress) = writer::start(intake, self.node.clone())
            .map_err(|error| Fault::Retry(format!("cannot start a thread to write with: {error}")))?;
        let (stop, stopped) = watch::channel(());
        let desk = Desk::new(self.schema.clone(), self.settings.clone(), jobs.clone(), stopped.clone());
        let limits =
            Limits { max_connections: self.settings.max_connections, head_timeout: self.settings.read_timeout };
        if let Ok(address) = listener.local_addr() {
            info!(node = %self.node, %address, path = self.settings.path, "takes events over HTTP");
            if let Err(error) = record(&self.folder, address) {
                warn!(node = %self.node, %error, "the address in use is not recorded in the state folder");
            }
        }
        tokio::spawn(server::serve(listener, routes(Arc::new(desk)), limits, stopped));
        let name = Arc::from(self.node.as_str());
        let first_newest = progress.borrow().newest;
        self.open = Some(Open { name, number, first_newest, outlet, progress, jobs, _stop: stop });
        Ok(())
    }

    async fn next(&mut self, bounds: &Bounds) -> Result<Piece, Fault> {
        let open = self.open.as_mut().ok_or_else(not_open)?;
        let until = bounds.until.as_deref().map(number).transpose()?;
        loop {
            if until == Some(open.number) {
                return Ok(piece_at(open.number));
            }
            if let Some(until) = until.filter(|until| *until > open.first_newest) {
                return Err(open.is_gone(until));
            }
            let newest = open.wait().await?;
            let last = until.unwrap_or(newest);
            let range = Range { behind: open.number, last, max_events: bounds.max_events, max_bytes: bounds.max_bytes };
            let (outlet, name) = (open.outlet.clone(), Arc::clone(&open.name));
            let rows = blocking(move || outlet.read(range, &name)).await?.map_err(|error| error.fault())?;
            match (rows.last, until) {
                (Some(last), _) => {
                    open.number = last;
                    let batch = (!rows.columns.is_empty()).then(|| Batch::new(rows.columns, rows.ids));
                    return Ok(Piece { batch, rejected: rows.refused, ..piece_at(last) });
                }
                (None, Some(until)) => return Err(open.is_gone(until)),
                // an older checkpoint than the spool: these were taken before
                (None, None) => open.number = newest,
            }
        }
    }

    async fn ack(&mut self, position: &[u8]) -> Result<(), Fault> {
        let open = self.open.as_ref().ok_or_else(not_open)?;
        open.jobs.send(Job::Forget(number(position)?)).await.map_err(|_| ended())
    }
}

impl Open {
    /// Waits for an event behind the last one that was read; the number of the newest.
    async fn wait(&mut self) -> Result<i64, Fault> {
        let number = self.number;
        let progress = self
            .progress
            .wait_for(|progress| progress.newest > number || progress.damage.is_some())
            .await
            .map_err(|_| ended())?;
        match &progress.damage {
            Some(damage) => Err(Fault::Fatal(damage.clone())),
            None => Ok(progress.newest),
        }
    }

    fn is_gone(&self, until: i64) -> Fault {
        Fault::Fatal(format!(
            "the spool of `{}` lacks events {} to {until}, which a checkpoint is to repeat: it was moved away or comes from an older copy; start the pipeline with `--fresh`",
            self.name,
            self.number + 1
        ))
    }
}

fn piece_at(number: i64) -> Piece {
    let position = serde_json::to_vec(&number).expect("a number is JSON");
    Piece { batch: None, rejected: Vec::new(), position, is_finished: false }
}

fn number(position: &[u8]) -> Result<i64, Fault> {
    serde_json::from_slice(position)
        .map_err(|error| Fault::Fatal(format!("`http` cannot read its stored position: {error}")))
}

fn not_open() -> Fault {
    Fault::Fatal("the source `http` was not opened before it was used".to_owned())
}

fn ended() -> Fault {
    Fault::Fatal("the thread that writes the spool has ended".to_owned())
}

/// Runs a blocking call where it holds nobody up.
async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(call).await.map_err(|error| Fault::Fatal(format!("a call of the spool broke: {error}")))
}

/// Says in the state folder what is listened at, for those that let the system choose.
fn record(folder: &Path, address: SocketAddr) -> io::Result<()> {
    let path = folder.join(ADDRESS_FILE);
    let new = folder.join("address.new");
    std::fs::write(&new, format!("{address}\n"))?;
    std::fs::rename(new, path)
}
