//! The author's settings: a struct, as a WIT record with docs and defaults.
//!
//! A field with a default, or an `Option`, becomes `option<…>` in WIT, so that it
//! may be left out.

mod convert;
mod read;

use proc_macro2::{Ident, TokenStream};

pub(crate) use self::read::{EventEnums, docs};

/// The settings and the types they are made of.
pub(crate) struct Config {
    /// The settings' struct first, then those it holds.
    pub(crate) records: Vec<Record>,
    pub(crate) enums: Vec<Enumeration>,
}

/// A struct.
pub(crate) struct Record {
    pub(crate) ident: Ident,
    /// Its name in WIT; the settings' is `config` whatever it is called in Rust.
    pub(crate) wit: String,
    pub(crate) docs: String,
    pub(crate) fields: Vec<Field>,
}

/// An enum without values.
pub(crate) struct Enumeration {
    /// How the glue names it, from a module within the author's.
    pub(crate) path: TokenStream,
    pub(crate) wit: String,
    pub(crate) docs: String,
    /// Rust name, WIT name and docs of each case.
    pub(crate) cases: Vec<(Ident, String, String)>,
}

/// A field of a struct.
pub(crate) struct Field {
    pub(crate) ident: Ident,
    pub(crate) wit: String,
    pub(crate) docs: String,
    pub(crate) ty: Ty,
    pub(crate) default: Option<Preset>,
}

/// A default, for the manifest and for the code.
pub(crate) struct Preset {
    pub(crate) json: serde_json::Value,
    pub(crate) code: TokenStream,
}

/// What a setting can be.
#[derive(Clone)]
pub(crate) enum Ty {
    /// Rust and WIT name of a type that is the same in both.
    Plain(&'static str),
    Option(Box<Ty>),
    List(Box<Ty>),
    /// WIT name of a struct or enum.
    Named {
        wit: String,
        is_enum: bool,
    },
}

impl Config {
    /// Whether there is anything to set. WIT has no empty records.
    pub(crate) fn is_empty(&self) -> bool {
        self.records.first().is_none_or(|record| record.fields.is_empty())
    }

    /// The interface `config` of the world.
    pub(crate) fn wit(&self) -> String {
        let mut text = String::from("  export config: interface {\n");
        for enumeration in &self.enums {
            let cases: Vec<String> = enumeration.cases.iter().map(|(_, wit, _)| format!("%{wit}")).collect();
            text.push_str(&format!("    enum %{} {{ {} }}\n", enumeration.wit, cases.join(", ")));
        }
        for record in self.records.iter().rev() {
            let fields: Vec<String> = record
                .fields
                .iter()
                .map(|field| {
                    let ty = field.ty.wit();
                    if field.default.is_some() {
                        format!("%{}: option<{ty}>", field.wit)
                    } else {
                        format!("%{}: {ty}", field.wit)
                    }
                })
                .collect();
            text.push_str(&format!("    record %{} {{ {} }}\n", record.wit, fields.join(", ")));
        }
        text.push_str("    configure: func(c: config) -> result<_, string>;\n  }\n");
        text
    }
}

impl Ty {
    fn wit(&self) -> String {
        match self {
            Self::Plain(rust) => match *rust {
                "String" => "string".to_owned(),
                "i8" | "i16" | "i32" | "i64" => rust.replace('i', "s"),
                same => same.to_owned(),
            },
            Self::Option(inner) => format!("option<{}>", inner.wit()),
            Self::List(inner) => format!("list<{}>", inner.wit()),
            Self::Named { wit, .. } => format!("%{wit}"),
        }
    }
}
