//! Keeps secrets out of pipeline files.
//!
//! Invariant: what is refused is never repeated: messages name the setting and not its value.

use serde_json::Value;

/// How settings end whose whole value is a secret; headers and the keys of a URL's query, too.
const SECRET: [&str; 8] =
    ["password", "passwd", "passphrase", "secret", "token", "credential", "authorization", "cookie"];

/// What stands before `key` where it opens nothing: such keys tell rows and events apart.
const OPEN_KEYS: [&str; 13] = [
    "",
    "dedup",
    "foreign",
    "group",
    "idempotency",
    "message",
    "partition",
    "primary",
    "public",
    "routing",
    "row",
    "sort",
    "unique",
];

/// What else is a secret in a URL's query, or in a connection string.
const IN_QUERY: [&str; 4] = ["key", "pass", "pwd", "sig"];

/// What may stand before a secret that comes from the environment: how it is shown to a server.
const SCHEMES: [&str; 3] = ["basic", "bearer", "token"];

/// What is wrong with writing `value` into a file as the setting `path`, with the remedy.
///
/// # Errors
///
/// The message, where it holds a secret that does not come from the environment.
pub(super) fn check(path: &str, value: &Value) -> Result<(), String> {
    if holds_secret(path, value) {
        let message = format!("`{path}` holds a secret, which has no place in a file");
        return Err(format!("{message}: set an environment variable to it, and write `${{NAME}}`"));
    }
    Ok(())
}

fn holds_secret(path: &str, value: &Value) -> bool {
    let last = path.rsplit('.').next().unwrap_or(path);
    match value {
        Value::String(text) if is_secret(last) => is_written(text) && !is_scheme(&without_variables(text)),
        Value::String(text) => has_password(text),
        Value::Array(items) => items.iter().any(|item| holds_secret(path, item)),
        Value::Object(fields) if last == "headers" => {
            fields.iter().any(|(key, value)| holds_secret(if key == "value" { "secret" } else { key }, value))
        }
        Value::Object(fields) => fields.iter().any(|(key, value)| holds_secret(key, value)),
        _ => false,
    }
}

/// Whether something of this name is a secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let name = name.trim_end_matches('s');
    match name.strip_suffix("key") {
        Some(kind) => {
            let kind = kind.trim_end_matches(['_', '-']);
            !OPEN_KEYS.contains(&kind.rsplit(['_', '-']).next().unwrap_or(kind))
        }
        None => SECRET.iter().any(|ending| name.ends_with(ending)),
    }
}

/// Whether a text is a scheme and a space, so that the secret itself comes behind it.
fn is_scheme(text: &str) -> bool {
    text.ends_with(' ') && SCHEMES.iter().any(|scheme| text.trim().eq_ignore_ascii_case(scheme))
}

/// Whether a text is more than the names of variables.
fn is_written(text: &str) -> bool {
    !without_variables(text).is_empty()
}

