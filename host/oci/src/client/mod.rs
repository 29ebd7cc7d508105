//! The one client of registries: the distribution specification over HTTP.
//!
//! Invariants: what comes is hashed while it streams and bounded before it is read;
//! credentials go to the registry itself and to where it says that tokens are given, never
//! along a redirect; plain HTTP is spoken only with this machine and with registries that
//! were listed; nothing is asked for ever. Connections and tokens are kept.
//!
//! It stands on the HTTP client directly. The crates that know registries read answers
//! without bound, drop what a refusal says of when to come back, and make their own HTTP
//! client, which could not be given the verifier of certificates.

mod answer;
mod blob;
mod download;
mod patience;
mod scheme;
mod tls;
mod token;
mod upload;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use flowctl_types::Digest;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, LINK};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::OnceCell;

use crate::artifact::MAX_MANIFEST_BYTES;
use crate::auth::Login;
use crate::{OciError, RegistryRef, media};
use answer::Answer;
use scheme::Scheme;
use token::{Access, Grant};

pub use blob::BlobSink;
pub use patience::Patience;
pub(crate) use scheme::is_loopback;

/// Most tags that are listed.
const MAX_TAGS: usize = 100_000;
/// Longest page of tags that is read: 4 MiB.
const MAX_PAGE_BYTES: u64 = 4 << 20;
/// What is accepted as a manifest. The last two are refused later, by their names.
const MANIFESTS: [&str; 4] = [media::MANIFEST, media::INDEX, media::DOCKER_MANIFEST, media::DOCKER_LIST];

/// Who knows the login for a registry.
#[async_trait::async_trait]
pub trait Logins: Send + Sync {
    /// The login for `registry`, as it was named.
    ///
    /// # Errors
    ///
    /// Whatever says why it cannot be found out.
    async fn login(&self, registry: &str) -> Result<Login, Box<dyn std::error::Error + Send + Sync>>;
}

/// What a client is made of. The default knows no login and trusts the system.
#[derive(Clone, Default)]
pub struct ClientOptions {
    /// Who knows the logins; nobody is anonymous everywhere.
    pub logins: Option<Arc<dyn Logins>>,
    /// Registries, as they are named, that may be spoken to without TLS.
    pub insecure: Vec<String>,
    /// Files of certificates, PEM, to trust beside those of the system.
    pub ca_files: Vec<PathBuf>,
    /// How often one asks again.
    pub patience: Patience,
}

/// Talks to registries. Cheap to make, as long as nothing is asked, and to clone.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    options: ClientOptions,
    http: OnceLock<reqwest::Client>,
    /// Follows no redirect: for what must not be repeated to anybody else.
    direct: OnceLock<reqwest::Client>,
    /// What [`ClientOptions::logins`] answered, by registry: a helper is asked once.
    logins: Mutex<HashMap<String, Arc<OnceCell<Login>>>>,
    schemes: Mutex<HashMap<String, Scheme>>,
    grants: Mutex<HashMap<(String, String, Access), Grant>>,
}

/// One request, before it is authorized.
#[derive(Clone)]
struct Ask<'a> {
    reference: &'a RegistryRef,
    access: Access,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<Bytes>,
    /// What it is about, for errors.
    what: &'a str,
}

#[derive(Deserialize)]
struct TagPage {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Client {
    /// Makes a client. Nothing is read or asked before it is used.
    #[must_use]
    pub fn new(options: ClientOptions) -> Self {
        let (http, direct) = (OnceLock::new(), OnceLock::new());
        let (logins, schemes, grants) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { inner: Arc::new(Inner { options, http, direct, logins, schemes, grants }) }
    }

    /// The manifest that a reference stands for, of at most 4 MiB, with its digest. Where
    /// the reference has a digest, it is that.
    ///
    /// # Errors
    ///
    /// [`OciError`].
    pub async fn manifest(&self, reference: &RegistryRef) -> Result<(Bytes, Digest), OciError> {
        let what = format!("manifest `{}`", reference.version());
        let ask = self.manifest_ask(Method::GET, reference, &what).await?;
        let (_, bytes) = self.read(&ask, MAX_MANIFEST_BYTES).await?;
        let found = Digest::of(&bytes);
        if reference.digest().is_some_and(|wanted| wanted != found) {
            return Err(OciError::Digest { registry: reference.registry().to_owned(), what, found });
        }
        Ok((bytes, found))
    }

