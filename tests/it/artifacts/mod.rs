//! Plugins as OCI artifacts: the `flowctl` binary against a real registry, with a proxy
//! before it that injects faults and counts requests.

mod faults;
mod indexes;
mod interop;
mod kills;
mod locks;
mod logins;
mod market;
mod runs;
mod signatures;
mod stores;
mod tls;
mod tokens;
mod travels;
mod wrong;

use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    [
        travels::trials(),
        stores::trials(),
        runs::trials(),
        locks::trials(),
        logins::trials(),
        tokens::trials(),
        tls::trials(),
        faults::trials(),
        wrong::trials(),
        kills::trials(),
        interop::trials(),
        signatures::trials(),
        indexes::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
