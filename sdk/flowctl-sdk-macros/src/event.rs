//! Finds an event type by its name and checks that it can be one.

use semver::Version;
use syn::LitStr;
use wit_parser::{Handle, InterfaceId, PackageId, PackageName, Resolve, Type, TypeDefKind, TypeId, TypeOwner};

use crate::names;
use crate::packages::Packages;
use crate::rust_types::RustTypes;

/// The longest tuple that has a Rust form.
const MAX_TUPLE: usize = 12;

/// One event type.
pub(crate) struct EventType {
    /// Such as `stellar.ledger.v1`.
    pub(crate) name: String,
    pub(crate) package: PackageId,
    pub(crate) package_name: PackageName,
    pub(crate) interface: InterfaceId,
    /// Its WIT name in the interface, such as `ledger`, or `event`.
    pub(crate) wit_name: String,
    /// The type behind the aliases: a record, variant or enum with a name, or
    /// nothing where it is an alias of `list<u8>`.
    pub(crate) definition: Option<TypeId>,
    /// What the author calls it in Rust, in WIT's form.
    pub(crate) rust_name: String,
}

impl EventType {
    /// Finds the type that `literal` names.
    pub(crate) fn find(packages: &Packages, literal: &LitStr) -> syn::Result<Self> {
        let error = |message: String| syn::Error::new(literal.span(), message);
        let (package, package_name) = find_package(packages, &literal.value()).map_err(error)?;
        let name = names::event_type(&package_name).ok_or_else(|| {
            error(format!(
                "package `{package_name}` cannot be named as an event type: its namespace is one word of `[a-z][a-z0-9]*`, \
                 its name such words joined by `-`, and it has a version"
            ))
        })?;
        let resolve = &packages.resolve;
        let interface = *resolve.packages[package]
            .interfaces
            .get("event")
            .ok_or_else(|| error(format!("package `{package_name}` has no interface `event`")))?;
        let (wit_name, type_id) =
            event_in(resolve, interface).map_err(|message| error(format!("package `{package_name}`: {message}")))?;
        let mut event = Self {
            name,
            package,
            package_name,
            interface,
            rust_name: RustTypes { resolve }.wit_name(type_id),
            wit_name,
            definition: None,
        };
        match behind_aliases(resolve, &Type::Id(type_id)) {
            Type::Id(id) => match &resolve.types[id].kind {
                TypeDefKind::Record(_) | TypeDefKind::Variant(_) | TypeDefKind::Enum(_) => {
                    event.definition = Some(id);
                    event.rust_name = RustTypes { resolve }.wit_name(id);
                    check(resolve, &Type::Id(id), &event.rust_name).map_err(error)?;
                }
                TypeDefKind::List(element) if behind_aliases(resolve, element) == Type::U8 => {}
                other => return Err(error(event.not_a_record(other.as_str()))),
            },
            _ => return Err(error(event.not_a_record("primitive"))),
        }
        Ok(event)
    }

    /// Its interface as the binary names it, such as
    /// `stellar:ledger/event@1.0.0`.
    pub(crate) fn wit_id(&self) -> String {
        self.package_name.interface_id("event")
    }

    /// Whether its bytes are the payload as they stand.
    pub(crate) fn is_opaque(&self) -> bool {
        self.definition.is_none()
    }

    fn not_a_record(&self, what: &str) -> String {
        format!(
            "`{}` is a {what}: an event is a record, variant or enum, or an alias of `list<u8>`; wrap it in a record",
            self.wit_name
        )
    }
}

/// The type that the aliases lead to.
pub(crate) fn behind_aliases(resolve: &Resolve, ty: &Type) -> Type {
    let mut ty = *ty;
    while let Type::Id(id) = ty {
        let TypeDefKind::Type(next) = resolve.types[id].kind else { break };
        ty = next;
    }
    ty
}

/// The types that a definition mentions directly.
pub(crate) fn mentioned(kind: &TypeDefKind) -> Vec<Type> {
    match kind {
        TypeDefKind::Record(record) => record.fields.iter().map(|field| field.ty).collect(),
        TypeDefKind::Variant(variant) => variant.cases.iter().filter_map(|case| case.ty).collect(),
        TypeDefKind::Tuple(tuple) => tuple.types.clone(),
        TypeDefKind::Option(ty)
        | TypeDefKind::List(ty)
        | TypeDefKind::Type(ty)
        | TypeDefKind::FixedLengthList(ty, _) => vec![*ty],
        TypeDefKind::Result(result) => result.ok.into_iter().chain(result.err).collect(),
        TypeDefKind::Map(key, value) => vec![*key, *value],
        TypeDefKind::Handle(Handle::Own(resource) | Handle::Borrow(resource)) => vec![Type::Id(*resource)],
        _ => Vec::new(),
    }
}

