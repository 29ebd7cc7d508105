//! Where the database is, and how it is reached.
//!
//! Invariant: nothing that is printed here holds any part of the URL but hosts, ports
//! and the database's name; and a URL that could be read in two ways, so that a piece
//! of its password would pass for one of these, is refused.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{NAME, tls};
use crate::ConnectorError;
use crate::base_dir::BaseDir;
use crate::reach::Reach;

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server that went silent is waited for, where the URL does not say.
const SILENCE: Duration = Duration::from_secs(60);

/// Options of libpq that tokio-postgres does not know; naming them gives nothing away.
const NOT_KNOWN: [&str; 8] =
    ["sslcert", "sslkey", "sslpassword", "sslcrl", "passfile", "service", "gssencmode", "replication"];

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Tls {
    /// Not at all.
    Disable,
    /// Encrypted where the server offers it. Who the server is, is not checked.
    Prefer,
    /// Encrypted. Who the server is, is not checked.
    Require,
    /// Encrypted, and the server's certificate is checked against its name.
    VerifyFull,
}

/// Where the database is. Shows hosts, ports and the database's name, nothing else.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) config: tokio_postgres::Config,
    pub(super) tls: MakeRustlsConnect,
}

impl Address {
    /// Reads the URL. `tls` and `ca_file` are of the configuration, and count more than
    /// what the URL says. Relative paths of both start at `base`.
    pub(super) fn read(
        url: &str,
        tls: Option<Tls>,
        ca_file: Option<PathBuf>,
        base: BaseDir<'_>,
    ) -> Result<Self, ConnectorError> {
        let (config, tls, ca_file) = parts(url, tls, ca_file)?;
        let ca_file = ca_file.map(|path| base.path(path));
        let tls = if tls == Tls::VerifyFull { tls::checking(ca_file.as_deref())? } else { tls::trusting() };
        Ok(Self { config, tls })
    }

    /// What a sink with this address touches: every host with its port, and the sockets
    /// of those that are folders.
    pub(super) fn reach(
        url: &str,
        tls: Option<Tls>,
        ca_file: Option<PathBuf>,
        base: BaseDir<'_>,
    ) -> Result<Reach, ConnectorError> {
        let (config, _, ca_file) = parts(url, tls, ca_file)?;
        let named = config.get_hosts().iter().enumerate().map(|(index, host)| match host {
            Host::Tcp(host) => host_and_port(host, port(&config, index)),
            Host::Unix(folder) => {
                base.reached(folder).join(format!(".s.PGSQL.{}", port(&config, index))).display().to_string()
            }
        });
        // where these are given, they are connected to in place of the names
        let addresses = config.get_hostaddrs().iter().enumerate();
        let addresses = addresses.map(|(index, address)| host_and_port(&address.to_string(), port(&config, index)));
        let reads = ca_file.iter().map(|path| base.reached(path)).collect();
        Ok(Reach { reads, dials: named.chain(addresses).collect(), ..Reach::default() })
    }

    /// Whether the URL can be read, and goes with the rest. No file is read.
    pub(super) fn check(url: &str, tls: Option<Tls>, ca_file: Option<PathBuf>) -> Result<(), ConnectorError> {
        parts(url, tls, ca_file).map(drop)
    }

    /// How long a connection may take to come about, whatever the server says or not.
    pub(super) fn patience(&self) -> Duration {
        let n_hosts = self.config.get_hosts().len() as u32;
        3 * n_hosts * self.config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT)
    }
}

/// The port of a host, by the host's index.
fn port(config: &tokio_postgres::Config, index: usize) -> u16 {
    let ports = config.get_ports();
    ports.get(index).or(ports.first()).copied().unwrap_or(5432)
}

