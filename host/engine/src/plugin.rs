//! A loaded plugin: compiled, linked, its exports looked up.
//!
//! Invariant: a [`Plugin`] has every export that its contract promises, so making an
//! instance of it fails for lack of resources or by its own doing only.

use std::io::Read as _;
use std::path::Path;

use flowctl_schema::{Contract, MAX_COMPONENT_BYTES};
use flowctl_types::Digest;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};
use wasmtime::{AsContextMut, Store};

use crate::EngineError;
use crate::bindings::{HANDLER, STATE, TIMER};
use crate::host::{self, State};
use crate::instance::{Functions, StateFunctions, TimerFunctions};

/// A component, ready to be instantiated any number of times.
pub(crate) struct Plugin {
    pub(crate) contract: Contract,
    pub(crate) pre: InstancePre<State>,
    exports: Exports,
}

struct Exports {
    process: ComponentExportIndex,
    configure: Option<ComponentExportIndex>,
    state: Option<[ComponentExportIndex; 2]>,
    timer: Option<[ComponentExportIndex; 2]>,
}

/// Reads a component's file, and checks that it is the one that was pinned.
///
/// # Errors
///
/// [`EngineError::Read`], [`EngineError::TooLarge`] or [`EngineError::Digest`].
pub(crate) fn read(path: &Path, pinned: &Digest) -> Result<Vec<u8>, EngineError> {
    let read = |source| EngineError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(read)?;
    let found = file.metadata().map_err(read)?.len();
    let limit = MAX_COMPONENT_BYTES as u64;
    let too_large = |found| EngineError::TooLarge { path: path.to_owned(), found, limit };
    if found > limit {
        return Err(too_large(found));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(found).unwrap_or(0));
    file.take(limit + 1).read_to_end(&mut bytes).map_err(read)?;
    if bytes.len() as u64 > limit {
        return Err(too_large(bytes.len() as u64));
    }
    let found = Digest::of(&bytes);
    if found != *pinned {
        return Err(EngineError::Digest { path: path.to_owned(), found, pinned: *pinned });
    }
    Ok(bytes)
}

impl Plugin {
    /// Links `component`.
    ///
    /// # Errors
    ///
    /// [`EngineError::Imports`] with all that nothing answers, or [`EngineError::Link`].
    pub(crate) fn link(
        name: &str,
        contract: Contract,
        component: &Component,
        linker: &Linker<State>,
    ) -> Result<Self, EngineError> {
        let imports = host::unknown_imports(component.engine(), component);
        if !imports.is_empty() {
            return Err(EngineError::Imports { plugin: name.to_owned(), imports });
        }
        let link = |source| EngineError::Link { plugin: name.to_owned(), source };
        let exports = Exports::find(&contract, component).map_err(link)?;
        let pre = linker.instantiate_pre(component).map_err(link)?;
        Ok(Self { contract, pre, exports })
    }

    /// Makes an instance within `store`.
    pub(crate) async fn instantiate(&self, store: &mut Store<State>) -> wasmtime::Result<Functions> {
        let instance = self.pre.instantiate_async(&mut *store).await?;
        let mut store = store.as_context_mut();
        let exports = &self.exports;
        let configure = exports.configure.as_ref().map(|index| instance.get_func(&mut store, index));
        let state = match &exports.state {
            Some([save, restore]) => Some(StateFunctions {
                save: instance.get_typed_func(&mut store, save)?,
                restore: instance.get_typed_func(&mut store, restore)?,
            }),
            None => None,
        };
        let timer = match &exports.timer {
            Some([tick, end]) => Some(TimerFunctions {
                tick: instance.get_typed_func(&mut store, tick)?,
                end: instance.get_typed_func(&mut store, end)?,
            }),
            None => None,
        };
        let process = instance.get_typed_func(&mut store, exports.process)?;
        Ok(Functions { process, configure: configure.flatten(), state, timer })
    }
}

impl Exports {
    fn find(contract: &Contract, component: &Component) -> wasmtime::Result<Self> {
        let find = |interface: &str, function: &str| {
            let missing = || wasmtime::Error::msg(format!("it does not export `{function}` of `{interface}`"));
            let interface = component.get_export_index(None, interface).ok_or_else(missing)?;
            component.get_export_index(Some(&interface), function).ok_or_else(missing)
        };
        let pair = |interface, first, second| -> wasmtime::Result<_> {
            Ok([find(interface, first)?, find(interface, second)?])
        };
        Ok(Self {
            process: find(HANDLER, "process")?,
            configure: contract.config.as_ref().map(|_| find("config", "configure")).transpose()?,
            state: contract.has_state.then(|| pair(STATE, "save", "restore")).transpose()?,
            timer: contract.has_timer.then(|| pair(TIMER, "tick", "end")).transpose()?,
        })
    }
}
