//! What a component asks for beyond what every guest has.

use super::component::Component;

/// Interfaces of WASI 0.2 that come with Rust's standard library: those that every
/// guest imports, and clocks and random numbers, which a hash map or a timestamp
/// brings in. Files and sockets are not among them.
const BASELINE: [(&str, &[&str]); 4] = [
    (
        "cli",
        &[
            "environment",
            "exit",
            "stderr",
            "stdin",
            "stdout",
            "terminal-input",
            "terminal-output",
            "terminal-stderr",
            "terminal-stdin",
            "terminal-stdout",
        ],
    ),
    ("clocks", &["monotonic-clock", "wall-clock"]),
    ("io", &["error", "poll", "streams"]),
    ("random", &["insecure", "insecure-seed", "random"]),
];

/// Interfaces of the contract that the host gives to every plugin.
const CONTRACT: [&str; 3] = ["log", "metrics", "types"];

/// The imports that are neither the contract's, nor types alone, nor those of every
/// guest with a standard library; in the component's order.
pub(super) fn beyond_baseline(component: &Component<'_>) -> Vec<String> {
    let imports = component.imports.iter();
    let asked = imports.filter(|import| {
        let is_known = import.id().is_some_and(|id| match id.namespace.as_str() {
            "flowctl" => id.package == "processor" && CONTRACT.contains(&id.interface.as_str()),
            "wasi" => {
                let is_p2 = id.version.is_some_and(|version| (version.major, version.minor) == (0, 2));
                is_p2
                    && BASELINE.iter().any(|(package, interfaces)| {
                        *package == id.package && interfaces.contains(&id.interface.as_str())
                    })
            }
            _ => false,
        });
        !is_known && !component.is_types_only(import)
    });
    asked.map(|import| import.name.clone()).collect()
}
