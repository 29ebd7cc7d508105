//! `flowctl tokens create | list | revoke`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use flowctl_control_plane::tenants::{Credentials, Role, Tenant};
use flowctl_store::{CredentialKind, CredentialRecord, HostStore};
use flowctl_types::{Digest, did_you_mean, units};
use jiff::Timestamp;
use serde::Serialize;

use crate::help::examples;
use crate::output::{self, Format};
use crate::report::Hinted;
use crate::state::{StateArgs, unusable_host};
use crate::{paths, plane, status};

/// Largest certificate that is read, in bytes.
const MAX_PEM_BYTES: u64 = 1 << 20;

/// The commands below `tokens`.
#[derive(Subcommand)]
#[command(after_help = examples(&[
    ("flowctl tokens create --tenant acme --role operator", "print a token, once"),
    ("flowctl tokens list", ""),
]))]
pub(crate) enum Tokens {
    /// Make a token, which is printed once, or let a client's certificate in
    ///
    /// As soon as there is one, a control plane of this state directory asks every caller for a token or a certificate.
    /// Whoever may write to the state directory may make tokens: no control plane needs to run.
    Create(Create),
    /// List the tokens and certificates, without what is secret
    List(List),
    /// Take a token or certificate back; it opens nothing from now on
    Revoke(Revoke),
}

/// Arguments of `tokens create`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl tokens create --tenant acme --role operator --expires-in 90d", ""),
    ("flowctl tokens create --tenant acme --role viewer --certificate client.pem", "by certificate"),
]))]
pub(crate) struct Create {
    /// Whose pipelines, components and runs it opens
    #[arg(long, value_name = "TENANT")]
    tenant: Tenant,
    /// What it opens them for: `viewer` looks, `operator` runs and stops, `admin` deletes too
    #[arg(long, value_name = "ROLE", value_parser = role())]
    role: Role,
    /// What it is for, to tell it from others
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    /// When it ends by itself, such as `90d` or `12h` from now [default: never]
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    expires_in: Option<Duration>,
    /// Let whoever has this certificate and its key in, in place of a token
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    #[command(flatten)]
    state: StateArgs,
}

/// Arguments of `tokens list`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl tokens list", ""),
    ("flowctl tokens list --tenant acme --output json", "of one tenant, for a program"),
]))]
pub(crate) struct List {
    /// Only those of this tenant
    #[arg(long, value_name = "TENANT")]
    tenant: Option<Tenant>,
    #[command(flatten)]
    state: StateArgs,
    /// How to print the list
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Arguments of `tokens revoke`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl tokens revoke 6f1c0a2b9d3e4f58", "an id of `flowctl tokens list`"),
]))]
pub(crate) struct Revoke {
    /// Its id, as `tokens list` prints it
    #[arg(value_name = "TOKEN")]
    id: String,
    #[command(flatten)]
    state: StateArgs,
}

#[derive(Serialize)]
struct Row {
    id: String,
    tenant: String,
    role: String,
    kind: &'static str,
    description: String,
    created_at: Option<String>,
    expires_at: Option<String>,
    last_used_at: Option<String>,
}

impl Tokens {
    /// Does what was asked for.
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self {
            Self::Create(create) => create.run(),
            Self::List(list) => list.run(),
            Self::Revoke(revoke) => revoke.run(),
        }
    }
}

