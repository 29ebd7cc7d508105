//! `flowctl tokens create | list | revoke`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use flowctl_control_plane::{Credentials, Role, Tenant};
use flowctl_store::{CredentialKind, CredentialRecord, HostStore};
use flowctl_types::units;
use jiff::Timestamp;
use serde::Serialize;

use crate::output::{self, Format};
use crate::report::Hinted;
use crate::state::{StateArgs, unusable};
use crate::{paths, status};

/// Largest certificate that is read, in bytes.
const MAX_PEM_BYTES: u64 = 1 << 20;

/// The commands below `tokens`.
#[derive(Subcommand)]
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
pub(crate) struct Create {
    /// Whose pipelines, components and runs it opens
    #[arg(long, value_name = "TENANT")]
    tenant: Tenant,
    /// What it opens them for: `viewer` looks, `operator` runs and stops, `admin` deletes too
    #[arg(long, value_name = "ROLE")]
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
pub(crate) struct Revoke {
    /// Its id, as `tokens list` prints it
    #[arg(value_name = "ID")]
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
