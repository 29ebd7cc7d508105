//! Fuzzing of what the port is sent.
//!
//! `cargo test` replays the corpus and goes on from it for a second; `cargo bolero test`
//! looks further. Bytes that broke something go into the corpus.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code, unused_imports, reason = "the other tests use the rest")]
#[path = "it/support/mod.rs"]
mod support;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use bytes::{Buf as _, BufMut as _};
use flowctl_control_plane::tenants::Policies;
use flowctl_proto::{FILE_DESCRIPTOR_SET, admin, v1};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tokio::runtime::Runtime;
use tokio_stream::StreamExt as _;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Request, Status};

use support::{Caller, Host, Setup, request};

/// No answer takes this long.
const LIMIT: Duration = Duration::from_secs(20);
/// How long a watch gets to say something; it need not.
const PATIENCE: Duration = Duration::from_millis(2);
/// Enough runs that they meet, and few enough that they cost nothing.
const POLICY: &str = "tenants: {default: {connectors: ['*'], quotas: {pipelines: 3, events_per_second: 100}}}";

/// Panics of tasks: those of the thread that tests are seen by themselves.
static N_PANICS: AtomicUsize = AtomicUsize::new(0);

/// Whether this thread is one of a runtime's.
fn is_task() -> bool {
    std::thread::current().name().is_some_and(|name| name.starts_with("tokio"))
}

/// One host for all that is tried.
struct Target {
    runtime: Runtime,
    caller: Caller,
    methods: Vec<Method>,
    _host: Host,
    _dir: tempfile::TempDir,
}

/// A method of the port.
struct Method {
    path: String,
    is_stream: bool,
    /// A request that it answers.
    seed: Vec<u8>,
}

impl Target {
    fn get() -> &'static Self {
        static TARGET: OnceLock<Target> = OnceLock::new();
        TARGET.get_or_init(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                if is_task() {
                    N_PANICS.fetch_add(1, Ordering::SeqCst);
                }
                before(panic);
            }));
            let runtime = Runtime::new().unwrap();
            let dir = tempfile::tempdir().unwrap();
            let (host, caller, run) = runtime.block_on(async {
                let setup = Setup { policies: Policies::parse(POLICY).unwrap(), ..Setup::default() };
                let host = Host::with(dir.path(), setup).await;
                let caller = host.caller().await;
                let run = caller.apply("name=a").await.unwrap().id;
                (host, caller, run)
            });
            Self { runtime, caller, methods: methods(&run), _host: host, _dir: dir }
        })
    }

    /// Sends bytes as the request of a method, and waits for what comes of it.
    fn send(&self, method: &Method, message: &[u8]) -> Result<(), Status> {
        let answer = async {
            let mut client = Grpc::new(self.caller.channel.clone());
            client.ready().await.unwrap();
            let path = method.path.parse().unwrap();
            let answer = client.server_streaming(Request::new(message.to_vec()), path, Raw).await?;
            let mut answers = answer.into_inner();
            let first = if method.is_stream {
                tokio::time::timeout(PATIENCE, answers.next()).await.unwrap_or(Some(Ok(())))
            } else {
                answers.next().await
            };
            first.transpose().map(|_| ())
        };
        let answer = self.runtime.block_on(async { tokio::time::timeout(LIMIT, answer).await });
        answer.unwrap_or_else(|_| panic!("`{}` does not answer {message:?}", method.path))
    }

    /// As [`Self::send`]; no panic may come of it, nor anything that is nobody's fault.
    fn try_out(&self, method: &Method, message: &[u8]) {
        let n_panics = N_PANICS.load(Ordering::SeqCst);
        let answer = self.send(method, message);
        assert_eq!(N_PANICS.load(Ordering::SeqCst), n_panics, "`{}` panics at {message:?}", method.path);
        if let Err(status) = answer {
            let is_internal = status.code() == Code::Internal && !status.message().contains("decode");
            assert!(
                !is_internal && status.code() != Code::Unknown,
                "`{}` breaks at {message:?}: {status}",
                method.path
            );
        }
    }
}

/// Every method that the control plane serves.
fn methods(run: &str) -> Vec<Method> {
    let seeds = seeds(run);
    let files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let mut methods = Vec::new();
    for file in files.file {
        for service in &file.service {
            let is_served = service.name() == "ControlPlaneService" || file.package() == "flowctl.admin.v1";
            for method in service.method.iter().filter(|_| is_served) {
                let seed = seeds.iter().find(|(name, _)| *name == method.name());
                methods.push(Method {
                    path: format!("/{}.{}/{}", file.package(), service.name(), method.name()),
                    is_stream: method.server_streaming(),
                    seed: seed.map(|(_, seed)| seed.clone()).unwrap_or_default(),
                });
            }
        }
    }
    methods
}

