//! What guests are linked to: all of WASI, and the contract's `log` and `metrics`.
//!
//! Linking is not granting: every interface is there, so that any language's runtime
//! starts, and what stands behind it is the node's [`State`], which has nothing but
//! what [`crate::wasi`] put in.

use wasmtime::StoreContextMut;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, ResourceTable, WasmStr};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::bindings::{LOG, Level, METRICS};
use crate::limits::Usage;
use crate::logs::InstanceLog;
use crate::wasi;

/// Most handles (streams, files, sockets, pollables) that an instance may hold.
const MAX_HANDLES: usize = 10_000;

/// What belongs to one instance's store.
pub(crate) struct State {
    pub(crate) usage: Usage,
    pub(crate) log: InstanceLog,
    /// Names that may be looked up.
    pub(crate) hosts: wasi::Hosts,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl State {
    pub(crate) fn new(usage: Usage, log: InstanceLog, hosts: wasi::Hosts, wasi: WasiCtx) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        Self { usage, log, hosts, wasi, table }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Links all that guests may import. What they say stays in their memory: it is read
/// there once, to see that it is text, and only what the log keeps of it is copied.
pub(crate) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasi::link_name_lookup(&mut linker)?;
    linker.instance(LOG)?.func_wrap(
        "log",
        |store: StoreContextMut<'_, State>, (level, message): (Level, WasmStr)| {
            store.data().log.log(level, &message.to_str(&store)?);
            Ok(())
        },
    )?;
    linker.instance(METRICS)?.func_wrap(
        "counter",
        |store: StoreContextMut<'_, State>, (name, by): (WasmStr, u64)| {
            store.data().log.count(&name.to_str(&store)?, by);
            Ok(())
        },
    )?;
    Ok(linker)
}

/// The imports of `component` that [`linker`] has nothing for. Interfaces that hold
/// types only need nothing.
pub(crate) fn unknown_imports(engine: &wasmtime::Engine, component: &Component) -> Vec<String> {
    let ty = component.component_type();
    let imports = ty.imports(engine);
    let unknown = imports.filter(|(name, import)| match &import.ty {
        ComponentItem::ComponentInstance(instance) => {
            let is_types_only = instance.exports(engine).all(|(_, export)| matches!(export.ty, ComponentItem::Type(_)));
            !is_types_only && !is_provided(name)
        }
        ComponentItem::Type(_) => false,
        _ => true,
    });
    unknown.map(|(name, _)| name.to_owned()).collect()
}

fn is_provided(import: &str) -> bool {
    let (interface, version) = import.split_once('@').unwrap_or((import, ""));
    match interface.split_once('/') {
        Some(("flowctl:processor", "log" | "metrics")) => version.starts_with("0.1."),
        Some((package, name)) if version.starts_with("0.2.") => match package {
            "wasi:cli" => {
                let terminals =
                    ["terminal-input", "terminal-output", "terminal-stdin", "terminal-stdout", "terminal-stderr"];
                ["environment", "exit", "stdin", "stdout", "stderr"].contains(&name) || terminals.contains(&name)
            }
            "wasi:clocks" => ["monotonic-clock", "wall-clock"].contains(&name),
            "wasi:filesystem" => ["preopens", "types"].contains(&name),
            "wasi:io" => ["error", "poll", "streams"].contains(&name),
            "wasi:random" => ["insecure", "insecure-seed", "random"].contains(&name),
            "wasi:sockets" => {
                let tcp = ["tcp", "tcp-create-socket", "udp", "udp-create-socket"];
                ["instance-network", "ip-name-lookup", "network"].contains(&name) || tcp.contains(&name)
            }
            _ => false,
        },
        _ => false,
    }
}
