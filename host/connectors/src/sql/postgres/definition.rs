//! Tables as PostgreSQL has them: made where they are missing, else checked.

use flowctl_runtime::Fault;

use super::catalog::Existing;
use super::epochs::LOCK_TIMEOUT_MS;
use super::session::{Failure, Session};
use crate::sql::fit::{self, Dialect, declared};
use crate::sql::table::{Column, Kind, Table};
use crate::sql::{EPOCHS, quoted, quoted_list};

/// Longest name that the server keeps whole, in bytes.
pub(super) const MAX_NAME: usize = 63;
/// Columns that every table has, whose names are taken.
pub(super) const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];
/// Most columns of a table.
pub(super) const MAX_COLUMNS: usize = 1_600;

/// Serialises those who make tables: `CREATE TABLE IF NOT EXISTS` fails when two race.
const DEFINING_LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('flowctl tables', 0))";

/// The oldest version that has what is asked of its catalog.
const MIN_VERSION: i32 = 12;

/// Every commit is durable, unless the server does more than that already.
const DURABLE: &str =
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// A table that fits.
#[derive(Debug)]
pub(super) struct Ready {
    /// Its name with its schema, quoted.
    pub(super) place: String,
    /// Whether it may refuse a row that its columns would take.
    pub(super) may_refuse: bool,
}

/// Makes a new session ready, before anything else is asked of it.
pub(super) async fn set_up(session: &mut Session) -> Result<(), Fault> {
    let version = session.client.query_one("SELECT current_setting('server_version_num')::integer / 10000", &[]).await;
    let version: i32 = told(session, "ask for the version", version).await?.get(0);
    if version < MIN_VERSION {
        return Err(Fault::Fatal(format!("the server is PostgreSQL {version}; {MIN_VERSION} or newer is needed")));
    }
    run(session, "set up the session", DURABLE).await
}

/// Makes the tables that are missing, that of epochs too, and checks the others.
/// Answers them in order, and where the epochs are.
pub(super) async fn prepare(
    session: &mut Session,
    schema: Option<&str>,
    tables: &[Table],
) -> Result<(Vec<Ready>, String), Fault> {
    run(session, "begin", &format!("BEGIN; SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}; {DEFINING_LOCK}")).await?;
    let home = home(session, schema).await?;
    let epochs = epochs(session, schema, &home).await?;
    let mut ready = Vec::new();
    for table in tables {
        ready.push(prepare_one(session, schema, &home, table).await?);
    }
    run(session, "commit", "COMMIT").await?;
    Ok((ready, epochs))
}

async fn prepare_one(session: &mut Session, schema: Option<&str>, home: &str, table: &Table) -> Result<Ready, Fault> {
    let found = Existing::find(&session.client, schema, &table.name).await;
    let Some(existing) = told(session, "look for the table", found).await? else {
        let place = format!("{}.{}", quoted(home), quoted(&table.name));
        let create = create(&place, table);
        make(session, &place, &create).await?;
        return Ok(Ready { place, may_refuse: false });
    };
    let place = format!("{}.{}", quoted(&existing.schema), quoted(&table.name));
    if let Some(misfit) = existing.misfit() {
        let text = format!("{place} {misfit}: name another with `table:`");
        return Err(Fault::Fatal(text));
    }
    let columns = existing.columns(&session.client).await;
    let columns = told(session, "read the table's columns", columns).await?;
    let rules = existing.rules(&session.client, table).await;
    let rules = told(session, "read the table's constraints", rules).await?;
    let dialect = Postgres { place: &place };
    let mut misfits = fit::misfits(&dialect, table, &columns);
    if table.key.is_some() && !rules.has_key {
        let names: Vec<_> = table.key_names().map(|name| format!("`{name}`")).collect();
        let mend = dialect.add_key(table);
        misfits.push(format!("no unique constraint is on {}, the key: {mend}", names.join(", ")));
    }
    if misfits.is_empty() {
        return Ok(Ready { place, may_refuse: rules.may_refuse });
    }
    Err(Fault::Fatal(fit::message(table, &place, &misfits)))
}

/// The schema that new tables are made in.
async fn home(session: &mut Session, schema: Option<&str>) -> Result<String, Fault> {
    let Some(schema) = schema else {
        let current = session.client.query_one("SELECT current_schema()::text", &[]).await;
        let current: Option<String> = told(session, "ask for the schema", current).await?.get(0);
        return current.ok_or_else(|| {
            let text = "no schema of the search path exists: name one with `schema:`, or set `search_path`";
            Fault::Fatal(text.to_owned())
        });
    };
    let known = session.client.query_opt("SELECT FROM pg_namespace WHERE nspname = $1", &[&schema]).await;
    match told(session, "look for the schema", known).await? {
        Some(_) => Ok(schema.to_owned()),
        None => Err(Fault::Fatal(format!(
            "there is no schema `{schema}`: name another with `schema:`, or make it: CREATE SCHEMA {}",
            quoted(schema)
        ))),
    }
}

