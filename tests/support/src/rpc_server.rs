//! A Stellar RPC server that serves given ledgers, and fails as a test says.
//!
//! It knows what the source asks: `getLedgers`, `getHealth`, `getLatestLedger` and
//! `getNetwork`, with the refusals of the real one.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::base64;
use crate::http_server::{HttpServer, Reply, Request};

/// A ledger to serve.
#[derive(Debug, Clone)]
pub struct ServedLedger {
    /// Its sequence number.
    pub sequence: u32,
    /// Its hash in hex.
    pub hash: String,
    /// When it closed, seconds since the Unix epoch.
    pub closed_at: u64,
    /// The XDR of its LedgerHeaderHistoryEntry.
    pub header_xdr: Vec<u8>,
    /// The XDR of its LedgerCloseMeta.
    pub xdr: Vec<u8>,
}

/// What goes wrong with one call of `getLedgers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RpcFault {
    /// Nothing: it is answered as it should.
    None,
    /// This, in place of an answer.
    Reply(Reply),
    /// Half of the answer.
    Half,
    /// The answer without its ledger at this index.
    Gap(usize),
    /// All ledgers that there are, whatever the limit.
    Generous,
    /// The answer without ledgers.
    Empty,
    /// The ledger at this index says that it is the one behind it.
    Renumbered(usize),
    /// The base64 of the ledger at this index is cut off.
    CutOff(usize),
}

/// The server.
pub struct RpcServer {
    http: HttpServer,
    state: Arc<Mutex<State>>,
}

struct State {
    ledgers: Vec<ServedLedger>,
    /// What of them there is: older ones are gone, newer ones have not closed.
    window: RangeInclusive<u32>,
    passphrase: String,
    has_health: bool,
    max_limit: usize,
    faults: VecDeque<RpcFault>,
    is_faulty: Option<RpcFault>,
    /// Whether each answer brings one more ledger into the window.
    is_closing: bool,
}

impl RpcServer {
    /// Serves `ledgers`, which have numbers in a row.
    ///
    /// # Panics
    ///
    /// When there is no ledger, or no port of the loopback can be had.
    pub async fn start(ledgers: Vec<ServedLedger>, passphrase: &str) -> Self {
        let [first, last] = [ledgers.first(), ledgers.last()].map(|ledger| ledger.expect("there are ledgers").sequence);
        let state = Arc::new(Mutex::new(State {
            ledgers,
            window: first..=last,
            passphrase: passphrase.to_owned(),
            has_health: true,
            max_limit: 200,
            faults: VecDeque::new(),
            is_faulty: None,
            is_closing: false,
        }));
        let answering = Arc::clone(&state);
        let http = HttpServer::start(move |request| lock(&answering).answer(request)).await;
        Self { http, state }
    }

    /// The HTTP server that it is.
    pub const fn http(&self) -> &HttpServer {
        &self.http
    }

    /// What it was asked with `method`: the parameters, in order.
    pub fn calls(&self, method: &str) -> Vec<Value> {
        let calls = self.http.requests().into_iter().filter_map(|request| parse(&request));
        calls.filter(|call| call["method"] == method).map(|call| call["params"].clone()).collect()
    }

    /// Has only the ledgers in `window` from here on.
    pub fn set_window(&self, window: RangeInclusive<u32>) {
        lock(&self.state).window = window;
    }

    /// Has one more ledger with each answer, as long as there are some.
    pub fn close_ledgers(&self) {
        lock(&self.state).is_closing = true;
    }

    /// Does not know `getHealth` and `getNetwork`.
    pub fn be_old(&self) {
        lock(&self.state).has_health = false;
    }

    /// Refuses to give more ledgers than this at once; before, 200.
    pub fn set_max_limit(&self, max_limit: usize) {
        lock(&self.state).max_limit = max_limit;
    }

    /// Fails the next calls of `getLedgers`, one with each fault.
    pub fn fail(&self, faults: impl IntoIterator<Item = RpcFault>) {
        lock(&self.state).faults.extend(faults);
    }

    /// Fails every call of `getLedgers` from here on.
    pub fn fail_for_good(&self, fault: RpcFault) {
        lock(&self.state).is_faulty = Some(fault);
    }
}

impl State {
    fn answer(&mut self, request: &Request) -> Reply {
        let Some(call) = parse(request) else { return Reply::new(400, "no JSON-RPC") };
        let (oldest, latest) = (*self.window.start(), *self.window.end());
        let result = match call["method"].as_str() {
            Some("getLedgers") => return self.ledgers(&call),
            Some("getHealth") if self.has_health => Ok(
                json!({"status": "healthy", "latestLedger": latest, "oldestLedger": oldest, "ledgerRetentionWindow": 17280}),
            ),
            Some("getNetwork") if self.has_health => Ok(json!({"passphrase": self.passphrase, "protocolVersion": 23})),
            Some("getLatestLedger") => Ok(json!({"id": "", "protocolVersion": 23, "sequence": latest})),
            _ => Err((-32601, "method not found".to_owned())),
        };
        Reply::new(200, envelope(&call, result))
    }

