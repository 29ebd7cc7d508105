//! An HTTP server that answers as a test says, faults included.
//!
//! It keeps what it was asked, for the test to look at. HTTP/1.1 with `Content-Length`
//! only, which is what the connectors send.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Longest line of a request's head.
const MAX_LINE_BYTES: u64 = 64 << 10;

/// A request, as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// `POST`, for instance.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// When it had come to its end.
    pub came_at: Instant,
}

impl Request {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// What the server does about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Answers.
    Answer {
        /// The status, such as 200.
        status: u16,
        /// Headers beside `Content-Length`.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// Announces the whole body, sends half of it, and closes the connection.
    Half(Vec<u8>),
    /// Closes the connection without an answer.
    Close,
    /// Never answers.
    Silence,
}

impl Reply {
    /// An answer without headers.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Answer { status, headers: Vec::new(), body: body.into() }
    }
}

/// A server on a port of its own, until it is dropped.
#[derive(Debug)]
pub struct HttpServer {
    address: SocketAddr,
    requests: Arc<Requests>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Requests {
    list: Mutex<Vec<Request>>,
    came: Notify,
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl HttpServer {
    /// Starts a server that answers each request as `handle` says.
    ///
    /// # Panics
    ///
    /// When no port of the loopback can be had.
    pub async fn start(handle: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        Self::start_behind(|stream: TcpStream| async { Ok(stream) }, handle).await
    }

    /// Starts a server whose connections `secure` makes ready, such as with TLS.
    ///
    /// # Panics
    ///
    /// When no port of the loopback can be had.
    pub async fn start_behind<S, F>(
        secure: impl Fn(TcpStream) -> F + Send + 'static,
        handle: impl FnMut(&Request) -> Reply + Send + 'static,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        F: Future<Output = io::Result<S>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of the loopback is free");
        Self::serve(listener, secure, handle)
    }

    /// Answers on a listener that is there already.
    pub(crate) fn serve<S, F>(
        listener: TcpListener,
        secure: impl Fn(TcpStream) -> F + Send + 'static,
        handle: impl FnMut(&Request) -> Reply + Send + 'static,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        F: Future<Output = io::Result<S>> + Send + 'static,
    {
        let address = listener.local_addr().expect("a listener has an address");
        let requests = Arc::new(Requests::default());
        let (kept, handle) = (Arc::clone(&requests), Arc::new(Mutex::new(handle)));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (secured, kept, handle) = (secure(stream), Arc::clone(&kept), Arc::clone(&handle));
                connections.spawn(async move {
                    // a connection that breaks is the client's affair
                    if let Ok(stream) = secured.await {
                        let _ = serve(stream, &kept, &*handle).await;
                    }
                });
            }
        });
        Self { address, requests, task }
    }

    /// Its address: `127.0.0.1:PORT`.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it is, as a URL.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// What it was asked so far, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.list.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it was asked `n_requests` times.
    pub async fn was_asked(&self, n_requests: usize) {
        loop {
            let came = self.requests.came.notified();
            if self.requests().len() >= n_requests {
                return;
            }
            came.await;
        }
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    requests: &Requests,
    handle: &Mutex<impl FnMut(&Request) -> Reply>,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await? {
        let reply = {
            let mut handle = handle.lock().unwrap_or_else(PoisonError::into_inner);
            requests.list.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
            (*handle)(&request)
        };
        requests.came.notify_waiters();
        match reply {
            Reply::Answer { status, headers, body } => write(&mut stream, status, &headers, body.len(), &body).await?,
            Reply::Half(body) => {
                write(&mut stream, 200, &[], body.len(), &body[..body.len() / 2]).await?;
                return stream.shutdown().await;
            }
            Reply::Close => return Ok(()),
            Reply::Silence => std::future::pending().await,
        }
    }
    Ok(())
}

/// Reads a request; none where the client has closed the connection.
async fn read(stream: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Option<Request>> {
    let Some(first) = line(stream).await? else { return Ok(None) };
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = Vec::new();
    while let Some(line) = line(stream).await?.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method, path, headers, body: Vec::new(), came_at: Instant::now() };
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    request.body.resize(length, 0);
    stream.read_exact(&mut request.body).await?;
    request.came_at = Instant::now();
    Ok(Some(request))
}

async fn line(stream: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Option<String>> {
    let mut line = String::new();
    match stream.take(MAX_LINE_BYTES).read_line(&mut line).await? {
        0 => Ok(None),
        _ => Ok(Some(line.trim_end().to_owned())),
    }
}

async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    status: u16,
    headers: &[(&'static str, String)],
    length: usize,
    body: &[u8],
) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    // in one piece: a second one would wait until the client has acknowledged the first
    stream.write_all(&[head.as_bytes(), body].concat()).await?;
    stream.flush().await
}
