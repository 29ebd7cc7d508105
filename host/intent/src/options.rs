//! Reads how nodes and pipelines run: `allow`, `limits`, `batch`, `retry` and the like.

use std::time::Duration;

use flowctl_types::Code;

use crate::Interpolated;
use crate::component::{Role, read_component};
use crate::interpolate::is_variable_name;
use crate::model::{Grants, NodeOptions, SinkSpec};
use crate::reader::{Fields, Reader};
use crate::settings::{OnFailure, Overrides, Settings};
use crate::tree::Node;

/// Keys that a pipeline's `spec` has in both formats.
pub(crate) const SPEC_KEYS: [&str; 7] = ["types", "limits", "batch", "queue", "checkpoint", "retry", "dead_letter"];
/// Keys of a processor's options, and of an entry of `nodes`.
pub(crate) const PROCESSOR_KEYS: [&str; 8] =
    ["allow", "parallelism", "key", "tick", "limits", "batch", "queue", "retry"];
/// Keys of a source's options.
pub(crate) const SOURCE_KEYS: [&str; 4] = ["allow", "limits", "batch", "retry"];
/// Keys of a sink's options.
pub(crate) const SINK_KEYS: [&str; 5] = ["allow", "limits", "batch", "queue", "retry"];
/// Keys of the dead-letter sink's options: no edge leads to it.
pub(crate) const DEAD_LETTER_KEYS: [&str; 3] = ["allow", "limits", "retry"];

/// What `on_failure` may say.
pub(crate) const ON_FAILURE: [(&str, OnFailure); 2] =
    [("dead-letter", OnFailure::DeadLetter), ("stop", OnFailure::Stop)];

/// The id of the sink that `dead_letter` names.
pub(crate) const DEAD_LETTER_ID: &str = "dead-letter";

/// Most files and folders of WIT text of one pipeline.
const MAX_TYPES: usize = 100;
const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Reads what `fields` says of how a node runs; `settings` are the pipeline's. Keys that
/// the node may not have were reported when the fields were taken.
pub(crate) fn read_options(reader: &mut Reader, fields: &Fields<'_>, settings: &Settings) -> NodeOptions {
    let parallelism = fields.get("parallelism").and_then(|node| reader.integer(node, "`parallelism`", 1..=256));
    NodeOptions {
        allow: fields.get("allow").map(|node| read_grants(reader, node)).unwrap_or_default(),
        parallelism: parallelism.unwrap_or(1),
        key: fields.get("key").and_then(|node| reader.text(node, "`key`")).map(str::to_owned),
        overrides: read_overrides(reader, fields, settings),
    }
}

/// Reads the settings that a pipeline's `spec` gives.
pub(crate) fn read_settings(reader: &mut Reader, fields: &Fields<'_>) -> Settings {
    let defaults = Settings::default();
    let overrides = read_overrides(reader, fields, &defaults);
    defaults.with(&overrides)
}

/// Reads the settings that `fields` gives in place of those of `base`.
fn read_overrides(reader: &mut Reader, fields: &Fields<'_>, base: &Settings) -> Overrides {
    let mut overrides = Overrides::default();
    if let Some(limits) = fields.get("limits").and_then(|n| reader.fields(n, "`limits`", &["memory", "cpu", "timeout"]))
    {
        overrides.memory_bytes = limits.get("memory").and_then(|n| reader.size(n, "`memory`", 1 << 20..=4 << 30));
        overrides.cpu = limits.get("cpu").and_then(|n| reader.duration(n, "`cpu`", MS..=Duration::from_secs(600)));
        overrides.timeout = limits.get("timeout").and_then(|n| reader.duration(n, "`timeout`", MS..=HOUR));
    }
    if let Some(batch) =
        fields.get("batch").and_then(|n| reader.fields(n, "`batch`", &["max_events", "max_bytes", "linger"]))
    {
        overrides.max_events = batch.get("max_events").and_then(|n| reader.integer(n, "`max_events`", 1..=100_000));
        overrides.max_bytes = batch.get("max_bytes").and_then(|n| reader.size(n, "`max_bytes`", 1 << 10..=256 << 20));
        overrides.linger =
            batch.get("linger").and_then(|n| reader.duration(n, "`linger`", Duration::ZERO..=Duration::from_secs(60)));
    }
    overrides.queue = fields.get("queue").and_then(|n| reader.integer(n, "`queue`", 1..=1_024));
    if let Some(checkpoint) =
        fields.get("checkpoint").and_then(|n| reader.fields(n, "`checkpoint`", &["interval", "keep"]))
    {
        overrides.checkpoint_interval =
            checkpoint.get("interval").and_then(|n| reader.duration(n, "`interval`", MS * 10..=HOUR));
        overrides.checkpoints_kept = checkpoint.get("keep").and_then(|n| reader.integer(n, "`keep`", 1..=1_000));
    }
    if let Some(node) = fields.get("retry") {
        read_retry(reader, node, base, &mut overrides);
    }
    overrides.tick = fields.get("tick").and_then(|n| reader.duration(n, "`tick`", MS..=HOUR));
    overrides
}