async fn epochs(session: &mut Session, schema: Option<&str>, home: &str) -> Result<String, Fault> {
    let found = Existing::find(&session.client, schema, EPOCHS).await;
    if let Some(existing) = told(session, "look for the table of epochs", found).await? {
        return Ok(format!("{}.{}", quoted(&existing.schema), quoted(EPOCHS)));
    }
    let place = format!("{}.{}", quoted(home), quoted(EPOCHS));
    let create = format!(
        "CREATE TABLE {place} (
    pipeline text NOT NULL,
    state_id text NOT NULL,
    node text NOT NULL,
    epoch bigint NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    PRIMARY KEY (state_id, node)
);
COMMENT ON TABLE {place} IS 'The last epoch that each sink of flowctl committed here, with its rows'"
    );
    make(session, &place, &create).await?;
    Ok(place)
}

async fn make(session: &mut Session, place: &str, create: &str) -> Result<(), Fault> {
    match session.client.batch_execute(create).await {
        Ok(()) => Ok(()),
        Err(error) => {
            let is_denied = error.code().is_some_and(|code| code.code() == "42501");
            let mut failure = session.failure(&format!("create table {place}"), error).await;
            if is_denied {
                failure.text += &format!("; have it made by somebody who may:\n{create}");
            }
            Err(failure.again())
        }
    }
}

fn create(place: &str, table: &Table) -> String {
    let dialect = Postgres { place };
    let mut lines: Vec<String> = table.columns.iter().map(|column| declared(&dialect, column)).collect();
    if table.key.is_some() {
        lines.push(format!("PRIMARY KEY ({})", quoted_list(table.key_names())));
    }
    let comment = table.comment().replace('\'', "''");
    format!("CREATE TABLE {place} (\n    {}\n);\nCOMMENT ON TABLE {place} IS '{comment}'", lines.join(",\n    "))
}

async fn run(session: &mut Session, doing: &str, sql: &str) -> Result<(), Fault> {
    let done = session.client.batch_execute(sql).await;
    told(session, doing, done).await
}

async fn told<T>(session: &mut Session, doing: &str, result: Result<T, tokio_postgres::Error>) -> Result<T, Fault> {
    match result {
        Ok(value) => Ok(value),
        Err(error) => Err(Failure::again(session.failure(doing, error).await)),
    }
}

struct Postgres<'a> {
    place: &'a str,
}

impl Dialect for Postgres<'_> {
    fn type_name(&self, kind: Kind) -> &'static str {
        match kind {
            Kind::Bool => "boolean",
            Kind::Small => "smallint",
            Kind::Integer => "integer",
            Kind::Big => "bigint",
            Kind::Unsigned => "numeric(20,0)",
            Kind::Real => "real",
            Kind::Double => "double precision",
            Kind::Text => "text",
            Kind::Bytes => "bytea",
            Kind::Json => "jsonb",
        }
    }

    fn takes(&self, kind: Kind, found: &str) -> bool {
        let same = self.type_name(kind) == found;
        match kind {
            // the same bytes, without a limit of its own
            Kind::Text => same || found == "character varying",
            Kind::Unsigned => same || found == "numeric",
            _ => same,
        }
    }

    fn add(&self, column: &Column) -> String {
        let add = format!("ALTER TABLE {} ADD COLUMN {}", self.place, declared(self, column));
        if column.is_nullable { add } else { format!("{add} (with a DEFAULT where there are rows)") }
    }

    fn set_type(&self, column: &Column) -> String {
        let ty = self.type_name(column.kind);
        format!("ALTER TABLE {} ALTER COLUMN {} TYPE {ty}", self.place, quoted(&column.name))
    }

    fn set_null(&self, column: &str, is_nullable: bool) -> String {
        let act = if is_nullable { "DROP" } else { "SET" };
        format!("ALTER TABLE {} ALTER COLUMN {} {act} NOT NULL", self.place, quoted(column))
    }

    fn add_key(&self, table: &Table) -> String {
        format!("CREATE UNIQUE INDEX ON {} ({})", self.place, quoted_list(table.key_names()))
    }
}
