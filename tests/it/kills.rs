//! Pipelines that are killed at any moment: `kill -9` of flowctl and of PostgreSQL.
//!
//! Sequence-numbered transfers go through a stateless and a stateful processor into
//! PostgreSQL, SQLite and a file. In the end both databases hold each number exactly
//! once and the right sums, and the file each number at least once, in whole lines. CI
//! kills a few times; `cargo xtask soak` sets [`KILLS`] to many, and collects the
//! figures in the file that [`FIGURES`] names.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::Write as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use flowctl_test_support::postgres::Server;
use libtest_mimic::{Failed, Trial};
use serde_json::json;

use crate::flowctl::{Flowctl, plugins};

/// The variable that says how often each pipeline is killed.
const KILLS: &str = "FLOWCTL_SOAK_KILLS";
/// The variable that names a file which figures are appended to, a JSON object a line.
const FIGURES: &str = "FLOWCTL_SOAK_FIGURES";
/// Transfers of one ledger, and ledgers of one window of sums.
const PER_LEDGER: u64 = 100;
const WINDOW: u64 = 10;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("kills::rows_and_sums_are_there_once_however_often_flowctl_is_killed", flowctl_is_killed),
        Trial::test("kills::rows_are_there_once_however_often_postgres_is_killed", postgres_is_killed),
        Trial::test("kills::a_kill_between_the_commits_of_two_sinks_doubles_nothing", between_two_commits),
    ]
}

/// How often pipelines are killed: `few` times unless that is set.
pub(crate) fn n_kills(few: u64) -> u64 {
    std::env::var(KILLS).ok().and_then(|text| text.parse().ok()).unwrap_or(few)
}

/// What a pipeline left in its sinks, against what it should have.
struct Found {
    name: &'static str,
    kills: u64,
    events: u64,
    lost: u64,
    duplicated: u64,
    wrong_aggregates: u64,
}

impl Found {
    /// Prints the line of figures, and fails where one is not as it should be.
    fn conclude(self) -> Result<(), Failed> {
        let Self { name, kills, events, lost, duplicated, wrong_aggregates } = self;
        println!(
            "{name}: {kills} kills, {events} events, {lost} lost, {duplicated} duplicated, {wrong_aggregates} wrong aggregates"
        );
        if let Some(path) = std::env::var_os(FIGURES) {
            let row = json!({
                "name": name, "kills": kills, "events": events, "lost": lost, "duplicated": duplicated,
                "wrong_aggregates": wrong_aggregates,
            });
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
            writeln!(file, "{row}")?;
        }
        match (lost, duplicated, wrong_aggregates) {
            (0, 0, 0) => Ok(()),
            _ => Err(format!("{name}: {lost} lost, {duplicated} duplicated, {wrong_aggregates} wrong").into()),
        }
    }
}

/// A pipeline's folder, and how many numbered transfers its file `in.jsonl` holds: whole
/// windows, so that no sum is told before it is complete.
pub(crate) struct Numbers {
    pub(crate) flowctl: Flowctl,
    pub(crate) n_events: u64,
}

impl Numbers {
    fn new(sinks: &str) -> Self {
        let mut numbers = Self::empty();
        numbers.flowctl.write("p.yaml", pipeline("numbers", sinks));
        numbers.append(100_000);
        numbers
    }

    /// A folder without a pipeline, and with nothing to read.
    pub(crate) fn empty() -> Self {
        Self { flowctl: Flowctl::new(), n_events: 0 }
    }

    /// Gives the pipeline more to read, where it has read everything.
    pub(crate) fn append(&mut self, n_events: u64) {
        assert_eq!(n_events % (PER_LEDGER * WINDOW), 0);
        let mut lines = String::new();
        for n in self.n_events..self.n_events + n_events {
            let ledger = n / PER_LEDGER;
            let _ = writeln!(
                lines,
                r#"{{"kind":"transfer","ledger_sequence":{ledger},"closed_at":{ledger},"tx_hash":"{n}","transaction_index":1,"operation_index":null,"contract_address":"C","from":"A","to":"B","asset":"native","amount":"{n}","to_muxed":null}}"#
            );
        }
        let path = self.flowctl.path("in.jsonl");
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(lines.as_bytes()).unwrap();
        self.n_events += n_events;
    }
}

