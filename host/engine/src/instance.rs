//! One instance of a plugin: its store, its functions, and every call of them.
//!
//! Invariant: an instance whose call did not end well is gone. The live half is taken
//! out before a call and put back after a good one, so that a trap, a timeout, an
//! answer that lies and a caller who goes away all have the same end.

use std::sync::Arc;

use async_trait::async_trait;
use flowctl_runtime::{Fault, Outcome, Processor, State as Parts, Usage};
use flowctl_types::Batch;
use tokio::time::error::Elapsed;
use wasmtime::Store;
use wasmtime::component::{Func, TypedFunc, Val};

use crate::bindings::{self, Answer, BatchIn, FaultOut};
use crate::crash::{self, Call, Cause};
use crate::host::State;
use crate::logs::printable;
use crate::meter::Meter;
use crate::outcome::{self, Lie};
use crate::stage::Shared;
use crate::ticker;

/// A configured instance.
pub(crate) struct Instance {
    shared: Arc<Shared>,
    meter: Meter,
    live: Option<Live>,
}

/// What is left only while all is well.
pub(crate) struct Live {
    pub(crate) store: Store<State>,
    pub(crate) functions: Functions,
}

/// The exports that are called.
pub(crate) struct Functions {
    pub(crate) process: TypedFunc<(BatchIn<'static>,), Answer>,
    pub(crate) configure: Option<Func>,
    pub(crate) state: Option<StateFunctions>,
    pub(crate) timer: Option<TimerFunctions>,
}

/// What `restore` takes: the version that saved, and the parts.
type RestoreArgs<'a> = (&'a str, &'a [(u32, Vec<u8>)]);

/// The exports of `state`.
pub(crate) struct StateFunctions {
    pub(crate) save: TypedFunc<(), bindings::Parts>,
    pub(crate) restore: TypedFunc<RestoreArgs<'static>, bindings::Restored>,
}

/// The exports of `timer`.
pub(crate) struct TimerFunctions {
    pub(crate) tick: TypedFunc<(u64,), Answer>,
    pub(crate) end: TypedFunc<(), Answer>,
}

impl Instance {
    pub(crate) fn new(shared: Arc<Shared>, meter: Meter, live: Live) -> Self {
        Self { shared, meter, live: Some(live) }
    }

    /// Calls `configure`, which the component has.
    ///
    /// The outer error is a crash, the inner one is what the component says.
    pub(crate) async fn configure(&mut self, configure: Func, config: Val) -> Result<Result<(), String>, Fault> {
        let mut live = self.begin().await?;
        let mut answer = [Val::Bool(false)];
        let args = [config];
        let limit = self.shared.limits.timeout;
        let called = self.meter.run_within(limit, configure.call_async(&mut live.store, &args, &mut answer)).await;
        self.finish(live, Call::Configure, called)?;
        let [answer] = answer;
        Ok(match answer {
            Val::Result(Err(Some(reason))) => Err(match *reason {
                Val::String(reason) => printable(reason.as_bytes()),
                _ => "it gives no reason".to_owned(),
            }),
            _ => Ok(()),
        })
    }

    /// Takes the live half out for a call, when the tenant's share of CPU allows one.
    async fn begin(&mut self) -> Result<Live, Fault> {
        // before it is taken out: whoever gives up while it waits loses nothing
        self.shared.tenant.admit(&self.meter).await;
        let mut live = self.live.take().ok_or_else(|| Fault::Crashed {
            reason: format!("plugin `{}` at node `{}` has crashed before", self.shared.plugin, self.shared.node),
            log_tail: String::new(),
        })?;
        begin_call(&mut live.store, &self.shared, self.shared.answer_bytes);
        Ok(live)
    }

    /// Puts the live half back if the call ended well.
    fn finish<T>(
        &mut self,
        mut live: Live,
        call: Call,
        called: Result<wasmtime::Result<T>, Elapsed>,
    ) -> Result<T, Fault> {
        let answer = end_call(&mut live.store, &self.shared, call, called)?;
        self.live = Some(live);
        Ok(answer)
    }

    /// Checks an answer; one that lies ends the instance.
    fn accept(&mut self, call: Call, (answer,): Answer, n_inputs: usize) -> Result<Outcome, Fault> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(FaultOut::Retry(reason)) => return Err(Fault::Retry(printable(reason.as_bytes()))),
            Err(FaultOut::Fatal(reason)) => return Err(Fault::Fatal(printable(reason.as_bytes()))),
        };
        outcome::check(answer, &self.shared.terms, n_inputs).map_err(|lie| self.lied(call, &lie))
    }

    /// Ends the instance for a lie.
    fn lied(&mut self, call: Call, lie: &Lie) -> Fault {
        let log_tail = self.live.take().map_or_else(String::new, |live| live.store.data().log.tail());
        Fault::Crashed { reason: self.shared.describe(call, &Cause::Lie(lie)), log_tail }
    }

    fn functions(&self) -> Option<&Functions> {
        self.live.as_ref().map(|live| &live.functions)
    }
}

/// Gives a store what one call may use; `answer_bytes` bounds what it may hand over.
pub(crate) fn begin_call(store: &mut Store<State>, shared: &Shared, answer_bytes: usize) {
    store.set_hostcall_fuel(answer_bytes);
    store.data_mut().usage.begin_call(ticker::ticks(shared.limits.cpu));
    store.set_epoch_deadline(1);
}

