//! What is promised of delivery, tried on real servers and a real disk.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use flowctl_test_support::http_server::{HttpServer, Reply};
use flowctl_test_support::postgres::Server;
use flowctl_test_support::{DATA_FILES, DataFile};
use libtest_mimic::{Failed, Trial};

use crate::flowctl::Flowctl;
use crate::resumes::{order, shop};
use crate::stellar::with_data;

pub(crate) fn trials() -> Vec<Trial> {
    let files = DATA_FILES.iter().map(|file| {
        with_data(&format!("delivery::transfers_in_postgres_of::{}", file.name), move |folder| {
            in_postgres(file, folder)
        })
    });
    let facts = [
        Trial::test("delivery::a_slow_sink_slows_the_source_and_memory_stays_flat", slow_sink),
        Trial::test("delivery::a_full_disk_is_named_and_costs_nothing", full_disk),
        Trial::test("delivery::a_read_only_state_directory_is_named_and_costs_nothing", read_only),
    ];
    files.chain(facts).collect()
}

/// The rows of a real database are the expected events, in all fields.
fn in_postgres(file: &DataFile, folder: &Path) -> Result<(), Failed> {
    let expected = file.expected_events(folder)?;
    let server = Server::shared();
    let name: String =
        file.name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    let url = server.create_database(&name);
    let flowctl = Flowctl::new();
    flowctl.write(
        "p.yaml",
        format!(
            "apiVersion: flowctl/v2
kind: Topology
metadata: {{name: transfers}}
spec:
  from: stellar.ledger.v1
  to: postgres
  via: [ttp-processor]
  config:
    stellar-ledgers: {{path: '{}', network: '{passphrase}'}}
    ttp-processor: {{network: '{passphrase}'}}
",
            file.path(folder).display(),
            passphrase = file.passphrase
        ),
    );
    let mut command = flowctl.command("run p.yaml");
    command.env("FLOWCTL_PLUGINS", crate::flowctl::plugins()).env("DATABASE_URL", &url);
    crate::flowctl::Answer::of(command.output()?).success();
    if expected.is_empty() {
        return Ok(());
    }
    let text = server.psql(&url, "SELECT row_to_json(t) FROM stellar_token_transfer_v1 AS t");
    // rows of a table have no order, so both are sorted
    let parse = |line: &str| serde_json::from_str::<serde_json::Value>(line).map(|row| row.to_string());
    let mut rows = text.lines().map(parse).collect::<Result<Vec<_>, _>>()?;
    let mut expected = expected.iter().map(|event| parse(&event.to_json_line())).collect::<Result<Vec<_>, _>>()?;
    rows.sort_unstable();
    expected.sort_unstable();
    if let Some((row, event)) = rows.iter().zip(&expected).find(|(row, event)| row != event) {
        return Err(format!("   found {row}\nexpected {event}").into());
    }
    match rows.len() == expected.len() {
        true => Ok(()),
        false => Err(format!("{} rows, where {} are expected", rows.len(), expected.len()).into()),
    }
}

/// Ten million events wait for a server that takes a second for a batch.
fn slow_sink() -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let server = runtime.block_on(HttpServer::start(|_| {
        std::thread::park_timeout(Duration::from_secs(1));
        Reply::new(200, "")
    }));
    let flowctl = Flowctl::new();
    flowctl.write(
        "p.yaml",
        format!(
            "apiVersion: flowctl/v1
kind: Pipeline
metadata: {{name: slow}}
spec:
  sources: [{{id: orders, type: generate, config: {{type: example.order.v1, count: 10000000}}}}]
  sinks: [{{id: out, type: http, config: {{url: '{}'}}, inputs: [orders]}}]
",
            server.url()
        ),
    );
    let mut command = flowctl.command("run p.yaml --summary summary.json");
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let resident = |n_requests: usize| -> Result<u64, Failed> {
        runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(60), server.was_asked(n_requests)).await })?;
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.split_whitespace().nth(1).ok_or("no figure")?.parse()?)
    };
    let early = resident(2)?;
    let late = resident(8)?;
    let killed = Command::new("kill").args(["-KILL", &child.id().to_string()]).status()?;
    assert!(killed.success());
    child.wait_with_output()?;
    println!("resident after 2 batches {early} KiB, after 8 {late} KiB, of 10,000,000 events");
    let grown = late.saturating_sub(early);
    if grown > 8 << 10 { Err(format!("it grew by {grown} KiB").into()) } else { Ok(()) }
}