    /// The digest that the registry says a reference stands for; none where it has no such
    /// manifest. What it says is believed only once the manifest was read.
    ///
    /// # Errors
    ///
    /// [`OciError`].
    pub async fn has_manifest(&self, reference: &RegistryRef) -> Result<Option<Digest>, OciError> {
        let what = format!("manifest `{}`", reference.version());
        let ask = self.manifest_ask(Method::HEAD, reference, &what).await?;
        let answer = match self.ask(&ask).await {
            Ok(answer) => answer,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let said = answer.headers().get("docker-content-digest").and_then(|value| value.to_str().ok()?.parse().ok());
        match said.or(reference.digest()) {
            Some(digest) => Ok(Some(digest)),
            None => Ok(Some(self.manifest(reference).await?.1)),
        }
    }

    /// Puts a manifest, under the reference's tag or else its digest; what it names must be
    /// there. Answers with its digest.
    ///
    /// # Errors
    ///
    /// [`OciError`]; [`OciError::Digest`] when the reference is by another digest.
    pub async fn push_manifest(
        &self,
        reference: &RegistryRef,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<Digest, OciError> {
        let digest = Digest::of(&bytes);
        let what = format!("manifest `{digest}`");
        if reference.digest().is_some_and(|wanted| wanted != digest) {
            return Err(OciError::Digest { registry: reference.registry().to_owned(), what, found: digest });
        }
        let version = reference.tag().map_or_else(|| reference.version(), str::to_owned);
        let url = self.url(reference, &format!("manifests/{version}")).await?;
        let mut ask = Ask::new(reference, Access::Push, Method::PUT, url, &what);
        let media_type = HeaderValue::from_str(media_type).map_err(|error| ask.content(error.to_string()))?;
        ask.headers.insert(CONTENT_TYPE, media_type);
        ask.body = Some(bytes);
        self.ask(&ask).await?;
        Ok(digest)
    }

    /// The tags of a reference's repository, in the registry's order.
    ///
    /// # Errors
    ///
    /// [`OciError`]; [`OciError::TooLarge`] beyond 100,000 tags.
    pub async fn tags(&self, reference: &RegistryRef) -> Result<Vec<String>, OciError> {
        let mut tags = Vec::new();
        let mut url = self.url(reference, "tags/list?n=1000").await?;
        loop {
            let ask = Ask::new(reference, Access::Pull, Method::GET, url.clone(), "tags");
            let (headers, bytes) = self.read(&ask, MAX_PAGE_BYTES).await?;
            let page: TagPage = serde_json::from_slice(&bytes).map_err(|error| ask.content(error.to_string()))?;
            let page = page.tags.unwrap_or_default();
            let is_empty = page.is_empty();
            tags.extend(page);
            if tags.len() > MAX_TAGS {
                return Err(OciError::TooLarge { what: "the list of tags".to_owned(), limit_bytes: MAX_TAGS as u64 });
            }
            let next = headers.get(LINK).and_then(|link| link.to_str().ok()).and_then(next_page);
            match next.and_then(|next| url.join(next).ok()) {
                // the next page is asked of the same registry, whatever it says
                Some(next) if !is_empty && next != url && next.origin() == url.origin() => url = next,
                _ => return Ok(tags),
            }
        }
    }

    /// Whether `registry` takes the login that [`ClientOptions::logins`] has for it. A
    /// registry that asks nobody who they are takes every login. Answers the time that it
    /// says it is, where it says so.
    ///
    /// # Errors
    ///
    /// [`OciError::Unauthorized`] when it does not; [`OciError`] when it cannot be asked.
    pub async fn check_login(&self, registry: &str) -> Result<Option<SystemTime>, OciError> {
        let whole = RegistryRef::whole(registry)
            .map_err(|error| OciError::Unreachable { registry: registry.to_owned(), reason: error.to_string() })?;
        let text = format!("{}://{}/v2/", self.scheme(&whole).await?, whole.api_host());
        let url = Url::parse(&text)
            .map_err(|error| OciError::Unreachable { registry: registry.to_owned(), reason: error.to_string() })?;
        let answer = self.ask(&Ask::new(&whole, Access::Pull, Method::GET, url, "login")).await?;
        let date = answer.headers().get(DATE).and_then(|date| date.to_str().ok());
        Ok(date.and_then(|date| httpdate::parse_http_date(date).ok()))
    }

    async fn manifest_ask<'a>(
        &self,
        method: Method,
        reference: &'a RegistryRef,
        what: &'a str,
    ) -> Result<Ask<'a>, OciError> {
        let url = self.url(reference, &format!("manifests/{}", reference.version())).await?;
        let mut ask = Ask::new(reference, Access::Pull, method, url, what);
        let accepted = HeaderValue::from_str(&MANIFESTS.join(", ")).expect("media types are visible ASCII");
        ask.headers.insert(ACCEPT, accepted);
        Ok(ask)
    }

    /// The URL of a part of a reference's repository.
    async fn url(&self, reference: &RegistryRef, part: &str) -> Result<Url, OciError> {
        let scheme = self.scheme(reference).await?;
        let (host, repository) = (reference.api_host(), reference.repository());
        let text = format!("{scheme}://{host}/v2/{repository}/{part}");
        Url::parse(&text).map_err(|error| OciError::Unreachable {
            registry: reference.registry().to_owned(),
            reason: error.to_string(),
        })
    }

