//! How the engine is set up: what the caller chooses, and what wasmtime is told.
//!
//! Invariant: everything that bears on compiled code is in [`CodeSettings`], so that
//! the compiler's process and the host cannot differ in it.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::limits::{MAX_CORE_INSTANCES, MAX_MEMORIES, MAX_TABLES};

/// How the engine is set up.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Where compiled code is kept between runs; without it, it is not kept. The directory is
    /// made where it is missing, and must be the user's alone.
    pub cache_dir: Option<PathBuf>,
    /// Largest single memory of a guest in bytes. Default 1 GiB.
    pub max_memory_bytes: u64,
    /// Most instances at a time. Default 10,000.
    pub max_instances: u32,
    /// What one call may answer.
    pub outcome: OutcomeLimits,
    /// What compiling one component may use.
    pub compile: CompileLimits,
    /// Who compiles.
    pub compiler: Compiler,
}

/// What one call of a plugin may answer, all of its batches together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutcomeLimits {
    /// Most events. Default 1,048,576.
    pub max_events: usize,
    /// Most bytes of payloads and keys. Default 64 MiB.
    pub max_bytes: usize,
}

/// What compiling one component may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileLimits {
    /// Time on the wall clock. Default 120 s.
    pub time: Duration,
    /// Address space of the compiler's process in bytes. Default 8 GiB.
    pub memory_bytes: u64,
}

/// Who compiles components.
#[derive(Debug, Clone)]
pub enum Compiler {
    /// This process, on a thread that cannot be stopped: no limit holds. For tests,
    /// benchmarks and bytes that are trusted.
    InProcess,
    /// A program that ends in [`compile_child_main`](crate::compile_child_main), run
    /// once for each component.
    Child {
        /// The program, usually this one.
        program: PathBuf,
        /// Arguments that make it the compiler; the engine's own follow.
        args: Vec<OsString>,
    },
}

/// The settings that compiled code depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CodeSettings {
    /// Address space behind each memory. With 4 GiB the guard pages behind it catch
    /// every stray access and the code checks no bounds.
    pub(crate) memory_reservation_bytes: u64,
}

/// How memories are laid out, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// A pool of slots of 4 GiB of address space.
    WidePool,
    /// A pool of slots as large as a memory may be.
    TightPool,
    /// Each memory by itself.
    OnDemand,
}

/// Stack of a guest. JavaScript and Python guests recurse deeply.
const MAX_WASM_STACK_BYTES: usize = 1 << 20;
/// Stack of a call: the guest's and what host functions need.
const CALL_STACK_BYTES: usize = 2 << 20;
/// Frames kept of a backtrace.
const MAX_BACKTRACE_FRAMES: NonZeroUsize = NonZeroUsize::new(20).expect("twenty is not zero");
/// Address space behind a memory that needs no bounds checks.
const WIDE_RESERVATION_BYTES: u64 = 4 << 30;
/// Entries of one table in the pool.
const MAX_TABLE_ENTRIES: usize = 100_000;

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            cache_dir: None,
            max_memory_bytes: 1 << 30,
            max_instances: 10_000,
            outcome: OutcomeLimits::default(),
            compile: CompileLimits::default(),
            compiler: Compiler::InProcess,
        }
    }
}

impl Default for OutcomeLimits {
    fn default() -> Self {
        Self { max_events: 1 << 20, max_bytes: 64 << 20 }
    }
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self { time: Duration::from_secs(120), memory_bytes: 8 << 30 }
    }
}

impl CodeSettings {
    /// The settings that a layout needs.
    pub(crate) fn new(layout: Layout, max_memory_bytes: u64) -> Self {
        let memory_reservation_bytes = match layout {
            Layout::WidePool => WIDE_RESERVATION_BYTES.max(max_memory_bytes),
            Layout::TightPool | Layout::OnDemand => max_memory_bytes,
        };
        Self { memory_reservation_bytes }
    }

    /// What wasmtime is told by host and compiler alike.
    pub(crate) fn to_wasmtime(self) -> Config {
        let mut config = Config::new();
        config
            .concurrency_support(false)
            .epoch_interruption(true)
            .max_wasm_stack(MAX_WASM_STACK_BYTES)
            .async_stack_size(CALL_STACK_BYTES)
            .wasm_backtrace_max_frames(Some(MAX_BACKTRACE_FRAMES))
            .wasm_simd(true)
            .memory_may_move(false)
            .memory_reservation(self.memory_reservation_bytes);
        config
    }
}

impl Layout {
    /// What wasmtime is told by the host, for `n_slots` instances.
    pub(crate) fn to_wasmtime(self, max_memory_bytes: u64, n_slots: u32) -> Config {
        let mut config = CodeSettings::new(self, max_memory_bytes).to_wasmtime();
        if self == Self::OnDemand {
            config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
            return config;
        }
        let mut pool = PoolingAllocationConfig::new();
        pool.max_memory_size(usize::try_from(max_memory_bytes).unwrap_or(usize::MAX))
            .total_component_instances(n_slots)
            .total_stacks(n_slots)
            .total_memories(n_slots)
            .total_core_instances(n_slots.saturating_mul(8))
            .total_tables(n_slots.saturating_mul(4))
            .max_core_instances_per_component(MAX_CORE_INSTANCES as u32)
            .max_memories_per_component(MAX_MEMORIES as u32)
            .max_tables_per_component(MAX_TABLES as u32)
            .max_memories_per_module(MAX_MEMORIES as u32)
            .max_tables_per_module(MAX_TABLES as u32)
            .table_elements(MAX_TABLE_ENTRIES);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        config
    }
}