/// Charges a call that is over, and makes a fault of one that did not end well.
pub(crate) fn end_call<T>(
    store: &mut Store<State>,
    shared: &Shared,
    call: Call,
    called: Result<wasmtime::Result<T>, Elapsed>,
) -> Result<T, Fault> {
    store.data_mut().usage.settle();
    let state = store.data();
    let crashed =
        |cause: Cause<'_>| Err(Fault::Crashed { reason: shared.describe(call, &cause), log_tail: state.log.tail() });
    match called {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => crashed(Cause::Stopped {
            error: &error,
            usage: &state.usage,
            cpu: shared.limits.cpu,
            answer_bytes: store.hostcall_fuel(),
        }),
        Err(_) => crashed(Cause::Timeout(shared.limits.timeout)),
    }
}

impl Shared {
    fn describe(&self, call: Call, cause: &Cause<'_>) -> String {
        crash::describe(&self.plugin, &self.node, call, cause)
    }
}

#[async_trait]
impl Processor for Instance {
    async fn process(&mut self, batch: &Batch) -> Result<Outcome, Fault> {
        let mut live = self.begin().await?;
        let columns = &batch.columns;
        let input = BatchIn {
            kind: columns.kind,
            timestamps: &columns.timestamps,
            ends: &columns.ends,
            data: &columns.data,
            key_ends: &columns.key_ends,
            keys: &columns.keys,
            origins: &[],
            watermark: batch.watermark,
            attributes: &batch.attributes,
        };
        let process: TypedFunc<(BatchIn<'_>,), Answer> = live.functions.process;
        let limit = self.shared.limits.timeout;
        let called = self.meter.run_within(limit, process.call_async(&mut live.store, (input,))).await;
        let answer = self.finish(live, Call::Process, called)?;
        self.accept(Call::Process, answer, columns.len())
    }

    async fn save(&mut self) -> Result<Parts, Fault> {
        let Some(save) = self.functions().and_then(|functions| functions.state.as_ref()).map(|state| state.save) else {
            return self.without_export(Parts::new()).await;
        };
        let mut live = self.begin().await?;
        // state may be as large as the memory that it comes from
        let memory_bytes = usize::try_from(self.shared.limits.memory_bytes).unwrap_or(usize::MAX);
        live.store.set_hostcall_fuel(memory_bytes.max(self.shared.answer_bytes));
        let limit = self.shared.limits.timeout;
        let called = self.meter.run_within(limit, save.call_async(&mut live.store, ())).await;
        let (parts,) = self.finish(live, Call::Save, called)?;
        match outcome::check_parts(&parts) {
            Ok(()) => Ok(parts),
            Err(lie) => Err(self.lied(Call::Save, &lie)),
        }
    }

    async fn restore(&mut self, version: &str, parts: Parts) -> Result<(), Fault> {
        let state = self.functions().and_then(|functions| functions.state.as_ref());
        let Some(restore) = state.map(|state| state.restore) else {
            self.without_export(()).await?;
            if parts.is_empty() {
                return Ok(());
            }
            let (plugin, node) = (&self.shared.plugin, &self.shared.node);
            let n_parts = parts.len();
            return Err(Fault::Fatal(format!(
                "plugin `{plugin}` at node `{node}` keeps no state, but {n_parts} parts of one are to be restored"
            )));
        };
        let mut live = self.begin().await?;
        let restore: TypedFunc<RestoreArgs<'_>, bindings::Restored> = restore;
        let limit = self.shared.limits.timeout;
        let called = self.meter.run_within(limit, restore.call_async(&mut live.store, (version, &parts))).await;
        let (restored,) = self.finish(live, Call::Restore, called)?;
        restored.map_err(|reason| Fault::Fatal(printable(reason.as_bytes())))
    }

    async fn tick(&mut self, now: u64) -> Result<Outcome, Fault> {
        let Some(tick) = self.functions().and_then(|functions| functions.timer.as_ref()).map(|timer| timer.tick) else {
            return self.without_export(Outcome::default()).await;
        };
        let mut live = self.begin().await?;
        let limit = self.shared.limits.timeout;
        let called = self.meter.run_within(limit, tick.call_async(&mut live.store, (now,))).await;
        let answer = self.finish(live, Call::Tick, called)?;
        self.accept(Call::Tick, answer, 0)
    }

    async fn end(&mut self) -> Result<Outcome, Fault> {
        let Some(end) = self.functions().and_then(|functions| functions.timer.as_ref()).map(|timer| timer.end) else {
            return self.without_export(Outcome::default()).await;
        };
        let mut live = self.begin().await?;
        let limit = self.shared.limits.timeout;
        let called = self.meter.run_within(limit, end.call_async(&mut live.store, ())).await;
        let answer = self.finish(live, Call::End, called)?;
        self.accept(Call::End, answer, 0)
    }

    fn usage(&self) -> Usage {
        let memory_bytes = self.live.as_ref().map_or(0, |live| live.store.data().usage.memory_bytes());
        Usage { memory_bytes, cpu: self.meter.total() }
    }
}

impl Instance {
    /// What a call of an export that the component does not have gives: `answer`, as
    /// long as the instance lives.
    async fn without_export<T>(&mut self, answer: T) -> Result<T, Fault> {
        let live = self.begin().await?;
        self.live = Some(live);
        Ok(answer)
    }
}
