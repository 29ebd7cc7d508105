//! The input or the output of a processor: one event type, or several as an enum.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

use crate::event::EventType;
use crate::names::{ref_ident, type_ident};
use crate::rust_types::{Form, RustTypes};

/// The declared types of one side.
pub(crate) struct Set<'e> {
    pub(crate) events: &'e [EventType],
    /// What the enum is called where there are several: `Event` or `Output`.
    enum_name: &'static str,
}

/// The author's `fn key`.
pub(crate) struct Key {
    /// The processor's struct.
    pub(crate) processor: Ident,
    /// Which form of the event it takes.
    pub(crate) form: Form,
}

impl<'e> Set<'e> {
    pub(crate) fn input(events: &'e [EventType]) -> Self {
        Self { events, enum_name: "Event" }
    }

    pub(crate) fn output(events: &'e [EventType]) -> Self {
        Self { events, enum_name: "Output" }
    }

    /// The only type, where there is one.
    pub(crate) fn single(&self) -> Option<&'e EventType> {
        match self.events {
            [event] => Some(event),
            _ => None,
        }
    }

    /// What the author calls the owned form: `Order`, or `Event`.
    pub(crate) fn owned_name(&self) -> String {
        self.single().map_or_else(|| self.enum_name.to_owned(), |event| type_ident(&event.rust_name).to_string())
    }

    /// What the author calls the borrowed form: `OrderRef`, or `EventRef`.
    pub(crate) fn borrowed_name(&self) -> String {
        self.single().map_or_else(|| format!("{}Ref", self.enum_name), |event| ref_ident(&event.rust_name).to_string())
    }

    /// The Rust type of the set.
    pub(crate) fn ty(&self, types: &RustTypes<'_>) -> TokenStream {
        match self.single() {
            Some(event) => owned(types, event),
            None => {
                let name = Ident::new(self.enum_name, Span::call_site());
                quote!(self::#name)
            }
        }
    }

    /// The names of the cases in WIT: the types' names, made different by their
    /// packages where they are equal.
    pub(crate) fn case_names(&self) -> Vec<String> {
        let names = |long: &dyn Fn(&EventType) -> String| self.events.iter().map(long).collect::<Vec<_>>();
        let are_distinct = |names: &[String]| (1..names.len()).all(|i| !names[..i].contains(&names[i]));
        let candidates = [
            names(&|event| event.rust_name.clone()),
            names(&|event| event.package_name.name.clone()),
            names(&|event| format!("{}-{}", event.package_name.namespace, event.package_name.name)),
            names(&|event| event.name.replace('.', "-")),
        ];
        candidates
            .into_iter()
            .find(|names| are_distinct(names))
            .unwrap_or_else(|| names(&|event| event.name.replace('.', "-")))
    }

    /// The enum of several types, owned and borrowed; nothing for one.
    pub(crate) fn enums(&self, types: &RustTypes<'_>) -> TokenStream {
        if self.single().is_some() {
            return TokenStream::new();
        }
        let cases: Vec<Ident> = self.case_names().iter().map(|name| type_ident(name)).collect();
        let docs: Vec<String> = self.events.iter().map(|event| format!(" `{}`.", event.name)).collect();
        let kinds: Vec<u32> = (0..).take(cases.len()).collect();
        let one = |name: &str, form: Form| {
            let name = Ident::new(name, Span::call_site());
            let payloads = self.events.iter().map(|event| path(types, event, form));
            let generics = (form == Form::Borrowed).then(|| quote!(<'a>));
            let lines = match form {
                Form::Owned => " One event of several types.",
                Form::Borrowed => " One event of several types, borrowed from its payload.",
            };
            quote! {
                #[doc = #lines]
                #[derive(Debug, Clone, PartialEq)]
                #[allow(dead_code, unreachable_pub, clippy::all)]
                pub enum #name #generics { #(#[doc = #docs] #cases(#payloads),)* }
                impl<'a> ::flowctl_sdk::FromPayload<'a> for #name #generics {
                    #[inline]
                    fn from_payload(
                        kind: u32,
                        payload: &'a [u8],
                    ) -> ::core::result::Result<Self, ::flowctl_sdk::codec::DecodeError> {
                        match kind {
                            #(#kinds => ::flowctl_sdk::FromPayload::from_payload(0, payload).map(Self::#cases),)*
                            other => ::core::result::Result::Err(
                                ::flowctl_sdk::codec::DecodeError::unknown_case("event", other)
                            ),
                        }
                    }
                }
            }
        };
        let owned = one(self.enum_name, Form::Owned);
        let has_borrowed = self.events.iter().any(|event| is_borrowing(types, event));
        let borrowed = if has_borrowed {
            one(&self.borrowed_name(), Form::Borrowed)
        } else {
            let (name, owned) =
                (Ident::new(&self.borrowed_name(), Span::call_site()), Ident::new(self.enum_name, Span::call_site()));
            quote!(#[allow(dead_code, unreachable_pub)] #[doc = " The events hold nothing to borrow."] pub type #name<'a> = #owned;)
        };
        let name = Ident::new(self.enum_name, Span::call_site());
        quote! {
            #owned
            #borrowed
            impl ::flowctl_sdk::Emit<#name> for #name {
                #[inline]
                fn kind(&self) -> u32 { match self { #(Self::#cases(_) => #kinds,)* } }
                #[inline]
                fn write_payload(&self, out: &mut ::std::vec::Vec<u8>) {
                    match self { #(Self::#cases(event) => {
                        ::flowctl_sdk::__private::write_payload(event, out)
                    })* }
                }
            }
        }
    }

    /// `Emit` of each type into this set. Opaque types come as bytes, where they
    /// can be told apart.
    pub(crate) fn emits(&self, types: &RustTypes<'_>, key: Option<&Key>) -> TokenStream {
        let set = self.ty(types);
        let n_opaque = self.events.iter().filter(|event| event.is_opaque()).count();
        let mut all = TokenStream::new();
        for (kind, event) in (0u32..).zip(self.events) {
            let payloads = match event.definition {
                // The SDK implements it where the set is the opaque type itself.
                None if self.single().is_some() || n_opaque > 1 => Vec::new(),
                None => vec![(quote!(::std::vec::Vec<u8>), Form::Owned), (quote!([u8]), Form::Borrowed)],
                Some(_) if is_borrowing(types, event) => {
                    vec![
                        (path(types, event, Form::Owned), Form::Owned),
                        (path(types, event, Form::Borrowed), Form::Borrowed),
                    ]
                }
                Some(_) => vec![(path(types, event, Form::Owned), Form::Owned)],
            };
            for (payload, form) in payloads {
                let generics = (form == Form::Borrowed && !event.is_opaque()).then(|| quote!(<'a>));
                let write_key = key.map(|key| {
                    let body = key.body(form, is_borrowing(types, event));
                    quote! {
                        #[inline]
                        fn write_key(&self, out: &mut ::std::vec::Vec<u8>) -> bool { #body }
                    }
                });
                all.extend(quote! {
                    impl #generics ::flowctl_sdk::Emit<#set> for #payload {
                        #[inline]
                        fn kind(&self) -> u32 { #kind }
                        #[inline]
                        fn write_payload(&self, out: &mut ::std::vec::Vec<u8>) {
                            ::flowctl_sdk::__private::write_payload(self, out)
                        }
                        #write_key
                    }
                });
            }
        }
        all
    }

    /// `Passthrough`, where every input type is among these outputs.
    pub(crate) fn passthrough(&self, input: &Set<'_>, types: &RustTypes<'_>, key: Option<&Key>) -> TokenStream {
        if self.single().is_some_and(EventType::is_opaque) {
            return TokenStream::new();
        }
        let kind_of = |event: &EventType| self.events.iter().position(|own| own.package == event.package);
        let Some(kinds) = input.events.iter().map(kind_of).collect::<Option<Vec<_>>>() else {
            return TokenStream::new();
        };
        let set = self.ty(types);
        let (from, to): (Vec<u32>, Vec<u32>) =
            kinds.iter().enumerate().map(|(from, to)| (from as u32, *to as u32)).unzip();
        let write_key = key.zip(self.single()).map(|(key, event)| {
            let processor = &key.processor;
            let form = path(types, event, key.form);
            let allow = (key.form == Form::Borrowed && is_borrowing(types, event)).then(|| quote!(<'a>));
            quote! {
                #[inline]
                fn write_key(_kind: u32, payload: &[u8], out: &mut ::std::vec::Vec<u8>) -> bool {
                    #[inline]
                    fn decode #allow (payload: &'a [u8]) -> ::core::option::Option<#form> {
                        ::flowctl_sdk::codec::from_bytes(payload).ok()
                    }
                    match decode(payload) {
                        ::core::option::Option::Some(event) => {
                            out.extend_from_slice(::core::convert::AsRef::<[u8]>::as_ref(&#processor::key(&event)));
                            true
                        }
                        ::core::option::Option::None => false,
                    }
                }
            }
        });
        quote! {
            impl ::flowctl_sdk::Passthrough for #set {
                #[inline]
                fn output_kind(input_kind: u32) -> u32 {
                    match input_kind { #(#from => #to,)* other => other }
                }
                #write_key
            }
        }
    }
}

impl Key {
    /// The body of `write_key(&self, out)` for an event of the given form.
    fn body(&self, form: Form, has_borrowed: bool) -> TokenStream {
        let processor = &self.processor;
        let event = match (form, self.form) {
            _ if !has_borrowed => quote!(self),
            (Form::Owned, Form::Owned) | (Form::Borrowed, Form::Borrowed) => quote!(self),
            (Form::Owned, Form::Borrowed) => quote!(&self.borrowed()),
            (Form::Borrowed, Form::Owned) => quote!(&::core::clone::Clone::clone(self).into_owned()),
        };
        quote! {
            out.extend_from_slice(::core::convert::AsRef::<[u8]>::as_ref(&#processor::key(#event)));
            true
        }
    }
}

/// Whether its borrowed form is a type of its own.
fn is_borrowing(types: &RustTypes<'_>, event: &EventType) -> bool {
    event.definition.is_none_or(|id| types.borrows(&wit_parser::Type::Id(id)))
}

fn owned(types: &RustTypes<'_>, event: &EventType) -> TokenStream {
    path(types, event, Form::Owned)
}

/// The borrowed form has the lifetime `'a`.
fn path(types: &RustTypes<'_>, event: &EventType, form: Form) -> TokenStream {
    match (event.definition, form) {
        (Some(id), form) => types.path(id, form),
        (None, Form::Owned) => quote!(::std::vec::Vec<u8>),
        (None, Form::Borrowed) => quote!(&'a [u8]),
    }
}
