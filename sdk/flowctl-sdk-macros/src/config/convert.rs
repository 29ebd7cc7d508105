//! From the bindings' structs to the author's.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::{Config, Ty};
use crate::names::{type_ident, value_ident};

impl Config {
    /// One function for each struct and enum; the glue calls `from_config`.
    pub(crate) fn conversions(&self) -> TokenStream {
        let records = self.records.iter().map(|record| {
            let (function, from, to) = (function(&record.wit), type_ident(&record.wit), &record.ident);
            let fields = record.fields.iter().map(|field| {
                let (name, wit) = (&field.ident, value_ident(&field.wit));
                let value = quote!(value.#wit);
                let value = match &field.default {
                    None => convert(&field.ty, &value),
                    Some(preset) => {
                        let (inner, code) = (convert(&field.ty, &quote!(given)), &preset.code);
                        quote!(match #value {
                            ::core::option::Option::Some(given) => #inner,
                            ::core::option::Option::None => #code,
                        })
                    }
                };
                quote!(#name: #value,)
            });
            quote!(fn #function(value: exports::config::#from) -> super::#to { super::#to { #(#fields)* } })
        });
        let enums = self.enums.iter().map(|enumeration| {
            let (function, from, to) = (function(&enumeration.wit), type_ident(&enumeration.wit), &enumeration.path);
            let cases = enumeration.cases.iter().map(|(rust, wit, _)| {
                let wit = type_ident(wit);
                quote!(exports::config::#from::#wit => #to::#rust,)
            });
            quote!(fn #function(value: exports::config::#from) -> #to { match value { #(#cases)* } })
        });
        quote!(#(#records)* #(#enums)*)
    }
}

fn convert(ty: &Ty, value: &TokenStream) -> TokenStream {
    match ty {
        Ty::Plain(_) => value.clone(),
        Ty::Option(inner) => {
            let inner = convert(inner, &quote!(inner));
            quote!(#value.map(|inner| #inner))
        }
        Ty::List(inner) => {
            let inner = convert(inner, &quote!(inner));
            quote!(#value.into_iter().map(|inner| #inner).collect())
        }
        Ty::Named { wit, .. } => {
            let function = function(wit);
            quote!(#function(#value))
        }
    }
}

fn function(wit: &str) -> Ident {
    format_ident!("from_{}", wit.replace('-', "_"))
}