fn host_and_port(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// What the URL says, with `tls` and `ca_file` of the configuration, which count more.
fn parts(
    url: &str,
    tls: Option<Tls>,
    ca_file: Option<PathBuf>,
) -> Result<(tokio_postgres::Config, Tls, Option<PathBuf>), ConnectorError> {
    let wrong = |reason: String| ConnectorError::field(NAME, "url", reason);
    let (url, said) = Said::take(url).map_err(wrong)?;
    let ca_file = ca_file.or(said.ca_file);
    let default = if ca_file.is_some() { Tls::VerifyFull } else { Tls::Prefer };
    let tls = tls.or(said.tls).unwrap_or(default);
    if ca_file.is_some() && tls != Tls::VerifyFull {
        let reason =
            "is only looked at where the server's certificate is checked: add `tls: verify_full`, or leave it out";
        return Err(ConnectorError::field(NAME, "ca_file", reason));
    }
    let mut config: tokio_postgres::Config = url.parse().map_err(|_| wrong(NO_URL.to_owned()))?;
    check_hosts(&config).map_err(wrong)?;
    config.ssl_mode(match tls {
        Tls::Disable => SslMode::Disable,
        Tls::Prefer => SslMode::Prefer,
        Tls::Require | Tls::VerifyFull => SslMode::Require,
    });
    if config.get_application_name().is_none() {
        config.application_name("flowctl");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(SILENCE);
    }
    if !url.contains("keepalives") {
        config.keepalives_idle(SILENCE / 2).keepalives_interval(SILENCE / 6).keepalives_retries(3);
    }
    Ok((config, tls, ca_file))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, host) in self.config.get_hosts().iter().enumerate() {
            let port = port(&self.config, index);
            f.write_str(if index == 0 { "" } else { "," })?;
            match host {
                Host::Tcp(host) => write!(f, "{host}:{port}")?,
                Host::Unix(folder) => write!(f, "{}/.s.PGSQL.{port}", folder.display())?,
            }
        }
        match self.config.get_dbname() {
            Some(database) => write!(f, "/{database}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

const NO_URL: &str = "is no address of a database: write `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, with `@`, `:`, `/`, `?`, `&` and `%` of the password percent-encoded";

/// What a URL says that tokio-postgres cannot read.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    tls: Option<Tls>,
    ca_file: Option<PathBuf>,
}

impl Said {
    /// Takes out of `url` what it says of TLS. Fails with the rest of a sentence.
    fn take(url: &str) -> Result<(String, Self), String> {
        let no_url = || NO_URL.to_owned();
        let start =
            ["postgres://", "postgresql://"].into_iter().find(|start| url.starts_with(start)).ok_or_else(no_url)?;
        let rest = &url[start.len()..];
        let credentials = rest.split_once('@').map(|(credentials, _)| credentials).unwrap_or_default();
        if rest.matches('@').count() > 1 || credentials.contains(['/', '?', '#', '&']) {
            return Err(no_url());
        }
        let mut said = Self::default();
        let Some((place, options)) = rest.split_once('?') else { return Ok((url.to_owned(), said)) };
        let mut left = Vec::new();
        for option in options.split('&') {
            let (name, value) = option.split_once('=').ok_or_else(no_url)?;
            match name {
                "sslmode" => said.tls = Some(mode(value)?),
                "sslrootcert" if value == "system" => {}
                "sslrootcert" => said.ca_file = Some(percent_decoded(value).ok_or_else(no_url)?.into()),
                name if NOT_KNOWN.contains(&name) => {
                    return Err(format!("has the option `{name}`, which flowctl does not know"));
                }
                _ => left.push(option),
            }
        }
        let mark = if left.is_empty() { "" } else { "?" };
        Ok((format!("{start}{place}{mark}{}", left.join("&")), said))
    }
}

fn mode(value: &str) -> Result<Tls, String> {
    match value {
        "disable" => Ok(Tls::Disable),
        "prefer" => Ok(Tls::Prefer),
        "require" => Ok(Tls::Require),
        "verify-full" => Ok(Tls::VerifyFull),
        _ => Err("has another `sslmode` than `disable`, `prefer`, `require` or `verify-full`".to_owned()),
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    percent_encoding::percent_decode_str(text).decode_utf8().ok().map(Into::into)
}

/// A host that cannot be one is likely a piece of a password.
fn check_hosts(config: &tokio_postgres::Config) -> Result<(), String> {
    let is_name = |host: &str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte));
    let is_host = |host: &Host| match host {
        Host::Tcp(host) => !host.is_empty() && is_name(host),
        Host::Unix(_) => true,
    };
    if config.get_hosts().is_empty() {
        return Err("names no host: write `postgres://USER:PASSWORD@HOST:PORT/DATABASE`".to_owned());
    }
    if config.get_hosts().iter().all(is_host) { Ok(()) } else { Err(NO_URL.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> String {
        Address::read(url, None, None, BaseDir::default())
            .map_or_else(|error| error.to_string(), |address| address.to_string())
    }

    #[test]
    fn an_address_shows_hosts_ports_and_database() {
        assert_eq!(shown("postgres://me:secret@db.example/shop"), "db.example:5432/shop");
        assert_eq!(shown("postgresql://me:s%40cret@db:6432,[::1]:7/shop?sslmode=disable"), "db:6432,::1:7/shop");
        assert_eq!(shown("postgres://me@%2Frun%2Fpg/shop"), "/run/pg/.s.PGSQL.5432/shop");
        assert_eq!(shown("postgres://me:secret@db"), "db:5432");
    }

    #[test]
    fn a_url_that_is_none_gives_no_piece_of_a_password_away() {
        for url in [
            "host=db password=secret",
            "mysql://me:secret@db/shop",
            "postgres://me:se@cret@db/shop",
            "postgres://me:se/cret@db/shop",
            "postgres://me:se?cret=1@db/shop",
            "postgres://me:secret",
            "postgres://me@db:secret/shop",
            "postgres://me:x@cr\"et/shop",
            "postgres://db/shop?secret=1",
            "postgres://db/shop?secret",
            "postgres://db/shop?sslmode=secret",
            "postgres://db/shop?sslcert=secret",
            "postgres:///shop?password=secret",
        ] {
            let text = shown(url);
            assert!(text.starts_with("`url` of `postgres` "), "{url}: {text}");
            assert!(!text.contains("ecret") && !text.contains("cr\"et"), "{text}");
        }
    }

    #[test]
    fn tls_comes_from_the_url_or_the_configuration() {
        let said = |url| Said::take(url).map(|(url, said)| (url, said.tls, said.ca_file));
        let rest = "postgres://db/shop?connect_timeout=3".to_owned();
        assert_eq!(
            said("postgres://db/shop?sslmode=verify-full&connect_timeout=3&sslrootcert=%2Fetc%2Fca.pem"),
            Ok((rest, Some(Tls::VerifyFull), Some("/etc/ca.pem".into())))
        );
        assert_eq!(said("postgres://db?sslmode=require"), Ok(("postgres://db".to_owned(), Some(Tls::Require), None)));
        let error = Address::read("postgres://db?sslmode=require", None, Some("ca.pem".into()), BaseDir::default())
            .unwrap_err();
        assert!(error.to_string().starts_with("`ca_file` of `postgres` is only looked at"), "{error}");
        let error = Address::read("postgres://db", None, Some("no/such.pem".into()), BaseDir::default()).unwrap_err();
        assert_eq!(error.to_string(), "`postgres` cannot read `no/such.pem`");
    }
}
