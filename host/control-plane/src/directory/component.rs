//! A live component: what it said of itself, checked, and how it is.
//!
//! Invariant: every text is bounded and printable, whoever sent it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use flowctl_proto::v1::{ComponentInfo, ComponentType, HealthStatus};
use flowctl_store::{ComponentRole, StateError};

/// Event types that a component may read, and that it may emit.
const MAX_TYPES: usize = 256;
/// Pairs of its metadata, and of its metrics.
const MAX_PAIRS: usize = 64;
/// Bytes of a name, of a type, of a key.
const NAME_BYTES: usize = 128;
/// Bytes of a longer text.
const TEXT_BYTES: usize = 1024;

/// What a component said of itself, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// What it is called by, unique within its tenant.
    pub id: String,
    /// Its name; the id where it said none.
    pub name: String,
    /// What it does, in its own words.
    pub description: String,
    /// The version that it says of itself.
    pub version: String,
    /// What it does in a topology.
    pub role: ComponentRole,
    /// Event types that it reads.
    pub input_types: Vec<String>,
    /// Event types that it emits.
    pub output_types: Vec<String>,
    /// Where it serves, `host:port`; empty where it did not say.
    pub endpoint: String,
    /// What filters see.
    pub metadata: BTreeMap<String, String>,
    /// The node that it was started for, where it was.
    pub node: Option<String>,
}

/// How a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It beats, and says that it starts.
    Starting,
    /// It beats, and says nothing bad.
    Healthy,
    /// It beats, and works less well than it should.
    Degraded,
    /// It missed its time, or says so itself.
    Unhealthy,
    /// It says that it stops.
    Stopping,
}

/// Why a registration or a beat is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// A field says what cannot be used.
    #[error("`{field}` {reason}")]
    Invalid {
        /// The field, as in the protocol.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The tenant has as many components as it may.
    #[error("{n_components} components are registered, and there may be no more")]
    Full {
        /// How many.
        n_components: usize,
    },
    /// No such component is registered.
    #[error("no component `{id}` is registered")]
    Unknown {
        /// What was asked for.
        id: String,
    },
    /// It cannot be written down.
    #[error("the registration cannot be stored")]
    Store(#[from] StateError),
}

impl Registration {
    /// Checks what a component at `peer` says of itself. Its id is `info.id`, else its
    /// name, else `node`. An endpoint without a host, or with one that stands for the
    /// component's own machine, gets the peer's address.
    ///
    /// # Errors
    ///
    /// [`DirectoryError::Invalid`] with the first field that cannot be used.
    pub fn new(info: ComponentInfo, node: &str, peer: IpAddr) -> Result<Self, DirectoryError> {
        let id = [info.id.as_str(), info.name.as_str(), node].into_iter().find(|text| !text.is_empty());
        let id =
            id.ok_or_else(|| invalid("component.id", "is empty, and so are `component.name` and `component_id`"))?;
        name("component.id", id)?;
        name("component_id", node)?;
        text("component.name", &info.name, NAME_BYTES)?;
        text("component.description", &info.description, TEXT_BYTES)?;
        text("component.version", &info.version, NAME_BYTES)?;
        types("component.input_event_types", &info.input_event_types)?;
        types("component.output_event_types", &info.output_event_types)?;
        let role = match info.r#type() {
            ComponentType::Source => ComponentRole::Source,
            ComponentType::Processor => ComponentRole::Processor,
            ComponentType::Consumer => ComponentRole::Sink,
            ComponentType::Unspecified => {
                return Err(invalid("component.type", "is to be a source, a processor or a consumer"));
            }
        };
        Ok(Self {
            id: id.to_owned(),
            name: if info.name.is_empty() { id.to_owned() } else { info.name },
            role,
            endpoint: endpoint(&info.endpoint, peer)?,
            metadata: pairs("component.metadata", info.metadata)?,
            node: (!node.is_empty()).then(|| node.to_owned()),
            description: info.description,
            version: info.version,
            input_types: info.input_event_types,
            output_types: info.output_event_types,
        })
    }

    /// The same as a message.
    #[must_use]
    pub fn to_info(&self) -> ComponentInfo {
        ComponentInfo {
            id: self.id.clone(),
            name: self.name.clone(),
            description: self.description.clone(),
            version: self.version.clone(),
            r#type: role_number(self.role).into(),
            input_event_types: self.input_types.clone(),
            output_event_types: self.output_types.clone(),
            endpoint: self.endpoint.clone(),
            metadata: self.metadata.clone().into_iter().collect(),
        }
    }
}

