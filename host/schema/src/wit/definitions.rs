//! The definitions of WIT text, as [`lower`](crate::lower) asks for them.

use wit_parser::{Resolve, TypeDefKind};

use crate::Type;
use crate::lower::{Definition, Definitions, Member, Named};

/// A doc comment, where there is one.
pub(super) fn docs(docs: &wit_parser::Docs) -> Option<String> {
    docs.contents.as_ref().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The definitions of WIT text.
pub(super) struct Text<'a>(pub(super) &'a Resolve);

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
            // what an event has of a resource is a handle to it
            TypeDefKind::Handle(_) => Definition::Refused("resource"),
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
