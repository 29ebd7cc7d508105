//! The sandbox: loads plugins, limits them, and calls them.
//!
//! The only crate that names wasmtime. A node's plugin goes through [`Engine::stage`]
//! (file, digest, contract, compiled code, links) to a [`PluginStage`], which makes
//! instances for the runtime.
//!
//! Invariants: a plugin's fault ends at its instance, whatever it does; a plugin
//! reaches what its node was granted and nothing else; machine code comes from this
//! host's own compiler only.

mod aot;
mod bindings;
mod compile;
mod config;
mod crash;
mod engine;
mod error;
mod host;
mod instance;
mod limits;
mod logs;
mod meter;
mod outcome;
mod plugin;
mod stage;
mod tenant;
mod ticker;
mod trial;
mod values;
mod wasi;

pub use compile::compile_child_main;
pub use config::{CompileLimits, Compiler, EngineConfig, OutcomeLimits};
pub use engine::{Engine, EngineStats};
pub use error::EngineError;
pub use stage::PluginStage;
pub use tenant::{Tenant, TenantLimits};
pub use trial::{MemoryPlan, Trial, WASMTIME_VERSION};
