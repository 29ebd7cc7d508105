//! What a pipeline touches, held against the policy of its tenant.
//!
//! Invariant: what the file names is checked before any of it is read or pulled; what its
//! nodes touch, before one of them is made ready. Paths are checked where they lead, links
//! followed, and addresses also by what their names lead to.
//!
//! Left out: what a name leads to later. It is looked up when a pipeline is planned, which
//! is at every start of a run, and by the connector when it dials; whoever answers for the
//! name may say two things. A policy that lists no foreign names is safe from that.

use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::{Component as Part, Path, PathBuf};

use anyhow::Result;
use flowctl_control_plane::controller::PipelineFile;
use flowctl_control_plane::tenants::{Policy, PolicyRequest, Touch, Use, Violation};
use flowctl_intent::{Component as Written, Document, Intent};
use flowctl_registry::{Entry, Origin};
use flowctl_topology::{Component, Node, Topology};
use flowctl_types::Reference;

use crate::artifacts::Artifacts;
use crate::pipeline::lockfile::LockFile;

/// What the policy does not allow; at least one thing.
#[derive(Debug)]
pub(crate) struct Denied(Vec<Violation>);

impl Denied {
    /// What to do about it.
    pub(crate) fn hint(&self) -> String {
        let mut fields: Vec<&str> = self.0.iter().map(|violation| violation.field).collect();
        fields.sort_unstable();
        fields.dedup();
        format!("whoever runs the control plane can allow it in the tenant's policy: {}", fields.join(", "))
    }
}

impl std::fmt::Display for Denied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let texts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join("; "))
    }
}

impl std::error::Error for Denied {}

/// Whether a file may name a variable of the control plane's own environment.
pub(crate) fn allows_variable(policy: &Policy, name: &str) -> bool {
    policy.allows(&Touch::Env(name.to_owned()))
}

/// Whether a tenant sees an entry of the registry.
pub(crate) fn allows_entry(policy: &Policy, entry: &Entry) -> bool {
    match entry.origin {
        Origin::BuiltIn { .. } => policy.allows(&Touch::Connector(entry.name.clone())),
        Origin::Plugin { .. } | Origin::Live(_) => true,
    }
}

/// Checks what a file names: before any of it is read or pulled.
///
/// # Errors
///
/// [`Denied`], with all that is not allowed.
pub(crate) fn check_written(
    policy: &Policy,
    document: &Document,
    file: &PipelineFile,
    artifacts: &Artifacts,
) -> Result<()> {
    let mut uses = Uses::default();
    let base_dir = file.base_dir.as_path();
    for path in &file.plugins {
        uses.of_file(Touch::Read(lead(base_dir, path)));
    }
    for path in document.intent.types() {
        uses.of_file(Touch::Read(lead(base_dir, Path::new(path.value()))));
    }
    for (node, reference) in references(&document.intent) {
        match &reference {
            Reference::File(path) | Reference::Layout { path, .. } => {
                uses.of_node(&node, Touch::Read(lead(base_dir, path)));
            }
            Reference::Oci { .. } => {
                let found = artifacts.registry_ref(&reference)?;
                uses.of_node(&node, Touch::Registry(format!("{}/{}", found.registry(), found.repository())));
            }
            // found in the host's own folders, store and default registry
            Reference::Name { .. } => {}
        }
    }
    uses.check(policy)
}

/// Checks what the nodes of a topology touch: before one of them is made ready.
///
/// # Errors
///
/// [`Denied`], with all that is not allowed.
pub(crate) fn check_planned(policy: &Policy, topology: &Topology, base_dir: &Path) -> Result<()> {
    let mut uses = Uses::default();
    for node in topology.nodes.iter().chain(&topology.dead_letter) {
        uses.planned(node, base_dir);
    }
    uses.check(policy)
}

/// Checks where the process of a `command:` node says that it serves. On this machine it may
/// at `given`, the port that it was given; everything else the policy must list.
///
/// # Errors
///
/// [`Denied`], with the address.
pub(crate) fn check_served(policy: &Policy, node: &str, endpoint: &str, given: Option<u16>) -> Result<()> {
    let mut uses = Uses::default();
    let what = address_of(endpoint);
    let is_given = matches!(&what, Touch::Address { host, port } if Some(*port) == given
        && (host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())));
    if !is_given {
        uses.of_node(node, what);
    }
    uses.check(policy)
}

/// Checks where plugins came from.
///
/// # Errors
///
/// [`Denied`], with all that is not allowed.
pub(crate) fn check_lock(policy: &Policy, lock: &LockFile) -> Result<()> {
    let mut uses = Uses::default();
    for plugin in lock.plugins() {
        if let Some(Reference::Oci { repository, .. }) = &plugin.artifact {
            uses.of_file(Touch::Registry(repository.clone()));
        }
    }
    uses.check(policy)
}

