//! Tables as SQLite has them: made where they are missing, else checked.

use rusqlite::{Connection, OptionalExtension as _, Result, Transaction, TransactionBehavior};

use crate::sql::fit::{self, Dialect, Found, declared};
use crate::sql::table::{Column, Kind, Table};
use crate::sql::{EPOCHS, quoted, quoted_list};

/// What a table is like.
#[derive(Debug)]
pub(super) struct Ready {
    /// Whether it may refuse a row that its columns would take.
    pub(super) may_refuse: bool,
}

/// Why a table cannot be used.
pub(super) enum Misfit {
    /// SQLite says why.
    Sqlite(rusqlite::Error),
    /// It is not as it has to be.
    Table(String),
}

impl From<rusqlite::Error> for Misfit {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Makes the tables that are missing, that of epochs too, and checks the others.
pub(super) fn prepare(connection: &mut Connection, tables: &[&Table]) -> Result<Vec<Ready>, Misfit> {
    let transaction = Transaction::new(connection, TransactionBehavior::Immediate)?;
    transaction.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS {} ( -- the last epoch that each sink of flowctl committed here, with its rows
    pipeline TEXT NOT NULL,
    state_id TEXT NOT NULL,
    node TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (state_id, node)
) STRICT",
        quoted(EPOCHS)
    ))?;
    let ready: Result<Vec<Ready>, Misfit> = tables.iter().map(|table| prepare_one(&transaction, table)).collect();
    let ready = ready?;
    transaction.commit()?;
    Ok(ready)
}