fn find_package(packages: &Packages, name: &str) -> Result<(PackageId, PackageName), String> {
    let matches: Box<dyn Fn(&PackageName) -> bool> = if let Some((namespace, rest)) = name.split_once(':') {
        let (path, version) = rest.split_once('@').map_or((rest, None), |(path, version)| (path, Some(version)));
        let (package, interface) = path.split_once('/').unwrap_or((path, "event"));
        if interface != "event" {
            return Err(format!("`{name}` names interface `{interface}`: event types stand in interface `event`"));
        }
        let version = version
            .map(Version::parse)
            .transpose()
            .map_err(|error| format!("`{name}` has no valid version: {error}"))?;
        let (namespace, package) = (namespace.to_owned(), package.to_owned());
        Box::new(move |known| {
            known.namespace == namespace && known.name == package && (version.is_none() || known.version == version)
        })
    } else if names::is_event_type(name) {
        let name = name.to_owned();
        Box::new(move |known| names::event_type(known).as_deref() == Some(&name))
    } else {
        return Err(format!(
            "`{name}` is no event type: write it like `stellar.ledger.v1` or `stellar:ledger/event@1.0.0`"
        ));
    };
    let newest =
        packages.event_packages().filter(|(_, known)| matches(known)).max_by_key(|(_, known)| known.version.clone());
    newest.map(|(id, name)| (id, name.clone())).ok_or_else(|| unknown(packages, name))
}

fn unknown(packages: &Packages, name: &str) -> String {
    let is_wit_id = name.contains(':');
    let known = packages.event_packages().filter_map(|(_, package)| {
        if is_wit_id { Some(package.interface_id("event")) } else { names::event_type(package) }
    });
    let mut known: Vec<String> = known.collect();
    known.sort();
    let nearest = names::nearest(name, known.iter().map(String::as_str));
    let hint = if nearest.is_empty() {
        format!("known are {}", names::listed(&known).replace(" or ", " and "))
    } else {
        format!("did you mean {}?", names::listed(&nearest))
    };
    format!(
        "unknown event type `{name}`: {hint}\n\
         a type of your own needs its WIT in a folder under `wit/`, such as `wit/my-type/event.wit`:\n\
         package my:type@1.0.0;\n\
         interface event {{ record reading {{ sensor: string, value: f64 }} }}"
    )
}

/// The type `event`, or the only one that no other uses.
fn event_in(resolve: &Resolve, interface: InterfaceId) -> Result<(String, TypeId), String> {
    let types = &resolve.interfaces[interface].types;
    if let Some(&id) = types.get("event") {
        return Ok(("event".to_owned(), id));
    }
    let mut used = Vec::new();
    for id in types.values() {
        uses(resolve, &resolve.types[*id].kind, &mut used);
    }
    // What `use` brings in is an alias of a type that stands elsewhere.
    let is_own = |id: TypeId| match resolve.types[id].kind {
        TypeDefKind::Type(Type::Id(other)) => resolve.types[other].owner == TypeOwner::Interface(interface),
        _ => true,
    };
    let free: Vec<_> = types.iter().filter(|(_, id)| !used.contains(*id) && is_own(**id)).collect();
    match free.as_slice() {
        [(name, id)] => Ok(((*name).clone(), **id)),
        [] => Err("interface `event` has no type of its own".to_owned()),
        several => {
            let names: Vec<&str> = several.iter().map(|(name, _)| name.as_str()).collect();
            Err(format!(
                "which type is the event, {}? Name it `event`, or let it use the others",
                names::listed(&names)
            ))
        }
    }
}

/// Adds the named types that a definition leads to, not those behind them.
fn uses(resolve: &Resolve, kind: &TypeDefKind, used: &mut Vec<TypeId>) {
    for ty in mentioned(kind) {
        if let Type::Id(id) = ty {
            used.push(id);
            if resolve.types[id].name.is_none() {
                uses(resolve, &resolve.types[id].kind, used);
            }
        }
    }
}

