//! Connections are encrypted, and a server is who it says where that is asked for.

use flowctl_test_support::postgres::Server;
use serde_json::{Value, json};

use crate::database::{NOTE, postgres, said};
use crate::support::schema;

const HOW: &str = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'flowctl'";

/// How a sink with this configuration is connected, or what it says.
async fn check(server: &Server, url: &str, config: Value) -> String {
    let mut sink = match postgres(url, config, vec![schema(NOTE)]) {
        Ok(sink) => sink,
        Err(error) => return error.to_string(),
    };
    match sink.open().await {
        Ok(_) => server.psql(&server.url(), HOW),
        Err(fault) => said(&fault),
    }
}

/// Waits until no sink is connected: the server notices a moment later.
fn until_alone(server: &Server) {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'flowctl'";
    while server.psql(&server.url(), sql) != "0" {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_checked_where_that_is_asked_for() {
    let server = Server::start_with_tls();
    let (here, by_name) = (server.url(), server.url().replace("127.0.0.1", "localhost"));
    let (ours, other) = (server.ca_file().to_str().unwrap(), server.other_ca_file().to_str().unwrap());
    for (url, config, want) in [
        (&here, json!({}), "t"),
        (&here, json!({"tls": "disable"}), "f"),
        (&here, json!({"tls": "require"}), "t"),
        (&by_name, json!({"tls": "verify_full", "ca_file": ours}), "t"),
        (&by_name, json!({"ca_file": ours}), "t"),
        (&format!("{by_name}?sslmode=verify-full&sslrootcert={ours}"), json!({}), "t"),
        (&format!("{here}?sslmode=disable"), json!({}), "f"),
    ] {
        assert_eq!(check(&server, url, config.clone()).await, want, "{config}");
        until_alone(&server);
    }
    for (url, config, why) in [
        (&by_name, json!({"ca_file": other}), "UnknownIssuer"),
        (&by_name, json!({"tls": "verify_full"}), "UnknownIssuer"),
        (&here, json!({"ca_file": ours}), "not valid for name \"127.0.0.1\""),
    ] {
        let text = check(&server, url, config).await;
        assert!(text.starts_with("fatal: PostgreSQL at `") && text.contains(why), "{text}");
    }
    let text = check(&server, &by_name, json!({"ca_file": format!("{other}.key")})).await;
    assert_eq!(text, format!("`postgres` cannot read `{other}.key`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_refused_where_it_is_required() {
    let server = Server::shared();
    let text = check(&server, &server.url(), json!({"tls": "require"})).await;
    assert!(text.ends_with("error performing TLS handshake: server does not support TLS"), "{text}");
    assert!(text.starts_with("fatal: "), "{text}");
}
