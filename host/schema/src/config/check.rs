//! Holds a configuration against its types, collecting every fault.
//!
//! Invariant: a fault quotes a value as it is written, never what the environment holds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flowctl_types::did_you_mean;
use serde_json::Value;

use super::{ConfigFault, ConfigSchema, Defaults};
use crate::{Case, Type};

/// Most faults that are worth reporting at once.
const MAX_FAULTS: usize = 100;

impl ConfigSchema {
    /// Checks a configuration as [`ConfigSchema::check`] does. `written` is how it stands in
    /// its file, with `${NAME}` in place of what the environment holds; faults quote that alone.
    ///
    /// # Errors
    ///
    /// All faults, as [`ConfigSchema::check`].
    pub fn check_written(&self, value: &Value, written: &Value) -> Result<(), Vec<ConfigFault>> {
        let faults = written_faults(self, value, written);
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}

/// What is wrong with `value` as a whole configuration.
pub(super) fn faults(schema: &ConfigSchema, value: &Value) -> Vec<ConfigFault> {
    written_faults(schema, value, value)
}

fn written_faults(schema: &ConfigSchema, value: &Value, written: &Value) -> Vec<ConfigFault> {
    let mut checker = Checker { defaults: &schema.defaults, written, path: Vec::new(), faults: Vec::new() };
    let fields = || schema.fields.iter().map(|field| (field.name.as_str(), &field.ty, field.is_optional)).collect();
    match value {
        Value::Null => checker.members(fields(), &serde_json::Map::new()),
        Value::Object(members) => checker.members(fields(), members),
        _ => checker.mismatch("an object with the fields of the configuration"),
    }
    checker.faults
}

/// What is wrong with `value` as a value of type `ty`.
pub(super) fn value_faults(defaults: &Defaults, ty: &Type, value: &Value) -> Vec<ConfigFault> {
    let mut checker = Checker { defaults, written: value, path: Vec::new(), faults: Vec::new() };
    checker.value(ty, value);
    checker.faults
}

/// A field's name, its type, and whether it may be left out.
type Expected<'a> = (&'a str, &'a Type, bool);

struct Checker<'a> {
    defaults: &'a Defaults,
    /// The whole of it, as faults quote it.
    written: &'a Value,
    path: Vec<String>,
    faults: Vec<ConfigFault>,
}

