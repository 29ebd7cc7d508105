//! The least client of HTTP that can fill a registry: a connection for each request.

use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};

/// Where to ask, and whom to trust.
pub(super) struct Client<'a> {
    pub(super) address: SocketAddr,
    /// The authority to trust; plain HTTP without one.
    pub(super) ca_file: Option<&'a Path>,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    /// Names in lower case, and values.
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}, {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

impl Client<'_> {
    /// Asks, and reads the answer to its end.
    pub(super) fn ask(&self, method: &str, target: &str, headers: &[(&str, String)], body: &[u8]) -> Answer {
        // of HTTP/1.0: the answer ends with the connection, and is never in chunks
        let mut request = format!("{method} {target} HTTP/1.0\r\nHost: {}\r\n", self.address);
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += &format!("Content-Length: {}\r\n\r\n", body.len());
        let stream = TcpStream::connect(self.address).expect("the registry takes connections");
        let answered = match self.ca_file {
            None => exchange(stream, request.as_bytes(), body),
            Some(ca_file) => exchange(secure(stream, ca_file), request.as_bytes(), body),
        };
        let answered = answered.unwrap_or_else(|error| panic!("{method} {target}: {error}"));
        read(&answered).unwrap_or_else(|| panic!("{method} {target}: {}", String::from_utf8_lossy(&answered)))
    }
}

fn exchange(mut stream: impl Read + Write, head: &[u8], body: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(head)?;
    stream.write_all(body)?;
    stream.flush()?;
    let mut answered = Vec::new();
    stream.read_to_end(&mut answered)?;
    Ok(answered)
}

fn secure(stream: TcpStream, ca_file: &Path) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(ca_file).expect("the authority's file was written");
    roots.add(authority).expect("the authority's certificate is one");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("localhost is a name");
    let connection = rustls::ClientConnection::new(Arc::new(config), name).expect("the configuration is whole");
    rustls::StreamOwned::new(connection, stream)
}

fn read(answered: &[u8]) -> Option<Answer> {
    let end = answered.windows(4).position(|window| window == b"\r\n\r\n")?;
    let mut lines = std::str::from_utf8(&answered[..end]).ok()?.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    Some(Answer { status, headers, body: answered[end + 4..].to_vec() })
}