fn prepare_one(connection: &Connection, table: &Table) -> Result<Ready, Misfit> {
    let place = quoted(&table.name);
    let sql = "SELECT type, coalesce(sql, '') FROM main.sqlite_schema WHERE name = ? COLLATE NOCASE AND type IN ('table', 'view')";
    let found =
        connection.query_row(sql, [&table.name], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
    let Some((kind, definition)) = found.optional()? else {
        connection.execute_batch(&create(&place, table))?;
        return Ok(Ready { may_refuse: false });
    };
    let definition = definition.to_ascii_uppercase();
    if kind == "view" || definition.starts_with("CREATE VIRTUAL") {
        return Err(Misfit::Table(format!(
            "{place} is a {kind} that rows are not written to: name another with `table:`"
        )));
    }
    let columns = columns(connection, table)?;
    let (has_key, may_refuse) = rules(connection, table, &definition)?;
    let found: Vec<Found> = columns.into_iter().map(|(found, _)| found).collect();
    let dialect = Sqlite { place: &place };
    let mut misfits = fit::misfits(&dialect, table, &found);
    if table.key.is_some() && !has_key {
        let names: Vec<_> = table.key_names().map(|name| format!("`{name}`")).collect();
        let mend = dialect.add_key(table);
        misfits.push(format!("no unique constraint is on {}, the key: {mend}", names.join(", ")));
    }
    if misfits.is_empty() {
        Ok(Ready { may_refuse })
    } else {
        Err(Misfit::Table(fit::message(table, &place, &misfits)))
    }
}

fn create(place: &str, table: &Table) -> String {
    let dialect = Sqlite { place };
    let mut lines: Vec<String> = table.columns.iter().map(|column| declared(&dialect, column)).collect();
    if table.key.is_some() {
        lines.push(format!("PRIMARY KEY ({})", quoted_list(table.key_names())));
    }
    // SQLite keeps the text of a definition, comments included
    format!("CREATE TABLE {place} ( -- {}\n    {}\n) STRICT", table.comment(), lines.join(",\n    "))
}

/// The columns with their place in the primary key, from 1; 0 where they are not in it.
fn columns(connection: &Connection, table: &Table) -> Result<Vec<(Found, u32)>> {
    let sql = "SELECT name, type, \"notnull\", dflt_value IS NOT NULL, hidden, pk FROM pragma_table_xinfo(?, 'main')";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([&table.name], |row| {
        let ty: String = row.get(1)?;
        let pk: u32 = row.get(5)?;
        let found = Found {
            name: row.get(0)?,
            is_nullable: !row.get::<_, bool>(2)?,
            // an integer key of its own numbers the rows by itself
            has_default: row.get(3)? || (pk == 1 && ty.eq_ignore_ascii_case("integer")),
            is_generated: row.get::<_, u32>(4)? > 1,
            ty,
        };
        Ok((found, pk))
    })?;
    rows.collect()
}

/// Whether a unique index is on the key's columns and no others, and whether anything
/// else may refuse a row.
fn rules(connection: &Connection, table: &Table, definition: &str) -> Result<(bool, bool)> {
    let mut key: Vec<&str> = table.key_names().collect();
    key.sort_unstable();
    let (mut has_key, mut may_refuse) = (false, definition.contains("CHECK") || definition.contains("REFERENCES"));
    let mut unique = |mut columns: Vec<Option<String>>, is_plain: bool| {
        columns.sort_unstable();
        let is_key = columns.iter().map(Option::as_deref).eq(key.iter().copied().map(Some));
        if !key.is_empty() && is_key && is_plain && !has_key {
            has_key = true;
        } else {
            may_refuse = true;
        }
    };
    let mut indexes =
        connection.prepare("SELECT name, \"unique\", partial, origin FROM pragma_index_list(?, 'main')")?;
    let mut has_primary_index = false;
    let mut rows = indexes.query([&table.name])?;
    while let Some(row) = rows.next()? {
        let (name, is_unique, is_partial, origin): (String, bool, bool, String) =
            (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        has_primary_index |= origin == "pk";
        let mut members = connection.prepare("SELECT name FROM pragma_index_info(?, 'main')")?;
        let members: Vec<Option<String>> = members.query_map([&name], |row| row.get(0))?.collect::<Result<_>>()?;
        // an expression has no name, and may fail
        if is_unique || members.contains(&None) {
            unique(members, !is_partial);
        }
    }
    if !has_primary_index {
        let primary = columns(connection, table)?.into_iter().filter(|(_, pk)| *pk > 0).map(|(found, _)| found.name);
        let primary: Vec<Option<String>> = primary.map(Some).collect();
        let is_ours = |name: &Option<String>| table.column_names().any(|column| Some(column) == name.as_deref());
        if primary.iter().any(is_ours) {
            unique(primary, true);
        }
    }
    let sql = "SELECT count(*) > 0 FROM main.sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE";
    let has_trigger: bool = connection.query_row(sql, [&table.name], |row| row.get(0))?;
    Ok((has_key, may_refuse || has_trigger))
}

struct Sqlite<'a> {
    place: &'a str,
}

/// What SQLite has no statement for.
const NO_CHANGE: &str = "SQLite cannot change a column, so make the table anew, or name another with `table:`";

impl Dialect for Sqlite<'_> {
    fn type_name(&self, kind: Kind) -> &'static str {
        match kind {
            Kind::Bool | Kind::Small | Kind::Integer | Kind::Big | Kind::Unsigned => "INTEGER",
            Kind::Real | Kind::Double => "REAL",
            Kind::Text | Kind::Json => "TEXT",
            Kind::Bytes => "BLOB",
        }
    }

    fn takes(&self, kind: Kind, found: &str) -> bool {
        let wanted = self.type_name(kind);
        found.eq_ignore_ascii_case(wanted) || (wanted == "INTEGER" && found.eq_ignore_ascii_case("INT"))
    }

    fn add(&self, column: &Column) -> String {
        let add = format!("ALTER TABLE {} ADD COLUMN {}", self.place, declared(self, column));
        if column.is_nullable { add } else { format!("{add} DEFAULT …") }
    }

    fn set_type(&self, _: &Column) -> String {
        NO_CHANGE.to_owned()
    }

    fn set_null(&self, _: &str, _: bool) -> String {
        NO_CHANGE.to_owned()
    }

    fn add_key(&self, table: &Table) -> String {
        let index = quoted(&format!("{}_key", table.name));
        format!("CREATE UNIQUE INDEX {index} ON {} ({})", self.place, quoted_list(table.key_names()))
    }
}