/// Requests that are answered, by the name of their method.
fn seeds(run: &str) -> Vec<(&'static str, Vec<u8>)> {
    let (run, a) = (run.to_owned(), "a".to_owned());
    let component = v1::ComponentInfo {
        id: "c".to_owned(),
        r#type: 2,
        input_event_types: vec!["test.number.v1".to_owned()],
        output_event_types: vec!["test.number.v1".to_owned()],
        endpoint: ":50051".to_owned(),
        metadata: [("network".to_owned(), "testnet".to_owned())].into(),
        ..Default::default()
    };
    let registration = v1::RegisterRequest { component: Some(component), component_id: "c".to_owned() };
    let beat = v1::HeartbeatRequest { service_id: "c".to_owned(), status: 1, ..Default::default() };
    let found = v1::DiscoveryRequest { event_types: vec!["test.number.v1".to_owned()], ..Default::default() };
    let drain_timeout = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    vec![
        ("RegisterComponent", registration.encode_to_vec()),
        ("Heartbeat", beat.encode_to_vec()),
        ("DiscoverComponents", found.encode_to_vec()),
        ("GetComponentStatus", v1::ComponentStatusRequest { service_id: "c".to_owned() }.encode_to_vec()),
        ("ListComponents", v1::ListComponentsRequest { include_unhealthy: true, ..Default::default() }.encode_to_vec()),
        ("ApplyPipeline", request("name=b events=1").encode_to_vec()),
        ("GetPipeline", admin::GetPipelineRequest { name: a.clone() }.encode_to_vec()),
        ("ListPipelines", admin::ListPipelinesRequest { page_size: 1, ..Default::default() }.encode_to_vec()),
        ("DeletePipeline", admin::DeletePipelineRequest { name: "b".to_owned() }.encode_to_vec()),
        ("GetRun", admin::GetRunRequest { id: run.clone() }.encode_to_vec()),
        ("ListRuns", admin::ListRunsRequest { page_size: 1, ..Default::default() }.encode_to_vec()),
        ("WatchRun", admin::WatchRunRequest { id: run.clone() }.encode_to_vec()),
        ("StopRun", admin::StopRunRequest { id: "r".to_owned(), drain_timeout }.encode_to_vec()),
        ("ListRunEvents", admin::ListRunEventsRequest { id: run.clone(), ..Default::default() }.encode_to_vec()),
        ("WatchRunEvents", admin::WatchRunEventsRequest { id: run, after: 1, ..Default::default() }.encode_to_vec()),
        ("GetTopology", admin::GetTopologyRequest { pipeline: a.clone() }.encode_to_vec()),
        ("WatchTopology", admin::WatchTopologyRequest { pipeline: a.clone() }.encode_to_vec()),
        (
            "ChangeTopology",
            admin::ChangeTopologyRequest {
                pipeline: a.clone(),
                change: Some(admin::change_topology_request::Change::Remove(admin::RemoveNode {
                    node: "in".to_owned(),
                })),
                is_dry_run: true,
                ..Default::default()
            }
            .encode_to_vec(),
        ),
        ("ListRevisions", admin::ListRevisionsRequest { pipeline: a.clone() }.encode_to_vec()),
        ("TapNode", admin::TapNodeRequest { pipeline: a, node: "in".to_owned(), limit: 1 }.encode_to_vec()),
        ("GetPlugin", admin::GetPluginRequest { id: "numbers".to_owned() }.encode_to_vec()),
        ("ListPlugins", admin::ListPluginsRequest { page_size: 1, ..Default::default() }.encode_to_vec()),
    ]
}

/// A valid request with some bytes changed, taken out or put in.
fn edited(seed: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut message = seed.to_vec();
    for edit in edits.chunks_exact(3).take(8) {
        let place = usize::from(edit[1]) % (message.len() + 1);
        match (edit[0] % 3, place < message.len()) {
            (0, true) => message[place] ^= edit[2],
            (1, true) => drop(message.remove(place)),
            _ => message.insert(place, edit[2]),
        }
    }
    message
}

/// The first byte says which method, the second whether the rest is the request or what
/// is changed of a valid one. After 255 the rest is sent to every method.
#[test]
fn any_request_is_answered() {
    bolero::check!(name = "requests").for_each(|bytes: &[u8]| {
        let target = Target::get();
        match bytes {
            [255, rest @ ..] => target.methods.iter().for_each(|method| target.try_out(method, rest)),
            [method, how, rest @ ..] => {
                let method = &target.methods[usize::from(*method) % target.methods.len()];
                match how % 2 {
                    0 => target.try_out(method, rest),
                    _ => target.try_out(method, &edited(&method.seed, rest)),
                }
            }
            _ => {}
        }
    });
}

#[test]
fn any_page_token_is_one_or_is_refused() {
    bolero::check!(name = "page_tokens").for_each(|bytes: &[u8]| {
        let target = Target::get();
        let written = |list: &str| BASE64.encode([list.as_bytes(), b"\n", bytes].concat());
        let lists = ["pipelines", "runs", "events", "plugins"].map(written);
        let tokens = [String::from_utf8_lossy(bytes).into_owned(), BASE64.encode(bytes)].into_iter().chain(lists);
        for token in tokens {
            let pipelines = admin::ListPipelinesRequest { page_token: token.clone(), ..Default::default() };
            let runs = admin::ListRunsRequest { page_token: token.clone(), ..Default::default() };
            let events = admin::ListRunEventsRequest { page_token: token.clone(), ..Default::default() };
            let plugins = admin::ListPluginsRequest { page_token: token, ..Default::default() };
            for (name, message) in [
                ("ListPipelines", pipelines.encode_to_vec()),
                ("ListRuns", runs.encode_to_vec()),
                ("ListRunEvents", events.encode_to_vec()),
                ("ListPlugins", plugins.encode_to_vec()),
            ] {
                let method = target.methods.iter().find(|method| method.path.ends_with(name)).unwrap();
                target.try_out(method, &message);
            }
        }
    });
}

/// A request that does what it is meant to shows that the others get there.
#[test]
fn valid_requests_reach_their_methods() {
    let target = Target::get();
    for name in ["GetRun", "GetPipeline", "GetTopology", "ListComponents", "GetPlugin", "ListRunEvents", "TapNode"] {
        let method = target.methods.iter().find(|method| method.path.ends_with(&format!("/{name}"))).unwrap();
        target.send(method, &method.seed).unwrap();
    }
    assert!(target.methods.len() > 20, "{}", target.methods.len());
}

/// Sends bytes as they are, and forgets what comes back.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        buffer.advance(buffer.remaining());
        Ok(Some(()))
    }
}
