//! A component's outside, read from its bytes: what it imports and exports, where
//! its types come from, and its manifest section.
//!
//! Invariant: every byte was validated before anything is said about it. Identity of
//! types is followed through aliases to the first interface that has them, which is
//! the package that defined them.

use std::collections::HashMap;

use wasmparser::component_types::{
    ComponentAnyTypeId, ComponentDefinedType, ComponentEntityType, ComponentInstanceType, ComponentItem,
    ComponentValType,
};
use wasmparser::names::{ComponentName, ComponentNameKind};
use wasmparser::types::Types;
use wasmparser::{FuncValidatorAllocations, Parser, Payload, PrimitiveValType, ValidPayload, Validator};

use super::ContractError;
use super::manifest::{Manifest, SECTION};
use crate::Type;
use crate::lower::{Definition, Definitions, Member, Named};

/// What was read.
pub(super) struct Component<'a> {
    types: Types,
    pub(super) imports: Vec<Extern>,
    pub(super) exports: Vec<Extern>,
    pub(super) manifests: Vec<&'a [u8]>,
    origins: HashMap<ComponentAnyTypeId, Origin>,
}

/// An import or an export.
pub(super) struct Extern {
    pub(super) name: String,
    item: ComponentItem,
}

/// Where a type first stands: which extern, counting imports and exports in the
/// order of the binary, and under which name.
#[derive(Clone)]
pub(super) struct Origin {
    pub(super) interface: String,
    pub(super) name: String,
    version_suffix: Option<String>,
}

/// `flowctl:processor/handler@0.1.0`, taken apart.
pub(super) struct InterfaceId {
    pub(super) namespace: String,
    pub(super) package: String,
    pub(super) interface: String,
    pub(super) version: Option<semver::Version>,
}

impl InterfaceId {
    pub(super) fn parse(name: &str, version_suffix: Option<&str>) -> Option<Self> {
        let name = ComponentName::new(name, 0).ok()?;
        let ComponentNameKind::Interface(id) = name.kind() else { return None };
        Some(Self {
            namespace: id.namespace().as_str().to_owned(),
            package: id.package().as_str().to_owned(),
            interface: id.interface().as_str().to_owned(),
            version: id.version(version_suffix).ok()?,
        })
    }
}

impl Extern {
    pub(super) fn id(&self) -> Option<InterfaceId> {
        InterfaceId::parse(&self.name, self.item.version_suffix.as_deref())
    }
}

impl Origin {
    pub(super) fn id(&self) -> Option<InterfaceId> {
        InterfaceId::parse(&self.interface, self.version_suffix.as_deref())
    }
}