/// A role as a message has it.
pub(crate) const fn role_number(role: ComponentRole) -> ComponentType {
    match role {
        ComponentRole::Source => ComponentType::Source,
        ComponentRole::Processor => ComponentType::Processor,
        ComponentRole::Sink => ComponentType::Consumer,
    }
}

/// A role as text.
pub(crate) const fn role_text(role: ComponentRole) -> &'static str {
    match role {
        ComponentRole::Source => "source",
        ComponentRole::Processor => "processor",
        ComponentRole::Sink => "sink",
    }
}

impl Health {
    /// How a component is that beats in time and reports `reported`. Who reports nothing
    /// is well: existing components do.
    pub(crate) const fn reported(reported: HealthStatus) -> Self {
        match reported {
            HealthStatus::Unknown | HealthStatus::Healthy => Self::Healthy,
            HealthStatus::Starting => Self::Starting,
            HealthStatus::Degraded => Self::Degraded,
            HealthStatus::Unhealthy => Self::Unhealthy,
            HealthStatus::Stopping => Self::Stopping,
        }
    }

    /// Whether it can be used as a node.
    #[must_use]
    pub const fn is_well(self) -> bool {
        !matches!(self, Self::Unhealthy | Self::Stopping)
    }

    /// The health as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
            Self::Stopping => "stopping",
        }
    }
}

/// What a component reported, as text for the store.
pub(crate) const fn reported_text(reported: HealthStatus) -> &'static str {
    match reported {
        HealthStatus::Unknown => "unknown",
        HealthStatus::Starting => "starting",
        HealthStatus::Healthy => "healthy",
        HealthStatus::Degraded => "degraded",
        HealthStatus::Unhealthy => "unhealthy",
        HealthStatus::Stopping => "stopping",
    }
}

/// The same, read.
pub(crate) fn reported_from(text: &str) -> HealthStatus {
    let all = [1, 2, 3, 4, 5].into_iter().filter_map(|number| HealthStatus::try_from(number).ok());
    all.into_iter().find(|reported| reported_text(*reported) == text).unwrap_or_default()
}

impl From<Health> for HealthStatus {
    fn from(health: Health) -> Self {
        match health {
            Health::Starting => Self::Starting,
            Health::Healthy => Self::Healthy,
            Health::Degraded => Self::Degraded,
            Health::Unhealthy => Self::Unhealthy,
            Health::Stopping => Self::Stopping,
        }
    }
}

/// Checks pairs, and sorts them.
pub(crate) fn pairs(
    field: &'static str,
    pairs: impl IntoIterator<Item = (String, String)>,
) -> Result<BTreeMap<String, String>, DirectoryError> {
    let pairs: BTreeMap<_, _> = pairs.into_iter().collect();
    if pairs.len() > MAX_PAIRS {
        return Err(invalid(field, &format!("has more than {MAX_PAIRS} entries")));
    }
    for (key, value) in &pairs {
        text(field, key, NAME_BYTES)?;
        text(field, value, TEXT_BYTES)?;
    }
    Ok(pairs)
}

fn types(field: &'static str, types: &[String]) -> Result<(), DirectoryError> {
    if types.len() > MAX_TYPES {
        return Err(invalid(field, &format!("has more than {MAX_TYPES} entries")));
    }
    types.iter().try_for_each(|event_type| name(field, event_type))
}

fn name(field: &'static str, name: &str) -> Result<(), DirectoryError> {
    if name.len() > NAME_BYTES {
        return Err(invalid(field, &format!("is longer than {NAME_BYTES} bytes")));
    }
    if !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(invalid(field, "is to have letters, digits and signs of ASCII only"));
    }
    Ok(())
}

fn text(field: &'static str, text: &str, max_bytes: usize) -> Result<(), DirectoryError> {
    if text.len() > max_bytes {
        return Err(invalid(field, &format!("is longer than {max_bytes} bytes")));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err(invalid(field, "has control characters"));
    }
    Ok(())
}