/// From `in.jsonl` through a stateless and a stateful processor, `filter` and `sums`.
pub(crate) fn pipeline(name: &str, sinks: &str) -> String {
    format!(
        "apiVersion: flowctl/v1
kind: Pipeline
metadata: {{name: {name}}}
spec:
  batch: {{max_events: 200}}
  checkpoint: {{interval: 40ms}}
  sources: [{{id: numbers, type: file, config: {{path: in.jsonl, type: stellar.token.transfer.v1}}}}]
  processors:
    - {{id: filter, plugin: transfer-filter, inputs: [numbers], config: {{}}}}
    - {{id: sums, plugin: volume-aggregator, inputs: [filter], config: {{window: {WINDOW}}}}}
  sinks:
{sinks}"
    )
}

/// Starts the pipeline; its status goes to a file.
fn start(flowctl: &Flowctl) -> Child {
    let status = std::fs::File::create(flowctl.path("status")).unwrap();
    let mut command = flowctl.command("run p.yaml --state-dir state --summary summary.json");
    command.env("FLOWCTL_PLUGINS", plugins()).stdout(Stdio::null()).stderr(status);
    command.spawn().unwrap()
}

/// Waits for the child until `deadline`; whether it has ended.
fn ended_by(child: &mut Child, deadline: Instant) -> bool {
    loop {
        if child.try_wait().unwrap().is_some() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// A time up to `longest`, another each time.
pub(crate) fn moment(longest: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish() % 1_000;
    longest.mul_f64(f64::from(u32::try_from(random).unwrap()) / 1_000.0)
}

/// Runs the pipeline to its end, and fails with its status where that is not success.
fn run_to_the_end(flowctl: &Flowctl) -> Result<(), Failed> {
    let mut child = start(flowctl);
    if !ended_by(&mut child, Instant::now() + Duration::from_secs(300)) {
        child.kill()?;
        return Err(format!("it does not end: {}", flowctl.read("status")).into());
    }
    match child.wait()?.success() {
        true => Ok(()),
        false => Err(flowctl.read("status").into()),
    }
}

/// Kills the pipeline this often at random moments, then runs it to its end. Where it
/// ends before, it is given more to read.
fn run_and_kill(numbers: &mut Numbers, n_kills: u64) -> Result<(), Failed> {
    let mut kills = 0;
    while kills < n_kills {
        let mut child = start(&numbers.flowctl);
        if ended_by(&mut child, Instant::now() + moment(Duration::from_millis(800))) {
            if !child.wait()?.success() {
                return Err(numbers.flowctl.read("status").into());
            }
            numbers.append(50_000);
            continue;
        }
        child.kill()?;
        child.wait()?;
        kills += 1;
    }
    run_to_the_end(&numbers.flowctl)
}

/// The sums that should be there: count and sum by first ledger.
fn sums(n_events: u64) -> BTreeMap<u64, (u64, u64)> {
    let mut sums = BTreeMap::new();
    for n in 0..n_events {
        let window = n / PER_LEDGER / WINDOW * WINDOW;
        let (count, sum) = sums.entry(window).or_insert((0, 0));
        *count += 1;
        *sum += n;
    }
    sums
}

/// How rows `number,count` and `first ledger,rows,count,sum` differ from what should be
/// there: lost, duplicated, wrong sums.
fn differences(n_events: u64, numbers: &str, windows: &str) -> (u64, u64, u64) {
    let mut times = BTreeMap::<u64, u64>::new();
    for line in numbers.lines() {
        let (number, count) = line.split_once(',').unwrap();
        *times.entry(number.parse().unwrap()).or_default() += count.parse::<u64>().unwrap();
    }
    let lost = (0..n_events).filter(|n| !times.contains_key(n)).count() as u64;
    let duplicated = times.values().map(|count| count - 1).sum::<u64>();
    let mut want = sums(n_events);
    let mut n_wrong = 0;
    for line in windows.lines() {
        let fields: Vec<u64> = line.split(',').map(|field| field.parse().unwrap()).collect();
        let expected = want.remove(&fields[0]);
        n_wrong += u64::from(fields[1] != 1 || expected != Some((fields[2], fields[3])));
    }
    (lost, duplicated, n_wrong + want.len() as u64)
}

const NUMBERS: &str = "SELECT tx_hash, count(*) FROM stellar_token_transfer_v1 GROUP BY tx_hash";
const WINDOWS: &str = "SELECT from_ledger, count(*), sum(count), sum(sum) FROM stellar_volume_v1 GROUP BY from_ledger";

/// What a PostgreSQL database lost, has twice, and has of wrong sums.
pub(crate) fn in_postgres(server: &Server, url: &str, n_events: u64) -> (u64, u64, u64) {
    let csv = |sql: &str| server.psql(url, &format!("COPY ({sql}) TO STDOUT WITH (FORMAT csv)"));
    let windows = WINDOWS.replace("sum(sum)", "sum(sum::numeric)");
    differences(n_events, &csv(NUMBERS), &csv(&windows))
}

/// The same of the SQLite database `numbers.db`.
pub(crate) fn in_sqlite(flowctl: &Flowctl, n_events: u64) -> (u64, u64, u64) {
    in_sqlite_file(flowctl, "numbers.db", n_events)
}

/// The same in the database of this file.
pub(crate) fn in_sqlite_file(flowctl: &Flowctl, file: &str, n_events: u64) -> (u64, u64, u64) {
    let database = rusqlite::Connection::open(flowctl.path(file)).unwrap();
    let csv = |sql: &str, n_columns: usize| {
        let mut statement = database.prepare(sql).unwrap();
        let mut rows = statement.query([]).unwrap();
        let mut text = String::new();
        while let Some(row) = rows.next().unwrap() {
            let field = |index| match row.get_ref(index).unwrap() {
                rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                rusqlite::types::ValueRef::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
                other => panic!("{other:?}"),
            };
            let fields: Vec<_> = (0..n_columns).map(field).collect();
            text += &format!("{}\n", fields.join(","));
        }
        text
    };
    let windows = WINDOWS.replace("sum(sum)", "sum(cast(sum AS INTEGER))");
    differences(n_events, &csv(NUMBERS, 2), &csv(&windows, 4))
}

/// How many numbers the file `out.jsonl` lacks. Every line of it is whole.
pub(crate) fn missing_in_file(flowctl: &Flowctl, n_events: u64) -> u64 {
    let mut is_there = vec![false; usize::try_from(n_events).unwrap()];
    for line in flowctl.read("out.jsonl").lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("a torn line: {line}"));
        is_there[event["tx_hash"].as_str().unwrap().parse::<usize>().unwrap()] = true;
    }
    is_there.iter().filter(|is_there| !**is_there).count() as u64
}

