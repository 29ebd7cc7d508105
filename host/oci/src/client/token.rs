//! Who one is to a registry, request by request: challenges, tokens, and where secrets go.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, Url};
use serde::Deserialize;

use super::answer::Answer;
use super::patience::Trouble;
use super::scheme::is_loopback;
use super::{Ask, Client, is_at_home, with_port};
use crate::auth::{Login, Secret};
use crate::{OciError, RegistryRef};

/// Longest answer with a token that is read.
const MAX_TOKEN_BYTES: u64 = 256 << 10;
/// How long a token lasts that does not say so, as the specification has it.
const TOKEN_LIFE: Duration = Duration::from_secs(60);
/// How much earlier a token counts as worn out.
const TOKEN_MARGIN: Duration = Duration::from_secs(10);

/// What one may do in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Access {
    Pull,
    Push,
}

/// What is shown with a request.
#[derive(Clone)]
pub(super) struct Grant {
    header: HeaderValue,
    until: Option<Instant>,
}

/// What a registry wants to be shown.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<Secret>,
    access_token: Option<Secret>,
    expires_in: Option<u64>,
}

impl Grant {
    fn new(scheme: &str, text: &str, until: Option<Instant>) -> Result<Self, String> {
        let header = HeaderValue::try_from(format!("{scheme} {text}"));
        let mut header =
            header.map_err(|_| "what is to be shown to it has characters that no header has".to_owned())?;
        header.set_sensitive(true);
        Ok(Self { header, until })
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.header.clone()
    }
}

impl Client {
    /// What was granted before, if it still holds. Who may push may pull.
    pub(super) fn grant(&self, reference: &RegistryRef, access: Access) -> Option<Grant> {
        let grants = self.inner.grants.lock().expect("nobody panics while holding it");
        let find = |access| {
            grants
                .get(&grant_key(reference, access))
                .filter(|grant| grant.until.is_none_or(|until| until > Instant::now()))
        };
        find(access).or_else(|| (access == Access::Pull).then(|| find(Access::Push))?).cloned()
    }

    /// Gets what a registry that answered 401 wants to be shown. The answer itself comes
    /// back where one has nothing to show.
    pub(super) async fn authorize(&self, ask: &Ask<'_>, answer: Answer) -> Result<Result<Grant, Answer>, Trouble> {
        // whoever a redirect led to does not say where the secret goes
        if !is_at_home(ask.reference, answer.url()) {
            return Ok(Err(answer));
        }
        let login = self.login(ask.reference.registry()).await?;
        let challenges = answer.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let challenges: Vec<Challenge> = challenges.filter_map(Challenge::read).collect();
        let bearer = challenges.iter().find(|challenge| matches!(challenge, Challenge::Bearer { .. }));
        let refused = |reason: String| OciError::Unauthorized {
            registry: ask.registry(),
            repository: ask.reference.repository().to_owned(),
            reason,
        };
        let grant = match (&login, bearer) {
            (Login::Bearer(token), _) => Grant::new("Bearer", token.expose(), None).map_err(refused)?,
            (_, Some(Challenge::Bearer { realm, service, scope })) => {
                let scope = scope.clone().unwrap_or_else(|| default_scope(ask));
                self.token(ask, &login, realm, service.as_deref(), &scope).await?
            }
            (Login::Basic { username, password }, _) if challenges.contains(&Challenge::Basic) => {
                Grant::new("Basic", &basic(username, password), None).map_err(refused)?
            }
            _ => return Ok(Err(answer)),
        };
        let mut grants = self.inner.grants.lock().expect("nobody panics while holding it");
        grants.insert(grant_key(ask.reference, ask.access), grant.clone());
        Ok(Ok(grant))
    }

    async fn login(&self, registry: &str) -> Result<Login, OciError> {
        let Some(logins) = &self.inner.options.logins else { return Ok(Login::Anonymous) };
        let slot = {
            let mut known = self.inner.logins.lock().expect("nobody panics while holding it");
            Arc::clone(known.entry(registry.to_owned()).or_default())
        };
        let found = slot.get_or_try_init(|| logins.login(registry)).await;
        found.cloned().map_err(|source| OciError::Login { registry: registry.to_owned(), source })
    }

