//! Event types that WIT files declare, beside those of plugins and connectors.
//!
//! Invariant: a declared type that contradicts another structure of its name never gets
//! into a registry; the fault says where the two differ.

use std::collections::BTreeMap;

use flowctl_schema::{Difference, Schema, WitError, WitFile, WitPackage, event_types};
use flowctl_types::{Code, EventType};

use crate::{Entry, Origin};

/// The event types that files declare, and what is wrong with those files.
#[derive(Debug, Clone, Default)]
pub struct Declarations {
    types: Vec<Declared>,
    faults: Vec<DeclarationFault>,
    /// Packages whose types are not known, for reasons among the faults.
    unread: Vec<WitPackage>,
    has_unreadable: bool,
}

/// A type that a file declares.
#[derive(Debug, Clone)]
struct Declared {
    schema: Schema,
    file: String,
    entry: usize,
}

/// What is wrong with one file or folder of types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclarationFault {
    /// Its index among those that were read.
    pub entry: usize,
    /// What is wrong.
    pub error: DeclarationError,
}

/// Why a file or folder declares no types that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeclarationError {
    /// It could not be read.
    #[error("cannot read `{file}`: {reason}")]
    Unreadable {
        /// The file, as it was named.
        file: String,
        /// Why not.
        reason: String,
        /// What to do about it.
        hint: String,
    },
    /// What it holds defines no usable types.
    #[error(transparent)]
    Wit(#[from] WitError),
    /// Something else has a type of the same name and another structure.
    #[error(
        "`{file}` and {other} disagree about `{event_type}`: `{}` is {} in the first and {} in the second",
        difference.path, difference.here, difference.there
    )]
    Contradiction {
        /// The file, as it was named.
        file: String,
        /// What else has the type, in words.
        other: String,
        /// The type.
        event_type: EventType,
        /// Where they differ.
        difference: Box<Difference>,
    },
}

impl DeclarationError {
    /// Its code.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Unreadable { .. } | Self::Wit(_) => Code::TypesUnreadable,
            Self::Contradiction { .. } => Code::TypesDiffer,
        }
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreadable { hint, .. } => Some(hint.clone()),
            Self::Wit(error) => error.hint(),
            Self::Contradiction { event_type, .. } => {
                let (namespace, name) = event_type.package();
                let next = event_type.major().saturating_add(1);
                Some(format!("make them equal, or declare another version: `package {namespace}:{name}@{next}.0.0;`"))
            }
        }
    }
}

impl Declarations {
    /// Reads the packages of files and folders, each with its name for messages, or why
    /// there is none. They may use one another, and those of `library`.
    #[must_use]
    pub fn read(
        entries: impl IntoIterator<Item = (String, Result<WitPackage, DeclarationError>)>,
        library: &[WitFile],
    ) -> Self {
        let mut this = Self::default();
        let mut packages = Vec::new();
        let mut places = Vec::new();
        for (entry, (file, package)) in entries.into_iter().enumerate() {
            match package {
                Ok(package) => {
                    packages.push(package);
                    places.push((entry, file));
                }
                Err(error) => {
                    this.has_unreadable = true;
                    this.faults.push(DeclarationFault { entry, error });
                }
            }
        }
        let results = event_types(&packages, library);
        for (((entry, file), package), result) in places.into_iter().zip(packages).zip(results) {
            match result {
                Ok(schemas) => {
                    let declared = |schema| Declared { schema, file: file.clone(), entry };
                    this.types.extend(schemas.into_iter().map(declared));
                }
                Err(errors) => {
                    let fault = |error: WitError| DeclarationFault { entry, error: error.into() };
                    this.faults.extend(errors.into_iter().map(fault));
                    this.unread.push(package);
                }
            }
        }
        this
    }

    /// What is wrong with the files, in their order.
    #[must_use]
    pub fn faults(&self) -> &[DeclarationFault] {
        &self.faults
    }

    /// Whether a file that could not be read may declare the type.
    pub(crate) fn may_declare(&self, event_type: &EventType) -> bool {
        let (namespace, name) = event_type.package();
        let package = format!("{namespace}:{name}");
        self.has_unreadable || self.unread.iter().any(|unread| unread.mentions(&package))
    }

    /// The types that contradict nothing: neither those that are well known, nor what
    /// an entry reads or emits, nor an earlier file. A fault is added for each other.
    pub(crate) fn settle<'a>(
        &mut self,
        well_known: impl Iterator<Item = &'a Schema>,
        entries: impl Iterator<Item = &'a Entry>,
    ) -> Vec<Schema> {
        let mut known: BTreeMap<&EventType, Vec<(String, &Schema)>> = BTreeMap::new();
        let declared = std::mem::take(&mut self.types);
        let names: Vec<&EventType> = declared.iter().map(|declared| declared.schema.event_type()).collect();
        let mut note = |other: &dyn Fn() -> String, schema: &'a Schema| {
            if names.contains(&schema.event_type()) {
                let of_name = known.entry(schema.event_type()).or_default();
                // one structure is told of once, however many plugins have it
                if !of_name.iter().any(|(_, known)| known.digest() == schema.digest()) {
                    of_name.push((other(), schema));
                }
            }
        };
        for entry in entries {
            entry.inputs().iter().chain(entry.outputs()).for_each(|schema| note(&|| in_words(entry), schema));
        }
        well_known.for_each(|schema| note(&|| "flowctl itself".to_owned(), schema));
        let mut settled: Vec<&Declared> = Vec::new();
        for declared in &declared {
            let of_name = known.get(declared.schema.event_type()).into_iter().flatten();
            let others = of_name.map(|(other, schema)| (other.clone(), *schema));
            let files = settled.iter().filter(|other| other.schema.event_type() == declared.schema.event_type());
            let files = files.map(|other| (format!("`{}`", other.file), &other.schema));
            let mut contradictions = others.chain(files).filter_map(|(other, schema)| {
                let difference = Box::new(declared.schema.difference(schema)?);
                let (file, event_type) = (declared.file.clone(), schema.event_type().clone());
                Some(DeclarationError::Contradiction { file, other, event_type, difference })
            });
            match contradictions.next() {
                Some(error) => self.faults.push(DeclarationFault { entry: declared.entry, error }),
                None => settled.push(declared),
            }
        }
        self.faults.sort_by_key(|fault| fault.entry);
        settled.into_iter().map(|declared| declared.schema.clone()).collect()
    }
}

fn in_words(entry: &Entry) -> String {
    match &entry.origin {
        Origin::Plugin { path, .. } => format!("plugin `{}` (`{}`)", entry.name, path.display()),
        Origin::BuiltIn { .. } => format!("connector `{}`", entry.name),
        Origin::Live(_) => format!("live component `{}`", entry.name),
    }
}
