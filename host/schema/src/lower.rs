//! Makes a [`Type`] out of definitions, wherever these come from: WIT text or a
//! component's bytes.
//!
//! Invariant: the limits that [`Type`] promises are enforced here and only here, so
//! definitions that refer to each other a thousandfold cost no more than
//! [`MAX_NODES`] steps.

use std::collections::HashSet;
use std::sync::Arc;

use crate::ty::{MAX_DEPTH, MAX_NODES, snake_case};
use crate::{Case, EnumCase, EnumType, Field, Record, Type, Variant};

/// Longest name of a field or case, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// One definition, one level deep.
pub(crate) enum Definition<Id> {
    /// A type without parts.
    Plain(Type),
    /// Another name for a type.
    Alias(Id),
    List(Id),
    Option(Id),
    Result(Option<Id>, Option<Id>),
    Tuple(Vec<Id>),
    Record(Named<Id>),
    Variant(Named<Id>),
    Enum(Named<Id>),
    /// What has no place in an event, by the word that WIT opens it with.
    Refused(&'static str),
}

/// A definition whose members have names.
pub(crate) struct Named<Id> {
    pub(crate) name: String,
    pub(crate) docs: Option<String>,
    pub(crate) members: Vec<Member<Id>>,
}

/// One field or case.
pub(crate) struct Member<Id> {
    pub(crate) name: String,
    pub(crate) docs: Option<String>,
    pub(crate) ty: Option<Id>,
}

/// Where definitions come from.
pub(crate) trait Definitions {
    /// What names a definition.
    type Id: Copy;

    /// The definition of `id`.
    fn define(&self, id: Self::Id) -> Definition<Self::Id>;
}

/// Why a definition is no type of an event or a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TypeError {
    /// A kind of type that payloads do not have.
    #[error("`{path}` is of type `{keyword}`, which events and configurations cannot hold")]
    Refused {
        /// The place within the type.
        path: String,
        /// What was found there.
        keyword: &'static str,
    },
    /// An option within an option.
    #[error("`{path}` is an option of an option, which JSON cannot tell apart")]
    NestedOption {
        /// The place within the type.
        path: String,
    },
    /// A record, variant, enum or tuple of nothing.
    #[error("`{path}` has no members")]
    Empty {
        /// The place within the type.
        path: String,
    },
    /// Two members whose names differ in nothing but their spelling.
    #[error("`{path}` has two members named `{name}` in snake case")]
    Duplicate {
        /// The place within the type.
        path: String,
        /// The name.
        name: String,
    },
    /// A name that is too long.
    #[error("`{path}` has a member whose name has {length} bytes, the limit is {MAX_NAME_BYTES}")]
    LongName {
        /// The place within the type.
        path: String,
        /// Its length in bytes.
        length: usize,
    },
    /// Types within types within types.
    #[error("the type nests deeper than {MAX_DEPTH}")]
    Depth,
    /// A type of too many parts.
    #[error("the type has more than {MAX_NODES} parts")]
    Size,
}

impl TypeError {
    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused { keyword: "flags", .. } => {
                Some("use one `bool` field a flag, or a `list` of an `enum`".to_owned())
            }
            Self::Refused { keyword: "fixed-length list", .. } => Some("use a `list` or a `tuple`".to_owned()),
            Self::Refused { keyword: "map", .. } => {
                Some("use a `list` of a `record` with the fields `key` and `value`".to_owned())
            }
            Self::Refused { .. } => Some("an event is a value: keep to records, variants, enums, options, results, tuples, lists, strings, numbers, bool and char".to_owned()),
            Self::NestedOption { .. } => Some("use a `variant` with a case for each meaning of nothing".to_owned()),
            _ => None,
        }
    }
}

/// Builds the type that `id` names among `definitions`.
pub(crate) fn lower<D: Definitions>(definitions: &D, id: D::Id) -> Result<Type, TypeError> {
    let mut lowering = Lowering { definitions, path: String::new(), n_nodes: 0, depth: 0 };
    lowering.ty(id)
}

struct Lowering<'a, D> {
    definitions: &'a D,
    path: String,
    n_nodes: usize,
    depth: usize,
}

