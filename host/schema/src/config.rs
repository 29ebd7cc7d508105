//! A component's configuration record, and what an operator may write for it.
//!
//! Values follow the JSON form of events: field names in snake case, variants as
//! `{"case": value}`, `list<u8>` as base64.

mod check;
mod complete;
mod json_schema;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{Field, Record, Type, WitError};

/// Defaults of records that stand within the configuration: by the record's name in
/// WIT, then by the field's name in WIT.
pub(crate) type Defaults = BTreeMap<String, BTreeMap<String, Value>>;

/// A component's `config` record.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConfigSchema {
    /// Its fields in order.
    pub fields: Vec<ConfigField>,
    /// Its doc comment, where known.
    pub docs: Option<String>,
    defaults: Defaults,
}

/// One field of a configuration record.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigField {
    /// Its name as YAML has it: snake case.
    pub name: String,
    /// Its type. For an optional field, the `option<…>`.
    pub ty: Type,
    /// Whether it may be left out: its type is an option, or it has a default.
    pub is_optional: bool,
    /// What stands in where it is left out.
    pub default: Option<Value>,
    /// The environment variable that stands in where it is left out. Only who plans a
    /// pipeline looks it up; where it is not set, the field stays left out.
    pub env: Option<String>,
    /// Its doc comment, where known.
    pub docs: Option<String>,
}

/// One thing wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigFault {
    /// The keys and list indices that lead to the place, outermost first. For a
    /// missing field, they lead to what lacks it.
    pub path: Vec<String>,
    /// Whether the last key of `path` itself is wrong, not the value below it.
    pub is_key: bool,
    /// What is wrong.
    pub message: String,
    /// What to do about it, where that is known.
    pub hint: Option<String>,
}

impl ConfigSchema {
    /// The schema of a record. Fails on a default that its field cannot have, naming
    /// the field.
    pub(crate) fn of_record(record: &Record, defaults: Defaults) -> Result<Self, (String, ConfigFault)> {
        let own = defaults.get(&record.name).cloned().unwrap_or_default();
        let mut fields = Vec::with_capacity(record.fields.len());
        for field in &record.fields {
            let Field { snake_name: name, ty, docs, .. } = field.clone();
            let default = own.get(&field.name).map(|value| complete::in_snake_case(&ty, value));
            let is_optional = ty.is_option() || default.is_some();
            if let Some(default) = &default
                && let Some(fault) = check::value_faults(&defaults, &ty, default).into_iter().next()
            {
                return Err((name, fault));
            }
            fields.push(ConfigField { name, ty, is_optional, default, env: None, docs });
        }
        Ok(Self { fields, docs: record.docs.clone(), defaults })
    }

    /// Reads a WIT record, docs included: `record config { /// docs\n path: string, }`.
    /// Other types may stand beside it; the record named `config` is taken.
    ///
    /// # Errors
    ///
    /// [`WitError`] when the text is no WIT, or has no record `config`.
    pub fn from_wit(record: &str) -> Result<Self, WitError> {
        crate::wit::config(record)
    }

    /// Gives a field a default, so that it may be left out. Does nothing where there
    /// is no field of that name.
    #[must_use]
    pub fn with_default(mut self, name: &str, default: impl Into<Value>) -> Self {
        if let Some(field) = self.fields.iter_mut().find(|field| field.name == name) {
            field.default = Some(default.into());
            field.is_optional = true;
        }
        self
    }

    /// Lets an environment variable stand in for an optional field that is left out.
    /// Does nothing where there is no field of that name.
    #[must_use]
    pub fn with_env(mut self, name: &str, variable: &str) -> Self {
        if let Some(field) = self.fields.iter_mut().find(|field| field.name == name) {
            field.env = Some(variable.to_owned());
        }
        self
    }

    /// Checks what an operator wrote, and reports every fault at once. Null counts as
    /// an empty configuration, and as a field left out.
    ///
    /// # Errors
    ///
    /// All faults, up to a hundred: unknown fields and values of the wrong type or out
    /// of range in the order of `value`, then the fields that are missing.
    pub fn check(&self, value: &Value) -> Result<(), Vec<ConfigFault>> {
        let faults = check::faults(self, value);
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// The configuration with every field there: what was written, else the default,
    /// else null for an option. Records within it are completed the same way.
    ///
    /// # Errors
    ///
    /// All faults, as [`ConfigSchema::check`].
    pub fn complete(&self, value: &Value) -> Result<serde_json::Map<String, Value>, Vec<ConfigFault>> {
        self.check(value)?;
        Ok(complete::config(self, value))
    }

    /// The JSON Schema (draft 2020-12) of the configuration, for editors.
    #[must_use]
    pub fn json_schema(&self) -> Value {
        json_schema::of_config(self)
    }
}
