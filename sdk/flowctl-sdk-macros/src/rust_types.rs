//! The Rust form of WIT types: one module per WIT interface, each type owned and,
//! where it holds text or bytes, borrowed (`…Ref<'a>`).
//!
//! Invariant: a borrowed type decodes without copying text or bytes; only lists
//! of anything but `u8` are collected.

use std::collections::BTreeSet;

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use wit_parser::{Docs, InterfaceId, Resolve, Type, TypeDefKind, TypeId, TypeOwner};

use crate::event::{EventType, behind_aliases, mentioned};
use crate::names::{ref_ident, type_ident, value_ident};

/// Which form of a type is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Owned,
    Borrowed,
}

/// Generates Rust types from WIT.
pub(crate) struct RustTypes<'r> {
    pub(crate) resolve: &'r Resolve,
}

impl RustTypes<'_> {
    /// A module `events` with all that the given events need, and an import of
    /// the events' own interfaces.
    pub(crate) fn modules(&self, events: &[&EventType]) -> TokenStream {
        let mut ids = BTreeSet::new();
        for event in events {
            if let Some(&id) = self.resolve.interfaces[event.interface].types.get(&event.wit_name) {
                self.reach(id, &mut ids);
            }
        }
        let mut interfaces: Vec<InterfaceId> = Vec::new();
        for id in &ids {
            if let TypeOwner::Interface(interface) = self.resolve.types[*id].owner
                && !interfaces.contains(&interface)
            {
                interfaces.push(interface);
            }
        }
        let modules = interfaces.iter().map(|interface| {
            let name = self.module_ident(*interface);
            let docs = format!(" Types of `{}`.", self.resolve.id_of(*interface).unwrap_or_default());
            let of_interface =
                ids.iter().filter(|id| self.resolve.types[**id].owner == TypeOwner::Interface(*interface));
            let types = of_interface.map(|id| self.definition(*id));
            quote! {
                #[doc = #docs]
                pub mod #name { #(#types)* }
            }
        });
        let imported: BTreeSet<String> =
            events.iter().map(|event| self.module_ident(event.interface).to_string()).collect();
        let imports = imported
            .iter()
            .filter(|name| interfaces.iter().any(|id| self.module_ident(*id) == name.as_str()))
            .map(|name| {
                let name = Ident::new(name, proc_macro2::Span::call_site());
                quote! { #[allow(unused_imports, unreachable_pub, hidden_glob_reexports, ambiguous_glob_reexports)] pub use self::events::#name::*; }
            });
        quote! {
            /// The event types, from their WIT.
            #[allow(
                dead_code, missing_docs, unreachable_pub, unused_imports, clippy::all, clippy::pedantic, clippy::unwrap_used
            )]
            pub mod events { #(#modules)* }
            #(#imports)*
        }
    }

    /// The Rust type, as named from within a module of `events`.
    pub(crate) fn ty(&self, ty: &Type, form: Form) -> TokenStream {
        let id = match ty {
            Type::Bool => return quote!(bool),
            Type::U8 => return quote!(u8),
            Type::U16 => return quote!(u16),
            Type::U32 => return quote!(u32),
            Type::U64 => return quote!(u64),
            Type::S8 => return quote!(i8),
            Type::S16 => return quote!(i16),
            Type::S32 => return quote!(i32),
            Type::S64 => return quote!(i64),
            Type::F32 => return quote!(f32),
            Type::F64 => return quote!(f64),
            Type::Char => return quote!(char),
            Type::String if form == Form::Borrowed => return quote!(&'a str),
            Type::String => return quote!(::std::string::String),
            Type::ErrorContext => return quote!(()),
            Type::Id(id) => *id,
        };
        if self.is_transparent(id) {
            return self.structural(id, form);
        }
        let TypeOwner::Interface(interface) = self.resolve.types[id].owner else {
            return self.structural(id, form);
        };
        let (module, wit_name) = (self.module_ident(interface), self.wit_name(id));
        if form == Form::Borrowed && self.borrows(ty) {
            let name = ref_ident(&wit_name);
            return quote!(super::#module::#name<'a>);
        }
        let name = type_ident(&wit_name);
        quote!(super::#module::#name)
    }

    /// What a type without a name of its own is made of.
    fn structural(&self, id: TypeId, form: Form) -> TokenStream {
        match &self.resolve.types[id].kind {
            TypeDefKind::Option(inner) => {
                let inner = self.ty(inner, form);
                quote!(::core::option::Option<#inner>)
            }
            TypeDefKind::List(inner) if form == Form::Borrowed && behind_aliases(self.resolve, inner) == Type::U8 => {
                quote!(&'a [u8])
            }
            TypeDefKind::List(inner) => {
                let inner = self.ty(inner, form);
                quote!(::std::vec::Vec<#inner>)
            }
            TypeDefKind::Tuple(tuple) => {
                let types = tuple.types.iter().map(|ty| self.ty(ty, form));
                quote!((#(#types,)*))
            }
            TypeDefKind::Result(result) => {
                let side = |ty: &Option<Type>| ty.map_or(quote!(()), |ty| self.ty(&ty, form));
                let (ok, err) = (side(&result.ok), side(&result.err));
                quote!(::core::result::Result<#ok, #err>)
            }
            TypeDefKind::Type(ty) => self.ty(ty, form),
            // `event::check` lets nothing else through.
            _ => quote!(()),
        }
    }

    /// Whether the borrowed form differs from the owned one.
    pub(crate) fn borrows(&self, ty: &Type) -> bool {
        match behind_aliases(self.resolve, ty) {
            Type::String => true,
            Type::Id(id) => match &self.resolve.types[id].kind {
                TypeDefKind::List(inner) if behind_aliases(self.resolve, inner) == Type::U8 => true,
                kind => mentioned(kind).iter().any(|ty| self.borrows(ty)),
            },
            _ => false,
        }
    }

    /// What the type is called, in WIT's form. One that is called `event` would
    /// say nothing in Rust, and gets the name of its package.
    pub(crate) fn wit_name(&self, id: TypeId) -> String {
        let definition = &self.resolve.types[id];
        let name = definition.name.clone().unwrap_or_default();
        match definition.owner {
            TypeOwner::Interface(interface) if name == "event" => {
                let interface = &self.resolve.interfaces[interface];
                let package =
                    interface.package.map(|id| self.resolve.packages[id].name.name.clone()).unwrap_or_default();
                if interface.types.contains_key(&package) { format!("{package}-event") } else { package }
            }
            _ => name,
        }
    }

    /// Whether a type is named through: it has no name, or is `type event = …` of
    /// a type that has one.
    fn is_transparent(&self, id: TypeId) -> bool {
        let definition = &self.resolve.types[id];
        match definition.name.as_deref() {
            None => true,
            Some(name) => name == "event" && matches!(definition.kind, TypeDefKind::Type(Type::Id(_))),
        }
    }

    /// The module's name within `events`: `stellar:ledger/event@1.0.0` →
    /// `stellar_ledger`, with the major where there are several of it.
    pub(crate) fn module_ident(&self, interface: InterfaceId) -> Ident {
        let definition = &self.resolve.interfaces[interface];
        let Some(id) = definition.package else { return value_ident("world") };
        let package = &self.resolve.packages[id].name;
        let mut name = format!("{}-{}", package.namespace, package.name);
        if let Some(interface) = definition.name.as_deref().filter(|name| *name != "event") {
            name.push('-');
            name.push_str(interface);
        }
        let others = self
            .resolve
            .packages
            .iter()
            .filter(|(_, other)| other.name.namespace == package.namespace && other.name.name == package.name);
        if let (2.., Some(version)) = (others.count(), &package.version) {
            name.push_str(&format!("-v{}-{}-{}", version.major, version.minor, version.patch));
        }
        value_ident(&name)
    }

    fn reach(&self, id: TypeId, ids: &mut BTreeSet<TypeId>) {
        if self.resolve.types[id].name.is_some() && !ids.insert(id) {
            return;
        }
        for ty in mentioned(&self.resolve.types[id].kind) {
            if let Type::Id(id) = ty {
                self.reach(id, ids);
            }
        }
    }

    fn definition(&self, id: TypeId) -> TokenStream {
        let definition = &self.resolve.types[id];
        if self.is_transparent(id) {
            return TokenStream::new();
        }
        let wit_name = &self.wit_name(id);
        let docs = doc(&definition.docs);
        let borrows = self.borrows(&Type::Id(id));
        let one = |form: Form| -> TokenStream {
            let (name, generics) = match form {
                Form::Owned => (type_ident(wit_name), quote!()),
                Form::Borrowed => (ref_ident(wit_name), quote!(<'a>)),
            };
            let docs = match form {
                Form::Owned => docs.clone(),
                Form::Borrowed => {
                    let owned = format!(" [`{}`] borrowed from its payload.", type_ident(wit_name));
                    quote!(#[doc = #owned])
                }
            };
            let derives = self.derives(id, form);
            match &definition.kind {
                TypeDefKind::Record(record) => {
                    let fields = record.fields.iter().map(|field| {
                        let (docs, name, ty) = (doc(&field.docs), value_ident(&field.name), self.ty(&field.ty, form));
                        quote!(#docs pub #name: #ty,)
                    });
                    quote!(#docs #derives pub struct #name #generics { #(#fields)* })
                }
                TypeDefKind::Variant(variant) => {
                    let cases = variant.cases.iter().map(|case| {
                        let (docs, name) = (doc(&case.docs), type_ident(&case.name));
                        let payload = case.ty.map(|ty| self.ty(&ty, form)).map(|ty| quote!((#ty)));
                        quote!(#docs #name #payload,)
                    });
                    quote!(#docs #derives pub enum #name #generics { #(#cases)* })
                }
                TypeDefKind::Enum(enumeration) => {
                    let cases = enumeration.cases.iter().map(|case| {
                        let (docs, name) = (doc(&case.docs), type_ident(&case.name));
                        quote!(#docs #name,)
                    });
                    quote!(#docs #derives pub enum #name { #(#cases)* })
                }
                _ => {
                    let ty = self.structural(id, form);
                    quote!(#docs pub type #name #generics = #ty;)
                }
            }
        };
        let owned = one(Form::Owned);
        let borrowed = borrows.then(|| one(Form::Borrowed));
        let code = self.code(id, borrows);
        quote!(#owned #borrowed #code)
    }

    fn derives(&self, id: TypeId, form: Form) -> TokenStream {
        let ty = Type::Id(id);
        if matches!(self.resolve.types[id].kind, TypeDefKind::Enum(_)) {
            return quote!(#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]);
        }
        let copy = (form == Form::Borrowed && !self.allocates(&ty, form) || !self.allocates(&ty, Form::Owned))
            .then(|| quote!(Copy,));
        let eq = (!self.has_float(&ty)).then(|| quote!(Eq, Hash,));
        quote!(#[derive(Debug, Clone, #copy PartialEq, #eq)])
    }

    /// Whether a value of the type owns memory.
    fn allocates(&self, ty: &Type, form: Form) -> bool {
        match behind_aliases(self.resolve, ty) {
            Type::String => form == Form::Owned,
            Type::Id(id) => match &self.resolve.types[id].kind {
                TypeDefKind::List(inner) => form == Form::Owned || behind_aliases(self.resolve, inner) != Type::U8,
                kind => mentioned(kind).iter().any(|ty| self.allocates(ty, form)),
            },
            _ => false,
        }
    }

    fn has_float(&self, ty: &Type) -> bool {
        match behind_aliases(self.resolve, ty) {
            Type::F32 | Type::F64 => true,
            Type::Id(id) => mentioned(&self.resolve.types[id].kind).iter().any(|ty| self.has_float(ty)),
            _ => false,
        }
    }
}

/// WIT docs as Rust docs.
pub(crate) fn doc(docs: &Docs) -> TokenStream {
    let lines = docs.contents.iter().flat_map(|text| text.lines()).map(|line| format!(" {line}"));
    quote!(#(#[doc = #lines])*)
}