    /// Asks, and asks again while that may help. The answer is a success.
    async fn ask(&self, ask: &Ask<'_>) -> Result<Answer, OciError> {
        let mut attempts = self.inner.options.patience.attempts();
        loop {
            match self.once(ask).await {
                Ok(answer) => return Ok(answer),
                Err(trouble) => attempts.wait(trouble).await?,
            }
        }
    }

    /// Asks for something small, and reads it.
    async fn read(&self, ask: &Ask<'_>, max_bytes: u64) -> Result<(HeaderMap, Bytes), OciError> {
        let mut attempts = self.inner.options.patience.attempts();
        loop {
            let read = async {
                let answer = self.once(ask).await?;
                let headers = answer.headers().clone();
                Ok((headers, answer.read(ask, max_bytes).await?))
            };
            match read.await {
                Ok(read) => return Ok(read),
                Err(trouble) => attempts.wait(trouble).await?,
            }
        }
    }

    /// Asks once, and once more with a fresh token where the first was refused.
    async fn once(&self, ask: &Ask<'_>) -> Result<Answer, patience::Trouble> {
        let mut grant = self.grant(ask.reference, ask.access);
        let mut is_fresh = false;
        loop {
            let answer = self.send(ask, grant.as_ref()).await?;
            if answer.status() != StatusCode::UNAUTHORIZED || is_fresh {
                return answer.accept(ask).await;
            }
            match self.authorize(ask, answer).await? {
                Ok(fresh) => grant = Some(fresh),
                Err(refused) => return refused.accept(ask).await,
            }
            is_fresh = true;
        }
    }

    async fn send(&self, ask: &Ask<'_>, grant: Option<&Grant>) -> Result<Answer, patience::Trouble> {
        let mut request = ask.request(self.http()?);
        if let Some(grant) = grant
            && is_at_home(ask.reference, &ask.url)
        {
            request = request.header(AUTHORIZATION, grant.header());
        }
        Answer::of(request, ask).await
    }

    fn http(&self) -> Result<&reqwest::Client, OciError> {
        self.made(&self.inner.http, tls::Redirects::Follow)
    }

    /// A client that follows no redirect.
    fn direct(&self) -> Result<&reqwest::Client, OciError> {
        self.made(&self.inner.direct, tls::Redirects::Refuse)
    }

    fn made<'a>(
        &self,
        slot: &'a OnceLock<reqwest::Client>,
        redirects: tls::Redirects,
    ) -> Result<&'a reqwest::Client, OciError> {
        if let Some(http) = slot.get() {
            return Ok(http);
        }
        let made = tls::http_client(&self.inner.options, redirects)?;
        Ok(slot.get_or_init(|| made))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("insecure", &self.inner.options.insecure).finish_non_exhaustive()
    }
}

/// Whether a URL is of the registry itself. Uploads may be sent elsewhere, and redirects
/// lead there; credentials do not go with them, and who answers there says nothing of where
/// they go.
fn is_at_home(reference: &RegistryRef, url: &Url) -> bool {
    let named = with_port(url);
    let home = reference.api_host();
    let is_default = |port| home.strip_suffix(port) == Some(named.as_str());
    named == home || url.port().is_none() && (is_default(":443") || is_default(":80"))
}

/// The host of a URL, with its port where it is not the scheme's own.
fn with_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

impl<'a> Ask<'a> {
    fn new(reference: &'a RegistryRef, access: Access, method: Method, url: Url, what: &'a str) -> Self {
        Self { reference, access, method, url, headers: HeaderMap::new(), body: None, what }
    }

    fn registry(&self) -> String {
        self.reference.registry().to_owned()
    }

    fn request(&self, http: &reqwest::Client) -> reqwest::RequestBuilder {
        let request = http.request(self.method.clone(), self.url.clone()).headers(self.headers.clone());
        match &self.body {
            Some(body) => request.body(body.clone()),
            None => request,
        }
    }

    /// The error for an answer that is not what it must be.
    fn content(&self, reason: String) -> OciError {
        OciError::Content { registry: self.registry(), what: self.what.to_owned(), reason }
    }
}

/// The target of a `Link` header with `rel="next"`.
fn next_page(link: &str) -> Option<&str> {
    let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    parameters.contains("next").then_some(target)
}

/// How long one waits for the head of an answer, and for more of its body.
const SILENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_read_from_its_header() {
        assert_eq!(next_page(r#"</v2/a/tags/list?last=b>; rel="next""#), Some("/v2/a/tags/list?last=b"));
        assert_eq!(next_page(r#"</v2/a>; rel="prev""#), None);
        assert_eq!(next_page("nonsense"), None);
    }
}
