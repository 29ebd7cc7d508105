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

fn n_kills(few: u64) -> u64 {
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
            use std::io::Write as _;
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

/// The pipeline's folder with `n_events` numbered transfers in a file.
fn folder(n_events: u64) -> Flowctl {
    let flowctl = Flowctl::new();
    let mut lines = String::new();
    for n in 0..n_events {
        let ledger = n / PER_LEDGER;
        let _ = writeln!(
            lines,
            r#"{{"kind":"transfer","ledger_sequence":{ledger},"closed_at":{ledger},"tx_hash":"{n}","transaction_index":1,"operation_index":null,"contract_address":"C","from":"A","to":"B","asset":"native","amount":"{n}","to_muxed":null}}"#
        );
    }
    flowctl.write("in.jsonl", lines);
    flowctl
}

fn pipeline(sinks: &str) -> String {
    format!(
        "apiVersion: flowctl/v1
kind: Pipeline
metadata: {{name: numbers}}
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
fn moment(longest: Duration) -> Duration {
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

/// Kills the pipeline this often at random moments, then runs it to its end. Answers how
/// often it was killed before its end.
fn run_and_kill(flowctl: &Flowctl, n_kills: u64) -> Result<u64, Failed> {
    for n in 0..n_kills {
        let mut child = start(flowctl);
        if ended_by(&mut child, Instant::now() + moment(Duration::from_millis(1_000))) {
            return match child.wait()?.success() {
                true => Ok(n),
                false => Err(flowctl.read("status").into()),
            };
        }
        child.kill()?;
        child.wait()?;
    }
    run_to_the_end(flowctl)?;
    Ok(n_kills)
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

fn in_postgres(server: &Server, url: &str, n_events: u64) -> (u64, u64, u64) {
    let csv = |sql: &str| server.psql(url, &format!("COPY ({sql}) TO STDOUT WITH (FORMAT csv)"));
    let windows = WINDOWS.replace("sum(sum)", "sum(sum::numeric)");
    differences(n_events, &csv(NUMBERS), &csv(&windows))
}

fn in_sqlite(flowctl: &Flowctl, n_events: u64) -> (u64, u64, u64) {
    let database = rusqlite::Connection::open(flowctl.path("numbers.db")).unwrap();
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

/// How many numbers the file lacks. Every line of it is whole.
fn missing_in_file(flowctl: &Flowctl, n_events: u64) -> u64 {
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
    let wanted = n_kills(8);
    let n_events = 100_000_u64.max(wanted * 8_000);
    let server = Server::shared();
    let url = server.create_database("kills_of_flowctl");
    let flowctl = folder(n_events);
    flowctl.write("p.yaml", pipeline(&all_sinks(&url)));
    let kills = run_and_kill(&flowctl, wanted)?;
    let (lost, duplicated, wrong_aggregates) = in_postgres(&server, &url, n_events);
    let postgres =
        Found { name: "flowctl killed, postgres", kills, events: n_events, lost, duplicated, wrong_aggregates };
    let (lost, duplicated, wrong_aggregates) = in_sqlite(&flowctl, n_events);
    let sqlite = Found { name: "flowctl killed, sqlite", kills, events: n_events, lost, duplicated, wrong_aggregates };
    let lost = missing_in_file(&flowctl, n_events);
    let file = Found {
        name: "flowctl killed, file (at least once)",
        kills,
        events: n_events,
        lost,
        duplicated: 0,
        wrong_aggregates: 0,
    };
    assert!(kills > 0, "it ended before it was killed");
    postgres.conclude()?;
    sqlite.conclude()?;
    file.conclude()
}

fn postgres_is_killed() -> Result<(), Failed> {
    let wanted = n_kills(2);
    let n_events = 100_000_u64.max(wanted * 20_000);
    let mut server = Server::start();
    let url = server.create_database("kills_of_postgres");
    let flowctl = folder(n_events);
    flowctl.write("p.yaml", pipeline(&all_sinks(&url)));
    let mut child = start(&flowctl);
    let mut kills = 0;
    let has_rows = "SELECT count(*) FROM flowctl_epochs";
    while kills < wanted {
        // it has begun to commit since the server came up, and goes on for a while
        let mut has_ended = false;
        while server
            .psql(&url, &format!("SELECT 1 WHERE to_regclass('flowctl_epochs') IS NOT NULL AND ({has_rows}) > 0"))
            .trim()
            .is_empty()
        {
            has_ended = ended_by(&mut child, Instant::now() + Duration::from_millis(20));
            if has_ended {
                break;
            }
        }
        if has_ended || ended_by(&mut child, Instant::now() + moment(Duration::from_millis(400))) {
            break;
        }
        server.kill();
        kills += 1;
        server.restart();
    }
    if !ended_by(&mut child, Instant::now() + Duration::from_secs(300)) {
        child.kill()?;
        return Err(format!("it does not end: {}", flowctl.read("status")).into());
    }
    if !child.wait()?.success() {
        return Err(flowctl.read("status").into());
    }
    assert!(kills > 0, "it ended before the server was killed");
    let (lost, duplicated, wrong_aggregates) = in_postgres(&server, &url, n_events);
    let found =
        Found { name: "postgres killed, postgres", kills, events: n_events, lost, duplicated, wrong_aggregates };
    found.conclude()?;
    let (lost, duplicated, wrong_aggregates) = in_sqlite(&flowctl, n_events);
    Found { name: "postgres killed, sqlite", kills, events: n_events, lost, duplicated, wrong_aggregates }.conclude()
}

/// Holds the lock of the SQLite file, so that PostgreSQL commits an epoch which SQLite
/// cannot, and kills flowctl there.
fn between_two_commits() -> Result<(), Failed> {
    let wanted = n_kills(3).min(20);
    let n_events = 100_000;
    let server = Server::shared();
    let url = server.create_database("kills_between_commits");
    let flowctl = folder(n_events);
    flowctl.write("p.yaml", pipeline(&all_sinks(&url)));
    let mut kills = 0;
    for _ in 0..wanted {
        let mut child = start(&flowctl);
        let in_postgres = || {
            epoch(&server.psql(
            &url,
            "SELECT coalesce((SELECT max(epoch) FROM flowctl_epochs WHERE to_regclass('flowctl_epochs') IS NOT NULL), 0)",
        ))
        };
        let in_sqlite = |database: &rusqlite::Connection| {
            let epoch =
                database.query_row("SELECT max(epoch) FROM flowctl_epochs", [], |row| row.get::<_, Option<i64>>(0));
            epoch.ok().flatten().unwrap_or(0).cast_unsigned()
        };
        // both have committed something, so that both tables are there
        let database = loop {
            if ended_by(&mut child, Instant::now() + Duration::from_millis(5)) {
                break None;
            }
            let is_there =
                !server.psql(&url, "SELECT 1 WHERE to_regclass('flowctl_epochs') IS NOT NULL").trim().is_empty();
            if is_there && flowctl.path("numbers.db").exists() {
                let database = rusqlite::Connection::open(flowctl.path("numbers.db")).unwrap();
                database.busy_timeout(Duration::from_secs(5)).unwrap();
                if in_sqlite(&database) > 0 {
                    break Some(database);
                }
            }
        };
        let Some(database) = database else { break };
        database.execute_batch("BEGIN IMMEDIATE").unwrap();
        let held = in_sqlite(&database);
        let is_apart = loop {
            if in_postgres() > held {
                break true;
            }
            if ended_by(&mut child, Instant::now() + Duration::from_millis(5)) {
                break false;
            }
        };
        if !is_apart {
            break;
        }
        child.kill()?;
        child.wait()?;
        database.execute_batch("ROLLBACK").unwrap();
        kills += 1;
    }
    run_to_the_end(&flowctl)?;
    assert!(kills > 0, "it was never killed between the commits");
    let (lost, duplicated, wrong_aggregates) = in_postgres(&server, &url, n_events);
    Found { name: "killed between commits, postgres", kills, events: n_events, lost, duplicated, wrong_aggregates }
        .conclude()?;
    let (lost, duplicated, wrong_aggregates) = in_sqlite(&flowctl, n_events);
    Found { name: "killed between commits, sqlite", kills, events: n_events, lost, duplicated, wrong_aggregates }
        .conclude()
}

fn epoch(text: &str) -> u64 {
    text.trim().parse().unwrap_or_else(|_| panic!("no epoch: {text}"))
}
