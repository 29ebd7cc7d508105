//! The WIT packages that a processor can name: those this crate carries, and the
//! author's own.
//!
//! Owns reading and resolving them, and their text in nested form. The carried
//! copies stand in `wit/` of this crate and are those of the flowctl repository
//! (`cargo xtask wit` compares them). Where names meet, the author's wins.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proc_macro2::Span;
use syn::LitStr;
use wit_parser::{PackageId, PackageName, Resolve, SourceMap, UnresolvedPackageGroup};

use crate::names;

/// The contract's package.
pub(crate) const CONTRACT: &str = "flowctl:processor@0.1.0";

/// Folder and files of each carried package.
const CARRIED: &[&[(&str, &str)]] = &[
    &[
        ("flowctl-processor/types.wit", include_str!("../wit/flowctl-processor/types.wit")),
        ("flowctl-processor/processor.wit", include_str!("../wit/flowctl-processor/processor.wit")),
        ("flowctl-processor/source.wit", include_str!("../wit/flowctl-processor/source.wit")),
        ("flowctl-processor/sink.wit", include_str!("../wit/flowctl-processor/sink.wit")),
    ],
    &[("events/example-order/event.wit", include_str!("../wit/events/example-order/event.wit"))],
    &[("events/flowctl-dead-letter/event.wit", include_str!("../wit/events/flowctl-dead-letter/event.wit"))],
    &[("events/stellar-ledger/event.wit", include_str!("../wit/events/stellar-ledger/event.wit"))],
    &[("events/stellar-token-transfer/event.wit", include_str!("../wit/events/stellar-token-transfer/event.wit"))],
    &[("events/stellar-volume/event.wit", include_str!("../wit/events/stellar-volume/event.wit"))],
];

/// Folders below `wit/` are searched this deep.
const MAX_DEPTH: usize = 4;

/// All packages, resolved.
pub(crate) struct Packages {
    pub(crate) resolve: Resolve,
    /// By name with version: the files, without their `package` line.
    texts: BTreeMap<String, Vec<String>>,
    /// The author's files, to rebuild when one changes.
    pub(crate) files: Vec<PathBuf>,
}

impl Packages {
    /// Reads and resolves everything. `wit` is the folder of the author's own
    /// packages, from the crate's folder; `wit/` where it is not said, if there
    /// is one.
    pub(crate) fn load(wit: Option<&LitStr>) -> syn::Result<Self> {
        let span = wit.map_or_else(Span::call_site, LitStr::span);
        let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
        let folder = root.join(wit.map_or_else(|| "wit".to_owned(), LitStr::value));
        let mut sources = Vec::new();
        if folder.is_dir() {
            collect(&folder, 0, &mut sources).map_err(|message| syn::Error::new(span, message))?;
        } else if let Some(literal) = wit {
            return Err(syn::Error::new(span, format!("`{}` is no folder in this crate", literal.value())));
        }
        Self::resolve(sources).map_err(|message| syn::Error::new(span, message))
    }

    pub(crate) fn resolve(own: Vec<Vec<(PathBuf, String)>>) -> Result<Self, String> {
        let mut groups = BTreeMap::new();
        let mut texts = BTreeMap::new();
        let mut files = Vec::new();
        for package in own {
            files.extend(package.iter().map(|(path, _)| path.clone()));
            let group = parse(&package)?;
            let name = group.main.name.to_string();
            let place = package.first().map(|(path, _)| path.display().to_string()).unwrap_or_default();
            if groups.insert(name.clone(), group).is_some() {
                return Err(format!("package `{name}` is there twice, the second time in `{place}`"));
            }
            texts.insert(name, package.iter().map(|(_, text)| without_package_line(text)).collect());
        }
        for package in CARRIED {
            let package: Vec<_> =
                package.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect();
            let group = parse(&package)?;
            let name = group.main.name.to_string();
            groups.entry(name.clone()).or_insert(group);
            texts.entry(name).or_insert_with(|| package.iter().map(|(_, text)| without_package_line(text)).collect());
        }
        let contract = groups.remove(CONTRACT).ok_or_else(|| format!("package `{CONTRACT}` is missing"))?;
        let mut resolve = Resolve::new();
        let resolved = resolve.push_groups(contract, groups.into_values().collect());
        if let Err(error) = resolved {
            return Err(error.render(&resolve.source_map));
        }
        Ok(Self { resolve, texts, files })
    }

    /// The packages in `ids`, those they use, and the contract, each as a nested
    /// package of WIT text.
    pub(crate) fn nested(&self, ids: impl IntoIterator<Item = PackageId>) -> String {
        let contract = self.resolve.packages.iter().find(|(_, package)| package.name.to_string() == CONTRACT);
        let mut wanted: Vec<PackageId> = contract.map(|(id, _)| id).into_iter().chain(ids).collect();
        let mut index = 0;
        while index < wanted.len() {
            for used in self.resolve.package_direct_deps(wanted[index]) {
                if !wanted.contains(&used) {
                    wanted.push(used);
                }
            }
            index += 1;
        }
        wanted.sort_by_key(|id| id.index());
        wanted.dedup();
        let mut nested = String::new();
        for id in wanted {
            let name = self.resolve.packages[id].name.to_string();
            let body = self.texts.get(&name).map(|files| files.join("\n")).unwrap_or_default();
            nested.push_str(&format!("package {} {{\n{body}\n}}\n", names::escaped(&self.resolve.packages[id].name)));
        }
        nested
    }