fn all_sinks(url: &str) -> String {
    format!(
        "    - {{id: pg, type: postgres, config: {{url: '{url}'}}, inputs: [filter, sums]}}
    - {{id: lite, type: sqlite, config: {{path: numbers.db}}, inputs: [filter, sums]}}
    - {{id: out, type: file, config: {{path: out.jsonl}}, inputs: [filter]}}
"
    )
}

fn flowctl_is_killed() -> Result<(), Failed> {
    let kills = n_kills(8);
    let server = Server::shared();
    let url = server.create_database("kills_of_flowctl");
    let mut numbers = Numbers::new(&all_sinks(&url));
    run_and_kill(&mut numbers, kills)?;
    let (flowctl, events) = (&numbers.flowctl, numbers.n_events);
    let (lost, duplicated, wrong_aggregates) = in_postgres(&server, &url, events);
    let postgres = Found { name: "flowctl killed, postgres", kills, events, lost, duplicated, wrong_aggregates };
    let (lost, duplicated, wrong_aggregates) = in_sqlite(flowctl, events);
    let sqlite = Found { name: "flowctl killed, sqlite", kills, events, lost, duplicated, wrong_aggregates };
    let lost = missing_in_file(flowctl, events);
    let name = "flowctl killed, file (at least once)";
    let file = Found { name, kills, events, lost, duplicated: 0, wrong_aggregates: 0 };
    postgres.conclude()?;
    sqlite.conclude()?;
    file.conclude()
}

/// The last epoch that PostgreSQL holds; 0 where it holds none.
fn epoch_in_postgres(server: &Server, url: &str) -> u64 {
    if server.psql(url, "SELECT 1 WHERE to_regclass('flowctl_epochs') IS NOT NULL").trim().is_empty() {
        return 0;
    }
    let epoch = server.psql(url, "SELECT coalesce(max(epoch), 0) FROM flowctl_epochs");
    epoch.trim().parse().unwrap_or_else(|_| panic!("no epoch: {epoch}"))
}

