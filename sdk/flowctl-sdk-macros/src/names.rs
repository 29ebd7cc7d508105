//! Names in the three forms they take: WIT (`token-transfer`), Rust
//! (`TokenTransfer`, `token_transfer`), and event types
//! (`stellar.token.transfer.v1`).

use heck::{ToKebabCase, ToSnakeCase, ToUpperCamelCase};
use proc_macro2::{Ident, Span};
use wit_parser::PackageName;

/// The Rust type of a WIT name.
pub(crate) fn type_ident(wit: &str) -> Ident {
    Ident::new(&escape(wit.to_upper_camel_case()), Span::call_site())
}

/// The borrowed form of a Rust type.
pub(crate) fn ref_ident(wit: &str) -> Ident {
    Ident::new(&format!("{}Ref", wit.to_upper_camel_case()), Span::call_site())
}

/// The Rust field, function or module of a WIT name; a keyword gets a trailing
/// underscore, as in wit-bindgen.
pub(crate) fn value_ident(wit: &str) -> Ident {
    Ident::new(&escape(wit.to_snake_case()), Span::call_site())
}

/// The WIT name of a Rust identifier, without the `r#` it may have.
pub(crate) fn kebab(rust: &Ident) -> String {
    let name = rust.to_string();
    name.strip_prefix("r#").unwrap_or(&name).to_kebab_case()
}

/// The event type's name of a package: `stellar:token-transfer@1.2.0` →
/// `stellar.token.transfer.v1`; none where there is no such name.
pub(crate) fn event_type(package: &PackageName) -> Option<String> {
    let major = package.version.as_ref()?.major;
    let name = package.name.replace('-', ".");
    let dotted = format!("{}.{name}.v{major}", package.namespace);
    is_event_type(&dotted).then_some(dotted)
}

/// A package's name as WIT text, where its words may be keywords.
pub(crate) fn escaped(package: &PackageName) -> String {
    let version = package.version.as_ref().map(|version| format!("@{version}")).unwrap_or_default();
    format!("%{}:%{}{version}", package.namespace, package.name)
}

/// Whether `name` is like `stellar.ledger.v1`.
pub(crate) fn is_event_type(name: &str) -> bool {
    let Some((stem, version)) = name.rsplit_once(".v") else { return false };
    let is_number = !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit());
    let is_segment = |segment: &str| {
        segment.starts_with(|c: char| c.is_ascii_lowercase())
            && segment.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    is_number && stem.contains('.') && stem.split('.').all(is_segment)
}

/// The candidates nearest to `name`, at most three, nearest first; none that
/// differ in more than a third of their letters.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut ranked: Vec<(usize, &str)> = candidates
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, candidate)| distance * 3 <= candidate.len().max(name.len()))
        .collect();
    ranked.sort_unstable();
    ranked.truncate(3);
    ranked.into_iter().map(|(_, candidate)| candidate).collect()
}

/// `a`, `b` and `c` as words.
pub(crate) fn listed<S: AsRef<str>>(names: &[S]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// The number of letters to add, remove or replace.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Rust keywords, strict and reserved, cannot be identifiers.
fn escape(mut name: String) -> String {
    if syn::parse_str::<Ident>(&name).is_err() {
        name.push('_');
    }
    name
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn package_names_and_event_types_map_onto_each_other() {
        let package = |name: &str, version: &str| PackageName {
            namespace: "stellar".into(),
            name: name.into(),
            version: Some(version.parse().unwrap()),
        };
        assert_eq!(event_type(&package("token-transfer", "1.2.0")).unwrap(), "stellar.token.transfer.v1");
        assert_eq!(event_type(&package("ledger", "0.3.0")).unwrap(), "stellar.ledger.v0");
        assert_eq!(event_type(&PackageName { namespace: "a-b".into(), ..package("c", "1.0.0") }), None);
    }

    #[test]
    fn only_dotted_lower_case_with_a_version_is_an_event_type() {
        for name in ["a.b.v1", "stellar.token.transfer.v10"] {
            assert!(is_event_type(name), "{name}");
        }
        for name in ["", "a", "a.v1", "a.b", "a.b.vx", "a.b.v", "A.b.v1", "a..b.v1", "a.b-c.v1", "a.1b.v1"] {
            assert!(!is_event_type(name), "{name}");
        }
    }

    #[test]
    fn nearest_ranks_by_distance_and_leaves_out_what_is_far() {
        let known = ["stellar.ledger.v1", "stellar.ledger.v2", "example.order.v1"];
        assert_eq!(nearest("steller.ledger.v1", known.into_iter()), ["stellar.ledger.v1", "stellar.ledger.v2"]);
        assert!(nearest("x", known.into_iter()).is_empty());
    }

    #[test]
    fn keywords_get_an_underscore() {
        assert_eq!(value_ident("type").to_string(), "type_");
        assert_eq!(value_ident("tx-hash").to_string(), "tx_hash");
        assert_eq!(type_ident("self").to_string(), "Self_");
    }
}
