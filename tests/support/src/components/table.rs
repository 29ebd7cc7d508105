//! Where the sink keeps what it received: a file, or a table of PostgreSQL.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use tokio_postgres::{Client, NoTls};
use tonic::Status;

use super::environment::{self, ComponentError};
use super::received::Received;
use super::say;

/// Keeps events, one after the other.
pub(super) enum Table {
    File(Mutex<File>),
    Database(Client),
}

impl Table {
    /// The table `received` of the database `DATABASE_URL`, which is made where it is
    /// missing; without that the file `OUTPUT`, to which is appended.
    pub(super) async fn open() -> Result<Self, ComponentError> {
        if let Some(url) = environment::text("DATABASE_URL") {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    say(&format!("the database is gone: {error}"));
                }
            });
            let table = "CREATE TABLE IF NOT EXISTS received (number bigserial PRIMARY KEY, event text NOT NULL)";
            client.batch_execute(table).await?;
            return Ok(Self::Database(client));
        }
        let path = environment::needed("OUTPUT")?;
        let file = OpenOptions::new().create(true).append(true).open(&path);
        Ok(Self::File(file.map_err(|source| ComponentError::File { path, source })?.into()))
    }

    /// Keeps an event.
    pub(super) async fn append(&self, event: &Received) -> Result<(), Status> {
        let line = serde_json::to_string(event).map_err(failed)?;
        match self {
            Self::File(file) => writeln!(locked(file), "{line}").map_err(failed),
            Self::Database(client) => {
                let rows = client.execute("INSERT INTO received (event) VALUES ($1)", &[&line]).await;
                rows.map(drop).map_err(failed)
            }
        }
    }

    /// Sees to it that what was kept stays.
    pub(super) fn sync(&self) -> Result<(), Status> {
        match self {
            Self::File(file) => locked(file).sync_data().map_err(failed),
            // each event was committed on its own
            Self::Database(_) => Ok(()),
        }
    }
}

fn locked(file: &Mutex<File>) -> std::sync::MutexGuard<'_, File> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

#[allow(clippy::needless_pass_by_value, reason = "it stands where errors are mapped")]
fn failed(error: impl std::fmt::Display) -> Status {
    Status::internal(format!("cannot write: {error}"))
}