impl<D: Definitions> Lowering<'_, D> {
    fn ty(&mut self, id: D::Id) -> Result<Type, TypeError> {
        self.n_nodes += 1;
        if self.n_nodes > MAX_NODES {
            return Err(TypeError::Size);
        }
        if self.depth == MAX_DEPTH {
            return Err(TypeError::Depth);
        }
        self.depth += 1;
        let ty = match self.definitions.define(id) {
            Definition::Plain(ty) => ty,
            Definition::Alias(id) => self.ty(id)?,
            Definition::List(id) => match self.within("[]", id)? {
                Type::U8 => Type::Bytes,
                element => Type::List(Arc::new(element)),
            },
            Definition::Option(id) => match self.ty(id)? {
                Type::Option(_) => return Err(TypeError::NestedOption { path: self.place() }),
                inner => Type::Option(Arc::new(inner)),
            },
            Definition::Result(ok, err) => {
                let ok = ok.map(|id| self.within(".ok", id)).transpose()?.map(Arc::new);
                let err = err.map(|id| self.within(".err", id)).transpose()?.map(Arc::new);
                Type::Result { ok, err }
            }
            Definition::Tuple(ids) => {
                let types: Result<Vec<_>, _> =
                    ids.into_iter().enumerate().map(|(index, id)| self.within(&format!("[{index}]"), id)).collect();
                Type::Tuple(self.some(types?)?.into())
            }
            Definition::Record(named) => self.record(named)?,
            Definition::Variant(named) => self.variant(named)?,
            Definition::Enum(named) => self.plain_enum(named)?,
            Definition::Refused(keyword) => return Err(TypeError::Refused { path: self.place(), keyword }),
        };
        self.depth -= 1;
        Ok(ty)
    }

    fn record(&mut self, named: Named<D::Id>) -> Result<Type, TypeError> {
        self.check_names(&named)?;
        let mut fields = Vec::with_capacity(named.members.len());
        for member in named.members {
            let Some(id) = member.ty else { continue };
            let ty = self.within(&format!(".{}", member.name), id)?;
            fields.push(Field { snake_name: snake_case(&member.name), name: member.name, docs: member.docs, ty });
        }
        let fields = self.some(fields)?;
        Ok(Type::Record(Arc::new(Record { name: named.name, docs: named.docs, fields })))
    }

    fn variant(&mut self, named: Named<D::Id>) -> Result<Type, TypeError> {
        self.check_names(&named)?;
        let mut cases = Vec::with_capacity(named.members.len());
        for member in named.members {
            let ty = member.ty.map(|id| self.within(&format!(".{}", member.name), id)).transpose()?;
            cases.push(Case { snake_name: snake_case(&member.name), name: member.name, docs: member.docs, ty });
        }
        let cases = self.some(cases)?;
        Ok(Type::Variant(Arc::new(Variant { name: named.name, docs: named.docs, cases })))
    }

    fn plain_enum(&mut self, named: Named<D::Id>) -> Result<Type, TypeError> {
        self.check_names(&named)?;
        let cases = named.members.into_iter();
        let cases = cases
            .map(|member| EnumCase { snake_name: snake_case(&member.name), name: member.name, docs: member.docs })
            .collect();
        let cases = self.some(cases)?;
        Ok(Type::Enum(Arc::new(EnumType { name: named.name, docs: named.docs, cases })))
    }

    fn within(&mut self, segment: &str, id: D::Id) -> Result<Type, TypeError> {
        let length = self.path.len();
        self.path.push_str(segment);
        let ty = self.ty(id)?;
        self.path.truncate(length);
        Ok(ty)
    }

    fn check_names(&mut self, named: &Named<D::Id>) -> Result<(), TypeError> {
        self.n_nodes += named.members.len();
        if self.n_nodes > MAX_NODES {
            return Err(TypeError::Size);
        }
        let mut seen = HashSet::new();
        for member in &named.members {
            if member.name.len() > MAX_NAME_BYTES {
                return Err(TypeError::LongName { path: self.place(), length: member.name.len() });
            }
            let name = snake_case(&member.name);
            if !seen.insert(name.clone()) {
                return Err(TypeError::Duplicate { path: self.place(), name });
            }
        }
        Ok(())
    }

    fn some<T>(&self, members: Vec<T>) -> Result<Vec<T>, TypeError> {
        if members.is_empty() { Err(TypeError::Empty { path: self.place() }) } else { Ok(members) }
    }

    fn place(&self) -> String {
        match self.path.trim_start_matches('.') {
            "" => "event".to_owned(),
            path => path.to_owned(),
        }
    }
}