    /// The names of all packages that hold an event type.
    pub(crate) fn event_packages(&self) -> impl Iterator<Item = (PackageId, &PackageName)> {
        let packages = self.resolve.packages.iter();
        packages
            .filter(|(_, package)| package.interfaces.contains_key("event"))
            .map(|(id, package)| (id, &package.name))
    }
}

/// Every folder that holds `.wit` files is one package.
fn collect(folder: &Path, depth: usize, packages: &mut Vec<Vec<(PathBuf, String)>>) -> Result<(), String> {
    let cannot = |error: std::io::Error| format!("cannot read `{}`: {error}", folder.display());
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect())
        .map_err(cannot)?;
    entries.sort();
    let mut package = Vec::new();
    for path in entries {
        if path.is_dir() {
            if depth < MAX_DEPTH {
                collect(&path, depth + 1, packages)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "wit") {
            let text =
                std::fs::read_to_string(&path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
            package.push((path, text));
        }
    }
    if !package.is_empty() {
        packages.push(package);
    }
    Ok(())
}

fn parse(package: &[(PathBuf, String)]) -> Result<UnresolvedPackageGroup, String> {
    let mut map = SourceMap::default();
    for (path, text) in package {
        map.push(path, text.as_str());
    }
    let group = map.parse().map_err(|(map, error)| error.render(&map))?;
    match group.nested.first() {
        None => Ok(group),
        Some(nested) => {
            Err(format!("package `{}` stands within another one: give each package a folder of its own", nested.name))
        }
    }
}

/// The text after the `package …;` that it may begin with.
fn without_package_line(text: &str) -> String {
    let mut rest = skip_blank(text);
    let is_word_end = |c: char| c.is_whitespace() || c == '/';
    match rest.strip_prefix("package").filter(|after| after.starts_with(is_word_end)) {
        None => text.to_owned(),
        Some(after) => {
            rest = after;
            while let Some(next) = rest.chars().next() {
                let blank_free = skip_blank(rest);
                if blank_free.len() < rest.len() {
                    rest = blank_free;
                    continue;
                }
                rest = &rest[next.len_utf8()..];
                if next == ';' {
                    break;
                }
            }
            rest.to_owned()
        }
    }
}

/// Skips white space and comments; block comments nest.
fn skip_blank(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        if text.starts_with("//") {
            text = text.find('\n').map_or("", |end| &text[end..]);
        } else if text.starts_with("/*") {
            let mut depth = 0usize;
            loop {
                if let Some(rest) = text.strip_prefix("/*") {
                    (depth, text) = (depth + 1, rest);
                } else if let Some(rest) = text.strip_prefix("*/") {
                    (depth, text) = (depth - 1, rest);
                } else {
                    let Some(first) = text.chars().next() else { return text };
                    text = &text[first.len_utf8()..];
                }
                if depth == 0 {
                    break;
                }
            }
        } else {
            return text;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn own(packages: &[&str]) -> Result<Packages, String> {
        let named = packages.iter().enumerate();
        Packages::resolve(
            named.map(|(i, text)| vec![(PathBuf::from(format!("wit/{i}.wit")), (*text).to_owned())]).collect(),
        )
    }

    #[test]
    fn carried_packages_resolve_and_nest() {
        let packages = own(&[]).unwrap();
        let all: Vec<_> = packages.resolve.packages.iter().map(|(id, _)| id).collect();
        let text = format!("package test:all;\n{}", packages.nested(all));
        let mut resolve = Resolve::new();
        resolve.push_str("nested.wit", &text).unwrap();
        assert_eq!(resolve.packages.len(), packages.resolve.packages.len() + 1);
    }

    #[test]
    fn own_package_may_use_a_carried_one_and_replace_one() {
        let packages = own(&[
            "package shop:bundle@1.0.0; interface event { use example:order/event@1.0.0.{order}; record bundle { orders: list<order> } }",
            "package example:order@1.0.0; interface event { record order { id: u64 } }",
        ])
        .unwrap();
        let (id, _) = packages.event_packages().find(|(_, name)| name.name == "bundle").unwrap();
        let text = packages.nested([id]);
        assert!(text.contains("id: u64") && !text.contains("customer"), "{text}");
    }

    #[test]
    fn package_named_like_a_keyword_nests() {
        let packages = own(&["package test:%list@1.0.0; interface event { record %list { id: u64 } }"]).unwrap();
        let (id, _) = packages.event_packages().find(|(_, name)| name.name == "list").unwrap();
        let text = format!("package test:all;\n{}", packages.nested([id]));
        Resolve::new().push_str("nested.wit", &text).unwrap();
    }

    #[test]
    fn wit_errors_name_the_file() {
        for text in ["package a:b@1.0.0; interface event { record x { y: nothing } }", "package a:b@1.0.0; interface {"]
        {
            let error = own(&[text]).err().unwrap();
            assert!(error.contains("wit/0.wit:1"), "{error}");
        }
    }

    #[test]
    fn package_line_is_found_behind_comments() {
        let cases = [
            ("/// docs\n// x\n/* a /* b */ ; */ package a:b /* ; */ @1.0.0 ;\ninterface x {}", "\ninterface x {}"),
            ("interface package-x {}", "interface package-x {}"),
            ("/* open", "/* open"),
        ];
        for (text, expected) in cases {
            assert_eq!(without_package_line(text), expected);
        }
    }
}