/// Whether a URL has a password in it, or its query or a connection string a secret behind its name.
fn has_password(text: &str) -> bool {
    let authority = text.split_once("://").map_or("", |(_, rest)| {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        // a password may hold any of these, so what begins like one is suspect up to the last `@`
        let begins_one = |text: &str| {
            text.split_once(':').is_some_and(|(_, begun)| !begun.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let at = rest.rfind('@').filter(|at| *at < end || begins_one(&rest[..end]));
        at.map_or("", |at| &rest[..at])
    });
    let of_user = authority.split_once(':').is_some_and(|(_, password)| is_written(password));
    let is_name = |key: &str| key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    let mut pairs = text.split(['?', '&', ' ', ';']).filter_map(|pair| pair.split_once('='));
    let is_secret = |key: &str| is_secret(key) || IN_QUERY.iter().any(|name| key.eq_ignore_ascii_case(name));
    of_user || pairs.any(|(key, value)| is_name(key) && is_secret(key) && is_written(value))
}

/// What is left of a text without `${NAME}`. One with a default holds that default.
fn without_variables(text: &str) -> String {
    let mut left = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        left.push_str(before);
        // what is not closed is no variable
        let Some((inner, behind)) = after.split_once('}') else { return left + after };
        left.push_str(inner.split_once(":-").map_or("", |(_, default)| default));
        rest = behind;
    }
    left + rest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_refused_and_not_repeated() {
        for (path, value) in [
            ("url", json!("postgres://flow:hunter2@db/flow")),
            ("url", json!("postgres://flow:hunter2/x@db/flow")),
            ("url", json!("postgres://:hunter2@db")),
            ("url", json!("postgres://db/flow?user=flow&password=hunter2")),
            ("url", json!("host=db user=flow password=hunter2")),
            ("url", json!("postgres://flow:${PASSWORD:-hunter2}@db/flow")),
            ("url", json!("postgres://flow:hunter2${MORE}@db/flow")),
            ("url", json!("https://example.org/feed?from=1&api_key=hunter2")),
            ("url", json!("https://example.org/feed?access_token=hunter2${MORE}")),
            ("url", json!("Endpoint=sb://example.org;SharedAccessKey=hunter2")),
            ("url", json!("https://example.org/v1?key=hunter2")),
            ("url", json!("https://example.org/v1?from=1&sig=hunter2")),
            ("url", json!("Server=db;Uid=flow;Pwd=hunter2")),
            ("token", json!("hunter2")),
            ("token", json!("hunter2${MORE}")),
            ("token", json!("Bearer hunter2${MORE}")),
            ("password", json!("token")),
            ("token", json!("${TOKEN:-hunter2}")),
            ("token", json!("${hunter2")),
            ("access_token", json!("hunter2")),
            ("client_secret", json!("hunter2")),
            ("db-password", json!("hunter2")),
            ("private_key", json!("hunter2")),
            ("apiKey", json!("hunter2")),
            ("api_keys", json!(["${FIRST}", "hunter2"])),
            ("headers", json!({"X-Api-Key": "hunter2"})),
            ("auth", json!({"basic": {"passphrase": "hunter2"}})),
            ("headers", json!([{"name": "Authorization", "value": "Bearer hunter2"}])),
            ("source", json!({"url": "https://user:hunter2@example.org"})),
        ] {
            let wrong = check(path, &value).unwrap_err();
            assert!(wrong.contains(&format!("`{path}`")) && wrong.contains("${NAME}"), "{wrong}");
            assert!(!wrong.contains("hunter2"), "{wrong}");
        }
    }

    #[test]
    fn what_comes_from_the_environment_is_taken() {
        for (path, value) in [
            ("url", json!("${DATABASE_URL}")),
            ("url", json!("postgres://flow@db:5432/flow?sslmode=require")),
            ("url", json!("postgres://flow:${PASSWORD}@db/flow")),
            ("url", json!("postgres://db/flow?password=${PASSWORD}")),
            ("url", json!("https://soroban-testnet.stellar.org:443/path@x")),
            ("url", json!("https://example.org/a:b@c")),
            ("url", json!("https://example.org/feed?api_key=${KEY}&partition_key=a&limit=5")),
            ("url", json!("https://example.org/v1?key=${KEY}&keys=2&signal=x")),
            ("token", json!("${TOKEN}")),
            ("token", json!("Bearer ${TOKEN}")),
            ("client_secret", json!("${SECRET}")),
            ("token_file", json!("secrets/token")),
            ("key", json!(["id"])),
            ("partition_key", json!("id")),
            ("event-sort-keys", json!(["id"])),
            ("path", json!("transfers/token=usdc/*.jsonl")),
            ("max_tokens", json!(5)),
            ("headers", json!([{"name": "Authorization", "value": "Bearer ${TOKEN}"}])),
            ("path", json!("orders.jsonl")),
            ("ledgers", json!(100)),
        ] {
            assert_eq!(check(path, &value), Ok(()), "{value}");
        }
    }
}
