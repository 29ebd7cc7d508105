//! What the server's catalog says of a table.

use tokio_postgres::{Client, Error};

use crate::sql::fit::Found;
use crate::sql::quoted;
use crate::sql::table::Table;

/// A table that exists.
#[derive(Debug)]
pub(super) struct Existing {
    pub(super) schema: String,
    oid: u32,
    kind: String,
    is_unlogged: bool,
}

/// What guards a table beyond the types of its columns.
#[derive(Debug)]
pub(super) struct Rules {
    /// Whether a unique index is on the key's columns and no others.
    pub(super) has_key: bool,
    /// Whether anything else may refuse a row: a constraint, an index, a trigger, a
    /// partition that is missing, an encoding that lacks a character.
    pub(super) may_refuse: bool,
}

const FIND_IN: &str = "
    SELECT n.nspname::text, c.oid, c.relkind::text, c.relpersistence = 'u' FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = $1 AND n.nspname = $2";

const FIND: &str = "
    SELECT n.nspname::text, c.oid, c.relkind::text, c.relpersistence = 'u' FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = to_regclass($1)";

const COLUMNS: &str = "
    SELECT attname::text, format_type(atttypid, atttypmod), NOT attnotnull, atthasdef OR attidentity <> '', attgenerated <> ''
    FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum";

/// Each index with what it is on, and whether it can tell rows apart for `ON CONFLICT`.
const INDEXES: &str = "
    SELECT ARRAY(
            SELECT a.attname::text FROM pg_attribute a
            WHERE a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
        ),
        indisunique AND indimmediate AND indisvalid AND indpred IS NULL AND indexprs IS NULL
    FROM pg_index i WHERE indrelid = $1";

const OTHER_RULES: &str = "
    SELECT relkind = 'p' OR relispartition OR current_setting('server_encoding') <> 'UTF8'
        OR EXISTS (SELECT FROM pg_constraint WHERE conrelid = c.oid AND contype IN ('c', 'f', 't', 'x'))
        OR EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal)
    FROM pg_class c WHERE oid = $1";

impl Existing {
    /// Finds the table `name` in `schema`, or without one along the search path.
    pub(super) async fn find(client: &Client, schema: Option<&str>, name: &str) -> Result<Option<Self>, Error> {
        let row = match schema {
            Some(schema) => client.query_opt(FIND_IN, &[&name, &schema]).await?,
            None => client.query_opt(FIND, &[&quoted(name)]).await?,
        };
        Ok(row.map(|row| Self { schema: row.get(0), oid: row.get(1), kind: row.get(2), is_unlogged: row.get(3) }))
    }

    /// Why rows cannot be written to it at all, as the rest of a sentence.
    pub(super) fn misfit(&self) -> Option<&'static str> {
        match self.kind.as_str() {
            "r" | "p" if self.is_unlogged => Some("is unlogged, and would lose its rows with a crash of the server"),
            "r" | "p" => None,
            "v" | "m" => Some("is a view"),
            "f" => Some("is a foreign table, whose rows would not be of the transaction"),
            _ => Some("is no table"),
        }
    }

    pub(super) async fn columns(&self, client: &Client) -> Result<Vec<Found>, Error> {
        let rows = client.query(COLUMNS, &[&self.oid]).await?;
        let column = |row: &tokio_postgres::Row| Found {
            name: row.get(0),
            ty: row.get(1),
            is_nullable: row.get(2),
            has_default: row.get(3),
            is_generated: row.get(4),
        };
        Ok(rows.iter().map(column).collect())
    }

    pub(super) async fn rules(&self, client: &Client, table: &Table) -> Result<Rules, Error> {
        let mut key: Vec<&str> = table.key_names().collect();
        key.sort_unstable();
        let mut rules = Rules { has_key: false, may_refuse: client.query_one(OTHER_RULES, &[&self.oid]).await?.get(0) };
        for row in client.query(INDEXES, &[&self.oid]).await? {
            let mut columns: Vec<&str> = row.get(0);
            columns.sort_unstable();
            if !key.is_empty() && columns == key && row.get(1) && !rules.has_key {
                rules.has_key = true;
            } else {
                rules.may_refuse = true;
            }
        }
        Ok(rules)
    }
}
