//! Types of events and of configuration fields: a tree that mirrors WIT.
//!
//! Invariant: a tree holds at most [`MAX_NODES`] types, nests at most [`MAX_DEPTH`]
//! deep, and has no type whose payload is empty, so that walking one is cheap and a
//! payload of `n` bytes holds at most `n` values. Flags, resources, handles, nested
//! options and the like never get this far.

use std::fmt;
use std::sync::Arc;

/// Deepest nesting of types in one event type.
pub(crate) const MAX_DEPTH: usize = 32;
/// Most types in one event type, a type that is used twice counted twice.
pub(crate) const MAX_NODES: usize = 10_000;

/// The type of a value. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub enum Type {
    /// `bool`
    Bool,
    /// `u8`
    U8,
    /// `s8`
    S8,
    /// `u16`
    U16,
    /// `s16`
    S16,
    /// `u32`
    U32,
    /// `s32`
    S32,
    /// `u64`
    U64,
    /// `s64`
    S64,
    /// `f32`
    F32,
    /// `f64`
    F64,
    /// `char`
    Char,
    /// `string`
    String,
    /// `list<u8>`
    Bytes,
    /// `list<T>`
    List(Arc<Type>),
    /// `option<T>`; `T` is no option.
    Option(Arc<Type>),
    /// `result<T, E>`, either of which may be left out.
    Result {
        /// What success carries.
        ok: Option<Arc<Type>>,
        /// What failure carries.
        err: Option<Arc<Type>>,
    },
    /// `tuple<…>`, of one type at least.
    Tuple(Arc<[Type]>),
    /// `record`
    Record(Arc<Record>),
    /// `variant`
    Variant(Arc<Variant>),
    /// `enum`
    Enum(Arc<EnumType>),
}

/// A record, of one field at least.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its name in WIT, such as `token-transfer`.
    pub name: String,
    /// Its doc comment, where known.
    pub docs: Option<String>,
    /// Its fields in order.
    pub fields: Vec<Field>,
}

/// One field of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name in WIT, such as `tx-hash`.
    pub name: String,
    /// Its name in JSON, YAML and SQL, such as `tx_hash`.
    pub snake_name: String,
    /// Its doc comment, where known.
    pub docs: Option<String>,
    /// Its type.
    pub ty: Type,
}

/// A variant, of one case at least.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// Its name in WIT.
    pub name: String,
    /// Its doc comment, where known.
    pub docs: Option<String>,
    /// Its cases in order.
    pub cases: Vec<Case>,
}

/// One case of a variant.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Its name in WIT.
    pub name: String,
    /// Its name in JSON, YAML and SQL: snake case.
    pub snake_name: String,
    /// Its doc comment, where known.
    pub docs: Option<String>,
    /// What it carries, where it carries something.
    pub ty: Option<Type>,
}

/// An enum, of one case at least.
#[derive(Debug, Clone, PartialEq)]
pub struct EnumType {
    /// Its name in WIT.
    pub name: String,
    /// Its doc comment, where known.
    pub docs: Option<String>,
    /// Its cases in order.
    pub cases: Vec<EnumCase>,
}

/// One case of an enum.
#[derive(Debug, Clone, PartialEq)]
pub struct EnumCase {
    /// Its name in WIT.
    pub name: String,
    /// Its name in JSON, YAML and SQL: snake case.
    pub snake_name: String,
    /// Its doc comment, where known.
    pub docs: Option<String>,
}

impl Type {
    /// Whether a value may be left out: `option<T>`.
    #[must_use]
    pub fn is_option(&self) -> bool {
        matches!(self, Self::Option(_))
    }

    /// The record that this is, looking through an option.
    #[must_use]
    pub fn as_record(&self) -> Option<&Record> {
        match self {
            Self::Record(record) => Some(record),
            Self::Option(inner) => inner.as_record(),
            _ => None,
        }
    }

