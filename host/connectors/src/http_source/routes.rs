//! From a request to its answer.
//!
//! Invariants: nothing is kept of a body unless its client may send it and there is room;
//! a client cannot make a request wait without end; one that the writer has is answered
//! with what became of it, also while the source stops.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, EXPECT};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::routing::{get, post};
use flowctl_schema::Schema;
use http_body_util::BodyExt as _;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::{Duration, timeout};

use super::answer::Answer;
use super::events::{self, Events, Format, Unreadable};
use super::settings::{HEALTH_PATH, Settings, Token};
use super::spool::{Key, Offer};
use super::writer::{self, Job};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Longest `Idempotency-Key`.
const MAX_KEY_BYTES: usize = 255;
/// Bytes of bodies that may be under way at once, if `max_body_bytes` is not large.
const ROOM_BYTES: usize = 64 << 20;
/// A body of more bytes is parsed where it holds nobody up.
const LARGE_BYTES: usize = 64 << 10;
/// What is read of a body that is refused, and for how long: a client that still writes
/// does not look for the answer, and would find its connection reset.
const UNWANTED_BYTES: usize = 32 << 20;
const UNWANTED_TIME: Duration = Duration::from_secs(2);

/// What requests need.
pub(super) struct Desk {
    schema: Schema,
    settings: Settings,
    room: Arc<Semaphore>,
    room_bytes: usize,
    jobs: mpsc::Sender<Job>,
    /// Closed when the source stops.
    stop: watch::Receiver<()>,
}

impl Desk {
    pub(super) fn new(schema: Schema, settings: Settings, jobs: mpsc::Sender<Job>, stop: watch::Receiver<()>) -> Self {
        // permits are counted in 32 bits
        let room_bytes = settings.max_body_bytes.saturating_mul(4).clamp(ROOM_BYTES, u32::MAX as usize);
        Self { schema, settings, room: Arc::new(Semaphore::new(room_bytes)), room_bytes, jobs, stop }
    }

    fn no_room(&self) -> Result<OwnedSemaphorePermit, Answer> {
        Arc::clone(&self.room).try_acquire_many_owned(0).map_err(|_| Answer::busy())
    }

    /// Takes room for more bytes, or none: two requests that wait for each other's would
    /// wait for ever.
    fn make_room(&self, room: &mut OwnedSemaphorePermit, n_bytes: usize) -> Result<(), Answer> {
        let n_permits = u32::try_from(n_bytes).unwrap_or(u32::MAX);
        room.merge(Arc::clone(&self.room).try_acquire_many_owned(n_permits).map_err(|_| Answer::busy())?);
        Ok(())
    }
}

/// The paths of a source.
pub(super) fn routes(desk: Arc<Desk>) -> Router {
    let events = post(take).fallback(async || Answer::wrong_method("POST"));
    let health = get(async || Answer::is_well()).fallback(async || Answer::wrong_method("GET"));
    Router::new()
        .route(&desk.settings.path, events)
        .route(HEALTH_PATH, health)
        .fallback(async || Answer::not_found())
        .with_state(desk)
}

async fn take(State(desk): State<Arc<Desk>>, request: Request) -> Answer {
    let (head, mut body) = request.into_parts();
    let wanted = match Wanted::read(&desk, &head.headers, &body) {
        Ok(wanted) => wanted,
        Err(answer) => {
            // who asks first waits for the answer, and would send the body if it were read
            if !head.headers.contains_key(EXPECT) {
                let _ = timeout(UNWANTED_TIME, pass_over(&mut body)).await;
            }
            return answer;
        }
    };
    let mut stop = desk.stop.clone();
    let offered = tokio::select! {
        offered = offer(&desk, wanted, body) => offered,
        () = stopped(&mut stop) => return Answer::stopping(),
    };
    let (offer, room) = match offered {
        Ok(offered) => offered,
        Err(answer) => return answer,
    };
    let shown = offer.events.shown.clone();
    let (answer, verdict) = oneshot::channel();
    let job = Job::Take(writer::Request { offer, answer, room });
    let sent = tokio::select! {
        sent = desk.jobs.send(job) => sent.is_ok(),
        () = stopped(&mut stop) => false,
    };
    if !sent {
        return Answer::stopping();
    }
    match verdict.await {
        Ok(Ok(receipt)) => Answer::taken(receipt, &shown),
        Ok(Err(refusal)) => Answer::refused(refusal),
        Err(_) => Answer::stopping(),
    }
}

/// What the head of a request asks for.
struct Wanted {
    format: Format,
    key: Option<String>,
}

