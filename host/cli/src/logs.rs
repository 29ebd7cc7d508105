//! Logs on stderr: warnings, and what `FLOWCTL_LOG` asks for.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::status;

/// Starts logging. `FLOWCTL_LOG` is a filter such as `info` or `flowctl_engine=debug`;
/// without it warnings are logged, those of plugins too.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_env("FLOWCTL_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| status::Log)
        .with_ansi(std::io::stderr().is_terminal())
        .compact()
        .init();
}
