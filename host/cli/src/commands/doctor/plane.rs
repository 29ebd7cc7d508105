//! The control plane that commands would speak to, and as whom.

use std::net::IpAddr;
use std::time::SystemTime;

use anyhow::Result;
use flowctl_client::{Client, ClientError, admin};
use jiff::fmt::rfc2822::DateTimeParser;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::check::Check;
use super::clock::Reading;
use super::{Findings, within};
use crate::plane::{self, ControlPlaneArgs, DEFAULT_ADDRESS, ENDPOINT, Place, is_credential, refused};

const NAME: &str = "control plane";
/// Most bytes of a greeting that are read.
const MAX_GREETING_BYTES: u64 = 1 << 10;

/// A control plane that answered, also if that was a refusal of the caller.
pub(super) struct Answered {
    address: String,
    /// What it is, in words.
    pub(super) words: String,
}

impl Answered {
    /// Whether its address is that of `port` on this machine.
    pub(super) fn is_at(&self, port: u16) -> bool {
        let authority = self.address.split_once("://").map_or(self.address.as_str(), |(_, authority)| authority);
        let Some((host, at)) = authority.trim_end_matches('/').rsplit_once(':') else { return false };
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        let is_here = matches!(host, "" | "localhost") || address.is_ok_and(|address| address.is_loopback());
        is_here && at.parse::<u16>() == Ok(port)
    }
}

/// Asks the control plane who it is; answers which one it was, where one answered.
pub(super) async fn check(args: &ControlPlaneArgs) -> (Findings, Option<Answered>) {
    let (address, is_named) = match args.place() {
        Place::None => {
            return (vec![Check::skipped(NAME, format!("{ENDPOINT} says `{}`", plane::NONE))].into(), None);
        }
        Place::Default => (DEFAULT_ADDRESS.to_owned(), false),
        Place::Named(address) => (address, true),
    };
    let target = match plane::target(address.clone()) {
        Ok(target) => target,
        Err(error) => return (vec![Check::of_error(NAME, &error)].into(), None),
    };
    let credential = credential(&target);
    let asked = within(async { Client::connect(&target).await?.host().await });
    let (asked, time) = tokio::join!(asked, within(told_time(&address)));
    let words = asked.as_ref().and_then(words);
    let check = match asked {
        Some(Ok(host)) if !host.is_serving => {
            Check::note(NAME, format!("that of one run of flowctl {} answers at `{address}`", host.version))
        }
        Some(Ok(host)) => {
            let who = format!("tenant {} as {}, {credential}", host.tenant, host.role);
            let found = format!("flowctl {} at `{address}`, {who}", host.version);
            match host.version == env!("CARGO_PKG_VERSION") {
                true => Check::ok(NAME, found),
                false => Check::warning(
                    NAME,
                    format!("{found}; this is flowctl {}", env!("CARGO_PKG_VERSION")),
                    "start it again with this version: `flowctl serve`",
                ),
            }
        }
        Some(Err(error)) if !is_named && !is_credential(&error) => {
            Check::note(NAME, format!("none at `{address}`: `flowctl run` runs pipelines by itself"))
                .with("flowctl serve")
        }
        Some(Err(error)) => {
            let check = Check::of_error(NAME, &refused(error));
            Check { found: format!("{}, at `{address}` {credential}", check.found), ..check }
        }
        None => Check::failed(
            NAME,
            format!("nobody answers at `{address}` within 5 s"),
            format!("see that {ENDPOINT} or `--control-plane` names the right address"),
        ),
    };
    let reading = time.and_then(Result::ok).flatten();
    let findings = Findings { checks: vec![check], readings: reading.into_iter().collect() };
    (findings, words.map(|words| Answered { address, words }))
}

/// What a control plane is by its answer; none where it is no answer of one.
pub(super) fn words(answer: &Result<admin::Host, ClientError>) -> Option<String> {
    match answer {
        Ok(host) => Some(format!("a control plane of flowctl {} answers", host.version)),
        Err(error) if is_credential(error) => Some("a control plane answers, which wants credentials".to_owned()),
        Err(_) => None,
    }
}

/// What the caller shows, in words.
fn credential(target: &flowctl_client::Target) -> &'static str {
    match (&target.token, &target.tls.identity) {
        (Some(_), _) => "with the token of FLOWCTL_TOKEN",
        (None, Some(_)) => "with the certificate of FLOWCTL_CERT",
        (None, None) => "without credentials",
    }
}

/// The time that a control plane without TLS says it is.
async fn told_time(address: &str) -> Result<Option<Reading>> {
    let host = address.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(host).await?;
    stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.take(MAX_GREETING_BYTES).read_to_string(&mut answer).await?;
    let ours = SystemTime::now();
    let is_date = |line: &&str| line.to_ascii_lowercase().starts_with("date:");
    let date = answer.lines().find(is_date).and_then(|line| line.split_once(':'));
    let time = date.and_then(|(_, date)| DateTimeParser::new().parse_timestamp(date.trim()).ok());
    Ok(time.map(|time| Reading { who: address.to_owned(), theirs: SystemTime::from(time), ours }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine_are_told_by_their_port() {
        let is_at = |address: &str| Answered { address: address.to_owned(), words: String::new() }.is_at(8443);
        for address in ["127.0.0.1:8443", "https://localhost:8443/", "http://[::1]:8443", ":8443"] {
            assert!(is_at(address), "{address}");
        }
        for address in ["127.0.0.1:8080", "https://example.org:8443", "https://localhost", "192.0.2.1:8443"] {
            assert!(!is_at(address), "{address}");
        }
    }
}
