//! The rules of this code base that no compiler knows.
//!
//! Each rule has its reason beside it. Every breach is reported, not the first.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell::Workspace;

/// One owner for each heavy dependency: whoever upgrades it looks in one place.
const OWNERS: &[(&str, &[&str])] = &[
    ("wasmtime", &["host/engine"]),
    ("wasmtime-wasi", &["host/engine"]),
    ("wit-parser", &["host/schema", "sdk/flowctl-sdk-macros"]),
    ("wasmparser", &["host/schema", "host/cli"]),
    ("petgraph", &["host/registry"]),
    ("granit-parser", &["host/intent"]),
    ("zstd", &["host/connectors", "tests/support"]),
    ("axum", &["host/connectors", "host/control-plane"]),
    ("hyper", &["host/connectors", "host/control-plane", "tests/support"]),
    ("rusqlite", &["host/store", "host/connectors"]),
    ("reqwest", &["host/connectors", "host/oci"]),
    ("rustls", &["host/connectors", "host/control-plane", "host/oci", "tests/support"]),
    ("rustls-platform-verifier", &["host/connectors", "host/oci"]),
    ("similar", &["host/cli"]),
    ("clap", &["host/cli", "xtask", "xtask/bench"]),
    ("clap_complete", &["host/cli"]),
    ("clap_mangen", &["host/cli"]),
    ("indicatif", &["host/cli"]),
    ("inquire", &["host/cli"]),
    ("ratatui", &["host/tui"]),
    ("crossterm", &["host/tui"]),
    ("tokio-postgres", &["host/connectors", "tests/support"]),
    ("opentelemetry-otlp", &["host/cli"]),
];

/// Words that say that something is not finished.
const UNFINISHED: [&str; 4] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("for ", "now")];

const MAX_LINES: usize = 800;
const MAX_MAIN_LINES: usize = 30;

/// Checks every rule over the files that git tracks or would track.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let files = files(workspace)?;
    let mut breaches = Vec::new();
    for path in &files {
        let is_text = path
            .extension()
            .and_then(|e| e.to_str())
            .is_some_and(|e| ["rs", "toml", "md", "wit", "yaml", "yml", "json", "sh"].contains(&e));
        if !is_text {
            continue;
        }
        let Ok(text) = fs::read_to_string(workspace.root.join(path)) else { continue };
        let mut breach = |line: usize, rule: &str| breaches.push(format!("{}:{line}: {rule}", path.display()));
        // inputs of tests may hold anything
        if !path.starts_with("tests/pipelines") && !has_part(path, "__fuzz__") {
            any_text(&text, &mut breach);
        }
        match path.extension().and_then(|e| e.to_str()) {
            Some("rs") => rust_source(path, &text, &mut breach),
            Some("toml") if path.ends_with("Cargo.toml") => manifest(path, &text, &mut breach),
            _ => {}
        }
    }
    code_map(workspace, &files, &mut breaches)?;
    if !breaches.is_empty() {
        bail!("{} breaches\n{}", breaches.len(), breaches.join("\n"));
    }
    println!("{} files are tidy", files.len());
    Ok(())
}

fn files(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(&workspace.root)
        .output()
        .context("cannot start git")?;
    if !output.status.success() {
        bail!("`git ls-files` failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let listed = String::from_utf8(output.stdout).context("a file's name is not UTF-8")?;
    Ok(listed.lines().map(PathBuf::from).filter(|path| workspace.root.join(path).is_file()).collect())
}

/// Rules for every text: it ends in one line break, and no line in white space.
fn any_text(text: &str, breach: &mut impl FnMut(usize, &str)) {
    for (number, line) in text.lines().enumerate() {
        if line.ends_with([' ', '\t']) {
            breach(number + 1, "ends in white space");
        }
    }
    if !text.is_empty() && (!text.ends_with('\n') || text.ends_with("\n\n")) {
        breach(text.lines().count(), "does not end in exactly one line break");
    }
}

/// Rules for Rust: a header that says what the file owns, a size that can be read, and
/// nothing unfinished.
fn rust_source(path: &Path, text: &str, breach: &mut impl FnMut(usize, &str)) {
    if has_part(path, "ui") || has_part(path, "generated") {
        return;
    }
    if !text.starts_with("//!") {
        breach(1, "does not open with a `//!` header that says what the file owns");
    }
    let n_lines = text.lines().count();
    if n_lines > MAX_LINES {
        breach(n_lines, "is longer than 800 lines: split it by concept");
    }
    if path.ends_with("main.rs") && !path.starts_with("tests") && n_lines > MAX_MAIN_LINES {
        breach(n_lines, "`main.rs` is longer than 30 lines: it reads as the life of the process");
    }
    for (number, line) in text.lines().enumerate() {
        for word in UNFINISHED {
            if has_word(line, word) {
                breach(number + 1, &format!("`{word}`: finish it, or make it a clear error"));
            }
        }
        if line.trim_start().starts_with(concat!("#[ign", "ore")) {
            breach(number + 1, "an ignored test proves nothing: mend it or delete it");
        }
        if line.contains(concat!("unsafe_", "code)")) && line.contains("allow") && !may_be_unsafe(path) {
            breach(number + 1, "`unsafe` belongs to the SDK's glue and to the engine's loader of compiled artifacts");
        }
    }
}

/// Whether a folder of the path, or its file, is called `name`.
fn has_part(path: &Path, name: &str) -> bool {
    path.components().any(|part| part.as_os_str() == name)
}

/// Whether `word` stands in `line` with no letter after it: part of a longer word is no promise.
fn has_word(line: &str, word: &str) -> bool {
    line.split(word).skip(1).any(|rest| !rest.starts_with(char::is_alphanumeric))
}

fn may_be_unsafe(path: &Path) -> bool {
    ["sdk", "host/engine/src", "tests/guests"].iter().any(|folder| path.starts_with(folder))
}

/// Rules for manifests: heavy dependencies stay with their owners.
fn manifest(path: &Path, text: &str, breach: &mut impl FnMut(usize, &str)) {
    let folder = path.parent().unwrap_or(Path::new(""));
    if folder.as_os_str().is_empty() {
        return;
    }
    let tests_begin = text.lines().position(|line| line == "[dev-dependencies]").unwrap_or(usize::MAX);
    for (number, line) in text.lines().enumerate().take_while(|(number, _)| *number < tests_begin) {
        let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
        for &(dependency, owners) in OWNERS {
            if name == dependency && !owners.iter().any(|owner| folder == Path::new(owner)) {
                breach(number + 1, &format!("`{dependency}` belongs to {}", owners.join(", ")));
            }
        }
    }
}

/// Every crate has its paragraph in ARCHITECTURE.md.
fn code_map(workspace: &Workspace, files: &[PathBuf], breaches: &mut Vec<String>) -> Result<()> {
    let path = workspace.root.join("ARCHITECTURE.md");
    let map = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    for manifest in files.iter().filter(|path| path.ends_with("Cargo.toml")) {
        let folder = manifest.parent().unwrap_or(Path::new("")).display().to_string();
        let is_plugin = folder.starts_with("plugins/");
        if !folder.is_empty() && !is_plugin && !map.contains(&format!("`{folder}`")) {
            breaches.push(format!("ARCHITECTURE.md: the code map lacks `{folder}`"));
        }
    }
    Ok(())
}