    /// Buys a token, as the distribution project's token specification has it.
    async fn token(
        &self,
        ask: &Ask<'_>,
        login: &Login,
        realm: &str,
        service: Option<&str>,
        scope: &str,
    ) -> Result<Grant, Trouble> {
        let refused = |reason: String| OciError::Unauthorized {
            registry: ask.registry(),
            repository: ask.reference.repository().to_owned(),
            reason,
        };
        let mut url = Url::parse(realm).map_err(|_| refused("it names no place where tokens are given".to_owned()))?;
        let host = url.host_str().unwrap_or_default();
        let may_be_plain = ask.url.scheme() == "http" && (is_loopback(host) || self.may_be_plain(&with_port(&url)));
        if url.scheme() != "https" && !(url.scheme() == "http" && may_be_plain) {
            return Err(refused(format!("it gives tokens at `{host}` without TLS")).into());
        }
        let scopes: Vec<&str> = scope.split(' ').filter(|scope| !scope.is_empty()).collect();
        let form;
        let mut request = match login {
            Login::Identity(identity) => {
                let mut pairs = Url::parse("form:?").expect("it is a URL");
                pairs
                    .query_pairs_mut()
                    .append_pair("grant_type", "refresh_token")
                    .append_pair("service", service.unwrap_or_default())
                    .append_pair("scope", scope)
                    .append_pair("client_id", "flowctl")
                    .append_pair("refresh_token", identity.expose());
                form = pairs.query().unwrap_or_default().to_owned();
                Ask {
                    method: Method::POST,
                    body: Some(form.into()),
                    ..Ask::new(ask.reference, ask.access, Method::POST, url, "token")
                }
            }
            _ => {
                for scope in scopes {
                    url.query_pairs_mut().append_pair("scope", scope);
                }
                if let Some(service) = service {
                    url.query_pairs_mut().append_pair("service", service);
                }
                Ask::new(ask.reference, ask.access, Method::GET, url, "token")
            }
        };
        if request.body.is_some() {
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            request.headers.insert(CONTENT_TYPE, form);
        }
        if let Login::Basic { username, password } = login {
            let grant = Grant::new("Basic", &basic(username, password), None).map_err(refused)?;
            request.headers.insert(AUTHORIZATION, grant.header());
        }
        // the realm is no registry: what was granted for that is not shown to it; and a
        // redirect is not followed, for it would repeat a secret to somebody else
        let asked = Answer::of(request.request(self.direct()?), &request).await?;
        let answer = asked.accept(&request).await.map_err(|trouble| {
            let Trouble { error, may_pass, retry_after } = trouble;
            let error = match error {
                OciError::NotFound { .. } => refused("there is nothing where it says that tokens are given".to_owned()),
                OciError::Refused { reason, .. } => refused(reason),
                error => error,
            };
            Trouble { error, may_pass, retry_after }
        })?;
        let bytes = answer.read(&request, MAX_TOKEN_BYTES).await?;
        // the cause could quote the token
        let answer: TokenAnswer =
            serde_json::from_slice(&bytes).map_err(|_| request.content("it is no token".to_owned()))?;
        let token = answer.token.or(answer.access_token).ok_or_else(|| request.content("it is missing".to_owned()))?;
        let life = answer.expires_in.map_or(TOKEN_LIFE, Duration::from_secs).max(TOKEN_LIFE);
        let until = Instant::now().checked_add(life.saturating_sub(TOKEN_MARGIN));
        Ok(Grant::new("Bearer", token.expose(), until).map_err(refused)?)
    }
}

impl Challenge {
    /// Reads the value of one `WWW-Authenticate` header.
    fn read(value: &str) -> Option<Self> {
        let (scheme, parameters) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service, mut scope) = (None, None, None);
        for (key, value) in parameters_of(parameters) {
            match key.to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value),
                "service" => service = Some(value),
                "scope" => scope = Some(value),
                _ => {}
            }
        }
        Some(Self::Bearer { realm: realm?, service, scope })
    }
}

/// The `key="value"` of a challenge.
fn parameters_of(mut text: &str) -> Vec<(&str, String)> {
    let mut parameters = Vec::new();
    while let Some((key, rest)) = text.split_once('=') {
        let key = key.trim_matches([' ', ',', '\t']);
        let mut value = String::new();
        let rest = rest.trim_start();
        let end = if let Some(quoted) = rest.strip_prefix('"') {
            let mut is_escaped = false;
            let mut end = rest.len();
            for (at, c) in quoted.char_indices() {
                match c {
                    _ if is_escaped => {
                        value.push(c);
                        is_escaped = false;
                    }
                    '\\' => is_escaped = true,
                    '"' => {
                        end = at + 2;
                        break;
                    }
                    c => value.push(c),
                }
            }
            end
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            value.push_str(rest[..end].trim());
            end
        };
        parameters.push((key, value));
        text = &rest[end..];
    }
    parameters
}

fn default_scope(ask: &Ask<'_>) -> String {
    let actions = match ask.access {
        Access::Pull => "pull",
        Access::Push => "pull,push",
    };
    match ask.reference.repository() {
        // of the registry as a whole nothing in particular is wanted
        "" => String::new(),
        repository => format!("repository:{repository}:{actions}"),
    }
}

fn grant_key(reference: &RegistryRef, access: Access) -> (String, String, Access) {
    (reference.registry().to_owned(), reference.repository().to_owned(), access)
}

fn basic(username: &str, password: &Secret) -> String {
    STANDARD.encode(format!("{username}:{}", password.expose()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_whatever_their_spelling() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| {
            let text = |text: Option<&str>| text.map(str::to_owned);
            Some(Challenge::Bearer { realm: realm.to_owned(), service: text(service), scope: text(scope) })
        };
        let check = |value: &str, want: Option<Challenge>| assert_eq!(Challenge::read(value), want, "{value}");
        check(r#"Basic realm="x""#, Some(Challenge::Basic));
        check(
            r#"Bearer realm="https://a/t",service="s",scope="repository:a:pull,push""#,
            bearer("https://a/t", Some("s"), Some("repository:a:pull,push")),
        );
        check(r#"bearer realm = "https://a/\"t" , error="x""#, bearer(r#"https://a/"t"#, None, None));
        check("Bearer realm=https://a/t, service=s", bearer("https://a/t", Some("s"), None));
        check(r#"Bearer service="s""#, None);
        check(r#"Bearer realm="open"#, bearer("open", None, None));
        check("Negotiate", None);
        check("", None);
    }
}