#[derive(Default)]
struct Uses(Vec<Use>);

impl Uses {
    fn of_file(&mut self, what: Touch) {
        self.0.push(Use { node: String::new(), what });
    }

    fn of_node(&mut self, node: &str, what: Touch) {
        self.0.push(Use { node: node.to_owned(), what });
    }

    fn planned(&mut self, node: &Node, base_dir: &Path) {
        let id = node.id.as_str();
        match &node.component {
            Component::Plugin { .. } => {}
            Component::Connector { name } => {
                self.of_node(id, Touch::Connector(name.clone()));
                let reach = flowctl_connectors::reach(node, Some(base_dir));
                let reads = reach.reads.iter().map(|path| Touch::Read(lead(base_dir, path)));
                let writes = reach.writes.iter().map(|path| Touch::Write(lead(base_dir, path)));
                let addresses = reach.dials.iter().chain(&reach.listens).map(|address| address_of(address));
                for what in reads.chain(writes).chain(addresses) {
                    self.of_node(id, what);
                }
            }
            Component::Remote { endpoint, .. } => self.of_node(id, address_of(endpoint)),
            Component::Command { argv, .. } => {
                let program = argv.first().map_or("", String::as_str);
                self.of_node(id, Touch::Command(program_of(base_dir, program)));
            }
        }
        for host in &node.grants.hosts {
            let Touch::Address { host, port } = address_of(host) else { continue };
            self.of_node(id, Touch::GrantHost { host, port });
        }
        for dir in &node.grants.dirs {
            self.of_node(id, Touch::GrantDir(lead(base_dir, dir)));
        }
        for (name, _) in &node.grants.env {
            self.of_node(id, Touch::GrantEnv(name.clone()));
        }
    }

    fn check(self, policy: &Policy) -> Result<()> {
        let request = PolicyRequest { uses: self.0 };
        let mut violations = policy.check(&request);
        violations.extend(request.uses.iter().filter_map(|used| led_inside(policy, used, &look_up)));
        if violations.is_empty() { Ok(()) } else { Err(anyhow::Error::new(Denied(violations))) }
    }
}

/// The references of an intent, each with its node.
pub(crate) fn references(intent: &Intent) -> Vec<(String, Reference)> {
    let mut found = Vec::new();
    let mut add = |node: &str, component: &Written| match component {
        Written::Plugin(reference) => found.push((node.to_owned(), reference.clone())),
        Written::Type(_) | Written::Command { .. } => {}
    };
    match intent {
        Intent::Explicit(intent) => {
            intent.sources.iter().for_each(|spec| add(spec.id.as_str(), &spec.component));
            intent.processors.iter().for_each(|spec| add(spec.id.as_str(), &spec.component));
            intent.sinks.iter().for_each(|spec| add(spec.id.as_str(), &spec.component));
        }
        Intent::Discover(intent) => {
            let references =
                intent.via.iter().chain(&intent.to).chain(intent.from.iter().filter_map(|from| from.source.as_ref()));
            let references = references.filter_map(|text| Some((text.clone(), text.parse::<Reference>().ok()?)));
            found.extend(references);
        }
    }
    if let Some(spec) = intent.dead_letter()
        && let Written::Plugin(reference) = &spec.component
    {
        found.push((spec.id.to_string(), reference.clone()));
    }
    found
}

