//! An identity token of docker's configuration buys an access token, at a registry and a
//! token server in this process.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use flowctl_oci::{Client, ClientOptions, OciError, Patience};

use crate::helpers::Home;

const IDENTITY: &str = "hunter2&grant_type=password +%";

/// What the servers were asked, and what the token server answers.
#[derive(Clone)]
struct Servers {
    host: String,
    asked: Arc<Mutex<Vec<String>>>,
    answer: (u16, &'static str),
}

impl Servers {
    async fn start(status: u16, answer: &'static str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let servers = Self { host, asked: Arc::default(), answer: (status, answer) };
        let router = Router::new().fallback(answered).with_state(servers.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        servers
    }

    /// Asks for a manifest with an identity token from the configuration.
    async fn pull(&self) -> Result<String, OciError> {
        let config = serde_json::json!({"auths": {&self.host: {"auth": "bWU6", "identitytoken": IDENTITY}}});
        let home = Home::with_config(&config.to_string());
        let logins = Some(Arc::new(home.credentials()) as _);
        let client = Client::new(ClientOptions {
            logins,
            patience: Patience { attempts: 1, ..Patience::default() },
            ..ClientOptions::default()
        });
        let reference = format!("{}/acme/ttp:1", self.host).parse().unwrap();
        let (bytes, _) = client.manifest(&reference).await?;
        Ok(String::from_utf8(bytes.to_vec()).unwrap())
    }

    /// What was asked so far, without the probe for TLS.
    fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| !asked.starts_with("GET /v2/ ")).cloned().collect()
    }
}

async fn answered(State(servers): State<Servers>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = String::from_utf8(axum::body::to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
    let shown = parts.headers.get("authorization").map_or("", |value| value.to_str().unwrap()).to_owned();
    servers.asked.lock().unwrap().push(format!("{} {} {shown}{body}", parts.method, parts.uri));
    match parts.uri.path() {
        "/token" => {
            let (status, answer) = servers.answer;
            (StatusCode::from_u16(status).unwrap(), answer).into_response()
        }
        _ if shown == "Bearer secret-a" => ([("content-type", "application/json")], "{}").into_response(),
        _ => {
            let realm = format!(r#"Bearer realm="http://{}/token",service="r.example""#, servers.host);
            (StatusCode::UNAUTHORIZED, [("www-authenticate", realm)]).into_response()
        }
    }
}

#[tokio::test]
async fn an_identity_token_buys_an_access_token() {
    for answer in [r#"{"access_token":"secret-a","expires_in":300}"#, r#"{"token":"secret-a"}"#] {
        let servers = Servers::start(200, answer).await;
        assert_eq!(servers.pull().await.unwrap(), "{}");
        let want = [
            "GET /v2/acme/ttp/manifests/1 ",
            "POST /token grant_type=refresh_token&service=r.example&scope=repository%3Aacme%2Fttp%3Apull\
             &client_id=flowctl&refresh_token=hunter2%26grant_type%3Dpassword+%2B%25",
            "GET /v2/acme/ttp/manifests/1 Bearer secret-a",
        ];
        assert_eq!(servers.asked(), want);
    }
}

#[tokio::test]
async fn token_servers_that_refuse_or_answer_nonsense_are_told_without_the_token() {
    for (status, answer) in [
        (400, "{}"),
        (401, "{}"),
        (404, ""),
        (200, "hunter2"),
        (200, "{}"),
        (200, r#"{"token":["hunter2"]}"#),
        (200, r#"{"token":"hunter2\r\nx: y"}"#),
    ] {
        let error = Servers::start(status, answer).await.pull().await.unwrap_err();
        let text = format!("{error} {error:?} {:?}", error.hint());
        assert!(!text.contains("hunter2"), "{text}");
        assert!(matches!(error, OciError::Unauthorized { .. } | OciError::Content { .. }), "{text}");
    }
}
