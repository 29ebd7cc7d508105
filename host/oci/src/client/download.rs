//! Blobs on their way here: in parts, resumed where they broke off, checked at the end.

use flowctl_types::Digest;
use reqwest::header::{CONTENT_RANGE, HeaderValue, RANGE};
use reqwest::{Method, StatusCode};

use super::patience::Trouble;
use super::token::Access;
use super::{Ask, BlobSink, Client};
use crate::{Descriptor, OciError, Progress, RegistryRef};

impl Client {
    /// Reads a blob into `sink`, from where it ends; size and digest are checked while and
    /// after the bytes come. What was there before and turns out wrong is read once more.
    ///
    /// # Errors
    ///
    /// [`OciError`]. `sink` keeps what came of an answer that broke off, so that it can be
    /// gone on with, and nothing of one whose digest is wrong.
    pub async fn blob_to(
        &self,
        reference: &RegistryRef,
        descriptor: &Descriptor,
        sink: &mut dyn BlobSink,
        progress: &dyn Progress,
    ) -> Result<(), OciError> {
        let what = format!("blob `{}`", descriptor.digest);
        let kept = |source| OciError::Sink { registry: reference.registry().to_owned(), source };
        if sink.len() > descriptor.size {
            sink.restart().map_err(kept)?;
        }
        progress.begin(&descriptor.digest, descriptor.size);
        let mut is_of_now = sink.is_empty();
        let mut attempts = self.inner.options.patience.attempts();
        loop {
            progress.reach(&descriptor.digest, sink.len());
            let before = sink.len();
            let fetched = match before < descriptor.size {
                true => self.fetch(reference, descriptor, &what, sink, progress).await,
                false => Ok(()),
            };
            match fetched {
                Ok(()) => {}
                Err(trouble) => {
                    if sink.len() > before {
                        attempts.advanced();
                    }
                    is_of_now |= sink.is_empty();
                    attempts.wait(trouble).await?;
                    continue;
                }
            }
            let found: Digest = sink.digest();
            if found == descriptor.digest {
                progress.end(&descriptor.digest);
                return Ok(());
            }
            sink.restart().map_err(kept)?;
            if is_of_now {
                return Err(OciError::Digest { registry: reference.registry().to_owned(), what, found });
            }
            // what an earlier process left may be what was wrong
            is_of_now = true;
        }
    }

    /// Asks for the rest of a blob, once, and takes what comes.
    async fn fetch(
        &self,
        reference: &RegistryRef,
        descriptor: &Descriptor,
        what: &str,
        sink: &mut dyn BlobSink,
        progress: &dyn Progress,
    ) -> Result<(), Trouble> {
        let url = self.url(reference, &format!("blobs/{}", descriptor.digest)).await?;
        let mut ask = Ask::new(reference, Access::Pull, Method::GET, url, what);
        let kept = |source| OciError::Sink { registry: reference.registry().to_owned(), source };
        let begin = sink.len();
        if begin > 0 {
            let range = HeaderValue::try_from(format!("bytes={begin}-")).expect("digits are visible ASCII");
            ask.headers.insert(RANGE, range);
        }
        let mut answer = match self.once(&ask).await {
            Ok(answer) => answer,
            Err(Trouble { error: OciError::Refused { status: 416, .. }, .. }) => {
                sink.restart().map_err(kept)?;
                let reason =
                    format!("it has no more than {begin} of the {} bytes that its manifest says", descriptor.size);
                return Err(Trouble::passing(ask.content(reason)));
            }
            Err(trouble) => return Err(trouble),
        };
        let continues = answer.status() == StatusCode::PARTIAL_CONTENT
            && answer.headers().get(CONTENT_RANGE).and_then(|range| first_byte(range.to_str().ok()?)) == Some(begin);
        if begin > 0 && !continues {
            sink.restart().map_err(kept)?;
            if answer.status() == StatusCode::PARTIAL_CONTENT {
                return Err(Trouble::passing(ask.content("it sent another range than was asked for".to_owned())));
            }
        }
        let announced = answer.content_length().filter(|_| !continues);
        if let Some(announced) = announced.filter(|announced| *announced != descriptor.size) {
            let reason = format!("it has {announced} bytes, its manifest says {}", descriptor.size);
            return Err(ask.content(reason).into());
        }
        while let Some(chunk) = answer.chunk(&ask).await? {
            if sink.len() + chunk.len() as u64 > descriptor.size {
                sink.restart().map_err(kept)?;
                let reason = format!("it has more than the {} bytes that its manifest says", descriptor.size);
                return Err(ask.content(reason).into());
            }
            sink.write(&chunk).map_err(kept)?;
            progress.reach(&descriptor.digest, sink.len());
        }
        if sink.len() == descriptor.size {
            return Ok(());
        }
        let reason = format!("it ended after {} of {} bytes", sink.len(), descriptor.size);
        Err(Trouble::passing(ask.content(reason)))
    }
}

/// The first byte of `Content-Range: bytes FIRST-LAST/ALL`.
fn first_byte(range: &str) -> Option<u64> {
    range.trim().strip_prefix("bytes")?.trim_start().split_once('-')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_of_a_range_is_read() {
        assert_eq!(first_byte("bytes 10-19/20"), Some(10));
        assert_eq!(first_byte("bytes 0-0/*"), Some(0));
        assert_eq!(first_byte("bytes */20"), None);
        assert_eq!(first_byte("pages 1-2/3"), None);
    }
}
