//! `flowctl serve`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use flowctl_control_plane::tenants::{Credentials, Policies};
use flowctl_control_plane::{
    ControlPlane, Controller, ControllerSettings, Directory, DirectorySettings, HostKind, ServeSettings, Server, Tls,
};
use flowctl_store::HostStore;
use jiff::Timestamp;

use crate::args::{of_environment, period};
use crate::help::examples;
use crate::plane::planner::HostPlanner;
use crate::report::hinted;
use crate::session::{Signals, start_engine};
use crate::state::{StateArgs, unusable_host};
use crate::{catalog, logs, paths, status};

/// Largest policy or certificate that is read, in bytes.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Instances of plugins that all pipelines have at most.
const MAX_INSTANCES: u32 = 10_000;

/// Run the control plane, which keeps pipelines running
///
/// Components of other processes register here, pipelines are submitted with `flowctl run`, and run until they are
/// stopped, also over a restart of this. gRPC and HTTP (/healthz, /readyz, /metrics) have one port. SIGTERM and Ctrl-C
/// drain all pipelines, which go on where they were at the next start.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl serve", "at 127.0.0.1:8080"),
    ("flowctl serve --plugins ./plugins --state-dir /var/lib/flowctl", ""),
    ("flowctl serve --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem", "beyond this machine"),
]))]
pub(crate) struct Serve {
    /// Address to listen on; port 0 is any that is free
    #[arg(long, value_name = "ADDR", default_value = crate::plane::DEFAULT_ADDRESS, value_parser = address)]
    listen: SocketAddr,
    /// Folder of plugins that all pipelines may use, or a single `.wasm` file; may be repeated [default: those of
    /// the environment variable FLOWCTL_PLUGINS, with `:` between]
    #[arg(long, value_name = "DIR", default_values_os_t = of_environment(), hide_default_value = true)]
    plugins: Vec<PathBuf>,
    #[command(flatten)]
    state: StateArgs,
    /// Policies of the tenants, as YAML; without one, the tenant `default` may everything and others nothing
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// The server's certificate chain, as PEM; needed to listen beyond this machine
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of that certificate, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Who signs clients' certificates, as PEM; clients may then show one in place of a token
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    client_ca: Option<PathBuf>,
    /// Without a heartbeat for this long a component is unhealthy
    #[arg(long, value_name = "TIME", default_value = "75s", value_parser = period)]
    heartbeat_ttl: Duration,
    /// How often it is looked whether components still beat
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = period)]
    janitor_interval: Duration,
    /// What pipelines get to drain when this is told to stop, and each when it is stopped
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = period)]
    drain_timeout: Duration,
    /// Runs of each pipeline that are kept
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    keep_runs: u32,
    /// How long runs are kept after they ended
    #[arg(long, value_name = "TIME", default_value = "720h", value_parser = period)]
    keep_runs_for: Duration,
}

impl Serve {
    /// Serves until it is told to stop.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.context("cannot start the async runtime")?;
        let served = runtime.block_on(self.serve());
        // a write that blocks must not keep the process
        runtime.shutdown_background();
        served
    }

    async fn serve(self) -> Result<ExitCode> {
        let mut signals = Signals::install()?;
        let state_dir = self.state.base()?;
        let folders = self.plugins.iter().map(std::path::absolute).collect::<Result<Vec<_>, _>>();
        let folders = folders.context("cannot resolve a folder of plugins")?;
        let state_dir = std::path::absolute(state_dir).context("cannot resolve the state directory")?;
        let (policies, tls) = (self.policies()?, self.tls()?);
        folders.iter().try_for_each(|folder| catalog::check_readable(folder))?;
        let store = HostStore::open(&state_dir).map_err(unusable_host)?;
        // another one would start the same pipelines
        let _alone = store.serve_alone().map_err(|error| hinted(error.hint(), error))?;
        let planner = HostPlanner::away(folders, state_dir, start_engine(MAX_INSTANCES)?);
        let of_components = DirectorySettings {
            ttl: self.heartbeat_ttl,
            janitor_period: self.janitor_interval,
            ..DirectorySettings::default()
        };
        let of_runs = ControllerSettings {
            drain_limit: self.drain_timeout,
            keep_for: self.keep_runs_for,
            n_kept: self.keep_runs,
            ..ControllerSettings::default()
        };
        let directory = Directory::open(store.clone(), of_components).await.map_err(unusable_host)?;
        let made = Arc::new(planner.clone());
        let controller = Controller::open(store.clone(), made, directory.clone(), policies, of_runs).await;
        let controller = controller.map_err(unusable_host)?;
        logs::keep_in(controller.log());
        let credentials = Credentials::new(store);
        let control_plane = ControlPlane {
            controller: controller.clone(),
            directory,
            credentials,
            kind: HostKind::Serving,
            started_at: Timestamp::now(),
        };
        let settings = ServeSettings { listen: self.listen, tls, ..ServeSettings::default() };
        let server = Server::bind(settings, control_plane).await.map_err(|error| hinted(error.hint(), error))?;
        let address = server.address();
        planner.serves_at(address.to_string());
        status::say(&format!("Control plane running on {address}"));
        controller.restart_wanted().await.context("cannot start the pipelines that are to run")?;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(server.serve(async {
            // dropped, it says the same
            let _ = stopped.await;
        }));
        signals.next().await;
        status::say("Draining all pipelines; once more to stop at once");
        tokio::select! {
            () = controller.drain(self.drain_timeout) => {}
            () = signals.next() => status::say("Stopping at once"),
        }
        drop(stop);
        tokio::select! {
            served = serving => served.context("the server broke")?,
            () = signals.next() => {}
        }
        Ok(ExitCode::SUCCESS)
    }

    fn policies(&self) -> Result<Policies> {
        let Some(path) = &self.policy else { return Ok(Policies::without_file()) };
        let text = read(path)?;
        Policies::parse(&text).with_context(|| format!("`{}` is no policy", path.display()))
    }

    fn tls(&self) -> Result<Option<Tls>> {
        let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) else { return Ok(None) };
        let authority = self.client_ca.as_deref().map(read).transpose()?;
        let authority = authority.as_ref().map(String::as_bytes);
        let tls = Tls::from_pem(read(certificate)?.as_bytes(), read(key)?.as_bytes(), authority);
        tls.map(Some).context("cannot speak TLS")
    }
}

/// Reads an address to listen at.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an IP address and a port, such as `127.0.0.1:8080` or `[::1]:8080`".to_owned())
}

fn read(path: &Path) -> Result<String> {
    paths::read_text(path, MAX_FILE_BYTES).with_context(|| format!("cannot read `{}`", path.display()))
}
