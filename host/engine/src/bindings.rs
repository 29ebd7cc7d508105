//! The contract's values as Rust types, lowered from borrowed columns and lifted once.
//!
//! Invariant: names and order are those of `wit/flowctl-processor`; wasmtime compares
//! them with the component's own types when a function is looked up, so that a slip
//! is an error there and never a misread value.

use wasmtime::component::{ComponentType, Lift, Lower};

/// The contract's version as it stands in the names of imports and exports.
pub(crate) const HANDLER: &str = "flowctl:processor/handler@0.1.0";
pub(crate) const STATE: &str = "flowctl:processor/state@0.1.0";
pub(crate) const TIMER: &str = "flowctl:processor/timer@0.1.0";
pub(crate) const LOG: &str = "flowctl:processor/log@0.1.0";
pub(crate) const METRICS: &str = "flowctl:processor/metrics@0.1.0";

/// `batch` on its way in: the columns stay where they are until they are copied into
/// the guest's memory.
#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct BatchIn<'a> {
    pub(crate) kind: u32,
    pub(crate) timestamps: &'a [u64],
    pub(crate) ends: &'a [u32],
    pub(crate) data: &'a [u8],
    #[component(name = "key-ends")]
    pub(crate) key_ends: &'a [u32],
    pub(crate) keys: &'a [u8],
    pub(crate) origins: &'a [u32],
    pub(crate) watermark: Option<u64>,
    pub(crate) attributes: &'a [(String, String)],
}

/// `batch` on its way out: one copy per column.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct BatchOut {
    pub(crate) kind: u32,
    pub(crate) timestamps: Vec<u64>,
    pub(crate) ends: Vec<u32>,
    pub(crate) data: Vec<u8>,
    #[component(name = "key-ends")]
    pub(crate) key_ends: Vec<u32>,
    pub(crate) keys: Vec<u8>,
    pub(crate) origins: Vec<u32>,
    pub(crate) watermark: Option<u64>,
    pub(crate) attributes: Vec<(String, String)>,
}

/// `rejection`
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct RejectionOut {
    pub(crate) index: u32,
    pub(crate) reason: String,
}

/// `outcome`
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct OutcomeOut {
    pub(crate) outputs: Vec<BatchOut>,
    pub(crate) rejected: Vec<RejectionOut>,
}

/// `fault`
#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum FaultOut {
    #[component(name = "retry")]
    Retry(String),
    #[component(name = "fatal")]
    Fatal(String),
}

/// `log.level`
#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
#[allow(dead_code, reason = "wasmtime makes them by their numbers")]
pub(crate) enum Level {
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

/// What `process`, `tick` and `end` answer.
pub(crate) type Answer = (Result<OutcomeOut, FaultOut>,);
/// What `save` answers.
pub(crate) type Parts = (Vec<(u32, Vec<u8>)>,);
/// What `restore` answers.
pub(crate) type Restored = (Result<(), String>,);
