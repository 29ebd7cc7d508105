//! Connections end at any moment, commits included, and every row is there once.

use std::sync::atomic::{AtomicU32, Ordering};

use flowctl_runtime::{Fault, Sink};
use serde_json::json;

use crate::database::{Database, notes};

const N_EPOCHS: u64 = 80;
const BATCHES: u32 = 3;
const ROWS: u32 = 50;
/// Then the rest goes undisturbed, so that a slow machine gets to the end.
const MAX_ENDED: i64 = 40;

/// Does what the runtime does, until every epoch is taken and something was lost on the
/// way. Answers how many epochs there were.
async fn run(sink: &mut dyn Sink, n_lost: &AtomicU32) -> u64 {
    let mut held = repeat(async |sink: &mut dyn Sink| sink.open().await, sink).await.unwrap();
    while held < Some(N_EPOCHS) || n_lost.load(Ordering::Relaxed) == 0 {
        let epoch = held.unwrap_or(0) + 1;
        match take(sink, epoch).await {
            Ok(()) => held = Some(epoch),
            Err(fault) => {
                assert!(matches!(fault, Fault::Lost(_)), "{fault:?}");
                n_lost.fetch_add(1, Ordering::Relaxed);
                let answer = repeat(async |sink: &mut dyn Sink| sink.rewind().await, sink).await.unwrap();
                assert!(answer == held || answer == Some(epoch), "{answer:?} after {held:?}");
                held = answer;
            }
        }
    }
    held.unwrap_or(0)
}

/// Writes and flushes an epoch.
async fn take(sink: &mut dyn Sink, epoch: u64) -> Result<(), Fault> {
    for batch in 0..BATCHES {
        let first = (epoch as u32 * BATCHES + batch) * ROWS;
        let rows: Vec<(u32, &str)> = (first..first + ROWS).map(|id| (id, "x")).collect();
        let batch = notes(&rows);
        let rejected = repeat(async |sink: &mut dyn Sink| sink.write(&batch).await, sink).await?;
        assert_eq!(rejected, []);
    }
    repeat(async |sink: &mut dyn Sink| sink.flush(epoch).await, sink).await
}

/// Calls again as long as nothing was taken.
async fn repeat<T>(
    mut call: impl AsyncFnMut(&mut dyn Sink) -> Result<T, Fault>,
    sink: &mut dyn Sink,
) -> Result<T, Fault> {
    loop {
        match call(sink).await {
            Err(Fault::Retry(_)) => {}
            answer => return answer,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_once_however_often_connections_end() {
    let database = Database::new("chaos");
    let (admin, connection) = tokio_postgres::connect(&database.url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    // whoever writes or commits, or did so last
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'flowctl' AND query ~ '^(COPY|INSERT)'";
    for config in [json!({"table": "plain"}), json!({"table": "keyed", "mode": "upsert", "key": ["id"]})] {
        let table = config["table"].as_str().unwrap().to_owned();
        admin.batch_execute("DROP TABLE IF EXISTS flowctl_epochs").await.unwrap();
        let mut sink = database.sink(config);
        let n_lost = AtomicU32::new(0);
        let ender = async {
            let mut random = 1_u64;
            let mut n_ended = 0;
            while n_ended < MAX_ENDED || n_lost.load(Ordering::Relaxed) == 0 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                for _ in 0..(random >> 33) % 16 {
                    admin.query_one("SELECT 1", &[]).await.unwrap();
                }
                n_ended += admin.query_one(end, &[]).await.unwrap().get::<_, i64>(0);
            }
            std::future::pending::<()>().await;
        };
        let n_epochs = tokio::select! {
            n_epochs = run(&mut *sink, &n_lost) => n_epochs,
            () = ender => unreachable!("it ends with the run"),
        };
        let n_rows = n_epochs as u32 * BATCHES * ROWS;
        let sql = format!("SELECT count(*), count(DISTINCT id), max(id) - min(id) + 1 FROM {table}");
        assert_eq!(database.sql(&sql), format!("{n_rows}|{n_rows}|{n_rows}"));
        assert_eq!(database.sql("SELECT epoch FROM flowctl_epochs"), n_epochs.to_string());
    }
    drop(admin);
    driver.await.unwrap().unwrap();
}
