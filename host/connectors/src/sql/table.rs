//! The table that an event type needs.
//!
//! Invariant: columns are the fields of the type's record, in its order, so that the
//! cells of a payload are the row.

use flowctl_schema::{Schema, Type};
use flowctl_topology::Node;
use flowctl_types::EventType;

use super::EPOCHS;
use crate::ConnectorError;

/// A table to be written.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// Its name; where it is, the database knows.
    pub(super) name: String,
    /// Whose events are its rows.
    pub(super) event_type: EventType,
    /// What it needs of columns, in the order of the record's fields.
    pub(super) columns: Vec<Column>,
    /// The columns that tell rows apart, as indices; none where every event is a row.
    pub(super) key: Option<Vec<usize>>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) is_nullable: bool,
}

/// What a column holds: types that every database tells apart the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    /// Within 16 bits, signed.
    Small,
    /// Within 32 bits, signed.
    Integer,
    /// Within 64 bits, signed.
    Big,
    /// Within 64 bits, unsigned.
    Unsigned,
    Real,
    Double,
    Text,
    Bytes,
    Json,
}

impl Table {
    /// The table for events of `schema`, which reach `node`.
    pub(super) fn of(
        connector: &'static str,
        node: &Node,
        schema: &Schema,
        name: Option<&str>,
        key: Option<&[String]>,
    ) -> Result<Self, ConnectorError> {
        let field = |field, reason: String| ConnectorError::field(connector, field, reason);
        let event_type = schema.event_type().clone();
        let Type::Record(record) = schema.root() else {
            let reason = format!("`{event_type}` is no record: it has no fields to make columns of");
            return Err(ConnectorError::Types { connector, node: node.id.to_string(), reason });
        };
        let name = name.map_or_else(|| event_type.as_str().replace('.', "_"), str::to_owned);
        if name.is_empty() || name.contains('\0') || name == EPOCHS {
            let what = if name == EPOCHS { "is the table in which flowctl keeps its epochs" } else { "is no name" };
            return Err(field("table", format!("{what}: name another, or leave it out")));
        }
        let column = |field: &flowctl_schema::Field| Column {
            name: field.snake_name.clone(),
            kind: Kind::of(&field.ty),
            is_nullable: field.ty.is_option(),
        };
        let columns: Vec<Column> = record.fields.iter().map(column).collect();
        let key = key
            .map(|key| key_columns(key, &columns, &event_type))
            .transpose()
            .map_err(|reason| field("key", reason))?;
        Ok(Self { name, event_type, columns, key })
    }

    /// The names of its columns, in order.
    pub(super) fn column_names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// The names of its key's columns; none where it has no key.
    pub(super) fn key_names(&self) -> impl Iterator<Item = &str> {
        self.key.iter().flatten().map(|index| self.columns[*index].name.as_str())
    }

    /// The names of the columns that are not in its key.
    pub(super) fn other_names(&self) -> impl Iterator<Item = &str> {
        let is_key = |index: &usize| self.key.as_ref().is_some_and(|key| key.contains(index));
        (0..self.columns.len()).filter(move |index| !is_key(index)).map(|index| self.columns[index].name.as_str())
    }

    /// What a new table says of itself.
    pub(super) fn comment(&self) -> String {
        format!("Events of {}, one row each, written by flowctl", self.event_type)
    }
}

impl Kind {
    fn of(ty: &Type) -> Self {
        match ty {
            Type::Bool => Self::Bool,
            Type::U8 | Type::S8 | Type::S16 => Self::Small,
            Type::U16 | Type::S32 => Self::Integer,
            Type::U32 | Type::S64 => Self::Big,
            Type::U64 => Self::Unsigned,
            Type::F32 => Self::Real,
            Type::F64 => Self::Double,
            Type::Char | Type::String | Type::Enum(_) => Self::Text,
            Type::Bytes => Self::Bytes,
            Type::Option(inner) => Self::of(inner),
            Type::List(_) | Type::Result { .. } | Type::Tuple(_) | Type::Record(_) | Type::Variant(_) => Self::Json,
        }
    }
}

/// The columns that `key` names, or what is wrong with it, as the rest of a sentence.
fn key_columns(key: &[String], columns: &[Column], event_type: &EventType) -> Result<Vec<usize>, String> {
    let mut indices = Vec::new();
    for name in key {
        let Some(index) = columns.iter().position(|column| column.name == *name) else {
            let names: Vec<_> = columns.iter().map(|column| format!("`{}`", column.name)).collect();
            return Err(format!("names `{name}`, which `{event_type}` does not have; there are {}", names.join(", ")));
        };
        if columns[index].is_nullable {
            return Err(format!("names `{name}`, which an event may leave out: a key is always there"));
        }
        if columns[index].kind == Kind::Json {
            return Err(format!("names `{name}`, which has parts of its own: a key is a plain value"));
        }
        if indices.contains(&index) {
            return Err(format!("names `{name}` twice"));
        }
        indices.push(index);
    }
    Ok(indices)
}