/// Where a component at `peer` is reached that says `said`.
fn endpoint(said: &str, peer: IpAddr) -> Result<String, DirectoryError> {
    const FIELD: &str = "component.endpoint";
    if said.is_empty() {
        return Ok(String::new());
    }
    name(FIELD, said)?;
    let bare = said.strip_prefix("http://").unwrap_or(said).trim_end_matches('/');
    let (host, port) = bare.rsplit_once(':').ok_or_else(|| invalid(FIELD, "is to be `host:port`"))?;
    let port: u16 = port.parse().map_err(|_| invalid(FIELD, "has no port"))?;
    if port == 0 {
        return Err(invalid(FIELD, "has port 0"));
    }
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address: Option<IpAddr> = host.parse().ok();
    let is_own = host.is_empty()
        || address.is_some_and(|address| address.is_unspecified() || (address.is_loopback() && !peer.is_loopback()))
        || (host == "localhost" && !peer.is_loopback());
    let is_name = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_');
    match address {
        _ if is_own => Ok(SocketAddr::new(peer.to_canonical(), port).to_string()),
        Some(address) => Ok(SocketAddr::new(address, port).to_string()),
        None if host.bytes().all(is_name) => Ok(format!("{host}:{port}")),
        None => Err(invalid(FIELD, "has a host that is no name and no address")),
    }
}

fn invalid(field: &'static str, reason: &str) -> DirectoryError {
    DirectoryError::Invalid { field, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(id: &str, endpoint: &str) -> ComponentInfo {
        ComponentInfo { id: id.to_owned(), r#type: 1, endpoint: endpoint.to_owned(), ..ComponentInfo::default() }
    }

    #[test]
    fn an_endpoint_that_means_its_own_machine_gets_the_address_of_the_peer() {
        let near: IpAddr = [127, 0, 0, 1].into();
        let far: IpAddr = [10, 1, 2, 3].into();
        for (said, peer, found) in [
            (":50051", near, "127.0.0.1:50051"),
            ("0.0.0.0:50051", far, "10.1.2.3:50051"),
            ("[::]:50051", far, "10.1.2.3:50051"),
            ("localhost:50051", near, "localhost:50051"),
            ("localhost:50051", far, "10.1.2.3:50051"),
            ("127.0.0.1:50051", far, "10.1.2.3:50051"),
            ("http://ttp.svc:50051/", far, "ttp.svc:50051"),
            ("[fd00::1]:1", far, "[fd00::1]:1"),
            (":50051", "::1".parse().unwrap(), "[::1]:50051"),
            ("", far, ""),
        ] {
            assert_eq!(Registration::new(info("a", said), "", peer).unwrap().endpoint, found, "{said}");
        }
        for said in ["50051", "a:b", "a:0", "a/b:1", "a@b:1", "a:99999", "a b:1"] {
            assert!(Registration::new(info("a", said), "", near).is_err(), "{said}");
        }
    }

    #[test]
    fn the_id_is_the_first_of_id_name_and_node_that_is_there() {
        let peer = [127, 0, 0, 1].into();
        let named = |id: &str, name: &str, node: &str| {
            Registration::new(ComponentInfo { name: name.to_owned(), ..info(id, "") }, node, peer).map(|made| made.id)
        };
        assert_eq!(named("a", "b", "c").unwrap(), "a");
        assert_eq!(named("", "b", "c").unwrap(), "b");
        assert_eq!(named("", "", "c").unwrap(), "c");
        assert!(matches!(named("", "", ""), Err(DirectoryError::Invalid { field: "component.id", .. })));
    }

    #[test]
    fn texts_beyond_their_bounds_are_refused() {
        let peer = [127, 0, 0, 1].into();
        let check = |change: &dyn Fn(&mut ComponentInfo)| {
            let mut info = info("a", "");
            change(&mut info);
            Registration::new(info, "", peer).unwrap_err().to_string()
        };
        assert!(check(&|info| info.id = "x".repeat(129)).contains("longer than 128 bytes"));
        assert!(check(&|info| info.id = "a\u{1b}[31m".to_owned()).contains("ASCII"));
        assert!(check(&|info| info.description = "x".repeat(1025)).contains("longer"));
        assert!(check(&|info| info.description = "\u{1b}[31m".to_owned()).contains("control"));
        assert!(check(&|info| info.output_event_types = vec!["a".to_owned(); 257]).contains("more than 256"));
        assert!(check(&|info| info.r#type = 0).contains("source"));
        assert!(check(&|info| info.r#type = 77).contains("source"));
        let many = |info: &mut ComponentInfo| info.metadata = (0..65).map(|n| (n.to_string(), String::new())).collect();
        assert!(check(&many).contains("more than 64"));
    }
}
