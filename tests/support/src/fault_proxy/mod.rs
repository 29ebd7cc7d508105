//! A proxy before an HTTP server, which injects faults as a test says.
//!
//! It speaks HTTP/1.1 on loopback and passes requests on as they are, `Host` included,
//! so that what the server says of its own address leads through the proxy again. Bodies
//! stream both ways. It notes each request as it comes, before it passes anything on.

mod body;
mod connection;
mod rules;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

pub use self::rules::{Fault, Gate, Rule};

use self::body::{Answered, Interruption};
use self::connection::{Connection, Line};

/// A request that came, and what became of it.
#[derive(Debug, Clone)]
pub struct Passage {
    /// `GET`, for instance.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// Whether a fault befell it.
    pub is_faulted: bool,
    /// The status of the answer; none where there was none, or is none yet.
    pub status: Option<u16>,
    /// How much of the answer's body was handed to the client's connection, in bytes.
    pub n_body_bytes: u64,
}

impl Passage {
    /// The value of a header of the request.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The part of the body that was asked for, such as `bytes=1000-`; none for all.
    #[must_use]
    pub fn range(&self) -> Option<&str> {
        self.header("range")
    }
}

/// A proxy on a port of its own, until it is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    book: Arc<Book>,
    task: JoinHandle<()>,
}

/// What the proxy knows and has seen.
#[derive(Debug, Default)]
struct Book {
    rules: Mutex<Vec<Rule>>,
    passages: Mutex<Vec<Passage>>,
    changed: Notify,
}

/// Why a request gets no answer: the connection ends.
type Broken = Box<dyn std::error::Error + Send + Sync>;
type Body = BoxBody<Bytes, Broken>;

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FaultProxy {
    /// Starts a proxy before the server at `upstream`. Without rules it injects nothing.
    ///
    /// # Panics
    ///
    /// When no port of the loopback can be had.
    pub async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of the loopback is free");
        let address = listener.local_addr().expect("a listener has an address");
        let book = Arc::new(Book::default());
        let kept = Arc::clone(&book);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, upstream, Arc::clone(&kept)));
                // those that have ended
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, book, task }
    }

    /// Its address, which is a registry's name in a reference too: `127.0.0.1:PORT`.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it is, as a URL without a slash at its end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds a rule. Of several that match a request, the oldest that is not used up is
    /// followed.
    pub fn inject(&self, rule: Rule) {
        lock(&self.book.rules).push(rule);
    }

    /// Drops all rules. What they have begun goes on.
    pub fn heal(&self) {
        lock(&self.book.rules).clear();
    }

    /// The requests so far, in the order in which they came.
    #[must_use]
    pub fn passages(&self) -> Vec<Passage> {
        lock(&self.book.passages).clone()
    }

    /// Waits until a fact holds of the requests so far.
    pub async fn until(&self, mut holds: impl FnMut(&[Passage]) -> bool) {
        loop {
            let changed = self.book.changed.notified();
            if holds(&lock(&self.book.passages)) {
                return;
            }
            changed.await;
        }
    }
}

impl Book {
    /// Notes a request, and finds the fault that befalls it.
    fn open<T>(&self, request: &Request<T>) -> (usize, Option<Fault>) {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let fault = rules::first(&mut lock(&self.rules), request.method().as_str(), path);
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()));
        let passage = Passage {
            method: request.method().to_string(),
            path: path.to_owned(),
            headers: headers.collect(),
            is_faulted: fault.is_some(),
            status: None,
            n_body_bytes: 0,
        };
        let mut passages = lock(&self.passages);
        passages.push(passage);
        self.changed.notify_waiters();
        (passages.len() - 1, fault)
    }

    fn note(&self, index: usize, change: impl FnOnce(&mut Passage)) {
        if let Some(passage) = lock(&self.passages).get_mut(index) {
            change(passage);
        }
        self.changed.notify_waiters();
    }
}

async fn serve(stream: TcpStream, upstream: SocketAddr, book: Arc<Book>) {
    // a small answer must not wait for the acknowledgement of the one before
    let _ = stream.set_nodelay(true);
    let line = Arc::new(Line::default());
    let connection = TokioIo::new(Connection::new(stream, Arc::clone(&line)));
    let service = service_fn(|request| answer(request, upstream, Arc::clone(&book), Arc::clone(&line)));
    // a connection that breaks is what was asked for, or the client's affair
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(connection, service).await;
}

async fn answer(
    request: Request<Incoming>,
    upstream: SocketAddr,
    book: Arc<Book>,
    line: Arc<Line>,
) -> Result<Response<Body>, Broken> {
    let (index, fault) = book.open(&request);
    let (head, sent) = request.into_parts();
    let mut interruption = None;
    match fault {
        None => {}
        Some(Fault::Answer { status, headers, body }) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            book.note(index, |passage| passage.status = Some(status));
            let body = Full::new(Bytes::from(body)).map_err(|never: Infallible| match never {});
            // what was sent is read: else its rest would be taken for the next request
            let _ = sent.collect().await;
            return Ok(response.body(Answered::new(body, index, book, None).boxed())?);
        }
        Some(Fault::Reset) => {
            line.reset();
            return Err(broken("the connection is reset"));
        }
        Some(Fault::ResetUpload { after }) => {
            read(sent, after).await?;
            line.reset();
            return Err(broken("the upload is reset"));
        }
        Some(Fault::Hold(gate)) => gate.pass().await,
        Some(Fault::Cut { after }) => interruption = Some(Interruption::cut(after, line)),
        Some(Fault::ResetBody { after }) => interruption = Some(Interruption::reset(after, line)),
        Some(Fault::Stall { after, gate }) => interruption = Some(Interruption::stall(after, gate)),
        Some(Fault::Replace { at, with }) => interruption = Some(Interruption::replace(at, with)),
    }
    let stream = TcpStream::connect(upstream).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let response = sender.send_request(Request::from_parts(head, sent)).await?;
    book.note(index, |passage| passage.status = Some(response.status().as_u16()));
    Ok(response.map(|body| Answered::new(body, index, book, interruption).boxed()))
}

/// Reads an upload until it has brought `n_bytes`.
async fn read(mut sent: Incoming, n_bytes: u64) -> Result<(), Broken> {
    let mut n_read = 0;
    while n_read < n_bytes {
        let Some(frame) = sent.frame().await else { return Ok(()) };
        n_read += frame?.data_ref().map_or(0, |bytes| bytes.len() as u64);
    }
    Ok(())
}

fn broken(what: &str) -> Broken {
    io::Error::other(what.to_owned()).into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