/// Whether all of a type can stand in an event; `path` is where it does.
fn check(resolve: &Resolve, ty: &Type, path: &str) -> Result<(), String> {
    let id = match behind_aliases(resolve, ty) {
        Type::Id(id) => id,
        Type::ErrorContext => return Err(cannot(path, "an error-context", "leave it out")),
        _ => return Ok(()),
    };
    match &resolve.types[id].kind {
        TypeDefKind::Record(record) => {
            record.fields.iter().try_for_each(|field| check(resolve, &field.ty, &format!("{path}.{}", field.name)))
        }
        TypeDefKind::Variant(variant) => variant.cases.iter().try_for_each(|case| {
            case.ty.iter().try_for_each(|ty| check(resolve, ty, &format!("{path}.{}", case.name)))
        }),
        TypeDefKind::Enum(_) => Ok(()),
        TypeDefKind::Option(inner) => {
            let is_option =
                |ty: Type| matches!(ty, Type::Id(id) if matches!(resolve.types[id].kind, TypeDefKind::Option(_)));
            if is_option(behind_aliases(resolve, inner)) {
                return Err(cannot(path, "a nested option", "use a variant with a case for each meaning"));
            }
            check(resolve, inner, path)
        }
        TypeDefKind::List(inner) => check(resolve, inner, path),
        TypeDefKind::Result(result) => result.ok.iter().chain(&result.err).try_for_each(|ty| check(resolve, ty, path)),
        TypeDefKind::Tuple(tuple) if tuple.types.len() > MAX_TUPLE => {
            Err(cannot(path, &format!("a tuple of {}", tuple.types.len()), "use a record"))
        }
        TypeDefKind::Tuple(tuple) => tuple.types.iter().try_for_each(|ty| check(resolve, ty, path)),
        TypeDefKind::Flags(_) => Err(cannot(path, "flags", "use a record of `bool`s, or a list of an enum")),
        TypeDefKind::Map(..) => Err(cannot(path, "a map", "use a list of tuples")),
        TypeDefKind::FixedLengthList(..) => Err(cannot(path, "a list of fixed length", "use a list or a tuple")),
        other => Err(cannot(path, &format!("of kind `{}`", other.as_str()), "events hold plain values only")),
    }
}

fn cannot(path: &str, what: &str, instead: &str) -> String {
    format!("`{path}` cannot stand in an event type, because it is {what}: {instead}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Finds `test.mine.v1` in a package of the author's.
    fn find(interface: &str) -> Result<EventType, String> {
        let text = format!("package test:mine@1.0.0; interface event {{ {interface} }}");
        let packages = Packages::resolve(vec![vec![("wit/mine/event.wit".into(), text)]]).unwrap();
        let literal = LitStr::new("test.mine.v1", proc_macro2::Span::call_site());
        EventType::find(&packages, &literal).map_err(|error| error.to_string())
    }

    #[test]
    fn event_is_the_type_of_that_name_or_the_one_that_no_other_uses() {
        let found = |interface: &str| {
            let event = find(interface).unwrap();
            (event.wit_name.clone(), event.rust_name.clone(), event.is_opaque())
        };
        let names = |wit: &str, rust: &str, is_opaque| (wit.to_owned(), rust.to_owned(), is_opaque);
        assert_eq!(found("enum k { a } record r { k: k, l: list<option<k>> }"), names("r", "r", false));
        assert_eq!(found("record r { a: u8 } record s { b: u8 } type event = s;"), names("event", "s", false));
        assert_eq!(found("record event { a: u8 }"), names("event", "mine", false));
        assert_eq!(found("record mine { a: u8 } record event { a: mine }"), names("event", "mine-event", false));
        assert_eq!(found("type blob = list<u8>;"), names("blob", "blob", true));
        assert_eq!(found("use example:order/event@1.0.0.{item}; record r { i: item }"), names("r", "r", false));
    }

    #[test]
    fn what_cannot_be_an_event_is_refused_with_its_place() {
        let cases = [
            ("flags f { a } record r { x: list<f> }", "`r.x` cannot stand in an event type, because it is flags: "),
            (
                "type maybe = option<u8>; variant r { one(tuple<u8, option<maybe>>) }",
                "`r.one` cannot stand in an event type, because it is a nested option: ",
            ),
            (
                "resource s; record r { x: own<s> }",
                "`r.x` cannot stand in an event type, because it is of kind `own`: ",
            ),
            (
                "record a { x: u8 } record b { x: u8 }",
                "package `test:mine@1.0.0`: which type is the event, `a` or `b`?",
            ),
            ("f: func();", "package `test:mine@1.0.0`: interface `event` has no type of its own"),
            ("type t = u64;", "`t` is a primitive: an event is a record, variant or enum, or an alias of `list<u8>`"),
            ("type t = list<string>;", "`t` is a list: an event is a record, variant or enum"),
        ];
        for (interface, expected) in cases {
            let error = find(interface).err().unwrap();
            assert!(error.starts_with(expected), "{interface}: {error}");
        }
    }
}