impl Create {
    fn run(self) -> Result<ExitCode> {
        let expires_at = self.expires_in.map(|time| Timestamp::now().checked_add(time)).transpose();
        let expires_at = expires_at.context("cannot count that far")?;
        let (tenant, role) = (&self.tenant, self.role);
        let credentials = open(&self.state)?;
        plane::block_on(async {
            match &self.certificate {
                None => {
                    let made = credentials.create_token(tenant, role, &self.description, expires_at).await?;
                    status::say(&format!("Token {} opens tenant `{tenant}` as {role}; it is not shown again", made.id));
                    output::line(made.token)?;
                }
                Some(path) => {
                    let fingerprint = fingerprint(path)?;
                    let id = credentials.allow_certificate(tenant, role, &fingerprint, &self.description, expires_at);
                    let id = id.await?;
                    status::say(&format!("The certificate opens tenant `{tenant}` as {role}"));
                    output::line(id)?;
                }
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

impl List {
    fn run(self) -> Result<ExitCode> {
        let credentials = open(&self.state)?;
        let found = plane::block_on(async { Ok(credentials.list(self.tenant.as_ref()).await?) })?;
        if let Some(tenant) = self.tenant.as_ref().filter(|_| found.is_empty()) {
            // no error: a tenant may be without any
            let all = plane::block_on(async { Ok(credentials.list(None).await?) })?;
            let near = did_you_mean(tenant.as_str(), all.iter().map(|credential| credential.tenant.as_str()));
            let near = near.map(|near| format!("; {near}")).unwrap_or_default();
            status::say(&format!("tenant `{tenant}` has no tokens{near}"));
        }
        let rows: Vec<Row> = found.into_iter().map(Row::of).collect();
        output::value(self.output, &rows, || {
            let cells: Vec<Vec<String>> = rows.iter().map(Row::cells).collect();
            output::table(&["ID", "TENANT", "ROLE", "KIND", "CREATED", "EXPIRES", "LAST USED", "DESCRIPTION"], &cells)
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Revoke {
    fn run(self) -> Result<ExitCode> {
        let credentials = open(&self.state)?;
        let was_there = plane::block_on(async { Ok(credentials.revoke(&self.id).await?) })?;
        if !was_there {
            let known = plane::block_on(async { Ok(credentials.list(None).await?) })?;
            let near = did_you_mean(&self.id, known.iter().map(|credential| credential.id.as_str()));
            return Err(Hinted::error(
                format!("there is no token or certificate `{}`", self.id),
                near.unwrap_or_else(|| "`flowctl tokens list` shows what there is".to_owned()),
            ));
        }
        status::say(&format!("Revoked {}; within a second it opens nothing", self.id));
        Ok(ExitCode::SUCCESS)
    }
}

impl Row {
    fn of(credential: CredentialRecord) -> Self {
        Self {
            id: credential.id,
            tenant: credential.tenant,
            role: credential.role,
            kind: match credential.kind {
                CredentialKind::Token => "token",
                CredentialKind::Certificate => "certificate",
            },
            description: credential.description,
            created_at: moment(Some(credential.created_at)),
            expires_at: moment(credential.expires_at),
            last_used_at: moment(credential.last_used_at),
        }
    }

    fn cells(&self) -> Vec<String> {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            self.id.clone(),
            self.tenant.clone(),
            self.role.clone(),
            self.kind.to_owned(),
            or_dash(&self.created_at),
            or_dash(&self.expires_at),
            or_dash(&self.last_used_at),
            self.description.clone(),
        ]
    }
}

fn open(state: &StateArgs) -> Result<Credentials> {
    let store = HostStore::open(&state.base()?).map_err(unusable_host)?;
    Ok(Credentials::new(store))
}

/// The SHA-256 of the first certificate in a file, in hex.
fn fingerprint(path: &Path) -> Result<String> {
    let text = paths::read_text(path, MAX_PEM_BYTES).with_context(|| format!("cannot read `{}`", path.display()))?;
    let no_certificate = || {
        Hinted::error(
            format!("`{}` has no certificate", path.display()),
            "name a file that begins with `-----BEGIN CERTIFICATE-----`",
        )
    };
    let (_, rest) = text.split_once("-----BEGIN CERTIFICATE-----").ok_or_else(no_certificate)?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----").ok_or_else(no_certificate)?;
    let body: String = body.split_ascii_whitespace().collect();
    let bytes =
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).map_err(|_| no_certificate())?;
    Ok(Digest::of(&bytes).to_hex())
}

/// Milliseconds since the Unix epoch, as RFC 3339 has their second.
fn moment(at: Option<i64>) -> Option<String> {
    Timestamp::from_second(at?.div_euclid(1_000)).ok().map(|at| at.to_string())
}

/// Reads a role, and names them all.
fn role() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(["viewer", "operator", "admin"]).try_map(|text| text.parse::<Role>())
}

/// Reads a length of time, which may be in days.
fn lifetime(text: &str) -> Result<Duration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
    let time = days.map(|days| Duration::from_secs(u64::from(days) * 24 * 60 * 60));
    time.or_else(|| units::parse_duration(text))
        .ok_or_else(|| "write a number and a unit, such as `90d` or `12h`".to_owned())
}