impl<'a> Component<'a> {
    /// Validates `bytes`, which start as a component does.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, ContractError> {
        match Self::validate(bytes) {
            Ok(component) => component.ok_or(ContractError::Incomplete),
            Err(source) => Err(ContractError::Invalid { offset: source.offset(), source }),
        }
    }

    fn validate(bytes: &'a [u8]) -> Result<Option<Self>, wasmparser::BinaryReaderError> {
        let mut validator = Validator::new();
        let mut allocations = FuncValidatorAllocations::default();
        let mut names = Vec::new();
        let mut manifests = Vec::new();
        let mut depth = 1;
        let mut types = None;
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload?;
            match validator.payload(&payload)? {
                ValidPayload::Ok => {}
                ValidPayload::Parser(_) => depth += 1,
                ValidPayload::Func(func, body) => {
                    let mut func = func.into_validator(allocations);
                    func.validate(&body)?;
                    allocations = func.into_allocations();
                }
                ValidPayload::End(ended) => {
                    depth -= 1;
                    if depth == 0 {
                        types = Some(ended);
                    }
                }
            }
            match payload {
                Payload::ComponentImportSection(section) if depth == 1 => {
                    for import in section {
                        names.push((true, import?.name.name.to_owned()));
                    }
                }
                Payload::ComponentExportSection(section) if depth == 1 => {
                    for export in section {
                        names.push((false, export?.name.name.to_owned()));
                    }
                }
                Payload::CustomSection(section) if section.name() == SECTION => manifests.push(section.data()),
                _ => {}
            }
        }
        Ok(types.map(|types| Self::new(types, names, manifests)))
    }

    fn new(types: Types, names: Vec<(bool, String)>, manifests: Vec<&'a [u8]>) -> Self {
        let mut component =
            Self { types, imports: Vec::new(), exports: Vec::new(), manifests, origins: HashMap::new() };
        for (is_import, name) in names {
            let types = component.types.as_ref();
            let item =
                if is_import { types.component_item_for_import(&name) } else { types.component_item_for_export(&name) };
            let Some(item) = item.cloned() else { continue };
            let found = Extern { name, item };
            component.learn_origins(&found);
            if is_import { &mut component.imports } else { &mut component.exports }.push(found);
        }
        component
    }

    fn learn_origins(&mut self, found: &Extern) {
        let ComponentEntityType::Instance(id) = found.item.ty else { return };
        for (name, item) in &self.types[id].exports {
            let ComponentEntityType::Type { referenced, created } = item.ty else { continue };
            let origin = self.origin(referenced).cloned().unwrap_or_else(|| Origin {
                interface: found.name.clone(),
                name: name.clone(),
                version_suffix: found.item.version_suffix.clone(),
            });
            self.origins.insert(created, origin);
        }
    }

    /// Where a type first stood, if an interface has it.
    pub(super) fn origin(&self, id: ComponentAnyTypeId) -> Option<&Origin> {
        let mut at = id;
        loop {
            if let Some(origin) = self.origins.get(&at) {
                return Some(origin);
            }
            at = self.types.as_ref().peel_alias(at)?;
        }
    }

    /// The instance exported under `name`.
    pub(super) fn exported(&self, name: &str) -> Option<&ComponentInstanceType> {
        let found = self.exports.iter().find(|export| export.name == name)?;
        match found.item.ty {
            ComponentEntityType::Instance(id) => Some(&self.types[id]),
            _ => None,
        }
    }

    /// The definition of the type `name` of an instance, as its id.
    pub(super) fn type_of(&self, instance: &ComponentInstanceType, name: &str) -> Option<ComponentAnyTypeId> {
        match instance.exports.get(name)?.ty {
            ComponentEntityType::Type { created, .. } => Some(created),
            _ => None,
        }
    }

    /// The cases of a variant, each with what it carries; none where the type is no
    /// variant.
    pub(super) fn cases(&self, id: ComponentAnyTypeId) -> Option<Vec<(String, Option<ComponentAnyTypeId>)>> {
        let ComponentAnyTypeId::Defined(id) = id else { return None };
        let ComponentDefinedType::Variant(variant) = &self.types[id] else { return None };
        let cases = variant.cases.iter().map(|(name, case)| {
            let carried = match case.ty {
                Some(ComponentValType::Type(id)) => Some(ComponentAnyTypeId::Defined(id)),
                _ => None,
            };
            (name.as_str().to_owned(), carried)
        });
        Some(cases.collect())
    }

    /// Whether `configure` of an instance takes a `config` and answers as the
    /// contract says.
    pub(super) fn has_configure(&self, instance: &ComponentInstanceType, config: ComponentAnyTypeId) -> bool {
        let Some(ComponentEntityType::Func(id)) = instance.exports.get("configure").map(|item| item.ty) else {
            return false;
        };
        let function = &self.types[id];
        let takes_config = match &*function.params {
            [(_, ComponentValType::Type(id))] => self.is_same(ComponentAnyTypeId::Defined(*id), config),
            _ => false,
        };
        let gives_result = match function.result {
            Some(ComponentValType::Type(id)) => matches!(
                self.types[id],
                ComponentDefinedType::Result {
                    ok: None,
                    err: Some(ComponentValType::Primitive(PrimitiveValType::String)),
                    ..
                }
            ),
            _ => false,
        };
        takes_config && gives_result && !function.async_
    }

    fn is_same(&self, a: ComponentAnyTypeId, b: ComponentAnyTypeId) -> bool {
        match (self.origin(a), self.origin(b)) {
            (Some(a), Some(b)) => a.interface == b.interface && a.name == b.name,
            _ => a == b,
        }
    }

    /// Whether an import brings types alone, so that nothing is asked of the host.
    pub(super) fn is_types_only(&self, import: &Extern) -> bool {
        match import.item.ty {
            ComponentEntityType::Instance(id) => self.types[id].exports.values().all(|item| {
                matches!(item.ty, ComponentEntityType::Type { referenced: ComponentAnyTypeId::Defined(_), .. })
            }),
            ComponentEntityType::Type { referenced, .. } => matches!(referenced, ComponentAnyTypeId::Defined(_)),
            _ => false,
        }
    }
}

