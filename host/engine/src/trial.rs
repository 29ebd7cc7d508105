//! Tries out what every plugin needs, without one: the compiler, and memory for an instance.
//!
//! Invariant: nothing is kept. The component is a constant, its code is neither read from
//! the cache nor put there, and the instance is gone when the trial is over.

use std::time::{Duration, Instant};

use wasmtime::Store;
use wasmtime::component::Linker;

use crate::compile::compile;
use crate::config::Layout;
use crate::{Engine, EngineError};

/// The version of wasmtime that plugins run in.
pub const WASMTIME_VERSION: &str = "48.0.8";

/// A component with one core module, which has one memory of one page, and its instance.
const COMPONENT: [u8; 29] = [
    0x00, b'a', b's', b'm', 0x0d, 0x00, 0x01, 0x00, // a component
    0x01, 0x0d, 0x00, b'a', b's', b'm', 0x01, 0x00, 0x00, 0x00, 0x05, 0x03, 0x01, 0x00, 0x01, // the module
    0x02, 0x04, 0x01, 0x00, 0x00, 0x00, // its instance
];

/// How the memories of instances lie in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Most instances at a time.
    pub n_instances: u32,
    /// Address space behind each memory, in bytes.
    pub reservation_bytes: u64,
    /// Whether that of all instances was reserved at the start, so that one is ready at once.
    pub is_pooled: bool,
}

/// How long the steps of a trial took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trial {
    /// Until the component was compiled, from the start of the compiler on.
    pub compile_time: Duration,
    /// Until its code was loaded and instantiated.
    pub start_time: Duration,
}

impl Engine {
    /// How the memories of instances lie.
    #[must_use]
    pub fn memory_plan(&self) -> MemoryPlan {
        let core = self.core();
        MemoryPlan {
            n_instances: core.n_slots,
            reservation_bytes: core.settings.memory_reservation_bytes,
            is_pooled: core.layout != Layout::OnDemand,
        }
    }

    /// Compiles a component that does nothing, as plugins are compiled, and instantiates it.
    ///
    /// # Errors
    ///
    /// [`EngineError`] when the compiler does not start or end well; [`EngineError::Start`]
    /// when there is no memory for an instance.
    pub async fn try_out(&self) -> Result<Trial, EngineError> {
        let core = self.core();
        let begun = Instant::now();
        let (compiler, limits) = (&core.config.compiler, core.config.compile);
        let code = compile(&core.engine, core.settings, compiler, limits, "nothing", COMPONENT.to_vec()).await?;
        let compile_time = begun.elapsed();
        let begun = Instant::now();
        let start = |source| EngineError::Start { source };
        let component = code.load(&core.engine).map_err(start)?;
        let mut store = Store::new(&core.engine, ());
        Linker::new(&core.engine).instantiate(&mut store, &component).map_err(start)?;
        Ok(Trial { compile_time, start_time: begun.elapsed() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EngineConfig;

    #[test]
    fn the_version_is_the_one_that_is_built_in() {
        let lock = include_str!("../../../Cargo.lock");
        assert!(lock.contains(&format!("name = \"wasmtime\"\nversion = \"{WASMTIME_VERSION}\"")));
    }

    #[test]
    fn a_trial_needs_no_plugin() {
        let engine = Engine::new(EngineConfig { max_instances: 1, ..EngineConfig::default() }).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(engine.try_out()).unwrap();
        assert_eq!(engine.memory_plan().n_instances, 1);
        assert_eq!(engine.stats().n_compiled, 0, "a trial is no plugin");
    }
}
