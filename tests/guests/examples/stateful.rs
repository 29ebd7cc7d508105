//! Behaves: counts events, keeps the count as its state, tells it when the time comes.
//!
//! An event `lie` makes its next state one of a key group that does not exist.

use std::sync::atomic::{AtomicU64, Ordering};

flowctl_test_guests::bindings!("test:guests/stateful");

use exports::flowctl::processor::{state, timer};

static COUNT: AtomicU64 = AtomicU64::new(0);
static GROUP: AtomicU64 = AtomicU64::new(0);

struct Guest;

impl Handler for Guest {
    fn process(events: Batch) -> Result<Outcome, Fault> {
        COUNT.fetch_add(events.ends.len() as u64, Ordering::Relaxed);
        if events.data == b"lie" {
            GROUP.store(256, Ordering::Relaxed);
        }
        Ok(Outcome { outputs: vec![], rejected: vec![] })
    }
}

impl state::Guest for Guest {
    fn save() -> Vec<(u32, Vec<u8>)> {
        let group = GROUP.load(Ordering::Relaxed) as u32;
        vec![(group, COUNT.load(Ordering::Relaxed).to_le_bytes().to_vec())]
    }

    fn restore(version: String, parts: Vec<(u32, Vec<u8>)>) -> Result<(), String> {
        if version == "0.0.0" {
            return Err("state of version 0.0.0 is too old".to_owned());
        }
        for (_, bytes) in parts {
            let bytes = bytes.try_into().map_err(|_| "a count has eight bytes")?;
            COUNT.fetch_add(u64::from_le_bytes(bytes), Ordering::Relaxed);
        }
        Ok(())
    }
}

impl timer::Guest for Guest {
    fn tick(now: u64) -> Result<Outcome, Fault> {
        let data = COUNT.load(Ordering::Relaxed).to_string().into_bytes();
        only(Batch {
            kind: 0,
            timestamps: vec![now],
            ends: vec![data.len() as u32],
            data,
            key_ends: vec![],
            keys: vec![],
            origins: vec![],
            watermark: Some(now),
            attributes: vec![],
        })
    }

    fn end() -> Result<Outcome, Fault> {
        Err(Fault::Retry("not yet".to_owned()))
    }
}

export!(Guest);
