//! The setting `headers`: what goes with every request, such as a token.
//!
//! Values are secrets: they are never printed, and errors name the header only.

use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use serde::Deserialize;

use crate::ConnectorError;

/// Shortest part of a value that is looked for in a server's words.
const MIN_SECRET_CHARS: usize = 4;
/// What the client itself says of each request.
const RESERVED: [HeaderName; 3] = [HOST, CONTENT_LENGTH, TRANSFER_ENCODING];

/// One header. Without `Debug`, for its value is a secret.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// Checks headers, and answers them with the secrets that are in them.
pub(super) fn read(
    connector: &'static str,
    headers: &[Header],
    has_user: bool,
) -> Result<(HeaderMap, Vec<String>), ConnectorError> {
    let refuse = |reason: String| ConnectorError::field(connector, "headers", reason);
    let (mut map, mut secrets) = (HeaderMap::new(), Vec::new());
    for Header { name, value } in headers {
        let key = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| refuse(format!("has `{}`, which is no name of a header", name.escape_debug())))?;
        if RESERVED.contains(&key) {
            return Err(refuse(format!("has `{key}`, which each request says for itself: leave it out")));
        }
        if key == AUTHORIZATION && has_user {
            return Err(refuse("has `authorization`, and `url` a user: leave one out".to_owned()));
        }
        let mut text = HeaderValue::from_str(value)
            .map_err(|_| refuse(format!("has a value for `{key}` with characters that no header may have")))?;
        text.set_sensitive(true);
        map.append(key, text);
        let parts = value.split_whitespace().filter(|part| part.chars().count() >= MIN_SECRET_CHARS);
        secrets.extend(parts.filter(|part| !["Bearer", "Basic"].contains(part)).map(str::to_owned));
    }
    Ok((map, secrets))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: &str, has_user: bool, want: &str) {
        let header = Header { name: name.to_owned(), value: value.to_owned() };
        let error = read("http", &[header], has_user).map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), format!("`headers` of `http` {want}"));
    }

    #[test]
    fn headers_that_cannot_be_sent_are_refused_without_their_value() {
        check("a b", "s3cret", false, "has `a b`, which is no name of a header");
        check("x-key", "s3cret\n", false, "has a value for `x-key` with characters that no header may have");
        check("Host", "s3cret", false, "has `host`, which each request says for itself: leave it out");
        check("Authorization", "Bearer s3cret", true, "has `authorization`, and `url` a user: leave one out");
    }

    #[test]
    fn values_are_secrets() {
        let header = Header { name: "authorization".to_owned(), value: "Bearer s3cret".to_owned() };
        let (map, secrets) = read("http", &[header], false).unwrap();
        assert_eq!(secrets, ["s3cret"]);
        assert_eq!(format!("{map:?}"), r#"{"authorization": Sensitive}"#);
    }
}
