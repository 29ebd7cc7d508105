//! Payloads as rows of a prepared statement.
//!
//! Invariant: a value is stored as it is or its event is refused. SQLite's integers
//! have 64 bits with a sign, and its "not a number" is null; neither is bent to fit.

use flowctl_runtime::Rejection;
use flowctl_schema::{Cell, RowError, Schema};
use flowctl_types::Batch;
use rusqlite::types::Null;
use rusqlite::{Error, ErrorCode, Statement};

use crate::sql::table::Table;

enum Refusal {
    Value(&'static str, usize),
    Sqlite(Error),
}

/// Runs `statement`, whose parameters are the columns of `table`, for every event of
/// `batch`, and answers those that are no rows or that break a rule of the table.
pub(super) fn insert(
    statement: &mut Statement<'_>,
    table: &Table,
    schema: &Schema,
    batch: &Batch,
    json: &mut Vec<u8>,
) -> Result<Vec<Rejection>, Error> {
    let mut rejected = Vec::new();
    for (event, payload) in batch.columns.payloads().enumerate() {
        let bound = schema.visit_row(payload, json, |index, cell| bind(statement, index, cell));
        let reason = match bound {
            Ok(()) => match statement.raw_execute() {
                Ok(_) => continue,
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => error.to_string(),
                Err(error) => return Err(error),
            },
            Err(RowError::Payload(error)) => error.to_string(),
            Err(RowError::Refused(Refusal::Value(what, index))) => {
                format!("column `{}`: it is {what}, which SQLite cannot store", table.columns[index].name)
            }
            Err(RowError::Refused(Refusal::Sqlite(error))) => return Err(error),
        };
        rejected.push(Rejection { index: event as u32, reason });
    }
    Ok(rejected)
}

#[inline]
fn bind(statement: &mut Statement<'_>, index: usize, cell: Cell<'_>) -> Result<(), Refusal> {
    let at = index + 1;
    let bound = match cell {
        Cell::Null => statement.raw_bind_parameter(at, Null),
        Cell::Bool(value) => statement.raw_bind_parameter(at, value),
        Cell::Unsigned(value) => match i64::try_from(value) {
            Ok(value) => statement.raw_bind_parameter(at, value),
            Err(_) => return Err(Refusal::Value("past 9223372036854775807", index)),
        },
        Cell::Signed(value) => statement.raw_bind_parameter(at, value),
        Cell::F32(value) if value.is_nan() => return Err(Refusal::Value("not a number", index)),
        Cell::F64(value) if value.is_nan() => return Err(Refusal::Value("not a number", index)),
        Cell::F32(value) => statement.raw_bind_parameter(at, f64::from(value)),
        Cell::F64(value) => statement.raw_bind_parameter(at, value),
        Cell::Text(text) => statement.raw_bind_parameter(at, text),
        Cell::Bytes(bytes) => statement.raw_bind_parameter(at, bytes),
        Cell::Json(text) => {
            let text = std::str::from_utf8(text).expect("JSON text is UTF-8");
            statement.raw_bind_parameter(at, text)
        }
    };
    bound.map_err(Refusal::Sqlite)
}
