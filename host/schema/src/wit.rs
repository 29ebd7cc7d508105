//! Reads schemas from WIT text.
//!
//! Invariant: text is measured before it is parsed (its size, and how deep its
//! angle brackets nest), since the parser recurses as deep as they do.

use std::collections::BTreeMap;

use flowctl_types::{EventType, EventTypeError};
use wit_parser::{Interface, PackageName, Resolve, TypeDefKind, TypeId, UnresolvedPackageGroup};

use crate::lower::{Definition, Definitions, Member, Named, lower};
use crate::{ConfigSchema, Schema, Type, TypeError};

/// Longest WIT text that is parsed: 1 MiB.
const MAX_TEXT_BYTES: usize = 1 << 20;
/// Deepest nesting of brackets in WIT text.
const MAX_NESTING: usize = 64;

/// Why WIT text defines no usable types.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WitError {
    /// The text is no WIT. The message has the place and the line.
    #[error("{message}")]
    Syntax {
        /// What the parser says, several lines.
        message: String,
    },
    /// The text is too long, or its brackets nest too deep.
    #[error("WIT text `{name}` is longer than {MAX_TEXT_BYTES} bytes or nests deeper than {MAX_NESTING}")]
    Limit {
        /// The name that the text was given with.
        name: String,
    },
    /// The package's name is none that event types map to.
    #[error("package `{package}` cannot define an event type")]
    Name {
        /// The package.
        package: String,
        /// Why not.
        #[source]
        source: EventTypeError,
    },
    /// A package with an interface `event` but no version.
    #[error("package `{package}` defines an event type but has no version: write `package {package}@1.0.0;`")]
    Version {
        /// The package.
        package: String,
    },
    /// An interface `event` of which no type stands out.
    #[error("interface `event` of `{package}` has no type `event`, and {found} that no other type uses")]
    Ambiguous {
        /// The package.
        package: String,
        /// The types that are not used by others.
        found: String,
    },
    /// A type that events and configurations cannot hold.
    #[error("type `{name}` of `{package}` cannot be used")]
    Type {
        /// The package.
        package: String,
        /// The type.
        name: String,
        /// Why not.
        #[source]
        source: TypeError,
    },
    /// The text of a configuration has no record of that name.
    #[error("the text has no record `config`")]
    NoConfig,
}

/// The event types of several packages, in the order of the packages' names.
pub(crate) fn schemas(files: &[(&str, &str)]) -> Result<Vec<Schema>, WitError> {
    let resolve = parse(files)?;
    let mut packages: Vec<_> = resolve.packages.iter().map(|(_, package)| package).collect();
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    let mut schemas = Vec::new();
    for package in packages {
        let Some(interface) = package.interfaces.get("event") else { continue };
        schemas.push(schema(&resolve, &package.name, &resolve.interfaces[*interface])?);
    }
    Ok(schemas)
}

/// The record `config` of the text of an interface.
pub(crate) fn config(text: &str) -> Result<ConfigSchema, WitError> {
    let name = "config.wit";
    check_limits(name, text)?;
    let resolve = parse(&[(name, &format!("package flowctl:config; interface config {{ {text}\n}}"))])?;
    let mut types = resolve.interfaces.iter().flat_map(|(_, interface)| &interface.types);
    let id = types.find(|(name, _)| *name == "config").map(|(_, id)| *id).ok_or(WitError::NoConfig)?;
    let root = lower(&Text(&resolve), wit_parser::Type::Id(id)).map_err(|source| WitError::Type {
        package: "flowctl:config".to_owned(),
        name: "config".to_owned(),
        source,
    })?;
    let Type::Record(record) = root else { return Err(WitError::NoConfig) };
    Ok(ConfigSchema::of_record(&record, BTreeMap::new()).expect("there is no default that could be wrong"))
}

fn parse(files: &[(&str, &str)]) -> Result<Resolve, WitError> {
    let mut groups = Vec::with_capacity(files.len());
    for (name, text) in files {
        check_limits(name, text)?;
        let group = UnresolvedPackageGroup::parse(name, text)
            .map_err(|(sources, error)| WitError::Syntax { message: error.render(&sources) })?;
        groups.push(group);
    }
    let mut resolve = Resolve::new();
    let Some(main) = groups.pop() else { return Ok(resolve) };
    match resolve.push_groups(main, groups) {
        Ok(_) => Ok(resolve),
        Err(error) => Err(WitError::Syntax { message: resolve.render_error(&error.into()) }),
    }
}

fn schema(resolve: &Resolve, package: &PackageName, interface: &Interface) -> Result<Schema, WitError> {
    let name = format!("{}:{}", package.namespace, package.name);
    let version = package.version.clone().ok_or_else(|| WitError::Version { package: name.clone() })?;
    let event_type = EventType::from_package(&package.namespace, &package.name, version.major)
        .map_err(|source| WitError::Name { package: name.clone(), source })?;
    let (type_name, id) = event_of(resolve, interface, &name)?;
    let root = lower(&Text(resolve), wit_parser::Type::Id(id)).map_err(|source| WitError::Type {
        package: name,
        name: type_name.to_owned(),
        source,
    })?;
    Ok(Schema::new(event_type, version, root, docs(&resolve.types[id].docs)))
}

