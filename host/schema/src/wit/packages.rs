//! Event types of packages that belong to several owners.
//!
//! Each package is resolved for itself: among its own dependencies first, then among
//! the others, then in the library. Invariant: what is wrong with one package never
//! hides what is wrong with another, and is told of that one alone.

use std::collections::HashMap;

use flowctl_types::nearest;
use wit_parser::{PackageName, UnresolvedPackage, UnresolvedPackageGroup};

use super::{WitError, WitPlace, parse_package, resolve, schema};
use crate::Schema;

/// A file of WIT text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitFile {
    /// What errors call it.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// A package as its author keeps it, and what came along with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitPackage {
    /// The files that make up the package. What is nested in them belongs to it.
    pub files: Vec<WitFile>,
    /// Packages that it may use, each as its files: what lies in its folder `deps`.
    pub deps: Vec<Vec<WitFile>>,
}

/// The event types of each package, or everything that is wrong with it: one syntax
/// error, or an error for each package nested in it.
///
/// The packages may use one another, and those of `library`. No error is reported of a
/// package because another one has one: its errors are empty then.
#[must_use]
pub fn event_types(packages: &[WitPackage], library: &[WitFile]) -> Vec<Result<Vec<Schema>, Vec<WitError>>> {
    let own: Vec<_> = packages.iter().map(|package| Group::parse(&package.files)).collect();
    let library: Vec<_> = library.iter().filter_map(|file| Group::parse(std::slice::from_ref(file)).ok()).collect();
    let others: Vec<&Group<'_>> = own.iter().flatten().collect();
    let read = |(package, group): (&WitPackage, &Result<Group<'_>, WitError>)| {
        let group = group.as_ref().map_err(|error| vec![error.clone()])?;
        let deps: Result<Vec<_>, _> = package.deps.iter().map(|files| Group::parse(files)).collect();
        let deps = deps.map_err(|error| vec![error])?;
        group.event_types(deps.iter().chain(others.iter().copied()).chain(&library))
    };
    let results: Vec<_> = packages.iter().zip(&own).map(read).collect();
    let unread = packages.iter().zip(&own).filter(|(_, group)| group.is_err()).map(|(package, _)| package);
    let unread: Vec<&WitPackage> = unread.collect();
    let told = |(index, result): (usize, &Result<Vec<Schema>, Vec<WitError>>)| match result {
        Ok(schemas) => Ok(schemas.clone()),
        Err(errors) => {
            let mut errors = errors.clone();
            errors.retain(|error| {
                let WitError::Unknown { package, .. } = error else { return true };
                !unread.iter().any(|unread| unread.mentions(unversioned(package)))
            });
            errors.retain(|error| packages[index].holds(error) || !is_told_elsewhere(&results, index, error));
            Err(errors)
        }
    };
    results.iter().enumerate().map(told).collect()
}

/// Whether the error of one package is that of another one, too.
fn is_told_elsewhere(results: &[Result<Vec<Schema>, Vec<WitError>>], index: usize, error: &WitError) -> bool {
    let mut others = results.iter().enumerate().filter(|(other, _)| *other != index);
    others.any(|(_, result)| result.as_ref().is_err_and(|errors| errors.contains(error)))
}

impl WitPackage {
    /// Whether the text of the package, read or not, names `package`, which is a name
    /// without version.
    #[must_use]
    pub fn mentions(&self, package: &str) -> bool {
        self.files.iter().any(|file| file.text.contains(package))
    }

    /// Whether the error's place is in one of these files.
    fn holds(&self, error: &WitError) -> bool {
        let mut files = self.files.iter().chain(self.deps.iter().flatten());
        error.place().is_none_or(|place| files.any(|file| file.name == place.file))
    }
}

/// A package's name less its version.
fn unversioned(name: &str) -> &str {
    name.split('@').next().unwrap_or_default()
}

/// Files that were parsed together: a package, and those nested in it.
struct Group<'a> {
    files: Vec<(&'a str, &'a str)>,
    parsed: UnresolvedPackageGroup,
}

