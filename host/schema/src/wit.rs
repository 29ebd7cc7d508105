//! Reads schemas from WIT text.
//!
//! Invariant: text is measured before it is parsed (its size, and how deep its
//! brackets nest), since the parser recurses as deep as they do.

mod definitions;
mod error;
mod packages;
mod print;

use std::collections::BTreeMap;

use flowctl_types::EventType;
use wit_parser::{Interface, PackageName, Resolve, SourceMap, TypeDefKind, TypeId, UnresolvedPackageGroup};

use crate::lower::lower;
use crate::{ConfigSchema, Schema, Type};
use definitions::{Text, docs};

pub use error::{WitError, WitPlace};
pub use packages::{WitFile, WitPackage, event_types};
pub(crate) use print::package;

/// Longest WIT text that is parsed: 1 MiB.
pub(crate) const MAX_TEXT_BYTES: usize = 1 << 20;
/// Deepest nesting of brackets in WIT text.
const MAX_NESTING: usize = 64;

/// The event types of several packages, in the order of the packages' names.
pub(crate) fn schemas(files: &[(&str, &str)]) -> Result<Vec<Schema>, WitError> {
    let resolve = parse(files)?;
    let mut packages: Vec<_> = resolve.packages.iter().map(|(_, package)| package).collect();
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    let mut schemas = Vec::new();
    for package in packages {
        let Some(interface) = package.interfaces.get("event") else { continue };
        schemas.push(schema(&resolve, files, &package.name, &resolve.interfaces[*interface])?);
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
        place: WitPlace::start(name),
        package: "flowctl:config".to_owned(),
        name: "config".to_owned(),
        source: Box::new(source),
    })?;
    let Type::Record(record) = root else { return Err(WitError::NoConfig) };
    Ok(ConfigSchema::of_record(&record, BTreeMap::new()).expect("there is no default that could be wrong"))
}

/// Parses files each of which is a package of its own, and resolves them together.
fn parse(files: &[(&str, &str)]) -> Result<Resolve, WitError> {
    let mut groups = Vec::with_capacity(files.len());
    for file in files {
        groups.push(parse_package(&[*file])?);
    }
    let Some(main) = groups.pop() else { return Ok(Resolve::new()) };
    resolve(main, groups, files)
}

/// Parses the files of one package, with those that are nested in it.
fn parse_package(files: &[(&str, &str)]) -> Result<UnresolvedPackageGroup, WitError> {
    let mut sources = SourceMap::new();
    for (name, text) in files {
        check_limits(name, text)?;
        sources.push_str(name, *text);
    }
    sources.parse().map_err(|(sources, error)| {
        let place = WitPlace::new(&sources, files, error.kind().span());
        WitError::syntax(place, &error.to_string(), files)
    })
}

/// Resolves what packages use of one another; `files` is the text of all of them.
fn resolve(
    main: UnresolvedPackageGroup,
    others: Vec<UnresolvedPackageGroup>,
    files: &[(&str, &str)],
) -> Result<Resolve, WitError> {
    let mut resolve = Resolve::new();
    match resolve.push_groups(main, others) {
        Ok(_) => Ok(resolve),
        Err(error) => Err(WitError::unresolved(&resolve, files, error.kind())),
    }
}

fn schema(
    resolve: &Resolve,
    files: &[(&str, &str)],
    package: &PackageName,
    interface: &Interface,
) -> Result<Schema, WitError> {
    let name = format!("{}:{}", package.namespace, package.name);
    let place = |span| WitPlace::new(&resolve.source_map, files, span);
    let at = place(interface.span);
    let Some(version) = package.version.clone() else { return Err(WitError::Version { place: at, package: name }) };
    let event_type = EventType::from_package(&package.namespace, &package.name, version.major)
        .map_err(|source| WitError::Name { place: at.clone(), package: name.clone(), source })?;
    let (type_name, id) = event_of(resolve, interface).map_err(|found| WitError::Ambiguous {
        place: at,
        package: name.clone(),
        found,
    })?;
    let root = lower(&Text(resolve), wit_parser::Type::Id(id)).map_err(|source| WitError::Type {
        place: place(resolve.types[id].span),
        package: name,
        name: type_name.to_owned(),
        source: Box::new(source),
    })?;
    Ok(Schema::new(event_type, version, root, docs(&resolve.types[id].docs)))
}

/// The type `event`, or the only one that no other uses; else what was found.
fn event_of<'a>(resolve: &Resolve, interface: &'a Interface) -> Result<(&'a str, TypeId), String> {
    if let Some((name, id)) = interface.types.get_key_value("event") {
        return Ok((name, *id));
    }
    let used: Vec<TypeId> = interface.types.values().flat_map(|id| uses(resolve, *id)).collect();
    let is_value = |id: TypeId| !matches!(resolve.types[id].kind, TypeDefKind::Resource);
    let unused = interface.types.iter().filter(|(_, id)| !used.contains(id) && is_value(**id));
    let unused: Vec<_> = unused.collect();
    match unused.as_slice() {
        [(name, id)] => Ok((name, **id)),
        several => {
            let names: Vec<_> = several.iter().map(|(name, _)| format!("`{name}`")).collect();
            Err(if names.is_empty() { "none".to_owned() } else { names.join(", ") })
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
