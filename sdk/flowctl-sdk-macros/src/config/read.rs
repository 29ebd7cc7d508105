//! Reads the author's structs and enums.

use proc_macro2::Ident;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, ExprLit, Fields, GenericArgument, Item, Lit, PathArguments, Type, UnOp};

use super::{Config, Enumeration, Field, Preset, Record, Ty};
use crate::module::structure;
use crate::names::kebab;

/// Enums of the event types, which settings may use by name: Rust name, path
/// from the glue, and the cases' Rust and WIT names.
pub(crate) type EventEnums = Vec<(String, proc_macro2::TokenStream, Vec<(Ident, String)>)>;

const SUPPORTED: &str = "a setting is a `bool`, `u8` to `u64`, `i8` to `i64`, `f32`, `f64`, `char`, `String`, \
    `Option<…>` or `Vec<…>` of these, or a struct or an enum without values that stands in this module";

/// Settings are nested this deep at most.
const MAX_DEPTH: usize = 16;

impl Config {
    /// Reads the struct `name` and what it holds; takes the `#[config(…)]`
    /// attributes away from the items.
    pub(crate) fn read(items: &mut [Item], name: &Ident, event_enums: &EventEnums) -> syn::Result<Self> {
        if structure(items, name).is_none() {
            let message =
                format!("the settings `{name}` must be a struct in this module, because the macro reads its fields");
            return Err(syn::Error::new(name.span(), message));
        }
        let mut reader =
            Reader { items, event_enums, config: Self { records: Vec::new(), enums: Vec::new() }, main: name.clone() };
        reader.record(name, 0)?;
        let config = reader.config;
        for item in items {
            if let Item::Struct(structure) = item {
                for field in &mut structure.fields {
                    field.attrs.retain(|attribute| !attribute.path().is_ident("config"));
                }
            }
        }
        Ok(config)
    }
}

struct Reader<'i> {
    items: &'i [Item],
    event_enums: &'i EventEnums,
    config: Config,
    main: Ident,
}