impl Wanted {
    fn read(desk: &Desk, headers: &HeaderMap, body: &Body) -> Result<Self, Answer> {
        let settings = &desk.settings;
        if let Some(token) = &settings.token
            && !is_authorized(token, headers.get(AUTHORIZATION))
        {
            return Err(Answer::unauthorized());
        }
        let is_plain = headers.get(CONTENT_ENCODING).is_none_or(|encoding| encoding == "identity");
        let format = format(headers.get(CONTENT_TYPE)).filter(|_| is_plain).ok_or_else(Answer::wrong_type)?;
        let key = match headers.get(IDEMPOTENCY_KEY) {
            Some(_) if settings.spool.n_keys == 0 => None,
            Some(key) => Some(read_key(key).ok_or_else(Answer::bad_key)?),
            None => None,
        };
        if hyper::body::Body::size_hint(body).lower() > settings.max_body_bytes as u64 {
            return Err(Answer::too_large(settings.max_body_bytes));
        }
        Ok(Self { format, key })
    }
}

fn is_authorized(token: &Token, header: Option<&HeaderValue>) -> bool {
    let Some((scheme, sent)) = header.and_then(|value| value.to_str().ok()?.split_once(' ')) else {
        return false;
    };
    // of equal length, so that not even that is told by the time it takes
    let [sent, token] = [sent.trim().as_bytes(), token.bytes()].map(Sha256::digest);
    scheme.eq_ignore_ascii_case("bearer") && bool::from(sent.ct_eq(&token))
}

fn format(content_type: Option<&HeaderValue>) -> Option<Format> {
    let essence = content_type?.to_str().ok()?.split(';').next()?.trim();
    let is = |name: &str| essence.eq_ignore_ascii_case(name);
    match () {
        () if is("application/json") => Some(Format::Json),
        () if is("application/x-ndjson") => Some(Format::Lines),
        () => None,
    }
}

fn read_key(header: &HeaderValue) -> Option<String> {
    let key = header.to_str().ok()?;
    (1..=MAX_KEY_BYTES).contains(&key.len()).then(|| key.to_owned())
}

/// Reads a body and makes an offer of it.
async fn offer(desk: &Arc<Desk>, wanted: Wanted, mut body: Body) -> Result<(Offer, OwnedSemaphorePermit), Answer> {
    let Wanted { format, key } = wanted;
    let mut room = desk.no_room()?;
    let read = timeout(desk.settings.read_timeout, read_body(desk, &mut body, &mut room)).await;
    let bytes = match read.map_err(|_| Answer::too_slow())? {
        Ok(bytes) => bytes,
        Err(answer) => {
            let _ = timeout(UNWANTED_TIME, pass_over(&mut body)).await;
            return Err(answer);
        }
    };
    let arrived_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let arrived_at = u64::try_from(arrived_at.as_nanos()).unwrap_or(u64::MAX);
    let is_large = bytes.len() > LARGE_BYTES;
    let parse = {
        let desk = Arc::clone(desk);
        move || parse(&desk, format, key, &bytes)
    };
    let parsed =
        if is_large { tokio::task::spawn_blocking(parse).await.map_err(|_| Answer::stopping())? } else { parse() };
    let (events, key) = parsed.map_err(Answer::unreadable)?;
    // from here on the events are what takes room
    match events.n_bytes().checked_sub(room.num_permits()) {
        Some(n_more) => desk.make_room(&mut room, n_more)?,
        None => drop(room.split(room.num_permits() - events.n_bytes())),
    }
    Ok((Offer { arrived_at, events, key }, room))
}

fn parse(desk: &Desk, format: Format, key: Option<String>, body: &[u8]) -> Result<(Events, Option<Key>), Unreadable> {
    let events = events::parse(format, body, &desk.schema, desk.settings.on_invalid, desk.room_bytes)?;
    let key = key.map(|name| Key { name, digest: Sha256::digest(body).into() });
    Ok((events, key))
}

/// Reads a body, which takes room as it comes.
async fn read_body(desk: &Desk, body: &mut Body, room: &mut OwnedSemaphorePermit) -> Result<Vec<u8>, Answer> {
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(bytes) = frame.map_err(|_| Answer::broken_body())?.into_data() else { continue };
        if whole.len() + bytes.len() > desk.settings.max_body_bytes {
            return Err(Answer::too_large(desk.settings.max_body_bytes));
        }
        desk.make_room(room, bytes.len())?;
        whole.extend_from_slice(&bytes);
    }
    Ok(whole)
}

async fn pass_over(body: &mut Body) {
    let mut n_bytes = 0;
    while n_bytes < UNWANTED_BYTES
        && let Some(Ok(frame)) = body.frame().await
    {
        n_bytes += frame.data_ref().map_or(0, Bytes::len);
    }
}

/// Waits until the source stops.
pub(super) async fn stopped(stop: &mut watch::Receiver<()>) {
    while stop.changed().await.is_ok() {}
}