impl<'a> Group<'a> {
    fn parse(files: &'a [WitFile]) -> Result<Self, WitError> {
        let files: Vec<(&str, &str)> = files.iter().map(|file| (file.name.as_str(), file.text.as_str())).collect();
        let parsed = parse_package(&files)?;
        Ok(Self { files, parsed })
    }

    fn packages(&self) -> impl Iterator<Item = &UnresolvedPackage> {
        std::iter::once(&self.parsed.main).chain(&self.parsed.nested)
    }

    /// The event types of these packages; of those that are known the nearest come
    /// first.
    fn event_types<'g>(&self, known: impl Iterator<Item = &'g Self>) -> Result<Vec<Schema>, Vec<WitError>>
    where
        'a: 'g,
    {
        let known: Vec<&'g Self> = known.collect();
        let used = self.used(&known);
        let groups = used.iter().map(|group| group.parsed.clone()).collect();
        let files: Vec<(&str, &str)> =
            self.files.iter().chain(used.iter().flat_map(|group| &group.files)).copied().collect();
        let resolved = resolve(self.parsed.clone(), groups, &files).map_err(|error| vec![self.near(error, &known)])?;
        let mut schemas = Vec::new();
        let mut errors = Vec::new();
        let mut names: Vec<&PackageName> = self.packages().map(|package| &package.name).collect();
        names.sort();
        for name in names {
            let package = resolved.packages.iter().find(|(_, package)| package.name == *name);
            let interface = package.and_then(|(_, package)| package.interfaces.get("event"));
            let Some(interface) = interface else { continue };
            match schema(&resolved, &files, name, &resolved.interfaces[*interface]) {
                Ok(schema) => schemas.push(schema),
                Err(error) => errors.push(error),
            }
        }
        if schemas.is_empty() && errors.is_empty() {
            let place = WitPlace::start(self.files.first().map_or("", |(name, _)| name));
            errors.push(WitError::NoEvent { place, package: self.parsed.main.name.to_string() });
        }
        if errors.is_empty() { Ok(schemas) } else { Err(errors) }
    }

    /// The error with the package that was probably meant, where one is not known: it
    /// is near by its namespace and by its name, each for itself.
    fn near(&self, error: WitError, known: &[&Self]) -> WitError {
        let WitError::Unknown { place, package, .. } = error else { return error };
        let own: Vec<&PackageName> = self.packages().map(|package| &package.name).collect();
        let (namespace, name) = unversioned(&package).split_once(':').unwrap_or_default();
        let others = known.iter().flat_map(|group| group.packages()).map(|package| &package.name);
        let others: Vec<&PackageName> = others
            .filter(|other| !own.contains(other) && !nearest(namespace, [other.namespace.as_str()]).is_empty())
            .collect();
        let meant = nearest(name, others.iter().map(|other| other.name.as_str()));
        let near = others.iter().find(|other| meant.first() == Some(&other.name.as_str())).map(ToString::to_string);
        WitError::Unknown { place, package, near }
    }

    /// The groups that hold what these packages use, and what those use in turn.
    fn used<'g>(&self, known: &[&'g Self]) -> Vec<&'g Self>
    where
        'a: 'g,
    {
        let mut homes: HashMap<&PackageName, usize> = HashMap::new();
        for (index, group) in known.iter().enumerate() {
            for package in group.packages() {
                homes.entry(&package.name).or_insert(index);
            }
        }
        let mut taken = Vec::new();
        let mut open: Vec<&PackageName> = self.packages().flat_map(|package| package.foreign_deps.keys()).collect();
        while let Some(name) = open.pop() {
            if self.packages().any(|package| package.name == *name) {
                continue;
            }
            let Some(index) = homes.get(name).filter(|index| !taken.contains(*index)) else { continue };
            taken.push(*index);
            open.extend(known[*index].packages().flat_map(|package| package.foreign_deps.keys()));
        }
        taken.into_iter().map(|index| known[index]).collect()
    }
}