fn postgres_is_killed() -> Result<(), Failed> {
    let wanted = n_kills(2);
    let mut server = Server::start();
    let url = server.create_database("kills_of_postgres");
    let mut numbers = Numbers::new(&all_sinks(&url));
    let mut child = start(&numbers.flowctl);
    let mut kills = 0;
    while kills < wanted {
        // it commits since the server came up, and goes on for a while
        let before = epoch_in_postgres(&server, &url);
        let mut has_ended = false;
        while !has_ended && epoch_in_postgres(&server, &url) == before {
            has_ended = ended_by(&mut child, Instant::now() + Duration::from_millis(20));
        }
        if has_ended || ended_by(&mut child, Instant::now() + moment(Duration::from_millis(400))) {
            if !child.wait()?.success() {
                return Err(numbers.flowctl.read("status").into());
            }
            numbers.append(50_000);
            child = start(&numbers.flowctl);
            continue;
        }
        server.kill();
        kills += 1;
        server.restart();
    }
    if !ended_by(&mut child, Instant::now() + Duration::from_secs(300)) {
        child.kill()?;
        return Err(format!("it does not end: {}", numbers.flowctl.read("status")).into());
    }
    if !child.wait()?.success() {
        return Err(numbers.flowctl.read("status").into());
    }
    let events = numbers.n_events;
    let (lost, duplicated, wrong_aggregates) = in_postgres(&server, &url, events);
    Found { name: "postgres killed, postgres", kills, events, lost, duplicated, wrong_aggregates }.conclude()?;
    let (lost, duplicated, wrong_aggregates) = in_sqlite(&numbers.flowctl, events);
    Found { name: "postgres killed, sqlite", kills, events, lost, duplicated, wrong_aggregates }.conclude()
}

/// Holds the lock of the SQLite file, so that PostgreSQL commits an epoch which SQLite
/// cannot, and kills flowctl there.
fn between_two_commits() -> Result<(), Failed> {
    let wanted = n_kills(3);
    let server = Server::shared();
    let url = server.create_database("kills_between_commits");
    let mut numbers = Numbers::new(&all_sinks(&url));
    let path = numbers.flowctl.path("numbers.db");
    let in_sqlite_now = |database: &rusqlite::Connection| {
        let epoch = database.query_row("SELECT max(epoch) FROM flowctl_epochs", [], |row| row.get::<_, Option<i64>>(0));
        epoch.ok().flatten().unwrap_or(0).cast_unsigned()
    };
    let mut kills = 0;
    while kills < wanted {
        let mut child = start(&numbers.flowctl);
        let mut has_ended = false;
        // both have committed something, so that both tables are there
        let database = loop {
            has_ended = has_ended || ended_by(&mut child, Instant::now() + Duration::from_millis(5));
            if epoch_in_postgres(&server, &url) > 0 && path.exists() {
                let database = rusqlite::Connection::open(&path).unwrap();
                database.busy_timeout(Duration::from_secs(5)).unwrap();
                if in_sqlite_now(&database) > 0 {
                    break database;
                }
            }
            assert!(!has_ended, "it ended and committed nothing: {}", numbers.flowctl.read("status"));
        };
        database.execute_batch("BEGIN IMMEDIATE").unwrap();
        let held = in_sqlite_now(&database);
        while !has_ended && epoch_in_postgres(&server, &url) <= held {
            has_ended = ended_by(&mut child, Instant::now() + Duration::from_millis(5));
        }
        if !has_ended {
            child.kill()?;
            kills += 1;
        }
        child.wait()?;
        database.execute_batch("ROLLBACK").unwrap();
        if has_ended {
            numbers.append(50_000);
        }
    }
    run_to_the_end(&numbers.flowctl)?;
    let events = numbers.n_events;
    let (lost, duplicated, wrong_aggregates) = in_postgres(&server, &url, events);
    Found { name: "killed between commits, postgres", kills, events, lost, duplicated, wrong_aggregates }.conclude()?;
    let (lost, duplicated, wrong_aggregates) = in_sqlite(&numbers.flowctl, events);
    Found { name: "killed between commits, sqlite", kills, events, lost, duplicated, wrong_aggregates }.conclude()
}
