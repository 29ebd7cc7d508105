//! What building says: what came out, or what is missing and what mends it.

use std::process::Command;

use flowctl_test_support::write_program;
use libtest_mimic::Trial;

use super::Author;
use crate::fact;
use crate::flowctl::Answer;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("authoring::build_prints_the_component_its_types_and_its_size", prints),
        fact("authoring::a_folder_without_a_crate_is_named", no_crate),
        fact("authoring::a_workspace_is_told_which_folder_to_name", workspace),
        fact("authoring::a_crate_of_another_type_is_told_what_to_write", wrong_type),
        fact("authoring::a_missing_toolchain_is_told_how_to_get_it", no_toolchain),
        fact("authoring::what_does_not_compile_fails_with_what_the_compiler_says", broken),
        fact("authoring::a_missing_sdk_is_told_where_it_is", no_sdk),
        fact("authoring::a_crate_has_its_own_settings_wherever_it_is_built_from", own_settings),
    ]
}

fn prints() {
    let author = Author::of_orders("built-orders");
    let built = author.run("processors build built-orders").success();
    let lines: Vec<&str> = built.stdout.lines().collect();
    assert!(lines[0].starts_with("component  ") && lines[0].ends_with("/built_orders.wasm"), "{}", built.stdout);
    assert_eq!(
        lines[1..4],
        ["name       built-orders 0.1.0", "input      example.order.v1", "output     example.order.v1"]
    );
    assert!(lines[4].starts_with("size       ") && lines[4].ends_with(" bytes)"), "{}", built.stdout);
    assert!(lines[5].starts_with("digest     sha256:"), "{}", built.stdout);
    let path = lines[0].trim_start_matches("component").trim();
    let described = author.run(&format!("inspect {path}")).success();
    assert!(described.stdout.contains("built-orders"), "{}", described.stdout);
}

fn no_crate() {
    let author = Author::new();
    author.run("processors build").failure(&["there is no crate in `.`: it has no Cargo.toml", "processors init"]);
}

fn wrong_type() {
    let author = Author::of_orders("plain-orders");
    let manifest = author.flowctl.read("plain-orders/Cargo.toml").replace("\"cdylib\", ", "");
    author.flowctl.write("plain-orders/Cargo.toml", manifest);
    let answer = author.run("processors build plain-orders");
    answer.failure(&["`plain-orders` does not become a component", "crate-type = [\"cdylib\", \"rlib\"]"]);
}

fn no_toolchain() {
    let author = Author::of_orders("no-tools");
    author.flowctl.write("empty/README.md", "");
    let answer = Answer::of(
        author.command("processors build no-tools").env("PATH", author.flowctl.path("empty")).output().unwrap(),
    );
    answer.failure(&["`cargo` is not installed, or not on the PATH", "https://rustup.rs"]);

    // a compiler that is whole but for that
    let script =
        format!("#!/bin/sh\ncase \"$*\" in *target-libdir*) echo /nowhere ;; *) exec {} \"$@\" ;; esac\n", rustc());
    let incomplete = author.flowctl.path("rustc");
    write_program(&incomplete, &script).unwrap();
    let answer = Answer::of(author.command("processors build no-tools").env("RUSTC", incomplete).output().unwrap());
    answer.failure(&["has no target wasm32-wasip2", "rustup target add wasm32-wasip2"]);
}

/// The compiler's own path.
fn rustc() -> String {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
    format!("{}/bin/rustc", String::from_utf8(output.stdout).unwrap().trim())
}

fn workspace() {
    let author = Author::of_orders("member");
    let manifest = author.flowctl.read("member/Cargo.toml").replace("[workspace]\n", "");
    author.flowctl.write("member/Cargo.toml", manifest);
    author.flowctl.write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"member\"]\n");
    author.flowctl.write("Cargo.lock", include_str!("../../../Cargo.lock"));
    let answer = author
        .run("processors build")
        .failure(&["`.` is a workspace, and no crate itself", "name the folder of one: "]);
    assert!(answer.stderr.trim_end().ends_with("/member"), "{}", answer.stderr);
}

fn broken() {
    let author = Author::of_orders("broken-orders");
    author.write_processor("broken-orders", "out.emit(order.totl_cents);");
    let answer = author.run("processors build broken-orders");
    answer.failure(&["no field `totl_cents`", "error: `broken-orders` does not build"]);
}

fn no_sdk() {
    let author = Author::new();
    author.run("processors init far-orders --input example.order.v1 --output example.order.v1").success();
    // a registry of crates that has none
    author.flowctl.write(
        "far-orders/.cargo/config.toml",
        "[source.crates-io]\nreplace-with = \"empty\"\n\n[source.empty]\ndirectory = \"crates\"\n",
    );
    author.flowctl.write("far-orders/crates/README.md", "");
    // what cargo says is looked into, and has no colours then
    let mut command = author.command("processors build far-orders");
    let answer = Answer::of(command.env("CARGO_TERM_COLOR", "always").output().unwrap())
        .failure(&["cargo cannot use", "flowctl-sdk = { path = "]);
    assert!(!answer.stderr.contains(['\u{fffd}', '\u{1b}']), "{}", answer.stderr);
}

fn own_settings() {
    let author = Author::of_orders("own-orders");
    author.flowctl.write("own-orders/.cargo/config.toml", "[build]\ntarget-dir = \"elsewhere\"\n");
    std::fs::rename(author.flowctl.path("own-orders/target"), author.flowctl.path("own-orders/elsewhere")).unwrap();
    let built = author.run("processors build own-orders").success();
    let component = "own-orders/elsewhere/wasm32-wasip2/release/own_orders.wasm";
    assert!(built.stdout.contains(component), "{}", built.stdout);
}
