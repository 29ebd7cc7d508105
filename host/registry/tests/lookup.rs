//! Which entry a name or a reference stands for.
#![allow(clippy::unwrap_used)]

mod common;

use common::{explain, registry};
use expect_test::{Expect, expect};
use flowctl_registry::Entry;
use flowctl_schema::Role;

fn describe(entry: &Entry) -> String {
    let version = entry.version().map(|version| format!("@{version}")).unwrap_or_default();
    format!(
        "{} {}{version} ({})",
        entry.role,
        entry.name,
        entry.path().map_or("built in".into(), |p| p.display().to_string())
    )
}

#[expect(clippy::needless_pass_by_value, reason = "as expect-test has it")]
fn check(entries: &str, role: Role, reference: &str, expected: Expect) {
    let registry = registry(entries);
    let reference = reference.parse().unwrap();
    expected.assert_eq(&match registry.find_reference(role, &reference) {
        Ok(entry) => describe(entry),
        Err(error) => explain(&error, error.hint()),
    });
}

const VERSIONS: &str = "ttp@1.9.0: a! -> b, ttp@1.10.0: a! -> b, ttp@2.0.0-rc.1: a! -> b, ttp: a! -> b";

#[test]
fn the_highest_release_is_used_unless_one_is_pinned() {
    check(VERSIONS, Role::Processor, "ttp", expect!["processor ttp@1.10.0 (plugins/ttp-1.10.0.wasm)"]);
    check(VERSIONS, Role::Processor, "ttp@1.9.0", expect!["processor ttp@1.9.0 (plugins/ttp-1.9.0.wasm)"]);
    check(
        VERSIONS,
        Role::Processor,
        "ttp@2.0.0-rc.1",
        expect!["processor ttp@2.0.0-rc.1 (plugins/ttp-2.0.0-rc.1.wasm)"],
    );
    check(
        VERSIONS,
        Role::Processor,
        "ttp@3.0.0",
        expect![[r#"
        error: processor `ttp` is not known in version 3.0.0
        hint: known: 1.10.0, 1.9.0, 2.0.0-rc.1"#]],
    );
    check(
        "p: a -> b",
        Role::Processor,
        "p@1.0.0",
        expect![[r#"
        error: processor `p` is not known in version 1.0.0
        hint: `p` says no version; leave the version out"#]],
    );
}

#[test]
fn a_plugin_wins_over_a_connector_of_its_role_alone() {
    let text = "%file: * ->, file: x ->, %file: -> ?";
    check(text, Role::Sink, "file", expect!["sink file (plugins/file.wasm)"]);
    check(text, Role::Source, "file", expect!["source file (built in)"]);
}

#[test]
fn a_kind_stands_for_the_only_one_of_it() {
    check(
        "postgres-sink-v1: x ->",
        Role::Sink,
        "postgres",
        expect!["sink postgres-sink-v1 (plugins/postgres-sink-v1.wasm)"],
    );
    check(
        "postgres-sink-v1: x ->, postgres-v2: x ->",
        Role::Sink,
        "postgres",
        expect![[r#"
        error: several sinks answer to `postgres`: postgres-sink-v1, postgres-v2
        hint: write `postgres-sink-v1` or `postgres-v2`"#]],
    );
    check("postgres-sink-v1: x ->, %postgres: record ->", Role::Sink, "postgres", expect!["sink postgres (built in)"]);
    check(
        "ttp-processor: x -> y",
        Role::Processor,
        "ttp",
        expect!["processor ttp-processor (plugins/ttp-processor.wasm)"],
    );
    check(
        "stellar-live-source: -> y",
        Role::Source,
        "stellar-live",
        expect!["source stellar-live-source (plugins/stellar-live-source.wasm)"],
    );
}

#[test]
fn a_file_stands_for_the_entry_that_was_loaded_from_it() {
    check(
        VERSIONS,
        Role::Processor,
        "./plugins/ttp-1.9.0.wasm",
        expect!["processor ttp@1.9.0 (plugins/ttp-1.9.0.wasm)"],
    );
    check(
        VERSIONS,
        Role::Processor,
        "plugins/../plugins/other.wasm",
        expect![[r#"
        error: `plugins/../plugins/other.wasm` is not among the plugins that were loaded
        hint: check the path; it is relative to where `flowctl` runs"#]],
    );
    check(VERSIONS, Role::Sink, "plugins/ttp-1.9.0.wasm", expect!["error: `ttp` is a processor, not a sink"]);
}

#[test]
fn an_artifact_stands_for_the_local_plugin_of_its_name_and_tag() {
    check(
        VERSIONS,
        Role::Processor,
        "registry.example/acme/ttp:1.9.0",
        expect!["processor ttp@1.9.0 (plugins/ttp-1.9.0.wasm)"],
    );
    check(
        VERSIONS,
        Role::Processor,
        "registry.example/acme/ttp:v1.9.0",
        expect!["processor ttp@1.9.0 (plugins/ttp-1.9.0.wasm)"],
    );
    check(
        VERSIONS,
        Role::Processor,
        "registry.example/acme/ttp",
        expect![[r#"
            error: `registry.example/acme/ttp` is not here
            hint: `flowctl pull registry.example/acme/ttp` gets it; `flowctl run` does by itself"#]],
    );
    check(
        VERSIONS,
        Role::Processor,
        "registry.example/acme/ttp:7.0.0",
        expect![[r#"
            error: `registry.example/acme/ttp:7.0.0` is not here
            hint: `flowctl pull registry.example/acme/ttp:7.0.0` gets it; `flowctl run` does by itself"#]],
    );
    check(
        VERSIONS,
        Role::Processor,
        "registry.example/acme/other:1.0.0",
        expect![[r#"
            error: `registry.example/acme/other:1.0.0` is not here
            hint: `flowctl pull registry.example/acme/other:1.0.0` gets it; `flowctl run` does by itself"#]],
    );
    check(
        "%stdout: * ->",
        Role::Sink,
        "registry.example/acme/stdout:1.0.0",
        expect![[r#"
            error: `registry.example/acme/stdout:1.0.0` is not here
            hint: `flowctl pull registry.example/acme/stdout:1.0.0` gets it; `flowctl run` does by itself"#]],
    );
}

#[test]
fn a_pinned_reference_stands_for_the_component_that_it_was_pinned_to() {
    let registry = registry(VERSIONS);
    let digest = registry.find(Role::Processor, "ttp@1.9.0").unwrap().digest().unwrap();
    let references = ["registry.example/acme/other:1", "oci-layout:shelf", "ttp"];
    let pins = references.map(|reference| (reference.parse().unwrap(), digest));
    let registry = registry.pinned(pins.into_iter().collect());
    for reference in references {
        let found = registry.find_reference(Role::Processor, &reference.parse().unwrap()).unwrap();
        assert_eq!(found.version(), Some("1.9.0"), "{reference}");
    }
    let error = registry.find_reference(Role::Sink, &"oci-layout:shelf".parse().unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "`ttp` is a processor, not a sink");
    let manifest = flowctl_types::Digest::of(b"a manifest");
    let unpinned = format!("registry.example/acme/ttp:1.9.0@{manifest}").parse().unwrap();
    let error = registry.find_reference(Role::Processor, &unpinned).unwrap_err();
    assert_eq!(error.to_string(), format!("`{unpinned}` is not here"));
}

#[test]
fn the_same_bytes_in_two_files_are_one() {
    let mut entries = common::entries("p@1.0.0: a -> b");
    let mut copy = entries[0].clone();
    let flowctl_registry::Origin::Plugin { path, .. } = &mut copy.origin else { panic!("it is a plugin") };
    *path = "elsewhere/p.wasm".into();
    entries.push(copy);
    let registry = flowctl_registry::Registry::build(entries, []);
    assert_eq!(registry.all_entries().count(), 1);
    for path in ["elsewhere/p.wasm", "plugins/p-1.0.0.wasm"] {
        assert_eq!(registry.at_path(path.as_ref()).unwrap().name, "p");
    }
}

/// Two plugins that pass for the same one, twice, beside one that does not.
const RIVALS: &str = "p@1.0.0#a: x -> y, p@1.0.0#b: x -> y, q#a: y -> z, q#b: y -> z, q: -> x, r: x -> known";

#[test]
fn two_plugins_of_one_name_and_version_are_a_conflict_that_names_both_files() {
    let registry = registry(RIVALS);
    let texts = registry.conflicts().into_iter().map(|conflict| explain(conflict, Some(conflict.hint())));
    expect![[r#"
        error: `plugins/p-1.0.0a.wasm` and `plugins/p-1.0.0b.wasm` both hold processor `p` 1.0.0, but they differ (8fec5cccfc08 and 985a865d5a4e)
        hint: remove one of the files, give one of them another version, or name the file that is meant
        error: `plugins/qa.wasm` and `plugins/qb.wasm` both hold processor `q`, but they differ (09dc2d42df3b and 0c56e72c939d)
        hint: remove one of the files, give one of them another version, or name the file that is meant"#]].assert_eq(&texts.collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_name_that_two_plugins_pass_for_is_an_error_where_it_is_used() {
    let registry = registry(RIVALS);
    let found = |reference: &str| match registry.find_reference(Role::Processor, &reference.parse().unwrap()) {
        Ok(entry) => describe(entry),
        Err(error) => error.to_string(),
    };
    let digest = registry.at_path("plugins/qb.wasm".as_ref()).unwrap().digest().unwrap();
    let references =
        ["p", "p@1.0.0", "plugins/p-1.0.0b.wasm", "r", "acme.example/q", &format!("acme.example/q@{digest}")];
    expect![[r#"
        p: `plugins/p-1.0.0a.wasm` and `plugins/p-1.0.0b.wasm` both hold processor `p` 1.0.0, but they differ (8fec5cccfc08 and 985a865d5a4e)
        p@1.0.0: `plugins/p-1.0.0a.wasm` and `plugins/p-1.0.0b.wasm` both hold processor `p` 1.0.0, but they differ (8fec5cccfc08 and 985a865d5a4e)
        plugins/p-1.0.0b.wasm: processor p@1.0.0 (plugins/p-1.0.0b.wasm)
        r: processor r (plugins/r.wasm)
        acme.example/q: `acme.example/q` is not here
        acme.example/q@sha256:0c56e72c939dc8275c23c24e3933af92a7977e8b3621bef869ec6e3ac6f80fcc: `acme.example/q@sha256:0c56e72c939dc8275c23c24e3933af92a7977e8b3621bef869ec6e3ac6f80fcc` is not here"#]].assert_eq(&references.map(|reference| format!("{reference}: {}", found(reference))).join("\n"));
}
