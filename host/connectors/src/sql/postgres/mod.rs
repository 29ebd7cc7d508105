//! Sink `postgres`: events as rows of a PostgreSQL database, exactly once.
//!
//! The transaction of an epoch is opened at its first row and committed, with the
//! epoch's number, by `flush`. Rows travel as binary COPY. `sink.rs` says what
//! happens when the connection breaks in between.

mod address;
mod catalog;
mod copy;
mod definition;
mod epochs;
mod fault;
mod session;
mod sink;
mod target;
mod tls;

use std::path::PathBuf;

use flowctl_runtime::Sink;
use flowctl_topology::Node;
use serde::Deserialize;

use self::address::{Address, Tls};
use self::epochs::Epochs;
use self::session::Session;
use self::sink::Postgres;
use self::target::Target;
use super::table::Table;
use super::{Mode, Place, Wanted};
use crate::base_dir::BaseDir;
use crate::reach::Reach;
use crate::{ConnectorError, Pipeline, config};

pub(crate) const NAME: &str = "postgres";
/// What stands in for a `url` that is left out.
pub(crate) const URL_VARIABLE: &str = "DATABASE_URL";

/// The configuration, as WIT; [`Config`] is what it is read into.
pub(crate) const CONFIG: &str = "
/// Where rows go.
record config {
    /// Where the database is, `postgres://user:password@host:port/database`. Default:
    /// the environment variable DATABASE_URL.
    url: option<string>,
    /// The table to write to, made where it is missing. Default: one table for each event
    /// type, named after it: `example_order_v1`.
    table: option<string>,
    /// The schema of the tables. Default: where the search path leads.
    schema: option<string>,
    /// Whether every event is a row, `append`, which is the default, or the last event
    /// of each key is its row, `upsert`.
    mode: option<mode>,
    /// The columns that tell rows apart, with `mode: upsert`.
    key: option<list<string>>,
    /// How the connection is protected. Default: as the URL's `sslmode` says, else
    /// `prefer`, or `verify_full` with a `ca_file`.
    tls: option<tls>,
    /// A file with the certificates, in PEM form, of the authorities that may sign the
    /// server's. Default: those that the system trusts.
    ca-file: option<string>,
}

/// What happens to a row whose key is there already.
enum mode {
    /// Rows have no key.
    append,
    /// It is replaced.
    upsert,
}

/// How a connection is protected.
enum tls {
    /// Not at all.
    disable,
    /// Encrypted where the server offers it; who the server is, is not checked.
    prefer,
    /// Encrypted; who the server is, is not checked.
    require,
    /// Encrypted, and the server's certificate and name are checked.
    verify-full,
}
";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    url: Option<String>,
    table: Option<String>,
    schema: Option<String>,
    mode: Option<Mode>,
    key: Option<Vec<String>>,
    tls: Option<Tls>,
    ca_file: Option<PathBuf>,
}

/// What is wrong with a configuration that has the right fields.
pub(crate) fn check(config: &serde_json::Value) -> Vec<ConnectorError> {
    let Config { url, table, schema: _, mode, key, tls, ca_file } = match config::read_value(NAME, config) {
        Ok(config) => config,
        Err(error) => return vec![error],
    };
    // where no `url` is written, the environment of the run counts
    let address = url.map_or(Ok(()), |url| Address::check(&url, tls, ca_file));
    let key = Wanted { table, mode, key }.key(NAME).map(drop);
    [address, key].into_iter().filter_map(Result::err).collect()
}

/// What a sink of this configuration touches. Without a `url` there is no sink.
pub(crate) fn reach(config: &serde_json::Value, base: BaseDir<'_>) -> Result<Reach, ConnectorError> {
    let Config { url, tls, ca_file, .. } = config::read_value(NAME, config)?;
    url.map_or_else(|| Ok(Reach::default()), |url| Address::reach(&url, tls, ca_file, base))
}

/// Connects and logs in, and answers which server that is. Nothing is written.
pub(crate) async fn log_in(config: &serde_json::Value, base: BaseDir<'_>) -> Result<String, String> {
    let read = config::read_value::<Config>(NAME, config).map_err(|error| error.to_string())?;
    let url = read.url.ok_or_else(|| format!("`url` is missing, and {URL_VARIABLE} is not set"))?;
    let address = Address::read(&url, read.tls, read.ca_file, base).map_err(|error| error.to_string())?;
    let session = Session::open(&address).await.map_err(|fault| fault.to_string())?;
    let version = session.client.query_one("SHOW server_version", &[]).await;
    let version: String = version.map_err(|error| fault::text(&error))?.get(0);
    Ok(format!("PostgreSQL {version} at `{address}`"))
}

pub(crate) fn sink(node: &Node, pipeline: &Pipeline) -> Result<Box<dyn Sink>, ConnectorError> {
    let Config { url, table, schema, mode, key, tls, ca_file } = config::read(NAME, node)?;
    let missing = || {
        let reason = format!("is missing: write `url: postgres://…`, or set the environment variable {URL_VARIABLE}");
        ConnectorError::field(NAME, "url", reason)
    };
    let address = Address::read(&url.ok_or_else(missing)?, tls, ca_file, pipeline.base())?;
    let tables = Wanted { table, mode, key }.tables(NAME, node)?;
    tables.iter().try_for_each(|table| check_names(node, table))?;
    let targets = tables.into_iter().zip(&node.inputs).map(|(table, schema)| Target::new(table, schema.clone()));
    Ok(Box::new(Postgres::new(address, schema, targets.collect(), Epochs::new(Place::of(pipeline, node)))))
}

/// Refuses names that the server would cut, or has for itself.
fn check_names(node: &Node, table: &Table) -> Result<(), ConnectorError> {
    let types = |reason| ConnectorError::Types { connector: NAME, node: node.id.to_string(), reason };
    let max = definition::MAX_NAME;
    if table.name.len() > max {
        let reason = format!("is `{}`, {} bytes: PostgreSQL's names have at most {max}", table.name, table.name.len());
        return Err(ConnectorError::field(NAME, "table", reason));
    }
    if table.columns.len() > definition::MAX_COLUMNS {
        let (n, max) = (table.columns.len(), definition::MAX_COLUMNS);
        return Err(types(format!("`{}` has {n} fields, and PostgreSQL's tables at most {max}", table.event_type)));
    }
    for name in table.column_names() {
        let why = match name {
            name if name.len() > max => format!("{} bytes long, and PostgreSQL's names at most {max}", name.len()),
            name if definition::SYSTEM_COLUMNS.contains(&name) => "a name that PostgreSQL has for itself".to_owned(),
            _ => continue,
        };
        return Err(types(format!("the field `{name}` of `{}` is {why}", table.event_type)));
    }
    Ok(())
}
