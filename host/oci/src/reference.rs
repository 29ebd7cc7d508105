//! References to artifacts in registries, `registry/repository[:tag][@digest]`.
//!
//! Invariant: a [`RegistryRef`] obeys the grammar of the distribution specification, so
//! that it can stand in a URL as it is.

use std::fmt;
use std::str::FromStr;

use crate::auth::is_docker_hub;
use crate::client::is_loopback;
use flowctl_types::{Digest, Reference, ReferenceError, is_tag};

/// Most bytes of a registry and a repository together.
const MAX_NAME_BYTES: usize = 255;
/// What the name of a registry looks like.
const REGISTRY_RULE: &str = "a host name or an address, in lower case, and a port where it needs one";
/// The registry whose API is at another host than its name says.
const DOCKER_HUB: &str = "docker.io";

/// An artifact in a registry. Without tag and digest, the tag `latest` is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegistryRef {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a reference names no artifact in a registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryRefError {
    /// It is no reference at all.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// It is a reference to something else.
    #[error("`{text}` names nothing in a registry")]
    Kind {
        /// What was read.
        text: String,
    },
    /// It does not begin with a registry's host.
    #[error("`{text}` does not say which registry")]
    NoRegistry {
        /// What was read.
        text: String,
    },
    /// A part of it breaks the grammar.
    #[error("the {part} of `{text}` is not valid: {rule}")]
    Part {
        /// What was read.
        text: String,
        /// Which part.
        part: &'static str,
        /// What it must look like.
        rule: &'static str,
    },
}

impl RegistryRefError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Kind { .. } => Some(
                "write `registry/repository:tag`, such as `ghcr.io/acme/ttp-processor:1.2.0`; a short name needs a \
                 default registry",
            ),
            Self::NoRegistry { .. } => {
                Some("begin with the registry's host, such as `ghcr.io/`, or set a default registry")
            }
            _ => None,
        }
    }
}

impl RegistryRef {
    /// Takes a plugin's reference as one to a registry. Where it does not begin with a
    /// host (a name with a dot, a port, or `localhost`), `default_registry` is put in
    /// front: a host, or a host and the beginning of a repository.
    ///
    /// # Errors
    ///
    /// [`RegistryRefError`] when it names something else, names no registry and there is
    /// no default, or breaks the grammar.
    pub fn from_reference(reference: &Reference, default_registry: Option<&str>) -> Result<Self, RegistryRefError> {
        let text = reference.to_string();
        let (name, tag, digest) = match reference {
            Reference::Oci { repository, tag, digest } => (repository.clone(), tag.clone(), *digest),
            Reference::Name { name, version } if default_registry.is_some() => (name.clone(), version.clone(), None),
            _ => return Err(RegistryRefError::Kind { text }),
        };
        let named = name.split_once('/').filter(|(first, _)| is_host(first));
        let whole = match (named, default_registry) {
            (Some(_), _) => name,
            (None, Some(default)) => format!("{}/{name}", default.trim_end_matches('/')),
            (None, None) => return Err(RegistryRefError::NoRegistry { text }),
        };
        let Some((registry, repository)) = whole.split_once('/') else {
            return Err(RegistryRefError::NoRegistry { text });
        };
        let breach = |part, rule| RegistryRefError::Part { text: text.clone(), part, rule };
        if !is_registry(registry) {
            return Err(breach("registry", REGISTRY_RULE));
        }
        if !is_repository(repository) || whole.len() > MAX_NAME_BYTES {
            return Err(breach(
                "repository",
                "parts of lower-case letters and digits, joined by `/`; inside a part single `.`, `_`, or `-` may join them",
            ));
        }
        if !tag.as_deref().is_none_or(is_tag) {
            return Err(breach(
                "tag",
                "at most 128 letters, digits, `_`, `.` and `-`, not beginning with the last two",
            ));
        }
        // one registry has one name: rules and logins are by it
        let registry = match registry.strip_suffix(":443") {
            Some(host) if !is_loopback(registry) => host,
            _ => registry,
        };
        let registry = if is_docker_hub(registry) { DOCKER_HUB } else { registry };
        let is_official = registry == DOCKER_HUB && !repository.contains('/');
        let repository = if is_official { format!("library/{repository}") } else { repository.to_owned() };
        Ok(Self { registry: registry.to_owned(), repository, tag, digest })
    }

    /// A registry as a whole: a reference to none of its repositories.
    pub(crate) fn whole(registry: &str) -> Result<Self, RegistryRefError> {
        if !is_registry(registry) {
            return Err(RegistryRefError::Part { text: registry.to_owned(), part: "registry", rule: REGISTRY_RULE });
        }
        Ok(Self { registry: registry.to_owned(), repository: String::new(), tag: None, digest: None })
    }

    /// The registry, as it was named: a host, and a port where one was written.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The host at which the registry answers.
    #[must_use]
    pub fn api_host(&self) -> &str {
        if self.registry == DOCKER_HUB { "registry-1.docker.io" } else { &self.registry }
    }

    /// The repository inside the registry.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, where one was written.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest of the manifest, where one was written; it wins over the tag.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// What stands behind `/manifests/` in a URL: the digest, else the tag, else `latest`.
    #[must_use]
    pub fn version(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }

