//! A server of tokens for a registry, as the distribution project's token
//! specification has them.
//!
//! It knows one user, by password (GET with Basic authentication, or a POST of the
//! grant `password`) and by identity token (a POST of the grant `refresh_token`), who
//! may do everything. Anyone may pull what is below `public/`. What is asked for and
//! not allowed is left out of the token, as the specification wants it; wrong
//! credentials are a 401.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair, SigningKey as _};
use serde_json::{Value, json};

use super::{PASSWORD, USERNAME};
use crate::http_server::{HttpServer, Reply, Request};

/// What the one user has instead of a password, and must never be seen in an error.
pub const IDENTITY_TOKEN: &str = "identity-is-secret-too";

pub(super) const ISSUER: &str = "flowctl-test-tokens";
pub(super) const SERVICE: &str = "flowctl-test-registry";

/// How long a token is good for, in seconds.
const LIFETIME: u64 = 300;
/// How long ago a stale one was made: the registry forgives a minute.
const STALE_AGE: u64 = 3600;
/// The length of each of the two numbers of a signature by ECDSA with P-256.
const NUMBER_BYTES: usize = 32;

/// A server of tokens, until it is dropped.
#[derive(Debug)]
pub struct TokenServer {
    http: HttpServer,
    authority: Arc<Authority>,
}

/// Who signs the tokens.
#[derive(Debug)]
pub(super) struct Authority {
    key: KeyPair,
    certificate: rcgen::Certificate,
    n_stale: AtomicUsize,
}

/// Who asks for a token.
enum Asker {
    Anyone,
    User,
}

impl TokenServer {
    /// Starts a server.
    ///
    /// # Panics
    ///
    /// When no port of the loopback can be had.
    pub async fn start() -> Self {
        let authority = Arc::new(Authority::new());
        let asked = Arc::clone(&authority);
        Self { http: HttpServer::start(move |request| asked.answer(request)).await, authority }
    }

    /// Its address: `127.0.0.1:PORT`.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.http.address()
    }

    /// Where a client is sent for a token.
    #[must_use]
    pub fn realm(&self) -> String {
        format!("{}token", self.http.url())
    }

    /// What it was asked so far, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.http.requests()
    }

    /// Makes the next `n_tokens` tokens of a kind that the registry refuses, since they
    /// ended long ago.
    pub fn issue_stale(&self, n_tokens: usize) {
        self.authority.n_stale.store(n_tokens, Ordering::SeqCst);
    }

    /// A token for a scope such as `repository:NAME:pull,push`, given to nobody.
    #[must_use]
    pub fn token(&self, scope: &str) -> String {
        self.authority.token(scope)
    }

    pub(super) const fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let params = CertificateParams::new(vec![ISSUER.to_owned()]).expect("the issuer's name is one");
        let certificate = params.self_signed(&key).expect("an authority can sign itself");
        Self { key, certificate, n_stale: AtomicUsize::new(0) }
    }

    /// The certificate of the key that signs, for the registry to trust.
    pub(super) fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    /// A token that allows all of the scope.
    pub(super) fn token(&self, scope: &str) -> String {
        self.sign(&scope.split(' ').filter_map(access).collect::<Vec<_>>(), 0)
    }

    fn answer(&self, request: &Request) -> Reply {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        if path != "/token" {
            return Reply::new(404, "");
        }
        let body = String::from_utf8_lossy(&request.body);
        let fields = Fields(if request.method == "POST" { &body } else { query });
        let asker = match request.method.as_str() {
            "GET" => asker_by_header(request),
            "POST" => asker_by_form(&fields),
            _ => return Reply::new(405, ""),
        };
        if fields.all("service").next().as_deref() != Some(SERVICE) {
            return refusal(400, "invalid_request");
        }
        let Some(asker) = asker else { return refusal(401, "invalid_grant") };
        let wanted: Vec<String> = fields.all("scope").collect();
        let wanted = wanted.iter().flat_map(|scopes| scopes.split(' ')).filter_map(access);
        let allowed: Vec<Value> = wanted.filter_map(|access| asker.allowed(access)).collect();
        let stale = self.n_stale.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        let token = self.sign(&allowed, if stale.is_ok() { STALE_AGE } else { 0 });
        let mut answer = json!({"token": token, "access_token": token, "expires_in": LIFETIME});
        let is_lasting = fields.all("access_type").any(|kind| kind == "offline")
            || fields.all("offline_token").any(|wanted| wanted == "true");
        if is_lasting && matches!(asker, Asker::User) {
            answer["refresh_token"] = IDENTITY_TOKEN.into();
        }
        as_json(200, &answer)
    }

    fn sign(&self, access: &[Value], age: u64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs() - age;
        let certificate = STANDARD.encode(self.certificate.der());
        let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [certificate]});
        let claims = json!({
            "iss": ISSUER, "sub": USERNAME, "aud": SERVICE, "jti": "of a test",
            "iat": now, "nbf": now, "exp": now + LIFETIME, "access": access,
        });
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let signature = self.key.sign(signed.as_bytes()).expect("the key can sign");
        let numbers = numbers(&signature).expect("a signature by ECDSA is a sequence of two numbers");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(numbers))
    }
}

