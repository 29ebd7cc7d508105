//! Where requests go, and how that may be shown.

use reqwest::Url;

use crate::ConnectorError;

/// Shortest segment of a path that may be a key.
const MIN_KEY_CHARS: usize = 16;
/// Shortest secret that is looked for in a server's words: a shorter one would stand in
/// every second sentence.
const MIN_SECRET_CHARS: usize = 4;

/// An endpoint.
pub(crate) struct Address {
    url: Url,
    shown: String,
}

impl Address {
    /// Reads the setting `url` of `connector`.
    ///
    /// # Errors
    ///
    /// [`ConnectorError`] when it is no URL of HTTP. The value is not repeated: what
    /// cannot be read cannot be told from a secret.
    pub(crate) fn parse(connector: &'static str, text: &str) -> Result<Self, ConnectorError> {
        let refuse = |reason: String| ConnectorError::field(connector, "url", reason);
        let form = "write `https://host/path`";
        let url = Url::parse(text).map_err(|error| refuse(format!("is no URL: {error}; {form}")))?;
        if !["http", "https"].contains(&url.scheme()) {
            // what stands before a colon alone may be a part of a secret
            let is_scheme = text.contains("://");
            let of = if is_scheme { format!(", but of `{}`", url.scheme()) } else { String::new() };
            return Err(refuse(format!("is not of HTTP{of}: {form}")));
        }
        Ok(Self { shown: shown(&url), url })
    }

    /// The whole of it, secrets included.
    pub(crate) fn url(&self) -> Url {
        self.url.clone()
    }

    /// It without user, query, and what looks like a key.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// What is connected to, `host:port`.
    pub(crate) fn host_and_port(&self) -> String {
        let port = self.url.port_or_known_default().unwrap_or_default();
        format!("{}:{port}", self.url.host_str().unwrap_or_default())
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Whether it says who asks.
    pub(crate) fn has_user(&self) -> bool {
        !self.url.username().is_empty() || self.url.password().is_some()
    }

    /// What of it must not be shown.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = String> {
        let segments = self.url.path_segments().into_iter().flatten();
        let keys = segments.filter(|segment| is_key(segment)).map(str::to_owned);
        let parameters = self.url.query_pairs().map(|(_, value)| value.into_owned());
        let password = self.url.password().map(str::to_owned);
        keys.chain(parameters).chain(password).filter(|secret| secret.chars().count() >= MIN_SECRET_CHARS)
    }
}

/// `url` without user, query, and what looks like a key in its path.
pub(super) fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    // an `http` URL always takes these
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_query(None);
    shown.set_fragment(None);
    let segments = url.path_segments().into_iter().flatten();
    let segments: Vec<&str> = segments.map(|segment| if is_key(segment) { "…" } else { segment }).collect();
    shown.set_path("");
    format!("{}/{}", shown.as_str().trim_end_matches('/'), segments.join("/"))
}

/// Providers put keys into paths: long, of letters and digits.
fn is_key(segment: &str) -> bool {
    segment.len() >= MIN_KEY_CHARS
        && segment.bytes().any(|byte| byte.is_ascii_digit())
        && segment.bytes().any(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, want: &str) {
        let shown = match Address::parse("http", text) {
            Ok(address) => address.shown().to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, want);
    }

    #[test]
    fn secrets_are_not_shown() {
        check("https://me:opensesame@example.org/a?key=s3cret#x", "https://example.org/a");
        check("https://example.org/v2/0123456789abcdef0123", "https://example.org/v2/…");
        check("http://[::1]:8000/", "http://[::1]:8000/");
        check("http://example.org", "http://example.org/");
        check("https://rpc.example.org/soroban-testnet-events", "https://rpc.example.org/soroban-testnet-events");
    }

    #[test]
    fn only_urls_of_http_are_taken() {
        let form = "write `https://host/path`";
        check("example.org/s3cret", &format!("`url` of `http` is no URL: relative URL without a base; {form}"));
        check("https://", &format!("`url` of `http` is no URL: empty host; {form}"));
        check("ftp://me:s3cret@example.org", &format!("`url` of `http` is not of HTTP, but of `ftp`: {form}"));
        check("s3cret:rest", &format!("`url` of `http` is not of HTTP: {form}"));
    }

    #[test]
    fn secrets_are_known() {
        let address = Address::parse("http", "https://me:opensesame@a.org/0123456789abcdef0123?k=value&n=1").unwrap();
        assert_eq!(address.secrets().collect::<Vec<_>>(), ["0123456789abcdef0123", "value", "opensesame"]);
        assert!(address.has_user());
    }
}