    /// The name that WIT gives the type, where it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Record(record) => Some(&record.name),
            Self::Variant(variant) => Some(&variant.name),
            Self::Enum(an_enum) => Some(&an_enum.name),
            _ => None,
        }
    }

    /// The type as text that says all of its structure and nothing else: two types
    /// are encoded alike, with the same names of fields and cases, if and only if
    /// their canonical texts are equal. Names of types and docs are left out.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut text = String::new();
        self.write_canonical(&mut text);
        text
    }

    fn write_canonical(&self, text: &mut String) {
        match self {
            Self::List(inner) => wrap(text, "list", [Some(&**inner)]),
            Self::Option(inner) => wrap(text, "option", [Some(&**inner)]),
            Self::Result { ok, err } => wrap(text, "result", [ok.as_deref(), err.as_deref()]),
            Self::Tuple(types) => wrap(text, "tuple", types.iter().map(Some)),
            Self::Record(record) => {
                let fields = record.fields.iter().map(|field| (field.name.as_str(), Some(&field.ty)));
                write_members(text, "record", fields);
            }
            Self::Variant(variant) => {
                let cases = variant.cases.iter().map(|case| (case.name.as_str(), case.ty.as_ref()));
                write_members(text, "variant", cases);
            }
            Self::Enum(an_enum) => {
                write_members(text, "enum", an_enum.cases.iter().map(|case| (case.name.as_str(), None)));
            }
            plain => text.push_str(plain.keyword()),
        }
    }

    /// The word that WIT opens the type with.
    #[must_use]
    pub fn keyword(&self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::U8 => "u8",
            Self::S8 => "s8",
            Self::U16 => "u16",
            Self::S16 => "s16",
            Self::U32 => "u32",
            Self::S32 => "s32",
            Self::U64 => "u64",
            Self::S64 => "s64",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Char => "char",
            Self::String => "string",
            Self::Bytes => "list<u8>",
            Self::List(_) => "list",
            Self::Option(_) => "option",
            Self::Result { .. } => "result",
            Self::Tuple(_) => "tuple",
            Self::Record(_) => "record",
            Self::Variant(_) => "variant",
            Self::Enum(_) => "enum",
        }
    }
}

/// The type as a field's declaration would show it: `list<item>`, `option<u32>`.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(inner) => write!(f, "list<{inner}>"),
            Self::Option(inner) => write!(f, "option<{inner}>"),
            Self::Result { ok: None, err: None } => f.write_str("result"),
            Self::Result { ok: Some(ok), err: None } => write!(f, "result<{ok}>"),
            Self::Result { ok: None, err: Some(err) } => write!(f, "result<_, {err}>"),
            Self::Result { ok: Some(ok), err: Some(err) } => write!(f, "result<{ok}, {err}>"),
            Self::Tuple(types) => {
                f.write_str("tuple<")?;
                for (index, ty) in types.iter().enumerate() {
                    write!(f, "{}{ty}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str(">")
            }
            named => f.write_str(named.name().unwrap_or(named.keyword())),
        }
    }
}

/// The name of a field or case in JSON, YAML and SQL.
pub(crate) fn snake_case(name: &str) -> String {
    name.replace('-', "_").to_ascii_lowercase()
}

fn wrap<'a>(text: &mut String, keyword: &str, types: impl IntoIterator<Item = Option<&'a Type>>) {
    text.push_str(keyword);
    for (index, ty) in types.into_iter().enumerate() {
        text.push(if index == 0 { '<' } else { ',' });
        match ty {
            Some(ty) => ty.write_canonical(text),
            None => text.push('_'),
        }
    }
    text.push('>');
}

fn write_members<'a>(text: &mut String, keyword: &str, members: impl Iterator<Item = (&'a str, Option<&'a Type>)>) {
    text.push_str(keyword);
    for (index, (name, ty)) in members.enumerate() {
        text.push(if index == 0 { '{' } else { ',' });
        text.push_str(name);
        if let Some(ty) = ty {
            text.push(':');
            ty.write_canonical(text);
        }
    }
    text.push('}');
}