/// The type `event`, or the only one that no other uses.
fn event_of<'a>(resolve: &Resolve, interface: &'a Interface, package: &str) -> Result<(&'a str, TypeId), WitError> {
    if let Some((name, id)) = interface.types.get_key_value("event") {
        return Ok((name, *id));
    }
    let used: Vec<TypeId> = interface.types.values().flat_map(|id| uses(resolve, *id)).collect();
    let unused: Vec<_> = interface.types.iter().filter(|(_, id)| !used.contains(id)).collect();
    match unused.as_slice() {
        [(name, id)] => Ok((name, **id)),
        several => {
            let names: Vec<_> = several.iter().map(|(name, _)| format!("`{name}`")).collect();
            let found = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Err(WitError::Ambiguous { package: package.to_owned(), found })
        }
    }
}

/// The named types that a type mentions, looking through those without a name.
fn uses(resolve: &Resolve, id: TypeId) -> Vec<TypeId> {
    let mut mentioned = Vec::new();
    let mut open = vec![id];
    while let Some(next) = open.pop() {
        let parts: Vec<wit_parser::Type> = match &resolve.types[next].kind {
            TypeDefKind::Record(record) => record.fields.iter().map(|field| field.ty).collect(),
            TypeDefKind::Variant(variant) => variant.cases.iter().filter_map(|case| case.ty).collect(),
            TypeDefKind::Tuple(tuple) => tuple.types.clone(),
            TypeDefKind::Result(result) => result.ok.into_iter().chain(result.err).collect(),
            TypeDefKind::Option(ty)
            | TypeDefKind::List(ty)
            | TypeDefKind::Type(ty)
            | TypeDefKind::FixedLengthList(ty, _) => vec![*ty],
            _ => Vec::new(),
        };
        for part in parts {
            if let wit_parser::Type::Id(part) = part {
                if resolve.types[part].name.is_some() {
                    mentioned.push(part);
                } else {
                    open.push(part);
                }
            }
        }
    }
    mentioned
}

fn check_limits(name: &str, text: &str) -> Result<(), WitError> {
    let mut depth: usize = 0;
    let mut deepest = 0;
    let mut last = ' ';
    for line in text.lines() {
        let code = line.split("//").next().unwrap_or_default();
        for c in code.chars() {
            match c {
                '<' | '(' | '{' => depth += 1,
                '>' if last == '-' => {}
                '>' | ')' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            deepest = deepest.max(depth);
            last = c;
        }
    }
    if text.len() > MAX_TEXT_BYTES || deepest > MAX_NESTING {
        return Err(WitError::Limit { name: name.to_owned() });
    }
    Ok(())
}

fn docs(docs: &wit_parser::Docs) -> Option<String> {
    docs.contents.as_ref().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The definitions of WIT text.
struct Text<'a>(&'a Resolve);

impl Definitions for Text<'_> {
    type Id = wit_parser::Type;

    fn define(&self, id: Self::Id) -> Definition<Self::Id> {
        let id = match id {
            wit_parser::Type::Id(id) => id,
            wit_parser::Type::ErrorContext => return Definition::Refused("error-context"),
            plain => return Definition::Plain(plain_type(plain)),
        };
        let definition = &self.0.types[id];
        let named = |members: Vec<Member<Self::Id>>| Named {
            name: definition.name.clone().unwrap_or_default(),
            docs: docs(&definition.docs),
            members,
        };
        match &definition.kind {
            TypeDefKind::Type(id) => Definition::Alias(*id),
            TypeDefKind::List(id) => Definition::List(*id),
            TypeDefKind::Option(id) => Definition::Option(*id),
            TypeDefKind::Result(result) => Definition::Result(result.ok, result.err),
            TypeDefKind::Tuple(tuple) => Definition::Tuple(tuple.types.clone()),
            TypeDefKind::Record(record) => {
                let members = record.fields.iter();
                let members = members.map(|field| member(&field.name, &field.docs, Some(field.ty)));
                Definition::Record(named(members.collect()))
            }
            TypeDefKind::Variant(variant) => {
                let members = variant.cases.iter().map(|case| member(&case.name, &case.docs, case.ty));
                Definition::Variant(named(members.collect()))
            }
            TypeDefKind::Enum(cases) => {
                let members = cases.cases.iter().map(|case| member(&case.name, &case.docs, None));
                Definition::Enum(named(members.collect()))
            }
            refused => Definition::Refused(refused.as_str()),
        }
    }
}

fn member(name: &str, comment: &wit_parser::Docs, ty: Option<wit_parser::Type>) -> Member<wit_parser::Type> {
    Member { name: name.to_owned(), docs: docs(comment), ty }
}

fn plain_type(ty: wit_parser::Type) -> Type {
    match ty {
        wit_parser::Type::Bool => Type::Bool,
        wit_parser::Type::U8 => Type::U8,
        wit_parser::Type::U16 => Type::U16,
        wit_parser::Type::U32 => Type::U32,
        wit_parser::Type::U64 => Type::U64,
        wit_parser::Type::S8 => Type::S8,
        wit_parser::Type::S16 => Type::S16,
        wit_parser::Type::S32 => Type::S32,
        wit_parser::Type::S64 => Type::S64,
        wit_parser::Type::F32 => Type::F32,
        wit_parser::Type::F64 => Type::F64,
        wit_parser::Type::Char => Type::Char,
        wit_parser::Type::String | wit_parser::Type::ErrorContext | wit_parser::Type::Id(_) => Type::String,
    }
}
