//! What is said of a plugin or a connector, as data and as text.

use std::fmt::Write as _;

use flowctl_registry::{Accepts, Emits, Entry, Origin};
use flowctl_schema::{ConfigSchema, Contract, Schema, Type};
use serde::Serialize;

/// All that is known of an entry.
#[derive(Serialize)]
pub(crate) struct Description {
    name: String,
    version: Option<String>,
    role: String,
    description: Option<String>,
    origin: &'static str,
    file: Option<String>,
    digest: Option<String>,
    size_bytes: Option<u64>,
    contract: Option<String>,
    is_available: bool,
    is_stateful: bool,
    has_timer: bool,
    brings_keys: bool,
    inputs: Vec<TypeDescription>,
    outputs: Vec<TypeDescription>,
    config: Vec<FieldDescription>,
    asks: Vec<String>,
    metadata: std::collections::BTreeMap<String, String>,
}

#[derive(Serialize)]
struct TypeDescription {
    event_type: String,
    version: Option<String>,
    digest: Option<String>,
    docs: Option<String>,
    fields: Vec<FieldDescription>,
}

#[derive(Serialize)]
struct FieldDescription {
    name: String,
    r#type: String,
    is_optional: bool,
    default: Option<serde_json::Value>,
    docs: Option<String>,
    /// What is said of the fields and cases within its type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<PartDescription>,
}

#[derive(Serialize)]
struct PartDescription {
    /// The way to it from the field, `muxed.id`.
    name: String,
    docs: String,
}

impl Description {
    /// Describes an entry of the registry.
    pub(crate) fn of(entry: &Entry) -> Self {
        match &entry.origin {
            Origin::Plugin { path, contract } => Self::of_contract(contract, &path.display().to_string()),
            Origin::BuiltIn { .. } | Origin::Live(_) => Self {
                name: entry.name.clone(),
                version: entry.version().map(str::to_owned),
                role: entry.role.to_string(),
                description: entry.description().map(str::to_owned),
                origin: if entry.is_live() { "live" } else { "built-in" },
                file: None,
                digest: None,
                size_bytes: None,
                contract: None,
                is_available: entry.is_available(),
                is_stateful: false,
                has_timer: false,
                brings_keys: false,
                inputs: accepted(&entry.accepts),
                outputs: emitted(&entry.emits),
                config: config(entry.config.as_ref()),
                asks: Vec::new(),
                metadata: entry.metadata.clone(),
            },
        }
    }

    /// Describes a component.
    pub(crate) fn of_contract(contract: &Contract, file: &str) -> Self {
        Self {
            name: contract.name.clone(),
            version: contract.version.clone(),
            role: contract.role.to_string(),
            description: contract.description.clone(),
            origin: "plugin",
            file: Some(file.to_owned()),
            digest: Some(contract.digest.to_string()),
            size_bytes: Some(contract.size_bytes),
            contract: Some(format!("flowctl:processor@{}", contract.contract_version)),
            is_available: true,
            is_stateful: contract.has_state,
            has_timer: contract.has_timer,
            brings_keys: contract.brings_keys,
            inputs: contract.inputs.iter().map(TypeDescription::of).collect(),
            outputs: contract.outputs.iter().map(TypeDescription::of).collect(),
            config: config(contract.config.as_ref()),
            asks: contract.asks.clone(),
            metadata: contract.metadata.clone(),
        }
    }

    /// The form for people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |label: &str, value: &str| {
            let _ = writeln!(text, "{label:<13}{value}");
        };
        line("name", &self.name);
        line("role", &self.role);
        let optional = [
            ("version", self.version.clone()),
            ("description", self.description.clone()),
            ("origin", Some(self.origin.to_owned())),
            ("file", self.file.clone()),
            ("digest", self.digest.clone()),
            ("size", self.size_bytes.map(|bytes| format!("{bytes} bytes"))),
            ("contract", self.contract.clone()),
            ("state", self.is_stateful.then(|| "kept between batches".to_owned())),
            ("timer", self.has_timer.then(|| "told the time".to_owned())),
            ("keys", self.brings_keys.then(|| "on every event that comes out".to_owned())),
            ("available", (!self.is_available).then(|| "no: this build knows it and cannot run it".to_owned())),
        ];
        for (label, value) in optional {
            if let Some(value) = value {
                line(label, &value);
            }
        }
        for (key, value) in &self.metadata {
            line("metadata", &format!("{key}={value}"));
        }
        for (label, types) in [("input", &self.inputs), ("output", &self.outputs)] {
            for described in types {
                let version = described.version.as_ref().map(|version| format!(" ({version})")).unwrap_or_default();
                let _ = writeln!(text, "{label:<13}{}{version}", described.event_type);
                docs(&mut text, 13, described.docs.as_deref());
                fields(&mut text, &described.fields);
            }
        }
        if !self.config.is_empty() {
            text.push_str("config\n");
            fields(&mut text, &self.config);
        }
        if self.file.is_some() {
            let asks = if self.asks.is_empty() {
                "nothing beyond the standard library's imports".to_owned()
            } else {
                self.asks.join(", ")
            };
            let _ = writeln!(text, "{:<13}{asks}", "asks for");
        }
        text
    }
}