impl Checker<'_> {
    fn members(&mut self, fields: Vec<Expected<'_>>, members: &serde_json::Map<String, Value>) {
        for (name, value) in members {
            match fields.iter().find(|(other, ..)| other == name) {
                None => self.unknown_field(name, &fields),
                Some((_, _, true)) if value.is_null() => {}
                Some((_, ty, _)) => self.within(name.clone(), |checker| checker.value(ty, value)),
            }
        }
        for (name, ty, may_be_missing) in fields {
            if !may_be_missing && !members.contains_key(name) {
                let hint = format!("write `{name}: …`, of type `{ty}`");
                self.fault(format!("field `{name}` is missing"), Some(hint));
            }
        }
    }

    fn unknown_field(&mut self, name: &str, fields: &[Expected<'_>]) {
        let names = || fields.iter().map(|(name, ..)| *name);
        let hint = did_you_mean(name, names()).unwrap_or_else(|| {
            let names: Vec<_> = names().map(|name| format!("`{name}`")).collect();
            if names.is_empty() { "there are no fields".to_owned() } else { format!("there are {}", names.join(", ")) }
        });
        let n_faults = self.faults.len();
        self.within(name.to_owned(), |checker| checker.fault(format!("unknown field `{name}`"), Some(hint)));
        self.faults[n_faults..].iter_mut().for_each(|fault| fault.is_key = true);
    }

    fn value(&mut self, ty: &Type, value: &Value) {
        match ty {
            Type::Bool if value.is_boolean() => {}
            Type::U8 => self.integer(ty, value, 0, u8::MAX.into()),
            Type::U16 => self.integer(ty, value, 0, u16::MAX.into()),
            Type::U32 => self.integer(ty, value, 0, u32::MAX.into()),
            Type::U64 => self.integer(ty, value, 0, u64::MAX.into()),
            Type::S8 => self.integer(ty, value, i8::MIN.into(), i8::MAX.into()),
            Type::S16 => self.integer(ty, value, i16::MIN.into(), i16::MAX.into()),
            Type::S32 => self.integer(ty, value, i32::MIN.into(), i32::MAX.into()),
            Type::S64 => self.integer(ty, value, i64::MIN.into(), i64::MAX.into()),
            Type::F32 | Type::F64 if value.is_number() => {}
            Type::F32 | Type::F64 if matches!(value.as_str(), Some("NaN" | "Infinity" | "-Infinity")) => {}
            Type::Char if value.as_str().is_some_and(|text| text.chars().count() == 1) => {}
            Type::String if value.is_string() => {}
            Type::String if value.is_number() || value.is_boolean() => {
                let found = self.found();
                let hint = format!("put it in quotes: \"{}\"", found.trim_matches('"'));
                self.fault(format!("expected a string, found {found}"), Some(hint));
            }
            Type::Bytes => match value.as_str().map(|text| STANDARD.decode(text)) {
                Some(Ok(_)) => {}
                _ => self.mismatch("bytes as a base64 string"),
            },
            Type::Option(_) if value.is_null() => {}
            Type::Option(inner) => self.value(inner, value),
            Type::List(element) => match value {
                Value::Array(elements) => self.elements(elements.iter().map(|value| (&**element, value))),
                _ => self.mismatch(&format!("a list (`{ty}`)")),
            },
            Type::Tuple(types) => match value {
                Value::Array(elements) if elements.len() == types.len() => self.elements(types.iter().zip(elements)),
                _ => self.mismatch(&format!("a list of {} elements (`{ty}`)", types.len())),
            },
            Type::Record(record) => match value {
                Value::Object(members) => {
                    let own = self.defaults.get(&record.name);
                    let fields = record.fields.iter().map(|field| {
                        let has_default = own.is_some_and(|own| own.contains_key(&field.name));
                        (field.snake_name.as_str(), &field.ty, field.ty.is_option() || has_default)
                    });
                    self.members(fields.collect(), members);
                }
                _ => self.mismatch(&format!("an object (`{ty}`)")),
            },
            Type::Enum(an_enum) => {
                let names = || an_enum.cases.iter().map(|case| case.snake_name.as_str());
                match value.as_str() {
                    Some(name) if names().any(|other| other == name) => {}
                    name => self.no_choice(&self.found(), name, names()),
                }
            }
            Type::Variant(variant) => self.variant(&variant.cases, value),
            Type::Result { ok, err } => self.result(ok.as_deref(), err.as_deref(), value),
            Type::Bool | Type::F32 | Type::F64 | Type::Char | Type::String => self.mismatch(word(ty)),
        }
    }

    fn integer(&mut self, ty: &Type, value: &Value, min: i128, max: i128) {
        let number = value.as_u64().map(i128::from).or_else(|| value.as_i64().map(i128::from));
        match number {
            Some(number) if (min..=max).contains(&number) => {}
            Some(_) => self.fault(format!("{} is out of range: a `{ty}` is {min} to {max}", self.found()), None),
            None => {
                let is_digits = value.as_str().is_some_and(|text| text.parse::<i128>().is_ok());
                let hint = is_digits.then(|| "write it without quotes".to_owned());
                self.fault(format!("expected a whole number (`{ty}`), found {}", self.found()), hint);
            }
        }
    }

    fn variant(&mut self, cases: &[Case], value: &Value) {
        let single = value.as_object().filter(|members| members.len() == 1).and_then(|members| members.iter().next());
        let (name, carried) = match (value, single) {
            (Value::String(name), _) => (name, None),
            (_, Some((name, carried))) => (name, Some(carried)),
            (_, None) => return self.mismatch("a case's name, or an object whose one key is a case"),
        };
        // a key is as it is written
        let found = match carried {
            Some(_) => quoted(&Value::from(name.as_str())),
            None => self.found(),
        };
        let Some(case) = cases.iter().find(|case| case.snake_name == *name) else {
            return self.no_choice(&found, Some(name.as_str()), cases.iter().map(|case| case.snake_name.as_str()));
        };
        match (&case.ty, carried) {
            (None, None) => {}
            (Some(ty), Some(carried)) => self.within(name.clone(), |checker| checker.value(ty, carried)),
            (Some(ty), None) => {
                let name = found.trim_matches('"');
                let hint = format!("write `{name}: …`, of type `{ty}`");
                self.fault(format!("case `{name}` carries a value"), Some(hint));
            }
            (None, Some(_)) => self.fault(format!("case `{name}` carries no value"), Some(format!("write `{name}`"))),
        }
    }

    fn result(&mut self, ok: Option<&Type>, err: Option<&Type>, value: &Value) {
        let single = value.as_object().filter(|members| members.len() == 1).and_then(|members| members.iter().next());
        let (name, carried, ty) = match single {
            Some((name, carried)) if name == "ok" => (name, carried, ok),
            Some((name, carried)) if name == "err" => (name, carried, err),
            _ => return self.mismatch("an object with `ok` or `err`"),
        };
        self.within(name.clone(), |checker| match ty {
            Some(ty) => checker.value(ty, carried),
            None if carried.is_null() => {}
            None => checker.mismatch("null"),
        });
    }

    fn elements<'a>(&mut self, elements: impl Iterator<Item = (&'a Type, &'a Value)>) {
        for (index, (ty, value)) in elements.enumerate() {
            self.within(index.to_string(), |checker| checker.value(ty, value));
        }
    }

    fn no_choice<'a>(&mut self, found: &str, name: Option<&str>, names: impl Iterator<Item = &'a str> + Clone) {
        let choices: Vec<_> = names.clone().map(|name| format!("`{name}`")).collect();
        let hint = name.and_then(|name| did_you_mean(name, names));
        self.fault(format!("expected one of {}, found {found}", choices.join(", ")), hint);
    }

    fn mismatch(&mut self, expected: &str) {
        self.fault(format!("expected {expected}, found {}", self.found()), None);
    }

    /// What is written at this place, as a message shows it.
    fn found(&self) -> String {
        let written = self.path.iter().try_fold(self.written, |value, segment| match value {
            Value::Array(elements) => elements.get(segment.parse::<usize>().ok()?),
            value => value.get(segment),
        });
        written.map_or_else(|| "another value".to_owned(), quoted)
    }

    fn fault(&mut self, message: String, hint: Option<String>) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(ConfigFault { path: self.path.clone(), is_key: false, message, hint });
        }
    }

    fn within(&mut self, segment: String, check: impl FnOnce(&mut Self)) {
        self.path.push(segment);
        check(self);
        self.path.pop();
    }
}

