//! The control plane that commands would speak to, and as whom.

use std::time::SystemTime;

use anyhow::Result;
use flowctl_client::Client;
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

pub(super) async fn check(args: &ControlPlaneArgs) -> Findings {
    let (address, is_named) = match args.place() {
        Place::None => return vec![Check::skipped(NAME, format!("{ENDPOINT} says `{}`", plane::NONE))].into(),
        Place::Default => (DEFAULT_ADDRESS.to_owned(), false),
        Place::Named(address) => (address, true),
    };
    let target = match plane::target(address.clone()) {
        Ok(target) => target,
        Err(error) => return vec![Check::of_error(NAME, &error)].into(),
    };
    let credential = credential(&target);
    let asked = within(async { Client::connect(&target).await?.host().await }).await;
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
    let reading = within(told_time(&address)).await.and_then(Result::ok).flatten();
    Findings { checks: vec![check], readings: reading.into_iter().collect() }
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
