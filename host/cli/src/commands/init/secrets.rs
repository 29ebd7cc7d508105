//! Keeps secrets out of pipeline files.
//!
//! Invariant: what is refused is never repeated: messages name the setting and not its value.

use serde_json::Value;

/// Settings whose whole value is a secret.
const SECRET: [&str; 4] = ["password", "token", "secret", "api_key"];

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
        Value::String(text) if SECRET.contains(&last) => !text.contains("${") || text.contains(":-"),
        Value::String(text) => has_password(text),
        Value::Array(items) => items.iter().any(|item| holds_secret(path, item)),
        Value::Object(fields) if last == "headers" => {
            fields.iter().any(|(key, value)| holds_secret(if key == "value" { "secret" } else { key }, value))
        }
        Value::Object(fields) => fields.iter().any(|(key, value)| holds_secret(key, value)),
        _ => false,
    }
}

/// Whether a text is more than the names of variables.
fn is_written(text: &str) -> bool {
    !without_variables(text).is_empty()
}

/// Whether a URL has a password in it, or a connection string a `password=`.
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
    let mut pairs = text.split(['?', '&', ' ', ';']).filter_map(|pair| pair.split_once('='));
    of_user || pairs.any(|(key, value)| matches!(key.trim(), "password" | "sslpassword") && is_written(value))
}

/// What is left of a text without `${NAME}`. One with a default holds that default.
fn without_variables(text: &str) -> String {
    let mut left = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        left.push_str(before);
        let (inner, behind) = after.split_once('}').unwrap_or((after, ""));
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
            ("token", json!("hunter2")),
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
            ("token", json!("${TOKEN}")),
            ("headers", json!([{"name": "Authorization", "value": "Bearer ${TOKEN}"}])),
            ("path", json!("orders.jsonl")),
            ("ledgers", json!(100)),
        ] {
            assert_eq!(check(path, &value), Ok(()), "{value}");
        }
    }
}