impl TypeDescription {
    fn of(schema: &Schema) -> Self {
        let field = |field: &flowctl_schema::Field| FieldDescription {
            name: field.snake_name.clone(),
            r#type: spell(&field.ty),
            is_optional: field.ty.is_option(),
            default: None,
            docs: field.docs.clone(),
            parts: parts(&field.ty),
        };
        let fields = match schema.root() {
            Type::Record(record) => record.fields.iter().map(field).collect(),
            other => vec![FieldDescription {
                name: "event".to_owned(),
                r#type: spell(other),
                is_optional: false,
                default: None,
                docs: None,
                parts: parts(other),
            }],
        };
        Self {
            event_type: schema.event_type().to_string(),
            version: Some(schema.version().to_string()),
            digest: Some(schema.digest().to_string()),
            docs: schema.docs().map(str::to_owned),
            fields,
        }
    }

    fn any(what: &str) -> Self {
        Self { event_type: what.to_owned(), version: None, digest: None, docs: None, fields: Vec::new() }
    }
}

fn accepted(accepts: &Accepts) -> Vec<TypeDescription> {
    match accepts {
        Accepts::Nothing => Vec::new(),
        Accepts::Types(types) => types.iter().map(TypeDescription::of).collect(),
        Accepts::Any => vec![TypeDescription::any("any")],
        Accepts::AnyRecord => vec![TypeDescription::any("any record")],
    }
}

fn emitted(emits: &Emits) -> Vec<TypeDescription> {
    match emits {
        Emits::Nothing => Vec::new(),
        Emits::Types(types) => types.iter().map(TypeDescription::of).collect(),
        Emits::Configured { field } => vec![TypeDescription::any(&format!("what `{field}` in its config names"))],
    }
}

fn config(config: Option<&ConfigSchema>) -> Vec<FieldDescription> {
    let Some(config) = config else { return Vec::new() };
    let described = config.fields.iter().map(|field| FieldDescription {
        name: field.name.clone(),
        r#type: spell(&field.ty),
        is_optional: field.is_optional,
        default: field.default.clone(),
        docs: field.docs.clone(),
        parts: parts(&field.ty),
    });
    described.collect()
}

/// The fields and cases within a type that have docs, each under the way to it.
fn parts(ty: &Type) -> Vec<PartDescription> {
    fn collect(ty: &Type, way: &str, parts: &mut Vec<PartDescription>) {
        let mut part = |name: &str, docs: Option<&String>, ty: Option<&Type>| {
            let name = if way.is_empty() { name.to_owned() } else { format!("{way}.{name}") };
            parts.extend(docs.map(|docs| PartDescription { name: name.clone(), docs: docs.clone() }));
            if let Some(ty) = ty {
                collect(ty, &name, parts);
            }
        };
        match ty {
            Type::Option(inner) | Type::List(inner) => collect(inner, way, parts),
            Type::Tuple(types) => types.iter().for_each(|ty| collect(ty, way, parts)),
            Type::Record(record) => {
                record.fields.iter().for_each(|field| part(&field.snake_name, field.docs.as_ref(), Some(&field.ty)));
            }
            Type::Enum(cases) => {
                cases.cases.iter().for_each(|case| part(&case.snake_name, case.docs.as_ref(), None));
            }
            Type::Variant(cases) => {
                cases.cases.iter().for_each(|case| part(&case.snake_name, case.docs.as_ref(), case.ty.as_ref()));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(ty, "", &mut found);
    found
}

/// A type with its structure, on one line: `option<enum(text | hash)>`.
fn spell(ty: &Type) -> String {
    let joined = |parts: Vec<String>, separator: &str| parts.join(separator);
    match ty {
        Type::Option(inner) => format!("option<{}>", spell(inner)),
        Type::List(inner) => format!("list<{}>", spell(inner)),
        Type::Tuple(types) => format!("tuple<{}>", joined(types.iter().map(spell).collect(), ", ")),
        Type::Record(record) => {
            let fields = record.fields.iter().map(|field| format!("{}: {}", field.snake_name, spell(&field.ty)));
            format!("record {{ {} }}", joined(fields.collect(), ", "))
        }
        Type::Enum(cases) => {
            let cases = cases.cases.iter().map(|case| case.snake_name.clone());
            format!("enum({})", joined(cases.collect(), " | "))
        }
        Type::Variant(variant) => {
            let cases = variant.cases.iter().map(|case| match &case.ty {
                Some(ty) => format!("{}({})", case.snake_name, spell(ty)),
                None => case.snake_name.clone(),
            });
            format!("variant({})", joined(cases.collect(), " | "))
        }
        other => other.to_string(),
    }
}

fn fields(text: &mut String, fields: &[FieldDescription]) {
    let width = fields.iter().map(|field| field.name.len()).max().unwrap_or(0);
    for field in fields {
        let default = field.default.as_ref().map(|value| format!(" = {value}")).unwrap_or_default();
        let _ = writeln!(text, "  {:width$}  {}{default}", field.name, field.r#type);
        docs(text, width + 4, field.docs.as_deref());
        for part in &field.parts {
            docs(text, width + 4, Some(&format!("{}: {}", part.name, part.docs)));
        }
    }
}

fn docs(text: &mut String, indent: usize, docs: Option<&str>) {
    for line in docs.unwrap_or_default().lines().map(str::trim).filter(|line| !line.is_empty()) {
        let _ = writeln!(text, "{:indent$}{line}", "");
    }
}
