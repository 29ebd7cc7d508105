//! The control plane: `flowctl serve`, components in processes of their own, runs, and
//! tenants, as an operator meets them.

mod commands;
mod components;
mod dashboard;
mod demonstration;
mod faults;
mod mixed;
pub(crate) mod policies;
mod python;
mod restarts;
mod runs;
pub(crate) mod server;
mod tenants;
mod topology;
mod watches;

use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    [
        demonstration::trials(),
        mixed::trials(),
        faults::trials(),
        commands::trials(),
        dashboard::trials(),
        python::trials(),
        restarts::trials(),
        runs::trials(),
        policies::trials(),
        tenants::trials(),
        topology::trials(),
        watches::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