/// A small file system that is taken away when this is dropped.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    pub(crate) fn mount(path: PathBuf) -> Result<Self, Failed> {
        std::fs::create_dir_all(&path)?;
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&path).output()?;
        match mounted.status.success() {
            true => Ok(Self(path)),
            false => Err(format!("mount: {}", String::from_utf8_lossy(&mounted.stderr)).into()),
        }
    }

    /// Mounts it again with other options.
    pub(crate) fn remount(&self, options: &str) {
        let mounted = Command::new("mount").args(["-o", options]).arg(&self.0).status().unwrap();
        assert!(mounted.success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Makes the file system read-only that the state directory is on.
fn read_only() -> Result<(), Failed> {
    let flowctl = shop();
    let disk = SmallDisk::mount(flowctl.path("disk"))?;
    flowctl.write("in.jsonl", orders(10));
    flowctl.run("run p.yaml --state-dir disk/state").success();
    disk.remount("remount,ro");
    flowctl.write("in.jsonl", orders(20));
    flowctl.run("run p.yaml --state-dir disk/state").failure(&["cannot use the pipeline's state", "make it writable"]);
    assert_eq!(flowctl.read("out.jsonl"), orders(10), "nothing ran");
    disk.remount("remount,rw");
    flowctl.run("run p.yaml --state-dir disk/state").success();
    assert_eq!(flowctl.read("out.jsonl"), orders(20));
    Ok(())
}

/// This many orders, a line each.
fn orders(n: u64) -> String {
    (0..n).map(order).collect()
}

/// Fills the disk below the state directory, and below the file that is written.
fn full_disk() -> Result<(), Failed> {
    let flowctl = shop();
    let disk = SmallDisk::mount(flowctl.path("disk"))?;
    flowctl.write("in.jsonl", orders(1_000));
    let patient = flowctl.read("p.yaml").replace("out.jsonl", "disk/out.jsonl");
    flowctl.write("p.yaml", patient.replace("  types:", "  retry: {max_attempts: 2}\n  types:"));
    flowctl.run("run p.yaml --state-dir disk/state").success();
    let filler = disk.0.join("filler");
    let fill = || {
        let filled =
            Command::new("dd").arg("if=/dev/zero").arg(format!("of={}", filler.display())).arg("bs=4k").output();
        assert!(!filled.unwrap().status.success(), "the disk is full");
    };
    // neither what the sink writes nor the checkpoint has room
    fill();
    flowctl.write("in.jsonl", orders(2_000));
    flowctl.run("run p.yaml --state-dir disk/state").failure(&["disk"]);
    std::fs::remove_file(&filler)?;
    flowctl.run("run p.yaml --state-dir disk/state").success();
    assert_eq!(flowctl.read("disk/out.jsonl"), orders(2_000), "nothing is lost, and nothing half-written stays");
    // only the checkpoint has none
    std::fs::remove_file(flowctl.path("disk/out.jsonl"))?;
    flowctl.write("p.yaml", flowctl.read("p.yaml").replace("disk/out.jsonl", "out.jsonl"));
    fill();
    flowctl.write("in.jsonl", orders(3_000));
    flowctl.run("run p.yaml --state-dir disk/state").failure(&["disk", "nothing is lost"]);
    std::fs::remove_file(&filler)?;
    flowctl.run("run p.yaml --state-dir disk/state").success();
    let out = flowctl.read("out.jsonl");
    let all = orders(3_000);
    let late: Vec<_> = all.lines().skip(2_000).collect();
    assert_eq!(out.lines().collect::<Vec<_>>(), late, "what the failed run wrote was taken back");
    Ok(())
}