fn word(ty: &Type) -> &'static str {
    match ty {
        Type::Bool => "true or false",
        Type::Char => "a string of one character",
        Type::String => "a string",
        _ => "a number",
    }
}

/// A value as a message shows it.
fn quoted(value: &Value) -> String {
    const SHOWN: usize = 40;
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) if text.chars().count() > SHOWN => {
            format!("\"{}…\"", text.chars().take(SHOWN).collect::<String>())
        }
        plain => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const RECORD: &str = "
        variant mode { plain, range(u32) }
        enum colour { red, green }
        record config {
            name: option<string>, port: option<u16>, words: option<list<string>>, pair: option<tuple<u8, u8>>,
            raw: option<list<u8>>, mode: option<mode>, colour: option<colour>,
        }";

    /// Sees that the one fault of `field` quotes how it is written, and nothing of its value.
    fn check(field: &str, value: impl Into<Value>) {
        let value = value.into();
        let start: String = value.as_str().map_or_else(|| value.to_string(), |text| text.chars().take(4).collect());
        let (config, written) = (json!({ field: value }), json!({ field: "${SECRET}" }));
        let faults = ConfigSchema::from_wit(RECORD).unwrap().check_written(&config, &written).unwrap_err();
        let [fault] = faults.as_slice() else { panic!("{faults:?}") };
        assert!(fault.message.contains("${SECRET}"), "{fault:?}");
        assert!(!format!("{fault:?}").contains(&start), "{fault:?}");
    }

    #[test]
    fn faults_quote_what_is_written_and_nothing_of_the_value() {
        let token = "eyJhbGciOiJIUzI1NiJ9.".repeat(3);
        for secret in [token.as_str(), "pass\"word\\of\nmine", "range"] {
            for field in ["port", "words", "pair", "raw", "mode", "colour"] {
                check(field, secret);
            }
        }
        check("name", 31_337);
        check("port", 70_000);
    }
}
