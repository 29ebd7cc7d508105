//! What the generated types can do: `Encode`, `Decode`, and the way from borrowed
//! to owned and back.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};
use wit_parser::{Type, TypeDefKind, TypeId};

use crate::event::behind_aliases;
use crate::names::{ref_ident, type_ident, value_ident};
use crate::rust_types::{Form, RustTypes};

/// Which way a value is turned.
#[derive(Clone, Copy)]
enum Way {
    /// `Order` → `OrderRef<'a>`, from a place behind a reference.
    ToBorrowed,
    /// `OrderRef<'a>` → `Order`, by value.
    ToOwned,
}

impl RustTypes<'_> {
    /// The implementations for a record, variant or enum; nothing for an alias.
    pub(crate) fn code(&self, id: TypeId, borrows: bool) -> TokenStream {
        let definition = &self.resolve.types[id];
        let wit_name = &self.wit_name(id);
        let is_alias =
            !matches!(definition.kind, TypeDefKind::Record(_) | TypeDefKind::Variant(_) | TypeDefKind::Enum(_));
        if is_alias {
            return TokenStream::new();
        }
        let (owned, borrowed) = (type_ident(wit_name), ref_ident(wit_name));
        let mut code = self.codec(&definition.kind, wit_name, &owned, &quote!());
        if let TypeDefKind::Enum(enumeration) = &definition.kind {
            code.extend(enum_names(&owned, enumeration));
        }
        if borrows {
            code.extend(self.codec(&definition.kind, wit_name, &borrowed, &quote!(<'a>)));
            let (to_borrowed, to_owned) = (
                self.turned(&definition.kind, &borrowed, Way::ToBorrowed),
                self.turned(&definition.kind, &owned, Way::ToOwned),
            );
            code.extend(quote! {
                impl #owned {
                    /// The same, borrowed: lists aside, nothing is copied.
                    #[must_use]
                    pub fn borrowed(&self) -> #borrowed<'_> { #to_borrowed }
                }
                impl<'a> #borrowed<'a> {
                    /// The same with a life of its own.
                    #[must_use]
                    pub fn into_owned(self) -> #owned { #to_owned }
                }
            });
        }
        code
    }

    fn codec(&self, kind: &TypeDefKind, wit_name: &str, name: &Ident, generics: &TokenStream) -> TokenStream {
        let (encode, decode) = match kind {
            TypeDefKind::Record(record) => {
                let names: Vec<&String> = record.fields.iter().map(|field| &field.name).collect();
                let fields: Vec<Ident> = names.iter().map(|name| value_ident(name)).collect();
                (
                    quote!(#(::flowctl_sdk::codec::Encode::encode(&self.#fields, out);)*),
                    quote!(::core::result::Result::Ok(Self {
                        #(#fields: ::flowctl_sdk::codec::Decode::decode(reader).map_err(|error| error.in_field(#names))?,)*
                    })),
                )
            }
            TypeDefKind::Variant(variant) => {
                let cases = variant.cases.iter().enumerate().map(|(index, case)| {
                    let (index, name, label) = (index as u32, type_ident(&case.name), &case.name);
                    match case.ty {
                        None => (
                            quote!(Self::#name => ::flowctl_sdk::codec::Encode::encode(&#index, out),),
                            quote!(#index => ::core::result::Result::Ok(Self::#name),),
                        ),
                        Some(_) => (
                            quote!(Self::#name(value) => {
                                ::flowctl_sdk::codec::Encode::encode(&#index, out);
                                ::flowctl_sdk::codec::Encode::encode(value, out);
                            }),
                            quote!(#index => ::flowctl_sdk::codec::Decode::decode(reader)
                                .map(Self::#name)
                                .map_err(|error| error.in_field(#label)),),
                        ),
                    }
                });
                let (encode, decode): (Vec<_>, Vec<_>) = cases.unzip();
                (quote!(match self { #(#encode)* }), by_case(wit_name, &decode))
            }
            TypeDefKind::Enum(enumeration) => {
                let decode: Vec<_> = enumeration
                    .cases
                    .iter()
                    .enumerate()
                    .map(|(index, case)| {
                        let (index, name) = (index as u32, type_ident(&case.name));
                        quote!(#index => ::core::result::Result::Ok(Self::#name),)
                    })
                    .collect();
                (quote!(::flowctl_sdk::codec::Encode::encode(&(*self as u32), out)), by_case(wit_name, &decode))
            }
            _ => return TokenStream::new(),
        };
        quote! {
            impl #generics ::flowctl_sdk::codec::Encode for #name #generics {
                #[inline]
                fn encode(&self, out: &mut ::std::vec::Vec<u8>) { #encode }
            }
            impl<'a> ::flowctl_sdk::codec::Decode<'a> for #name #generics {
                #[inline]
                fn decode(
                    reader: &mut ::flowctl_sdk::codec::Reader<'a>,
                ) -> ::core::result::Result<Self, ::flowctl_sdk::codec::DecodeError> { #decode }
            }
        }
    }

    /// The body that makes `target` of `self`.
    fn turned(&self, kind: &TypeDefKind, target: &Ident, way: Way) -> TokenStream {
        match kind {
            TypeDefKind::Record(record) => {
                let fields = record.fields.iter().map(|field| {
                    let name = value_ident(&field.name);
                    let place = match way {
                        Way::ToBorrowed => quote!((&self.#name)),
                        Way::ToOwned => quote!(self.#name),
                    };
                    let value = self.turn(&field.ty, &place, way);
                    quote!(#name: #value,)
                });
                quote!(#target { #(#fields)* })
            }
            TypeDefKind::Variant(variant) => {
                let cases = variant.cases.iter().map(|case| {
                    let name = type_ident(&case.name);
                    match case.ty {
                        None => quote!(Self::#name => #target::#name,),
                        Some(ty) => {
                            let value = self.turn(&ty, &quote!(value), way);
                            quote!(Self::#name(value) => #target::#name(#value),)
                        }
                    }
                });
                quote!(match self { #(#cases)* })
            }
            _ => quote!(self),
        }
    }

    /// `place` is a reference for [`Way::ToBorrowed`], a value for
    /// [`Way::ToOwned`].
    fn turn(&self, ty: &Type, place: &TokenStream, way: Way) -> TokenStream {
        if !self.borrows(ty) {
            return match way {
                Way::ToBorrowed => quote!(::core::clone::Clone::clone(#place)),
                Way::ToOwned => quote!(#place),
            };
        }
        let Type::Id(id) = behind_aliases(self.resolve, ty) else {
            return match way {
                Way::ToBorrowed => quote!(#place.as_str()),
                Way::ToOwned => quote!(::std::string::String::from(#place)),
            };
        };
        match &self.resolve.types[id].kind {
            TypeDefKind::List(inner) if behind_aliases(self.resolve, inner) == Type::U8 => match way {
                Way::ToBorrowed => quote!(#place.as_slice()),
                Way::ToOwned => quote!(#place.to_vec()),
            },
            TypeDefKind::List(inner) => {
                let each = self.turn(inner, &quote!(value), way);
                match way {
                    Way::ToBorrowed => quote!(#place.iter().map(|value| #each).collect()),
                    Way::ToOwned => quote!(#place.into_iter().map(|value| #each).collect()),
                }
            }
            TypeDefKind::Option(inner) => {
                let each = self.turn(inner, &quote!(value), way);
                match way {
                    Way::ToBorrowed => quote!(#place.as_ref().map(|value| #each)),
                    Way::ToOwned => quote!(#place.map(|value| #each)),
                }
            }
            TypeDefKind::Result(result) => {
                let side = |ty: &Option<Type>| ty.map_or(quote!(()), |ty| self.turn(&ty, &quote!(value), way));
                let (ok, err) = (side(&result.ok), side(&result.err));
                quote!(match #place {
                    ::core::result::Result::Ok(value) => ::core::result::Result::Ok({ let _ = &value; #ok }),
                    ::core::result::Result::Err(value) => ::core::result::Result::Err({ let _ = &value; #err }),
                })
            }
            TypeDefKind::Tuple(tuple) => {
                let names: Vec<Ident> = (0..tuple.types.len()).map(|index| format_ident!("part_{index}")).collect();
                let parts = tuple.types.iter().zip(&names).map(|(ty, name)| self.turn(ty, &quote!(#name), way));
                quote!({ let (#(#names,)*) = #place; (#(#parts,)*) })
            }
            _ => match way {
                Way::ToBorrowed => quote!(#place.borrowed()),
                Way::ToOwned => quote!(#place.into_owned()),
            },
        }
    }

    /// `FromPayload` and `Event` for the type of an event.
    pub(crate) fn event_impls(&self, id: TypeId, event_type: &str) -> TokenStream {
        let wit_name = &self.wit_name(id);
        let forms = [Form::Owned, Form::Borrowed];
        let forms = forms.iter().filter(|form| **form == Form::Owned || self.borrows(&Type::Id(id)));
        let impls = forms.map(|form| {
            let path = self.path(id, *form);
            quote! {
                impl<'a> ::flowctl_sdk::FromPayload<'a> for #path {
                    #[inline]
                    fn from_payload(
                        _kind: u32,
                        payload: &'a [u8],
                    ) -> ::core::result::Result<Self, ::flowctl_sdk::codec::DecodeError> {
                        ::flowctl_sdk::codec::from_bytes(payload)
                    }
                }
                impl<'a> ::flowctl_sdk::__private::Payload for #path {
                    #[inline]
                    fn write(&self, out: &mut ::std::vec::Vec<u8>) {
                        ::flowctl_sdk::codec::Encode::encode(self, out)
                    }
                }
            }
        });
        let owned = self.path(id, Form::Owned);
        // A type without text or bytes is its own borrowed form.
        let alias = (!self.borrows(&Type::Id(id))).then(|| {
            let (name, borrowed) = (type_ident(wit_name), ref_ident(wit_name));
            let docs = format!(" [`{name}`]: it holds nothing to borrow.");
            quote!(#[doc = #docs] #[allow(dead_code, unreachable_pub)] pub type #borrowed<'a> = #owned;)
        });
        quote! {
            #(#impls)*
            impl ::flowctl_sdk::Event for #owned {
                const TYPE: &'static str = #event_type;
            }
            #alias
        }
    }

    /// The type as named from beside the module `events`; the borrowed form has
    /// the lifetime `'a`.
    pub(crate) fn path(&self, id: TypeId, form: Form) -> TokenStream {
        let definition = &self.resolve.types[id];
        let wit_name = &self.wit_name(id);
        let wit_parser::TypeOwner::Interface(interface) = definition.owner else { return quote!(()) };
        let module = self.module_ident(interface);
        match form {
            Form::Borrowed if self.borrows(&Type::Id(id)) => {
                let name = ref_ident(wit_name);
                quote!(self::events::#module::#name<'a>)
            }
            _ => {
                let name = type_ident(wit_name);
                quote!(self::events::#module::#name)
            }
        }
    }
}

fn by_case(wit_name: &str, cases: &[TokenStream]) -> TokenStream {
    quote! {
        match <u32 as ::flowctl_sdk::codec::Decode>::decode(reader)? {
            #(#cases)*
            other => ::core::result::Result::Err(::flowctl_sdk::codec::DecodeError::unknown_case(#wit_name, other)),
        }
    }
}

fn enum_names(name: &Ident, enumeration: &wit_parser::Enum) -> TokenStream {
    let cases: Vec<Ident> = enumeration.cases.iter().map(|case| type_ident(&case.name)).collect();
    let names: Vec<&String> = enumeration.cases.iter().map(|case| &case.name).collect();
    let n_cases = proc_macro2::Literal::usize_unsuffixed(cases.len());
    let span = Span::call_site();
    let all = Ident::new("ALL", span);
    quote! {
        impl #name {
            /// Every case, in order.
            pub const #all: [Self; #n_cases] = [#(Self::#cases),*];

            /// The case's name in WIT.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { #(Self::#cases => #names),* }
            }
        }
        impl ::core::fmt::Display for #name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    }
}