    /// The same repository, by digest alone.
    #[must_use]
    pub fn at_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// The same repository and tag, pinned to a digest.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }

    /// The same repository, under another tag.
    ///
    /// # Errors
    ///
    /// [`RegistryRefError::Part`] when `tag` is none.
    pub fn at_tag(&self, tag: &str) -> Result<Self, RegistryRefError> {
        if !is_tag(tag) {
            let rule = "at most 128 letters, digits, `_`, `.` and `-`, not beginning with the last two";
            return Err(RegistryRefError::Part { text: tag.to_owned(), part: "tag", rule });
        }
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }
}

impl From<&RegistryRef> for Reference {
    fn from(reference: &RegistryRef) -> Self {
        Self::Oci {
            repository: format!("{}/{}", reference.registry, reference.repository),
            tag: reference.tag.clone(),
            digest: reference.digest,
        }
    }
}

impl FromStr for RegistryRef {
    type Err = RegistryRefError;

    /// Reads a reference that names its registry.
    fn from_str(text: &str) -> Result<Self, RegistryRefError> {
        Self::from_reference(&text.parse()?, None)
    }
}

impl fmt::Display for RegistryRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Reference::from(self).fmt(f)
    }
}

/// Whether the first part of a name is a host rather than the beginning of a repository.
fn is_host(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':'])
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let is_label = |label: &str| {
        let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty() && label.bytes().all(is_inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let is_address = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|inside| inside.parse::<std::net::Ipv6Addr>().is_ok());
    port.is_none_or(is_port) && (is_address || host.split('.').all(is_label))
}

fn is_repository(text: &str) -> bool {
    text.split('/').all(|part| {
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let mut joints = part.split(|c: char| c.is_ascii() && is_word(c as u8));
        let is_joint = |joint: &str| matches!(joint, "" | "." | "_" | "__") || joint.bytes().all(|byte| byte == b'-');
        let ends_well = |end: Option<u8>| end.is_some_and(is_word);
        ends_well(part.bytes().next()) && ends_well(part.bytes().last()) && joints.all(is_joint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_that_the_grammar_allows_survive_text() {
        let digest = Digest::of(b"x");
        for text in [
            "ghcr.io/acme/ttp:1.2.0",
            "localhost:5000/a",
            "localhost/a/b",
            "127.0.0.1:5000/a__b/c.d-e--f:_x",
            "[::1]:5000/a:v1",
            &format!("r.example/a/b@{digest}"),
            &format!("r.example/a/b:1@{digest}"),
        ] {
            assert_eq!(text.parse::<RegistryRef>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn what_breaks_the_grammar_is_refused_by_its_part() {
        let check = |text: &str, want: &str| {
            let error = text.parse::<RegistryRef>().expect_err(text).to_string();
            assert!(error.contains(want), "{text}: {error}");
        };
        check("acme/ttp:1", "which registry");
        check("ttp", "nothing in a registry");
        check("./ttp.wasm", "nothing in a registry");
        check("R.example/a", "registry");
        check("-r.example/a", "registry");
        check("r.example:port/a", "registry");
        check("r.example:99999/a", "registry");
        check("[::g]:5000/a", "registry");
        check("r.example/A", "repository");
        check("r.example/a//b", "repository");
        check("r.example/../b", "repository");
        check("r.example/a..b", "repository");
        check("r.example/a___b", "repository");
        check("r.example/a%2f", "repository");
        check("r.example/a?b", "repository");
        check(&format!("r.example/{}", "a".repeat(250)), "repository");
        check("r.example/a:-x", "tag");
        check(&format!("r.example/a:{}", "a".repeat(129)), "tag");
    }

    #[test]
    fn a_registry_has_one_name() {
        for (text, want) in [
            ("ghcr.io:443/acme/a:1", "ghcr.io/acme/a:1"),
            ("index.docker.io/acme/a:1", "docker.io/acme/a:1"),
            ("registry-1.docker.io:443/hello:1", "docker.io/library/hello:1"),
            ("localhost:443/a:1", "localhost:443/a:1"),
            ("ghcr.io:444/acme/a:1", "ghcr.io:444/acme/a:1"),
        ] {
            assert_eq!(text.parse::<RegistryRef>().expect(text).to_string(), want);
        }
    }

    #[test]
    fn a_default_registry_completes_short_names() {
        let check = |text: &str, want: &str| {
            let reference = text.parse().unwrap();
            let found = RegistryRef::from_reference(&reference, Some("ghcr.io/acme")).unwrap();
            assert_eq!(found.to_string(), want);
        };
        check("ttp", "ghcr.io/acme/ttp");
        check("ttp@1.2.0", "ghcr.io/acme/ttp:1.2.0");
        check("stellar/ttp:1", "ghcr.io/acme/stellar/ttp:1");
        check("other.io/ttp:1", "other.io/ttp:1");
    }

    #[test]
    fn images_of_docker_hub_are_found_where_they_are() {
        let reference: RegistryRef = "docker.io/hello:1".parse().unwrap();
        assert_eq!((reference.api_host(), reference.repository()), ("registry-1.docker.io", "library/hello"));
    }
}
