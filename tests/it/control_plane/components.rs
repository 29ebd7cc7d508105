//! The three components of the demonstration, as processes that register themselves, and
//! what is to become of their ledgers.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use flowctl_test_support::components::{Component, Received, Role};
use flowctl_test_support::{DATA_FILES, DataFile, Event};
use libtest_mimic::Failed;

use super::server::{Server, until};
use crate::flowctl::{Answer, Flowctl};

/// The ledgers that the source emits: 320 of them, small ones.
pub(crate) const LEDGERS: &DataFile = &DATA_FILES[2];

/// An intent without a name, which finds its chain.
pub(crate) const INTENT: &str = "apiVersion: flowctl/v2
kind: Topology
spec:
  from: stellar.ledger.v1
  to: postgres
";

/// Source, processor and sink.
pub(crate) struct Trio {
    pub(crate) source: Component,
    pub(crate) processor: Component,
    pub(crate) sink: Component,
}

impl Trio {
    /// Starts all three, which register at `endpoint`; each gets what belongs to it of
    /// `settings`. The sink writes to the file `received.jsonl`.
    pub(crate) fn start(flowctl: &Flowctl, endpoint: &str, folder: &Path, settings: &[(Role, &str, &str)]) -> Self {
        let start = |role| start(flowctl, endpoint, folder, role, settings);
        Self { source: start(Role::Source), processor: start(Role::Processor), sink: start(Role::Sink) }
    }
}

/// Starts one of the three.
pub(crate) fn start(
    flowctl: &Flowctl,
    endpoint: &str,
    folder: &Path,
    role: Role,
    settings: &[(Role, &str, &str)],
) -> Component {
    let mut variables = variables(flowctl, folder, role);
    variables.extend(Component::registers_at(endpoint).map(|(name, value)| (name.to_owned(), value)));
    let own = settings.iter().filter(|(of, ..)| *of == role);
    variables.extend(own.map(|(_, name, value)| ((*name).to_owned(), (*value).to_owned())));
    Component::start(role, variables)
}

/// What a component is told of its work.
pub(crate) fn variables(flowctl: &Flowctl, folder: &Path, role: Role) -> Vec<(String, String)> {
    let network = ("NETWORK".to_owned(), LEDGERS.passphrase.to_owned());
    match role {
        Role::Source => vec![("LEDGERS".to_owned(), LEDGERS.path(folder).display().to_string()), network],
        Role::Processor => vec![network],
        Role::Sink => vec![("OUTPUT".to_owned(), flowctl.path("received.jsonl").display().to_string())],
    }
}

/// Adds the aggregator behind the processor while the source waits in the middle of its ledgers
/// for `go_file`: once every node has taken the change, the others come. Answers what was said.
pub(crate) fn aggregate(server: &Server<'_>, go_file: &Path) -> Result<String, Failed> {
    let mut add = server.command_at("topology add volume-aggregator --after ttp-processor --config window=1 --wait");
    let adding = add.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    until("every node has taken the change", || {
        let history = server.json("topology history");
        matches!(history[0]["status"].as_str(), Some("on-trial" | "kept")).then_some(())
    });
    std::fs::write(go_file, "")?;
    Ok(Answer::of(adding.wait_with_output()?).success().stderr)
}

/// The transfers that are to come out, as the wire has them: without users of accounts.
pub(crate) fn expected(folder: &Path) -> Result<Vec<Event>, Failed> {
    let mut events = LEDGERS.expected_events(folder)?;
    events.iter_mut().for_each(|event| event.to_muxed = None);
    assert!(!events.is_empty());
    Ok(events)
}

/// The transfers that the sink received, in their order.
pub(crate) fn received(flowctl: &Flowctl) -> Vec<Event> {
    let received = Received::read(&flowctl.path("received.jsonl"));
    received.iter().flat_map(|event| event.transfers().unwrap_or_else(|| panic!("no transfers: {event:?}"))).collect()
}

/// The sink received each transfer once, in order.
pub(crate) fn each_once(flowctl: &Flowctl, folder: &Path) -> Result<(), Failed> {
    let (found, expected) = (received(flowctl), expected(folder)?);
    let differing = found.iter().zip(&expected).position(|(found, expected)| found != expected);
    match differing {
        Some(at) => Err(format!("transfer {at}\n   found {:?}\nexpected {:?}", found[at], expected[at]).into()),
        None if found.len() != expected.len() => {
            Err(format!("{} transfers, where {} are expected", found.len(), expected.len()).into())
        }
        None => Ok(()),
    }
}

/// The sink received each transfer at least once, and nothing else.
pub(crate) fn none_missing(flowctl: &Flowctl, folder: &Path) -> Result<(), Failed> {
    let set = |events: Vec<Event>| events.iter().map(Event::to_json_line).collect::<BTreeSet<_>>();
    let (found, expected) = (set(received(flowctl)), set(expected(folder)?));
    let (n_missing, n_strange) = (expected.difference(&found).count(), found.difference(&expected).count());
    match (n_missing, n_strange) {
        (0, 0) => Ok(()),
        _ => Err(format!("{n_missing} are missing, {n_strange} should not be there").into()),
    }
}
