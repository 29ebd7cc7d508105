//! The world that a processor's component has, as WIT text.

use std::fmt::Write as _;

use wit_parser::Resolve;

use crate::config::Config;
use crate::event::EventType;
use crate::packages::{CONTRACT, Packages};
use crate::sets::Set;

/// The text of a package with one world, `plugin`, and every package it needs.
///
/// # Errors
///
/// What WIT says against the names in `config`.
pub(crate) fn text(
    packages: &Packages,
    input: &Set<'_>,
    output: &Set<'_>,
    config: Option<&Config>,
    has_state: bool,
    has_timer: bool,
) -> Result<String, String> {
    let (contract, version) = CONTRACT.split_once('@').unwrap_or((CONTRACT, ""));
    let mut world = String::from("package plugin:component;\nworld plugin {\n");
    let _ = writeln!(world, "  include {contract}/processor@{version};");
    for (name, is_there) in [("state", has_state), ("timer", has_timer)] {
        if is_there {
            let _ = writeln!(world, "  export {contract}/{name}@{version};");
        }
    }
    side(&mut world, "input", input);
    side(&mut world, "output", output);
    if let Some(config) = config.filter(|config| !config.is_empty()) {
        world.push_str(&config.wit());
    }
    world.push_str("}\n");
    let used = input.events.iter().chain(output.events).map(|event| event.package);
    world.push_str(&packages.nested(used));
    let mut resolve = Resolve::new();
    match resolve.push_str("the world of this processor", &world) {
        Ok(_) => Ok(world),
        Err(error) => Err(resolve.render_error(&error)),
    }
}

fn side(world: &mut String, name: &str, set: &Set<'_>) {
    let _ = writeln!(world, "  export {name}: interface {{");
    if let Some(event) = set.single() {
        let _ = writeln!(world, "    use {}.{{%{}}};", interface(event), event.wit_name);
        if event.wit_name != "event" {
            let _ = writeln!(world, "    type event = %{};", event.wit_name);
        }
    } else {
        let cases = set.case_names();
        for (event, case) in set.events.iter().zip(&cases) {
            let _ = writeln!(world, "    use {}.{{%{} as %{case}}};", interface(event), event.wit_name);
        }
        let cases: Vec<String> = cases.iter().map(|case| format!("%{case}(%{case})")).collect();
        let _ = writeln!(world, "    variant event {{ {} }}", cases.join(", "));
    }
    world.push_str("  }\n");
}

/// The interface of an event type as WIT text.
fn interface(event: &EventType) -> String {
    let package = &event.package_name;
    let version = package.version.as_ref().map(|version| format!("@{version}")).unwrap_or_default();
    format!("%{}:%{}/event{version}", package.namespace, package.name)
}
