//! What a tenant's pipelines may touch, and the check of a pipeline against it.
//!
//! Invariants: an empty policy allows nothing; the check does no I/O. Whoever asks
//! brings paths that are absolute and free of links: a path with `..` in it is refused.

use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::Quotas;

/// What a tenant's pipelines may touch. In every list `*` stands for everything.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Connectors by name.
    pub connectors: Vec<String>,
    /// Files, and folders with all that is in them, that connectors may read.
    pub read: Vec<String>,
    /// The same for writing.
    pub write: Vec<String>,
    /// Programs that `command:` nodes may start, as absolute paths; a folder stands for
    /// the programs in it.
    pub commands: Vec<String>,
    /// Registries, or folders in them, that plugins may come from: `ghcr.io/acme`.
    pub registries: Vec<String>,
    /// What connectors and remote components may be dialled at, or listen on:
    /// `host:port`, `*.example.com:443`, `10.0.0.7:*`.
    pub addresses: Vec<String>,
    /// Environment variables of the control plane that a file may name after a restart.
    pub env: Vec<String>,
    /// What plugins may be granted.
    pub grants: GrantPolicy,
    /// How much may be used at once.
    pub quotas: Quotas,
}

/// What plugins may be granted.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GrantPolicy {
    /// Hosts to connect to, written as in [`Policy::addresses`].
    pub hosts: Vec<String>,
    /// Folders to read.
    pub dirs: Vec<String>,
    /// Environment variables.
    pub env: Vec<String>,
}

/// All that a pipeline touches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyRequest {
    /// In the order in which violations are to be told.
    pub uses: Vec<Use>,
}

/// One thing that a node touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The node; empty for the pipeline as a whole.
    pub node: String,
    /// What it touches.
    pub what: Touch,
}

/// What can be touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touch {
    /// A connector, by name.
    Connector(String),
    /// A file or folder that is read.
    Read(PathBuf),
    /// A file or folder that is written.
    Write(PathBuf),
    /// A program that is started.
    Command(PathBuf),
    /// The repository that a plugin comes from: `ghcr.io/acme/ttp-processor`.
    Registry(String),
    /// An address that is dialled or listened on.
    Address {
        /// A name, or an IP address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A variable of the control plane's own environment.
    Env(String),
    /// A host that a plugin is granted.
    GrantHost {
        /// A name, or an IP address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// A folder that a plugin is granted.
    GrantDir(PathBuf),
    /// An environment variable that a plugin is granted.
    GrantEnv(String),
}

/// Something that the policy does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{what} {}", if node.is_empty() { String::new() } else { format!("node `{node}`: ") }, "is not allowed by the policy of the tenant")]
pub struct Violation {
    /// The node; empty for the pipeline as a whole.
    pub node: String,
    /// What it wants, such as "connector `postgres`".
    pub what: String,
    /// The field of the policy that would have to allow it.
    pub field: &'static str,
}

impl Policy {
    /// The policy that allows everything, without quotas.
    #[must_use]
    pub fn everything() -> Self {
        let all = || vec!["*".to_owned()];
        Self {
            connectors: all(),
            read: all(),
            write: all(),
            commands: all(),
            registries: all(),
            addresses: all(),
            env: all(),
            grants: GrantPolicy { hosts: all(), dirs: all(), env: all() },
            quotas: Quotas::default(),
        }
    }

    /// Everything in `request` that it does not allow, in the request's order.
    #[must_use]
    pub fn check(&self, request: &PolicyRequest) -> Vec<Violation> {
        let refused = request.uses.iter().filter(|used| !self.allows(&used.what));
        let mut violations: Vec<_> = refused
            .map(|used| Violation { node: used.node.clone(), what: words(&used.what), field: field(&used.what) })
            .collect();
        if let Some(violation) = self.too_many_hosts(request) {
            violations.push(violation);
        }
        violations
    }

    /// Whether one thing may be touched.
    #[must_use]
    pub fn allows(&self, what: &Touch) -> bool {
        match what {
            Touch::Connector(name) => is_listed(&self.connectors, name),
            Touch::Read(path) => is_below(&self.read, path),
            Touch::Write(path) => is_below(&self.write, path),
            Touch::Command(path) => is_below(&self.commands, path),
            Touch::Registry(repository) => is_from(&self.registries, repository),
            Touch::Address { host, port } => is_address(&self.addresses, host, *port),
            Touch::Env(name) => is_listed(&self.env, name),
            Touch::GrantHost { host, port } => is_address(&self.grants.hosts, host, *port),
            Touch::GrantDir(path) => is_below(&self.grants.dirs, path),
            Touch::GrantEnv(name) => is_listed(&self.grants.env, name),
        }
    }

    /// Whether a connection that a name led to `address` may be made: an address of this
    /// machine or its networks must be allowed itself, whatever the name.
    #[must_use]
    pub fn allows_resolved(&self, address: IpAddr, port: u16) -> bool {
        !is_internal(address) || is_address(&self.addresses, &address.to_string(), port)
    }

    fn too_many_hosts(&self, request: &PolicyRequest) -> Option<Violation> {
        let most = self.quotas.egress_hosts?;
        let hosts = request.uses.iter().filter_map(|used| match &used.what {
            Touch::GrantHost { host, .. } => Some(host.to_ascii_lowercase()),
            _ => None,
        });
        let n_hosts = hosts.collect::<std::collections::BTreeSet<_>>().len() as u64;
        let what = format!("access of plugins to {n_hosts} hosts, where the quota is {most},");
        (n_hosts > most).then(|| Violation { node: String::new(), what, field: "quotas.egress_hosts" })
    }
}

/// Whether an address belongs to this machine, its networks, or no single host.
#[must_use]
pub fn is_internal(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || v4.is_multicast()
                || first == 0
                || (first == 100 && (64..128).contains(&second))
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_internal(IpAddr::V4(v4)),
            None => {
                v6.is_loopback()
                    || v6.is_unspecified()
                    || v6.is_multicast()
                    || v6.is_unique_local()
                    || v6.is_unicast_link_local()
            }
        },
    }
}

