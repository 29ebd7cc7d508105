//! How registries are named in docker's configuration.

/// The name under which docker keeps the login of its hub.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// What else its hub is called.
const DOCKER_HUB_HOSTS: [&str; 4] = ["docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];

/// The name under which docker and its helpers keep the login of `registry`.
pub(super) fn server_address(registry: &str) -> &str {
    if is_docker_hub(registry) { DOCKER_HUB } else { registry }
}

/// Whether `key`, as files spell it (`ghcr.io`, `https://ghcr.io/v2/`), stands for `registry`.
pub(super) fn names(key: &str, registry: &str) -> bool {
    let host = host_of(key);
    host == registry || is_docker_hub(host) && is_docker_hub(registry)
}

/// Whether a host is one of those that docker's hub goes by.
pub(crate) fn is_docker_hub(host: &str) -> bool {
    DOCKER_HUB_HOSTS.contains(&host)
}

fn host_of(key: &str) -> &str {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    bare.split('/').next().unwrap_or(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_registry_in_files_is_understood() {
        for (key, registry, want) in [
            ("ghcr.io", "ghcr.io", true),
            ("https://ghcr.io", "ghcr.io", true),
            ("http://r.example:5000/v2/", "r.example:5000", true),
            ("https://index.docker.io/v1/", "docker.io", true),
            ("docker.io", "registry-1.docker.io", true),
            ("ghcr.io.evil.example", "ghcr.io", false),
            ("r.example:5000", "r.example", false),
            ("https://evil.example/ghcr.io", "ghcr.io", false),
        ] {
            assert_eq!(names(key, registry), want, "{key} for {registry}");
        }
    }
}
