//! Blobs on their way to a registry: one request that opens an upload, one with the bytes.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use flowctl_types::Digest;
use http_body::{Body, Frame, SizeHint};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Method, Url};
use tokio::sync::Notify;

use super::answer::{Answer, failure};
use super::patience::Trouble;
use super::tls::may_lead;
use super::token::Access;
use super::{Ask, Client, SILENCE, is_at_home};
use crate::{OciError, Progress, RegistryRef};

/// How many bytes go at once.
const PART_BYTES: usize = 64 << 10;
/// How long a registry may take to answer once it has all of a blob.
const COMMIT: Duration = Duration::from_secs(5 * 60);

/// A body that says how much of it was taken.
struct Counted {
    rest: Bytes,
    count: Arc<Count>,
}

#[derive(Default)]
struct Count {
    n_sent: AtomicU64,
    changed: Notify,
}

impl Client {
    /// Puts a blob into a repository, unless it is there. Answers with its digest.
    ///
    /// # Errors
    ///
    /// [`OciError`].
    pub async fn push_blob(
        &self,
        reference: &RegistryRef,
        bytes: Bytes,
        progress: &dyn Progress,
    ) -> Result<Digest, OciError> {
        let digest = Digest::of(&bytes);
        progress.begin(&digest, bytes.len() as u64);
        if !self.finds_blob(reference, &digest, Access::Push).await? {
            let what = format!("blob `{digest}`");
            let mut attempts = self.inner.options.patience.attempts();
            while let Err(trouble) = self.upload(reference, &digest, &bytes, &what, progress).await {
                attempts.wait(trouble).await?;
            }
        }
        progress.end(&digest);
        Ok(digest)
    }

    async fn upload(
        &self,
        reference: &RegistryRef,
        digest: &Digest,
        bytes: &Bytes,
        what: &str,
        progress: &dyn Progress,
    ) -> Result<(), Trouble> {
        let url = self.url(reference, "blobs/uploads/").await?;
        let mut open = Ask::new(reference, Access::Push, Method::POST, url, what);
        open.body = Some(Bytes::new());
        let opened = self.once(&open).await?;
        let location = opened.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        let location = location.and_then(|location| opened.url().join(location).ok());
        let mut location = location.ok_or_else(|| open.content("it does not say where to upload to".to_owned()))?;
        if !may_lead(&open.url, &location, &self.inner.options.insecure) {
            return Err(open.content("it says to upload to where there is no TLS".to_owned()).into());
        }
        location.query_pairs_mut().append_pair("digest", &digest.to_string());
        self.send_counted(reference, location, digest, bytes, what, progress).await
    }

    async fn send_counted(
        &self,
        reference: &RegistryRef,
        location: Url,
        digest: &Digest,
        bytes: &Bytes,
        what: &str,
        progress: &dyn Progress,
    ) -> Result<(), Trouble> {
        let mut put = Ask::new(reference, Access::Push, Method::PUT, location, what);
        put.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        let count = Arc::new(Count::default());
        let body = reqwest::Body::wrap(Counted { rest: bytes.clone(), count: Arc::clone(&count) });
        let mut request = self.http()?.put(put.url.clone()).headers(put.headers.clone()).body(body);
        if let Some(grant) = self.grant(reference, Access::Push)
            && is_at_home(reference, &put.url)
        {
            request = request.header(AUTHORIZATION, grant.header());
        }
        let mut sending = std::pin::pin!(request.send());
        let n_bytes = bytes.len() as u64;
        let answer = loop {
            // who has it all checks it and puts it away, which takes its time
            let silence = if count.n_sent.load(Ordering::Relaxed) == n_bytes { COMMIT } else { SILENCE };
            tokio::select! {
                answer = &mut sending => break answer.map_err(|error| failure(&put, &error))?,
                moved = tokio::time::timeout(silence, count.changed.notified()) => match moved {
                    Ok(()) => progress.reach(digest, count.n_sent.load(Ordering::Relaxed)),
                    Err(_) => {
                        let reason = format!("it said nothing for {} s", silence.as_secs());
                        return Err(Trouble::passing(OciError::Unreachable { registry: put.registry(), reason }));
                    }
                },
            }
        };
        match Answer::wrap(answer).accept(&put).await {
            Ok(_) => Ok(()),
            // an upload that the registry forgot is begun anew
            Err(Trouble { error: error @ OciError::NotFound { .. }, .. }) => Err(Trouble::passing(error)),
            Err(trouble) => Err(trouble),
        }
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let n_taken = self.rest.len().min(PART_BYTES);
        let part = self.rest.split_to(n_taken);
        self.count.n_sent.fetch_add(n_taken as u64, Ordering::Relaxed);
        self.count.changed.notify_one();
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
