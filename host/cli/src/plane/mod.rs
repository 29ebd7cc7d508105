//! The control plane that a command speaks to: where it is, and as whom.

pub(crate) mod attached;
pub(crate) mod children;
mod edits;
pub(crate) mod embedded;
pub(crate) mod live;
pub(crate) mod peers;
pub(crate) mod planner;
pub(crate) mod reach;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use flowctl_client::{Client, ClientError, Target, Tls};
pub(crate) use flowctl_client::{is_over, status_word};
use flowctl_types::Code;

use crate::paths;
use crate::report::{Hinted, hinted};

/// Where a control plane listens unless it is told otherwise.
pub(crate) const DEFAULT_ADDRESS: &str = "127.0.0.1:8080";

/// Names the control plane, as components find it too.
pub(crate) const ENDPOINT: &str = "FLOWCTL_ENDPOINT";

/// In place of an address: no control plane is looked for.
pub(crate) const NONE: &str = "none";

/// Largest file of certificates that is read, in bytes.
const MAX_PEM_BYTES: u64 = 1 << 20;

/// Which control plane is meant.
#[derive(Args, Clone, Default)]
pub(crate) struct ControlPlaneArgs {
    /// Address of the control plane, HOST:PORT or a URL [default: $FLOWCTL_ENDPOINT, else 127.0.0.1:8080]
    ///
    /// A token is taken from FLOWCTL_TOKEN. With https, FLOWCTL_CA names a file of authorities to trust, FLOWCTL_CERT
    /// and FLOWCTL_KEY the caller's certificate.
    #[arg(long, value_name = "ADDR")]
    control_plane: Option<String>,
}

/// Where a command is to look for a control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// There, and nowhere else.
    Named(String),
    /// Where one listens unless it is told otherwise.
    Default,
    /// Nowhere.
    None,
}

impl ControlPlaneArgs {
    /// Of a control plane at `address`; as if nothing was said, where there is none.
    pub(crate) const fn at(address: Option<String>) -> Self {
        Self { control_plane: address }
    }

    /// Where the command is to look.
    pub(crate) fn place(&self) -> Place {
        let said = self.control_plane.clone().or_else(|| std::env::var(ENDPOINT).ok());
        match said.as_deref().map(str::trim) {
            None | Some("") => Place::Default,
            Some(NONE) => Place::None,
            Some(address) => Place::Named(address.to_owned()),
        }
    }

    /// Connects to the control plane, which must answer.
    ///
    /// # Errors
    ///
    /// When none answers there, with a hint.
    pub(crate) async fn connect(&self) -> Result<Client> {
        let place = self.place();
        let address = match &place {
            Place::Named(address) => address.clone(),
            Place::Default => DEFAULT_ADDRESS.to_owned(),
            Place::None => {
                let said = if self.control_plane.is_some() { "--control-plane" } else { ENDPOINT };
                let message = format!("the command needs a control plane, and {said} says `{NONE}`");
                return Err(Hinted::coded(Code::NoControlPlane, message, "name one with `--control-plane ADDR`"));
            }
        };
        match Client::connect(&target(address)?).await {
            Err(error) if error.is_unavailable() && place == Place::Default => {
                only_run().await?.ok_or_else(|| refused(error))
            }
            connected => connected.map_err(refused),
        }
    }

    /// Connects to the control plane that runs pipelines for this user, if there is one:
    /// the one that is named must answer, the default one may.
    ///
    /// # Errors
    ///
    /// When the one that is named does not answer.
    pub(crate) async fn find(&self) -> Result<Option<Client>> {
        let address = match self.place() {
            Place::None => return Ok(None),
            Place::Named(address) => return Client::connect(&target(address)?).await.map(Some).map_err(refused),
            Place::Default => DEFAULT_ADDRESS.to_owned(),
        };
        let Ok(client) = Client::connect(&target(address)?).await else { return Ok(None) };
        // something else may listen on that port
        match client.host().await {
            Ok(host) if host.is_serving => Ok(Some(client)),
            Err(error) if is_credential(&error) => Err(refused(error)),
            _ => Ok(None),
        }
    }
}

/// The control plane of the one `flowctl run` that goes on in the default state
/// directory; none where there is none.
///
/// # Errors
///
/// When there are several.
async fn only_run() -> Result<Option<Client>> {
    let Some(state_dir) = paths::state() else { return Ok(None) };
    let mut found = Vec::new();
    for folder in std::fs::read_dir(state_dir).into_iter().flatten().flatten() {
        let Ok(text) = paths::read_text(&folder.path().join(embedded::ENDPOINT_FILE), 256) else { continue };
        // a run that was killed leaves its file behind
        if let Ok(client) = Client::connect(&Target::plain(text.trim())).await {
            found.push((folder.file_name().to_string_lossy().into_owned(), client));
        }
    }
    match found.len() {
        0 | 1 => Ok(found.pop().map(|(_, client)| client)),
        _ => {
            let runs = found.iter().map(|(name, client)| format!("`{name}` at {}", client.address()));
            let runs = runs.collect::<Vec<_>>().join(", ");
            Err(Hinted::coded(
                Code::NoControlPlane,
                format!(
                    "no control plane answers at `{DEFAULT_ADDRESS}`, and several pipelines run by themselves: {runs}"
                ),
                "name one with `--control-plane ADDR`",
            ))
        }
    }
}

/// What a control plane at `address` is spoken to with: credentials are the environment's.
///
/// # Errors
///
/// When a file of certificates that the environment names cannot be read.
pub(crate) fn target(address: String) -> Result<Target> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let file = |name: &str| -> Result<Option<Vec<u8>>> {
        let Some(path) = variable(name).map(PathBuf::from) else { return Ok(None) };
        let text = paths::read_text(&path, MAX_PEM_BYTES);
        let text = text.with_context(|| format!("cannot read `{}`, which {name} names", path.display()))?;
        Ok(Some(text.into_bytes()))
    };
    let identity = match (file("FLOWCTL_CERT")?, file("FLOWCTL_KEY")?) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => {
            return Err(Hinted::error(
                "only one of FLOWCTL_CERT and FLOWCTL_KEY is set",
                "set both: the caller's certificate, and its key",
            ));
        }
    };
    Ok(Target { address, token: variable("FLOWCTL_TOKEN"), tls: Tls { authorities: file("FLOWCTL_CA")?, identity } })
}

/// What a control plane answered, as an error of the command.
pub(crate) fn refused(error: ClientError) -> anyhow::Error {
    if let ClientError::Refused { faults, .. } = &error
        && !faults.is_empty()
    {
        // each is the whole text of a fault, with its place and its hint
        return anyhow::Error::new(RemoteFaults(Arc::from(faults.join("\n"))));
    }
    hinted(error.hint(), error)
}

/// Runs `work` to its end.
///
/// # Errors
///
/// Those of `work`.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the async runtime")?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    done
}

/// Faults of a pipeline file that the control plane found, as it wrote them.
#[derive(Debug, Clone)]
pub(crate) struct RemoteFaults(Arc<str>);

impl std::fmt::Display for RemoteFaults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RemoteFaults {}

/// Whether the caller's credentials were refused.
pub(crate) fn is_credential(error: &ClientError) -> bool {
    // the code is the wire's: 16 unauthenticated, 7 permission denied
    matches!(error, ClientError::Refused { code, .. } if matches!(*code as i32, 7 | 16))
}