    fn ledgers(&mut self, call: &Value) -> Reply {
        let fault = self.faults.pop_front().or_else(|| self.is_faulty.clone());
        if let Some(RpcFault::Reply(reply)) = fault {
            return reply;
        }
        let mut params = call["params"].clone();
        if fault == Some(RpcFault::Generous) {
            params["pagination"]["limit"] = self.max_limit.into();
        }
        let mut result = self.page(&params);
        if let (Some(fault), Ok(page)) = (&fault, &mut result) {
            spoil(page["ledgers"].as_array_mut().expect("a page has ledgers"), fault);
        }
        if self.is_closing && *self.window.end() < self.ledgers.last().map_or(0, |ledger| ledger.sequence) {
            self.window = *self.window.start()..=self.window.end() + 1;
        }
        let body = envelope(call, result);
        if fault == Some(RpcFault::Half) { Reply::Half(body) } else { Reply::new(200, body) }
    }

    fn page(&self, params: &Value) -> Result<Value, (i64, String)> {
        let (oldest, latest) = (*self.window.start(), *self.window.end());
        let cursor = params["pagination"]["cursor"].as_str();
        let start = match (cursor.map(str::parse::<u32>), params["startLedger"].as_u64()) {
            (Some(Ok(cursor)), None) => cursor + 1,
            (None, Some(start)) => u32::try_from(start).unwrap_or(u32::MAX),
            _ => return Err((-32600, "startLedger and cursor cannot both be set".to_owned())),
        };
        if !self.window.contains(&start) {
            let range = format!(
                "must be between the oldest ledger: {oldest} and the latest ledger: {latest} for this rpc instance"
            );
            return Err(match cursor {
                Some(cursor) => (-32602, format!("cursor ('{cursor}') {range}")),
                None => (-32600, format!("start ledger ({start}) {range}")),
            });
        }
        let limit =
            params["pagination"]["limit"].as_u64().map_or(50, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        if limit > self.max_limit {
            return Err((-32600, format!("limit must not exceed {}", self.max_limit)));
        }
        let ledgers = self.ledgers.iter().filter(|ledger| (start..=latest).contains(&ledger.sequence)).take(limit);
        let ledgers: Vec<Value> = ledgers.map(shown).collect();
        let cursor = start - 1 + u32::try_from(ledgers.len()).expect("a page is short");
        Ok(json!({
            "ledgers": ledgers, "cursor": cursor.to_string(),
            "latestLedger": latest, "latestLedgerCloseTime": 0, "oldestLedger": oldest, "oldestLedgerCloseTime": 0,
        }))
    }
}

fn shown(ledger: &ServedLedger) -> Value {
    json!({
        "hash": ledger.hash,
        "sequence": ledger.sequence,
        "ledgerCloseTime": ledger.closed_at.to_string(),
        "headerXdr": base64(&ledger.header_xdr),
        "metadataXdr": base64(&ledger.xdr),
    })
}

fn spoil(ledgers: &mut Vec<Value>, fault: &RpcFault) {
    match fault {
        RpcFault::Gap(index) if *index < ledgers.len() => drop(ledgers.remove(*index)),
        RpcFault::Empty => ledgers.clear(),
        RpcFault::Renumbered(index) if *index + 1 < ledgers.len() => {
            ledgers[*index]["metadataXdr"] = ledgers[*index + 1]["metadataXdr"].clone();
        }
        RpcFault::CutOff(index) if *index < ledgers.len() => {
            let text = ledgers[*index]["metadataXdr"].as_str().unwrap_or_default();
            ledgers[*index]["metadataXdr"] = text[..text.len() / 2 - 1].into();
        }
        _ => {}
    }
}

fn envelope(call: &Value, result: Result<Value, (i64, String)>) -> Vec<u8> {
    let body = match result {
        Ok(result) => json!({"jsonrpc": "2.0", "id": call["id"], "result": result}),
        Err((code, message)) => {
            json!({"jsonrpc": "2.0", "id": call["id"], "error": {"code": code, "message": message}})
        }
    };
    body.to_string().into_bytes()
}

fn parse(request: &Request) -> Option<Value> {
    serde_json::from_slice(&request.body).ok().filter(|call: &Value| call["jsonrpc"] == "2.0")
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
