//! Synthetic events are of their type, the same for a seed, and as many and as fast as
//! they should be.

use std::time::Duration;

use flowctl_connectors::source;
use flowctl_runtime::{Bounds, Source};
use flowctl_schema::{Role, Schema};
use serde_json::json;

use crate::support::{example_order, ledger, node, pipeline, schema};

const BOUNDS: Bounds = Bounds { max_events: 100, max_bytes: 1 << 20, until: None };

/// A type with everything that WIT types can have.
const EVERYTHING: &str = "
package test:everything@1.0.0;
interface event {
  enum color { red, green }
  variant shape { point, circle(f64), text(string), many(list<list<list<list<u8>>>>) }
  record inner { flag: bool, letter: char, tiny: s8, small: s16, raw: list<u8> }
  record everything {
    id: string, a: u8, b: u16, c: u32, d: u64, e: s32, f: s64, g: f32, h: f64,
    color: color, shape: shape, inner: inner, maybe: option<inner>, outcome: result<u32, string>,
    bare: result, pair: tuple<u8, string>, deep: list<list<list<list<list<list<string>>>>>>,
  }
}
";

fn load(schema: &Schema, mut config: serde_json::Value) -> Box<dyn Source> {
    config["type"] = json!(schema.event_type());
    source(&node("generate", Role::Source, config, vec![], vec![schema.clone()]), &pipeline()).unwrap()
}

async fn take(source: &mut dyn Source, n_events: usize) -> (Vec<Vec<u8>>, Vec<u8>) {
    let (mut payloads, mut position) = (Vec::new(), Vec::new());
    while payloads.len() < n_events {
        let piece = source.next(&BOUNDS).await.unwrap();
        position = piece.position;
        payloads.extend(piece.batch.unwrap().columns.payloads().map(<[u8]>::to_vec));
    }
    (payloads, position)
}

#[tokio::test]
async fn events_are_values_of_their_type() {
    for schema in [schema(EVERYTHING), example_order(), ledger()] {
        for size in [0, 200, 5_000] {
            let mut source = load(&schema, json!({ "size": size }));
            source.open(None).await.unwrap();
            let (payloads, _) = take(&mut *source, 500).await;
            let mut json = Vec::new();
            for payload in &payloads {
                schema.payload_to_json(payload, &mut json).unwrap();
            }
            let mean = payloads.iter().map(Vec::len).sum::<usize>() / payloads.len();
            assert!(size != 5_000 || (2_500..10_000).contains(&mean), "{}: {mean}", schema.event_type());
        }
    }
}

#[tokio::test]
async fn a_position_is_gone_on_from_with_the_same_events() {
    let schema = example_order();
    let mut whole = load(&schema, json!({ "seed": 5 }));
    whole.open(None).await.unwrap();
    let (events, _) = take(&mut *whole, 400).await;
    let mut first = load(&schema, json!({ "seed": 5 }));
    first.open(None).await.unwrap();
    let (_, position) = take(&mut *first, 200).await;
    let mut rest = load(&schema, json!({ "seed": 5 }));
    rest.open(Some(&position)).await.unwrap();
    let (rest, _) = take(&mut *rest, 200).await;
    assert!(rest == events[200..]);
    let mut other = load(&schema, json!({ "seed": 6 }));
    other.open(None).await.unwrap();
    assert!(take(&mut *other, 400).await.0 != events);
}

#[tokio::test]
async fn count_ends_the_stream() {
    let mut source = load(&example_order(), json!({ "count": 250 }));
    source.open(None).await.unwrap();
    let mut sizes = Vec::new();
    loop {
        let piece = source.next(&BOUNDS).await.unwrap();
        sizes.push(piece.batch.map(|batch| batch.len()));
        if piece.is_finished {
            break;
        }
    }
    assert_eq!(sizes, [Some(100), Some(100), Some(50)]);
    assert!(source.next(&BOUNDS).await.unwrap().batch.is_none());
    let mut nothing = load(&example_order(), json!({ "count": 0 }));
    nothing.open(None).await.unwrap();
    assert!(nothing.next(&BOUNDS).await.unwrap().is_finished);
}

#[tokio::test(start_paused = true)]
async fn rate_is_kept() {
    let mut source = load(&example_order(), json!({ "rate": 2_000 }));
    source.open(None).await.unwrap();
    let start = tokio::time::Instant::now();
    take(&mut *source, 10_000).await;
    let elapsed = start.elapsed();
    assert!((Duration::from_millis(4_900)..Duration::from_millis(5_100)).contains(&elapsed), "{elapsed:?}");
}