/// Reads `retry` into `overrides`, and holds its waits against each other: one that is
/// left out is that of `base`.
fn read_retry(reader: &mut Reader, node: &Node, base: &Settings, overrides: &mut Overrides) {
    let keys = ["max_attempts", "first_wait", "longest_wait", "on_failure"];
    let Some(retry) = reader.fields(node, "`retry`", &keys) else { return };
    let n_problems = reader.problems.len();
    let (first, longest) = (retry.get("first_wait"), retry.get("longest_wait"));
    overrides.first_wait = first.and_then(|n| reader.duration(n, "`first_wait`", MS..=HOUR));
    overrides.longest_wait = longest.and_then(|n| reader.duration(n, "`longest_wait`", MS..=HOUR));
    let waits = base.with(overrides).retry;
    // what is wrong with an inherited wait is said where that one stands
    let is_own = first.is_some() && longest.is_some() || base.retry.first_wait <= base.retry.longest_wait;
    if let Some(place) = first.or(longest)
        && is_own
        && waits.first_wait > waits.longest_wait
        && reader.problems.len() == n_problems
    {
        let hint = "raise `longest_wait` (10s where nothing sets it), or lower `first_wait` (100ms where nothing does)";
        reader.fault(place.span, Code::WrongValue, "`first_wait` is longer than `longest_wait`", hint);
    }
    overrides.max_attempts = retry.get("max_attempts").and_then(|n| reader.integer(n, "`max_attempts`", 1..=1_000));
    let chosen = retry
        .get("on_failure")
        .and_then(|n| reader.choice(n, Code::WrongValue, "`on_failure`", &ON_FAILURE.map(|(name, _)| name)));
    overrides.on_failure = chosen.map(|index| ON_FAILURE[index].1);
}

/// Reads `types`: files or folders of WIT text, as they are written, none twice.
pub(crate) fn read_types(reader: &mut Reader, fields: &Fields<'_>) -> Vec<Interpolated<String>> {
    let Some(node) = fields.get("types") else { return Vec::new() };
    let items = reader.one_or_many(node);
    if items.is_empty() {
        let hint = "name a file or a folder of WIT text, such as `types: ./orders.wit`, or leave `types` out";
        reader.fault(node.place(), Code::MissingKey, "`types` is empty", hint);
    }
    if items.len() > MAX_TYPES {
        let hint = "gather packages in one file, or in the `deps/` of a folder";
        reader.fault(
            node.place(),
            Code::TooLarge,
            format!("`types` has {} items, more than {MAX_TYPES}", items.len()),
            hint,
        );
    }
    let mut types: Vec<Interpolated<String>> = Vec::new();
    for item in items {
        let what = if items.len() > 1 { "an item of `types`" } else { "`types`" };
        if reader.text(item, what).is_none() {
            continue;
        }
        let Some(path) = reader.any_text(item, what) else { continue };
        if types.iter().any(|known| known.value() == path.value()) {
            reader.fault(item.span, Code::ListedTwice, "`types` lists this twice", "leave the second one out");
        } else {
            types.push(path);
        }
    }
    types
}

/// Reads `dead_letter`, where it is given: a sink without id and inputs.
pub(crate) fn read_dead_letter(reader: &mut Reader, fields: &Fields<'_>, settings: &Settings) -> Option<SinkSpec> {
    let keys = [&["config"], Role::Sink.component_keys(), Role::Sink.command_keys(), &DEAD_LETTER_KEYS].concat();
    let fields = reader.fields(fields.get("dead_letter")?, "`dead_letter`", &keys)?;
    let hint = "name a sink, such as `type: file` with `config: {path: rejected.jsonl}`";
    let component = read_component(reader, &fields, Role::Sink, hint);
    let config = fields.get("config").map(|node| reader.config(node, "`config`")).unwrap_or_default();
    let options = read_options(reader, &fields, settings);
    Some(SinkSpec {
        id: DEAD_LETTER_ID.parse().expect("it is spelled as a name"),
        component: component?,
        inputs: Vec::new(),
        config,
        options,
    })
}

fn read_grants(reader: &mut Reader, node: &Node) -> Grants {
    let Some(fields) = reader.fields(node, "`allow`", &["hosts", "env", "dirs"]) else { return Grants::default() };
    let host_hint = "write `name` or `name:port`, without a scheme, path or wildcard";
    let variable_hint = "write the variable's name alone, such as `API_KEY`";
    Grants {
        hosts: read_grant(reader, &fields, "hosts", "a host", is_host, host_hint),
        env: read_grant(reader, &fields, "env", "the name of a variable", is_variable_name, variable_hint),
        dirs: read_grant(reader, &fields, "dirs", "a directory", |_| true, "write its path"),
    }
}

fn read_grant(
    reader: &mut Reader,
    fields: &Fields<'_>,
    key: &str,
    kind: &str,
    holds: fn(&str) -> bool,
    hint: &str,
) -> Vec<String> {
    let Some(node) = fields.get(key) else { return Vec::new() };
    let mut granted: Vec<String> = Vec::new();
    for item in reader.items(node, &format!("`{key}`")) {
        let Some(text) = reader.text(item, &format!("an item of `{key}`")) else { continue };
        if !holds(text) {
            reader.fault(item.span, Code::WrongValue, format!("`{}` is not {kind}", item.shown()), hint);
        } else if !granted.iter().any(|other| other == text) {
            granted.push(text.to_owned());
        }
    }
    granted
}

/// A host's name or address, and perhaps a port.
fn is_host(text: &str) -> bool {
    let (holds, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => (address.parse::<std::net::Ipv6Addr>().is_ok(), port),
        None => {
            let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
            (!name.is_empty() && name.len() <= 253 && name.bytes().all(is_allowed), port)
        }
    };
    let port_holds = match port.strip_prefix(':') {
        Some(port) => port.parse::<u16>().is_ok_and(|port| port != 0),
        None => port.is_empty(),
    };
    holds && port_holds
}