impl Asker {
    /// What is allowed of what is wanted; none where nothing is.
    fn allowed(&self, mut access: Value) -> Option<Value> {
        if matches!(self, Self::User) {
            return Some(access);
        }
        let is_public = access["name"].as_str().is_some_and(|name| name.starts_with("public/"));
        let actions = access["actions"].as_array_mut()?;
        actions.retain(|action| is_public && action == "pull");
        (!actions.is_empty()).then_some(access)
    }
}

/// The value of the header `Authorization` for a user with a password.
pub(super) fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}

/// None where the credentials are wrong.
fn asker_by_header(request: &Request) -> Option<Asker> {
    match request.header("authorization") {
        None => Some(Asker::Anyone),
        Some(value) if value == basic(USERNAME, PASSWORD) => Some(Asker::User),
        Some(_) => None,
    }
}

/// None where the credentials are wrong.
fn asker_by_form(fields: &Fields<'_>) -> Option<Asker> {
    let is = |name: &str, wanted: &str| fields.all(name).next().is_some_and(|value| value == wanted);
    let is_user = (is("grant_type", "refresh_token") && is("refresh_token", IDENTITY_TOKEN))
        || (is("grant_type", "password") && is("username", USERNAME) && is("password", PASSWORD));
    // the specification wants to know which program asks
    let names_client = fields.all("client_id").any(|id| !id.is_empty());
    (is_user && names_client).then_some(Asker::User)
}

/// Reads a scope such as `repository:NAME:pull,push` into a token's claim.
fn access(scope: &str) -> Option<Value> {
    let (kind, rest) = scope.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    Some(json!({"type": kind, "name": name, "actions": actions.split(',').collect::<Vec<_>>()}))
}

fn refusal(status: u16, error: &str) -> Reply {
    as_json(status, &json!({"error": error}))
}

fn as_json(status: u16, body: &Value) -> Reply {
    let headers = vec![("Content-Type", "application/json".to_owned())];
    Reply::Answer { status, headers, body: body.to_string().into_bytes() }
}

/// The fields of a query or a form.
struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    fn all<'b>(&'b self, name: &'b str) -> impl Iterator<Item = String> + use<'a, 'b> {
        let pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(move |(found, _)| *found == name).map(|(_, value)| decoded(value))
    }
}

/// Undoes percent encoding, and `+` for a blank.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        if let Some(byte) = escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(if *first == b'+' { b' ' } else { *first });
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The two numbers of a signature, of one length each, out of its DER: tokens have them
/// so.
fn numbers(der: &[u8]) -> Option<Vec<u8>> {
    let mut rest = der.strip_prefix(&[0x30])?.get(1..)?;
    let mut numbers = Vec::with_capacity(2 * NUMBER_BYTES);
    for _ in 0..2 {
        let [0x02, length, after @ ..] = rest else { return None };
        let (number, after) = after.split_at_checked(usize::from(*length))?;
        // a zero before a high bit, and none that is not needed
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        numbers.extend(std::iter::repeat_n(0, NUMBER_BYTES.checked_sub(number.len())?));
        numbers.extend(number);
        rest = after;
    }
    Some(numbers)
}
