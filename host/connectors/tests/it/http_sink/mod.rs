//! The sink `http` against a server that answers as the tests say.

mod refusals;
mod repetitions;
mod requests;
mod tls;

use std::sync::Arc;

use flowctl_connectors::{Pipeline, sink};
use flowctl_runtime::Sink;
use flowctl_schema::{Role, Schema};
use flowctl_test_support::http_server::{HttpServer, Reply, Request};
use flowctl_types::{Batch, Columns, Ids};
use serde_json::{Value, json};

use crate::support::{node, pipeline, schema};

const WIT: &str = "package test:point@1.0.0; interface event { record point { x: u8 } }";

/// Points, one for each number, as `prefix/0` and so on.
fn points(prefix: &str, numbers: &[u8]) -> Arc<Batch> {
    let mut columns = Columns::default();
    numbers.iter().for_each(|number| columns.push(0, &[*number]));
    Arc::new(Batch::new(columns, Ids::numbered(prefix, 0)))
}

/// A sink of points that posts to `url`; `more` stands beside or in place of that.
fn posting(url: &str, more: Value) -> Box<dyn Sink> {
    posting_for(url, more, vec![schema(WIT)], "node", &pipeline())
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn posting_for(url: &str, more: Value, inputs: Vec<Schema>, id: &str, pipeline: &Pipeline) -> Box<dyn Sink> {
    let mut config = json!({ "url": url });
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    let mut node = node("http", Role::Sink, config, inputs, vec![]);
    node.id = id.parse().unwrap();
    sink(&node, pipeline).unwrap()
}

/// A server that takes everything, but what `replies` say of the first requests.
async fn server(replies: impl IntoIterator<Item = Reply>) -> HttpServer {
    let mut replies = replies.into_iter().collect::<Vec<_>>().into_iter();
    HttpServer::start(move |_| replies.next().unwrap_or(Reply::new(200, "taken"))).await
}

fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Reply {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Reply::Answer { status, headers, body: body.into() }
}

fn bodies(server: &HttpServer) -> Vec<String> {
    server.requests().into_iter().map(|request| String::from_utf8(request.body).unwrap()).collect()
}

fn keys(server: &HttpServer) -> Vec<String> {
    server.requests().iter().map(|request| request.header("idempotency-key").unwrap().to_owned()).collect()
}

/// The numbers of the points in a request's lines.
fn numbers(request: &Request) -> Vec<u8> {
    let text = std::str::from_utf8(&request.body).unwrap();
    let point = |line| serde_json::from_str::<Value>(line).unwrap()["x"].as_u64().unwrap();
    text.lines().map(|line| point(line).try_into().unwrap()).collect()
}