/// Where a path leads: absolute, without `.` and `..`, links followed as far as it exists.
fn lead(base_dir: &Path, path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in base_dir.join(path).components() {
        match part {
            Part::CurDir => {}
            Part::ParentDir => {
                // what a link leads to has another parent than the link
                plain = std::fs::canonicalize(&plain).unwrap_or(plain);
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    let mut rest = Vec::new();
    let mut there = plain.as_path();
    loop {
        if let Ok(found) = std::fs::canonicalize(there) {
            return rest.iter().rev().fold(found, |path, part| path.join(part));
        }
        match (there.parent(), there.file_name()) {
            (Some(parent), Some(name)) => {
                rest.push(name.to_owned());
                there = parent;
            }
            _ => return plain,
        }
    }
}

/// The file of a program: as a path, or looked for in PATH.
fn program_of(base_dir: &Path, program: &str) -> PathBuf {
    if program.contains('/') {
        return lead(base_dir, Path::new(program));
    }
    let search = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&search).map(|folder| folder.join(program)).find(|path| path.is_file());
    lead(base_dir, &found.unwrap_or_else(|| PathBuf::from(program)))
}

/// The violation of a name that is allowed and leads to an address of this machine or its
/// networks that is not.
fn led_inside(policy: &Policy, used: &Use, look_up: &dyn Fn(&str, u16) -> Vec<IpAddr>) -> Option<Violation> {
    let Touch::Address { host, port } = &used.what else { return None };
    // `localhost` is no name that anybody answers for: who lists it means this machine
    let is_name = host.parse::<IpAddr>().is_err() && !host.eq_ignore_ascii_case("localhost");
    let is_asked = is_name && policy.allows(&used.what) && !policy.addresses.iter().any(|entry| entry == "*");
    let found = if is_asked { look_up(host, *port) } else { Vec::new() };
    let inside = found.into_iter().find(|address| !policy.allows_resolved(*address, *port))?;
    let what = format!("address `{inside}`, which `{host}` leads to,");
    Some(Violation { node: used.node.clone(), what, field: "addresses" })
}

/// What a name leads to; nothing where that cannot be found out, as it cannot be dialled then.
fn look_up(host: &str, port: u16) -> Vec<IpAddr> {
    (host, port).to_socket_addrs().map_or_else(|_| Vec::new(), |found| found.map(|address| address.ip()).collect())
}

/// `host:port`; port 0 where there is none, which no policy lists.
fn address_of(text: &str) -> Touch {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => (host, port.parse().unwrap_or(0)),
        _ => (text, 0),
    };
    Touch::Address { host: host.trim_matches(['[', ']']).to_owned(), port }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_checked_where_it_leads() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("mine")).unwrap();
        std::fs::create_dir_all(root.join("theirs/deep")).unwrap();
        std::os::unix::fs::symlink(root.join("theirs/deep"), root.join("mine/link")).unwrap();
        let check = |path: &str, leads_to: &str| {
            assert_eq!(lead(&root.join("mine"), Path::new(path)), root.join(leads_to), "{path}");
        };
        check("a.jsonl", "mine/a.jsonl");
        check("./new/../b", "mine/b");
        check("../theirs/x", "theirs/x");
        check("link/x", "theirs/deep/x");
        check("link/../x", "theirs/x");
    }

    #[test]
    fn addresses_are_taken_apart() {
        let check = |text: &str, host: &str, port: u16| {
            assert_eq!(address_of(text), Touch::Address { host: host.to_owned(), port });
        };
        check("db.example:5432", "db.example", 5432);
        check("[::1]:80", "::1", 80);
        check("db.example", "db.example", 0);
    }

    fn policy(addresses: &[&str]) -> Policy {
        Policy { addresses: addresses.iter().map(|&text| text.to_owned()).collect(), ..Policy::default() }
    }

    #[test]
    fn a_name_that_leads_inside_needs_the_address_too() {
        let leads_to = |host: &str, _: u16| -> Vec<IpAddr> {
            match host {
                "inside.test" => vec![[93, 184, 216, 34].into(), [10, 0, 0, 7].into()],
                "outside.test" => vec![[93, 184, 216, 34].into()],
                "localhost" => vec![[127, 0, 0, 1].into()],
                _ => Vec::new(),
            }
        };
        let check = |addresses: &[&str], address: &str, refused: Option<&str>| {
            let used = Use { node: "out".to_owned(), what: address_of(address) };
            let violation = led_inside(&policy(addresses), &used, &leads_to);
            assert_eq!(violation.map(|violation| violation.what).as_deref(), refused, "{address} by {addresses:?}");
        };
        let said = Some("address `10.0.0.7`, which `inside.test` leads to,");
        check(&["*:5432"], "inside.test:5432", said);
        check(&["inside.test:5432"], "inside.test:5432", said);
        check(&["*.test:5432", "10.0.0.7:80"], "inside.test:5432", said);
        check(&["*:5432", "10.0.0.7:*"], "inside.test:5432", None);
        check(&["*"], "inside.test:5432", None);
        check(&["*:5432"], "outside.test:5432", None);
        check(&["*:5432"], "nowhere.test:5432", None);
        check(&["localhost:5432"], "localhost:5432", None);
        // the policy does not allow it at all, and says so elsewhere
        check(&[], "inside.test:5432", None);
    }

    #[test]
    fn a_process_serves_where_it_was_told_or_where_the_policy_lists() {
        let check = |addresses: &[&str], endpoint: &str, is_allowed: bool| {
            let checked = check_served(&policy(addresses), "p", endpoint, Some(4_000));
            assert_eq!(checked.is_ok(), is_allowed, "{endpoint} by {addresses:?}");
        };
        check(&[], "127.0.0.1:4000", true);
        check(&[], "[::1]:4000", true);
        check(&[], "127.0.0.1:5432", false);
        check(&[], "169.254.169.254:4000", false);
        check(&["127.0.0.1:5432"], "127.0.0.1:5432", true);
        let said = check_served(&Policy::default(), "p", "10.0.0.7:80", None).unwrap_err().to_string();
        assert_eq!(said, "node `p`: address `10.0.0.7:80` is not allowed by the policy of the tenant");
    }
}