/// A component's types, with the manifest's docs.
pub(super) struct Documented<'a, 'b> {
    pub(super) component: &'a Component<'b>,
    pub(super) manifest: &'a Manifest,
}

impl Definitions for Documented<'_, '_> {
    type Id = ComponentValType;

    fn define(&self, id: Self::Id) -> Definition<Self::Id> {
        let id = match id {
            ComponentValType::Primitive(plain) => return primitive(plain),
            ComponentValType::Type(id) => id,
        };
        let origin = self.component.origin(ComponentAnyTypeId::Defined(id));
        let docs = |member: &str| self.manifest.docs(origin?, member);
        let member = |name: &str, ty| Member { name: name.to_owned(), docs: docs(name), ty };
        let named = |members| Named {
            name: origin.map_or_else(|| "unnamed".to_owned(), |origin| origin.name.clone()),
            docs: docs(""),
            members,
        };
        match &self.component.types[id] {
            ComponentDefinedType::Primitive(plain) => primitive(*plain),
            ComponentDefinedType::List { element, .. } => Definition::List(*element),
            ComponentDefinedType::Option { ty, .. } => Definition::Option(*ty),
            ComponentDefinedType::Result { ok, err, .. } => Definition::Result(*ok, *err),
            ComponentDefinedType::Tuple(tuple) => Definition::Tuple(tuple.types.to_vec()),
            ComponentDefinedType::Record(record) => {
                let members = record.fields.iter().map(|(name, ty)| member(name.as_str(), Some(*ty)));
                Definition::Record(named(members.collect()))
            }
            ComponentDefinedType::Variant(variant) => {
                let members = variant.cases.iter().map(|(name, case)| member(name.as_str(), case.ty));
                Definition::Variant(named(members.collect()))
            }
            ComponentDefinedType::Enum(names) => {
                let members = names.iter().map(|name| member(name.as_str(), None));
                Definition::Enum(named(members.collect()))
            }
            ComponentDefinedType::Flags(_) => Definition::Refused("flags"),
            ComponentDefinedType::Map { .. } => Definition::Refused("map"),
            ComponentDefinedType::FixedLengthList { .. } => Definition::Refused("fixed-length list"),
            ComponentDefinedType::Own(_) => Definition::Refused("own"),
            ComponentDefinedType::Borrow(_) => Definition::Refused("borrow"),
            ComponentDefinedType::Future { .. } => Definition::Refused("future"),
            ComponentDefinedType::Stream { .. } => Definition::Refused("stream"),
        }
    }
}

fn primitive<Id>(plain: PrimitiveValType) -> Definition<Id> {
    Definition::Plain(match plain {
        PrimitiveValType::Bool => Type::Bool,
        PrimitiveValType::S8 => Type::S8,
        PrimitiveValType::U8 => Type::U8,
        PrimitiveValType::S16 => Type::S16,
        PrimitiveValType::U16 => Type::U16,
        PrimitiveValType::S32 => Type::S32,
        PrimitiveValType::U32 => Type::U32,
        PrimitiveValType::S64 => Type::S64,
        PrimitiveValType::U64 => Type::U64,
        PrimitiveValType::F32 => Type::F32,
        PrimitiveValType::F64 => Type::F64,
        PrimitiveValType::Char => Type::Char,
        PrimitiveValType::String => Type::String,
        PrimitiveValType::ErrorContext => return Definition::Refused("error-context"),
    })
}
