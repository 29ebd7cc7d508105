//! Components in processes of their own: what they emit and take, what they tell the
//! control plane, and the faults that they have when a test asks for them.
#![allow(clippy::unwrap_used)]

mod calls;
mod control_plane;
mod python;
mod registration;
mod roles;
mod whole;

use libtest_mimic::{Arguments, Trial};

fn main() -> std::process::ExitCode {
    if let Some(code) = flowctl_test_support::components::child() {
        return code;
    }
    let arguments = Arguments::from_args();
    let trials = [registration::trials(), roles::trials(), whole::trials(), python::trials()];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit_code()
}

/// A fact, proven on a runtime of its own.
fn fact<F: Future<Output = ()>>(name: &str, proof: impl FnOnce() -> F + Send + 'static) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        runtime.block_on(proof());
        runtime.shutdown_background();
        Ok(())
    })
}
