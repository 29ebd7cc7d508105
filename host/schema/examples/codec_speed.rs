//! What translating one event costs, beside `serde_json` on Rust's own structs.
//!
//! `cargo run --release -p flowctl-schema --example codec_speed`
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use flowctl_schema::Schema;
use serde::{Deserialize, Serialize};

const WIT: &str = include_str!("../../../wit/events/example-order/event.wit");
const JSON: &str = r#"{"id":"ord-2026-000123456","customer":"Katharina Musterfrau, Hauptstrasse 12","status":"shipped","total_cents":1234500,"currency":"EUR","items":[{"sku":"SKU-000111","quantity":3,"price_cents":129900},{"sku":"SKU-000222","quantity":1,"price_cents":349900},{"sku":"SKU-000333","quantity":12,"price_cents":4900}],"note":"leave it with the neighbours, please","placed_at":1764000000}"#;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Placed,
    Paid,
    Shipped,
    Cancelled,
}

#[derive(Serialize, Deserialize)]
struct Item {
    sku: String,
    quantity: u32,
    price_cents: u64,
}

#[derive(Serialize, Deserialize)]
struct Order {
    id: String,
    customer: String,
    status: Status,
    total_cents: u64,
    currency: String,
    items: Vec<Item>,
    note: Option<String>,
    placed_at: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let schema = Schema::from_wit(WIT)?.into_iter().next().ok_or("the package defines an event type")?;
    let value: serde_json::Value = serde_json::from_str(JSON)?;
    let sorted = serde_json::to_string(&value)?;
    let order: Order = serde_json::from_str(JSON)?;
    let mut payload = Vec::new();
    schema.json_to_payload(JSON.as_bytes(), &mut payload)?;
    println!("{} B of JSON, {} B of payload; best of 15 rounds, ns an event", JSON.len(), payload.len());

    let mut out = Vec::with_capacity(1 << 16);
    let native_read = nanoseconds(|| {
        black_box(serde_json::from_slice::<Order>(black_box(JSON.as_bytes())).is_ok());
    });
    let native_write = nanoseconds(|| {
        out.clear();
        black_box(serde_json::to_writer(&mut out, black_box(&order)).is_ok());
    });
    let read = nanoseconds(|| {
        out.clear();
        black_box(schema.json_to_payload(black_box(JSON.as_bytes()), &mut out).is_ok());
    });
    let read_sorted = nanoseconds(|| {
        out.clear();
        black_box(schema.json_to_payload(black_box(sorted.as_bytes()), &mut out).is_ok());
    });
    let write = nanoseconds(|| {
        out.clear();
        black_box(schema.payload_to_json(black_box(&payload), &mut out).is_ok());
    });
    println!("JSON -> struct (serde_json)       {native_read:7.1}");
    println!("JSON -> payload                   {read:7.1}  {:.2} of native", read / native_read);
    println!("JSON -> payload, keys out of order{read_sorted:7.1}  {:.2} of native", read_sorted / native_read);
    println!("struct -> JSON (serde_json)       {native_write:7.1}");
    println!("payload -> JSON                   {write:7.1}  {:.2} of native", write / native_write);
    let (native, both) = (native_read + native_write, read + write);
    println!("both ways                         {both:7.1}  {:.2} of native's {native:.1}", both / native);
    Ok(())
}

fn nanoseconds(mut run: impl FnMut()) -> f64 {
    const EVENTS: u32 = 20_000;
    let round = |run: &mut dyn FnMut()| {
        let start = Instant::now();
        for _ in 0..EVENTS {
            run();
        }
        start.elapsed().as_nanos() as f64 / f64::from(EVENTS)
    };
    (0..15).map(|_| round(&mut run)).fold(f64::INFINITY, f64::min)
}