impl Reader<'_> {
    fn record(&mut self, name: &Ident, depth: usize) -> syn::Result<()> {
        if self.config.records.iter().any(|record| record.ident == *name) {
            return Ok(());
        }
        if depth > MAX_DEPTH {
            return Err(syn::Error::new(name.span(), format!("`{name}` is nested deeper than {MAX_DEPTH} structs")));
        }
        let Some(structure) = structure(self.items, name) else { return Ok(()) };
        if !structure.generics.params.is_empty() {
            return Err(syn::Error::new_spanned(
                &structure.generics,
                "settings cannot have type or lifetime parameters",
            ));
        }
        let fields = match &structure.fields {
            Fields::Named(fields) => fields.named.iter().collect(),
            Fields::Unit => Vec::new(),
            Fields::Unnamed(fields) => {
                return Err(syn::Error::new_spanned(fields, "settings need names: write `struct Config { … }`"));
            }
        };
        let wit = if *name == self.main { "config".to_owned() } else { kebab(name) };
        let index = self.config.records.len();
        let record = Record { ident: name.clone(), wit, docs: docs(&structure.attrs), fields: Vec::new() };
        self.config.records.push(record);
        for field in fields {
            let Some(ident) = &field.ident else { continue };
            let ty = self.ty(&field.ty, depth)?;
            let default = self.default(&field.attrs, &ty)?;
            let read = Field { ident: ident.clone(), wit: kebab(ident), docs: docs(&field.attrs), ty, default };
            self.config.records[index].fields.push(read);
        }
        if index > 0 && self.config.records[index].fields.is_empty() {
            return Err(syn::Error::new(name.span(), format!("`{name}` has no fields: a setting holds something")));
        }
        Ok(())
    }

    fn ty(&mut self, ty: &Type, depth: usize) -> syn::Result<Ty> {
        let unsupported = |hint: &str| syn::Error::new_spanned(ty, format!("{hint}{SUPPORTED}"));
        let Type::Path(path) = ty else { return Err(unsupported("")) };
        let Some(segment) = path.path.segments.last() else { return Err(unsupported("")) };
        let name = segment.ident.to_string();
        let argument = match &segment.arguments {
            PathArguments::AngleBracketed(arguments) => match arguments.args.first() {
                Some(GenericArgument::Type(ty)) if arguments.args.len() == 1 => Some(ty),
                _ => return Err(unsupported("")),
            },
            _ => None,
        };
        const PLAIN: [&str; 13] =
            ["bool", "u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f32", "f64", "char", "String"];
        match (name.as_str(), argument) {
            ("Option", Some(inner)) => {
                let inner = self.ty(inner, depth)?;
                if matches!(inner, Ty::Option(_)) {
                    return Err(unsupported("WIT cannot tell `None` from `Some(None)`; "));
                }
                Ok(Ty::Option(Box::new(inner)))
            }
            ("Vec", Some(inner)) => Ok(Ty::List(Box::new(self.ty(inner, depth)?))),
            (_, Some(_)) => Err(unsupported("")),
            ("usize" | "isize", None) => {
                Err(unsupported("the size of `usize` differs between guest and host, use `u32` or `u64`; "))
            }
            ("u128" | "i128", None) => Err(unsupported("WIT ends at 64 bits, use `String` and parse it in `new`; ")),
            (plain, None) => match PLAIN.iter().find(|known| **known == plain) {
                Some(known) => Ok(Ty::Plain(known)),
                None => self
                    .named(&segment.ident, depth)?
                    .ok_or_else(|| unsupported(&format!("`{name}` is not in this module; "))),
            },
        }
    }

    fn named(&mut self, name: &Ident, depth: usize) -> syn::Result<Option<Ty>> {
        if structure(self.items, name).is_some() {
            if *name == self.main || self.is_open(name) {
                return Err(syn::Error::new(name.span(), format!("`{name}` holds itself")));
            }
            self.record(name, depth + 1)?;
            return Ok(Some(Ty::Named { wit: kebab(name), is_enum: false }));
        }
        let ty = Ty::Named { wit: kebab(name), is_enum: true };
        if self.config.enums.iter().any(|known| known.wit == kebab(name)) {
            return Ok(Some(ty));
        }
        let own = self.items.iter().find_map(|item| match item {
            Item::Enum(enumeration) if enumeration.ident == *name => Some(enumeration),
            _ => None,
        });
        if let Some(enumeration) = own {
            let mut cases = Vec::new();
            for case in &enumeration.variants {
                if !matches!(case.fields, Fields::Unit) {
                    return Err(syn::Error::new_spanned(
                        case,
                        format!("the cases of `{name}` cannot hold values in settings; {SUPPORTED}"),
                    ));
                }
                cases.push((case.ident.clone(), kebab(&case.ident), docs(&case.attrs)));
            }
            if cases.is_empty() {
                return Err(syn::Error::new(name.span(), format!("`{name}` has no cases: a setting holds something")));
            }
            let (wit, docs) = (kebab(name), docs(&enumeration.attrs));
            self.config.enums.push(Enumeration { path: quote!(super::#name), wit, docs, cases });
            return Ok(Some(ty));
        }
        let Some((_, path, cases)) = self.event_enums.iter().find(|(known, ..)| name == known) else { return Ok(None) };
        let cases = cases.iter().map(|(rust, wit)| (rust.clone(), wit.clone(), String::new())).collect();
        self.config.enums.push(Enumeration { path: path.clone(), wit: kebab(name), docs: String::new(), cases });
        Ok(Some(ty))
    }

    /// Whether the struct's fields are still being read, so that it holds itself.
    fn is_open(&self, name: &Ident) -> bool {
        let Some(structure) = structure(self.items, name) else { return false };
        let n_fields = structure.fields.len();
        self.config.records.iter().any(|record| record.ident == *name && record.fields.len() < n_fields)
    }

    fn default(&self, attributes: &[Attribute], ty: &Ty) -> syn::Result<Option<Preset>> {
        let mut preset = None;
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("config")) {
            attribute.parse_nested_meta(|meta| {
                if !meta.path.is_ident("default") {
                    return Err(meta.error("there is only `#[config(default = …)]`"));
                }
                let expression: Expr = meta.value()?.parse()?;
                if matches!(ty, Ty::Option(_)) {
                    return Err(syn::Error::new(
                        expression.span(),
                        "an `Option` that is left out is `None`: for a default, drop the `Option`",
                    ));
                }
                preset = Some(self.preset(&expression, ty)?);
                Ok(())
            })?;
        }
        Ok(preset)
    }

    fn preset(&self, expression: &Expr, ty: &Ty) -> syn::Result<Preset> {
        let mismatch = |what: &str| {
            syn::Error::new_spanned(
                expression,
                format!(
                    "this default is no {what}: write a literal of the field's type, since the manifest repeats it"
                ),
            )
        };
        match ty {
            Ty::Plain(plain) => plain_preset(expression, plain).ok_or_else(|| mismatch(plain)),
            Ty::List(inner) => {
                let Expr::Array(array) = expression else { return Err(mismatch("list like `[1, 2]`")) };
                let elements =
                    array.elems.iter().map(|element| self.preset(element, inner)).collect::<syn::Result<Vec<_>>>()?;
                let code = elements.iter().map(|element| &element.code);
                let code = quote!(::std::vec![#(#code),*]);
                Ok(Preset { json: elements.into_iter().map(|element| element.json).collect(), code })
            }
            Ty::Named { wit, is_enum: true } => {
                let Expr::Path(path) = expression else { return Err(mismatch("case of the enum")) };
                let enumeration = self.config.enums.iter().find(|known| known.wit == *wit);
                let case = path
                    .path
                    .segments
                    .last()
                    .and_then(|last| enumeration?.cases.iter().find(|(rust, ..)| last.ident == *rust));
                let (Some(enumeration), Some((rust, wit, _))) = (enumeration, case) else {
                    return Err(mismatch("case of the enum"));
                };
                let path = &enumeration.path;
                Ok(Preset { json: wit.as_str().into(), code: quote!(#path::#rust) })
            }
            Ty::Named { is_enum: false, .. } => Err(syn::Error::new_spanned(
                expression,
                "a struct has no default: give its fields defaults, or use `Option`",
            )),
            Ty::Option(_) => Err(mismatch("option")),
        }
    }
}

fn plain_preset(expression: &Expr, plain: &str) -> Option<Preset> {
    let (literal, is_negative) = match expression {
        Expr::Lit(ExprLit { lit, .. }) => (lit, false),
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => match &*unary.expr {
            Expr::Lit(ExprLit { lit, .. }) => (lit, true),
            _ => return None,
        },
        _ => return None,
    };
    let json = match (plain, literal) {
        ("bool", Lit::Bool(value)) if !is_negative => value.value.into(),
        ("char", Lit::Char(value)) if !is_negative => value.value().to_string().into(),
        ("String", Lit::Str(value)) if !is_negative => {
            let text = value.value();
            return Some(Preset { json: text.as_str().into(), code: quote!(::std::string::String::from(#text)) });
        }
        ("f32" | "f64", Lit::Float(value)) => signed(value.base10_parse::<f64>().ok()?, is_negative).into(),
        ("f32" | "f64", Lit::Int(value)) => {
            let float = signed(value.base10_parse::<f64>().ok()?, is_negative);
            return Some(Preset {
                json: float.into(),
                code: if plain == "f32" {
                    let float = float as f32;
                    quote!(#float)
                } else {
                    quote!(#float)
                },
            });
        }
        (integer, Lit::Int(value)) if integer.starts_with('u') && !is_negative => {
            value.base10_parse::<u64>().ok()?.into()
        }
        (integer, Lit::Int(value)) if integer.starts_with('i') => {
            let magnitude = value.base10_parse::<i128>().ok()?;
            i64::try_from(if is_negative { -magnitude } else { magnitude }).ok()?.into()
        }
        _ => return None,
    };
    Some(Preset { json, code: quote!(#expression) })
}

fn signed(value: f64, is_negative: bool) -> f64 {
    if is_negative { -value } else { value }
}

/// The text of the doc comments.
pub(crate) fn docs(attributes: &[Attribute]) -> String {
    let mut lines = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        if let syn::Meta::NameValue(pair) = &attribute.meta
            && let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &pair.value
        {
            let text = text.value();
            lines.push(text.strip_prefix(' ').unwrap_or(&text).trim_end().to_owned());
        }
    }
    lines.join("\n").trim().to_owned()
}