fn is_listed(allowed: &[String], name: &str) -> bool {
    allowed.iter().any(|entry| entry == "*" || entry == name)
}

fn is_below(allowed: &[String], path: &Path) -> bool {
    let is_plain = path.is_absolute() && path.components().all(|part| !matches!(part, Component::ParentDir));
    allowed.iter().any(|entry| entry == "*" || (is_plain && Path::new(entry).is_absolute() && path.starts_with(entry)))
}

fn is_from(allowed: &[String], repository: &str) -> bool {
    allowed.iter().any(|entry| {
        let entry = entry.trim_end_matches('/');
        entry == "*" || repository.strip_prefix(entry).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn is_address(allowed: &[String], host: &str, port: u16) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    let is_internal = address.is_some_and(is_internal) || host == "localhost" || host.ends_with(".localhost");
    allowed.iter().any(|entry| {
        // everything is everything; any host on one port is any host out there
        if entry == "*" {
            return true;
        }
        let Some((wanted, wanted_port)) = entry.rsplit_once(':') else { return false };
        if wanted_port != "*" && wanted_port.parse() != Ok(port) {
            return false;
        }
        let wanted = wanted.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        match wanted.strip_prefix('*') {
            Some("") => !is_internal,
            Some(suffix) => {
                suffix.starts_with('.')
                    && address.is_none()
                    && !is_internal
                    && host.len() > suffix.len()
                    && host.ends_with(suffix)
            }
            None => wanted == host || (address.is_some() && wanted.parse().ok() == address),
        }
    })
}

fn words(what: &Touch) -> String {
    match what {
        Touch::Connector(name) => format!("connector `{name}`"),
        Touch::Read(path) => format!("reading `{}`", path.display()),
        Touch::Write(path) => format!("writing `{}`", path.display()),
        Touch::Command(path) => format!("starting `{}`", path.display()),
        Touch::Registry(repository) => format!("a plugin from `{repository}`"),
        Touch::Address { host, port } => format!("address `{}`", address(host, *port)),
        Touch::Env(name) => format!("variable `{name}` of the control plane's environment"),
        Touch::GrantHost { host, port } => format!("access of a plugin to `{}`", address(host, *port)),
        Touch::GrantDir(path) => format!("access of a plugin to folder `{}`", path.display()),
        Touch::GrantEnv(name) => format!("access of a plugin to variable `{name}`"),
    }
}

const fn field(what: &Touch) -> &'static str {
    match what {
        Touch::Connector(_) => "connectors",
        Touch::Read(_) => "read",
        Touch::Write(_) => "write",
        Touch::Command(_) => "commands",
        Touch::Registry(_) => "registries",
        Touch::Address { .. } => "addresses",
        Touch::Env(_) => "env",
        Touch::GrantHost { .. } => "grants.hosts",
        Touch::GrantDir(_) => "grants.dirs",
        Touch::GrantEnv(_) => "grants.env",
    }
}

fn address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(policy: &str, allowed: &[Touch], refused: &[Touch]) {
        let policy: Policy = serde_saphyr::from_str(policy).unwrap();
        for what in allowed {
            assert!(policy.allows(what), "{what:?} is to be allowed");
        }
        for what in refused {
            assert!(!policy.allows(what), "{what:?} is to be refused");
        }
    }

    fn read(path: &str) -> Touch {
        Touch::Read(path.into())
    }

    fn dial(host: &str, port: u16) -> Touch {
        Touch::Address { host: host.to_owned(), port }
    }

    #[test]
    fn an_empty_policy_allows_nothing() {
        let refused = [
            Touch::Connector("stdout".into()),
            read("/"),
            Touch::Write("/tmp/a".into()),
            Touch::Command("/bin/sh".into()),
            Touch::Registry("ghcr.io/acme/a".into()),
            dial("example.com", 443),
            Touch::Env("HOME".into()),
            Touch::GrantHost { host: "example.com".into(), port: 443 },
            Touch::GrantDir("/tmp".into()),
            Touch::GrantEnv("HOME".into()),
        ];
        check("{}", &[], &refused);
        let request =
            PolicyRequest { uses: refused.into_iter().map(|what| Use { node: "n".to_owned(), what }).collect() };
        assert_eq!(Policy::default().check(&request).len(), request.uses.len());
        assert_eq!(Policy::everything().check(&request), []);
    }

    #[test]
    fn a_folder_stands_for_what_is_in_it_and_nothing_beside_it() {
        check(
            "read: [/srv/acme]",
            &[read("/srv/acme"), read("/srv/acme/a/b.zst")],
            &[read("/srv/acme2"), read("/srv/acme/../other"), read("srv/acme"), read("/srv"), read("/")],
        );
    }

    #[test]
    fn a_wildcard_of_hosts_stands_for_no_internal_address() {
        check(
            "addresses: ['*:443', '10.0.0.7:*', '*.example.com:80']",
            &[dial("a.test", 443), dial("10.0.0.7", 5432), dial("b.EXAMPLE.com.", 80)],
            &[
                dial("127.0.0.1", 443),
                dial("169.254.169.254", 443),
                dial("::1", 443),
                dial("::ffff:127.0.0.1", 443),
                dial("localhost", 443),
                dial("10.0.0.8", 443),
                dial("a.test", 80),
                dial("example.com", 80),
                dial("badexample.com", 80),
            ],
        );
    }

    #[test]
    fn a_name_that_leads_to_an_internal_address_needs_that_address() {
        let policy: Policy = serde_saphyr::from_str("addresses: ['*:443', '10.0.0.7:443']").unwrap();
        assert!(policy.allows_resolved([93, 184, 216, 34].into(), 443));
        assert!(policy.allows_resolved([10, 0, 0, 7].into(), 443));
        assert!(!policy.allows_resolved([10, 0, 0, 8].into(), 443));
        assert!(!policy.allows_resolved([100, 64, 0, 1].into(), 443));
    }

    #[test]
    fn a_registry_is_matched_by_whole_parts() {
        check(
            "registries: [ghcr.io/acme]",
            &[Touch::Registry("ghcr.io/acme/a".into())],
            &[Touch::Registry("ghcr.io/acme-evil/a".into()), Touch::Registry("ghcr.io".into())],
        );
    }

    #[test]
    fn more_hosts_than_the_quota_are_a_violation() {
        let policy: Policy = serde_saphyr::from_str("{grants: {hosts: ['*']}, quotas: {egress_hosts: 1}}").unwrap();
        let grant = |host: &str| Use { node: "n".into(), what: Touch::GrantHost { host: host.into(), port: 1 } };
        assert_eq!(policy.check(&PolicyRequest { uses: vec![grant("a"), grant("A")] }), []);
        let violations = policy.check(&PolicyRequest { uses: vec![grant("a"), grant("b")] });
        assert_eq!(violations[0].field, "quotas.egress_hosts");
    }

    #[test]
    fn a_violation_names_node_and_thing() {
        let used = Use { node: "out".into(), what: Touch::Connector("postgres".into()) };
        let violations = Policy::default().check(&PolicyRequest { uses: vec![used] });
        let said = "node `out`: connector `postgres` is not allowed by the policy of the tenant";
        assert_eq!(violations[0].to_string(), said);
    }
}
