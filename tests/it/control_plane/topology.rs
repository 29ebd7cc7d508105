//! The topology of a pipeline changes while it runs, as an operator does it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use flowctl_test_support::components::Role;
use flowctl_test_support::postgres;
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use super::components::{aggregate, expected, start};
use super::policies::everything_at;
use super::server::{Server, signal, until};
use crate::fact;
use crate::flowctl::{Answer, Flowctl, guests, plugins};
use crate::kills::{Numbers, in_sqlite_file, moment, n_kills, pipeline};
use crate::stellar::with_data;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        with_data("topology::a_processor_is_added_while_real_ledgers_flow_into_postgres", demonstration),
        fact("topology::nodes_come_and_go_and_change_while_events_flow", life),
        fact("topology::what_does_not_fit_is_refused_and_nothing_changes", refused),
        fact("topology::a_component_that_fails_on_trial_is_taken_back_by_itself", on_trial),
        fact("topology::a_run_without_a_server_is_changed_from_another_terminal", embedded),
        fact("topology::a_pipeline_follows_its_file", watched),
        fact("topology::what_a_followed_file_says_is_tried_and_told", watched_on_trial),
        fact("topology::a_file_that_is_followed_keeps_the_plugins_that_it_was_run_with", watched_with_plugins),
        Trial::test("topology::wherever_it_is_killed_in_a_change_every_event_is_there_once", || killed(&OF_PROCESSORS)),
        Trial::test("topology::wherever_it_is_killed_in_a_change_of_sinks_every_event_is_in_each_once", || {
            killed(&OF_SINKS)
        }),
    ]
}

/// The last step of the demonstration: nothing of a live pipeline is lost when a processor
/// comes in between.
fn demonstration(folder: &Path) -> Result<(), Failed> {
    let database = postgres::Server::shared();
    let url = database.create_database("topology_demonstration");
    let flowctl = Flowctl::new();
    let n_expected = expected(folder)?.len() as u64;
    let server = Server::start_with_plugins(&flowctl);
    let go_file = flowctl.path("go");
    let go_text = go_file.display().to_string();
    let _source = start(&flowctl, server.address(), folder, Role::Source, &[(Role::Source, "GO_FILE", &go_text)]);
    let _processor = start(&flowctl, server.address(), folder, Role::Processor, &[]);
    flowctl.write(
        "pipeline.yaml",
        "apiVersion: flowctl/v2\nkind: Topology\nspec:\n  from: stellar.ledger.v1\n  to: postgres\n  \
         checkpoint: {interval: 300ms}\n",
    );
    let mut run = server.command_at("run pipeline.yaml");
    let run = run.env("DATABASE_URL", &url).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let count = |what: &str, table: &str| -> u64 {
        if database.psql(&url, &format!("SELECT to_regclass('{table}')")).trim().is_empty() {
            return 0;
        }
        database.psql(&url, &format!("SELECT coalesce(sum({what}), 0)::bigint FROM {table}")).trim().parse().unwrap()
    };
    let transfers = || count("1", "stellar_token_transfer_v1");
    until("transfers are in the database", || (transfers() > 0).then_some(()));

    let said = aggregate(&server, &go_file)?;
    let mut lines = said.lines();
    assert_eq!(lines.next(), Some("Reconfiguring topology..."), "{said}");
    let chain = "stellar-live-source → ttp-processor → volume-aggregator → postgres";
    assert_eq!(lines.next(), Some(format!("  ✓ Topology updated: {chain}").as_str()), "{said}");
    let measured = lines.next().unwrap_or_default();
    assert!(measured.starts_with("  ✓ no events lost, pause ") && measured.ends_with(" ms"), "{said}");

    let answer = Answer::of(run.wait_with_output()?).success();
    assert!(answer.stderr.contains("Completed `pipeline`"), "{}", answer.stderr);
    let (before, after) = (transfers(), count("count", "stellar_volume_v1"));
    assert!(before > 0 && after > 0, "{before} before, {after} after");
    assert_eq!(before + after, n_expected, "each transfer is in the one table or counted in the other");
    Ok(())
}

/// Orders without end to a file.
fn shop(flowctl: &Flowctl) {
    flowctl.write(
        "shop.yaml",
        "apiVersion: flowctl/v1
kind: Pipeline
metadata: {name: shop}
spec:
  checkpoint: {interval: 100ms}
  sources: [{id: orders, type: generate, config: {type: example.order.v1, rate: 2000}}]
  processors: [{id: filter, plugin: order-filter, inputs: [orders], config: {minimum: 0}}]
  sinks: [{id: out, type: sqlite, config: {path: shop.db}, inputs: [filter]}]
",
    );
}

/// The ids of what is in the database of [`shop`], in the order it came.
fn rows(flowctl: &Flowctl) -> Vec<String> {
    let Ok(database) = rusqlite::Connection::open(flowctl.path("shop.db")) else { return Vec::new() };
    let Ok(mut rows) = database.prepare("SELECT id FROM example_order_v1 ORDER BY rowid") else { return Vec::new() };
    rows.query_map([], |row| row.get(0)).unwrap().map_while(Result::ok).collect()
}

fn nodes(server: &Server<'_>) -> BTreeSet<String> {
    let shown = server.json("topology show --live");
    shown["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap().to_owned()).collect()
}

fn life() {
    let flowctl = Flowctl::new();
    let server = Server::start_at(&flowctl, 1_000_000);
    shop(&flowctl);
    server.run("run shop.yaml --detach").success();
    until("orders are in the database", || (!rows(&flowctl).is_empty()).then_some(()));

    let plan = server.json("topology add order-filter --id second --after orders --config minimum=0 --dry-run");
    assert_eq!((&plan["is_made"], &plan["is_at_checkpoint"]), (&false.into(), &false.into()), "{plan:#}");
    assert_eq!(plan["chain"], "orders → second → filter → out");
    let hash = plan["plan_hash"].as_str().unwrap();
    assert_eq!(nodes(&server).len(), 3, "a dry run changes nothing");
    let add = "topology add order-filter --id second --after orders --config minimum=0";
    server.run(&format!("{add} --plan-hash 0123456789abcdef")).failure(&["the plan has changed", hash, "--dry-run"]);
    let made = server.json(&format!("{add} --plan-hash {hash} --wait --no-trial"));
    assert_eq!((&made["is_made"], &made["lost_batches"]), (&true.into(), &0.into()), "{made:#}");
    assert_eq!(made["settled"], "kept", "{made:#}");
    assert!(made["pause_ms"].as_f64().unwrap() > 0.0, "{made:#}");
    // what was looked at is not what would be made by now
    server.run(&format!("topology remove second --plan-hash {hash}")).failure(&["the plan has changed"]);

    let configured = server.run("topology configure second minimum=1 --wait").success().stderr;
    assert!(configured.contains("✓ kept"), "{configured}");
    let file = plugins().join("order-filter.wasm");
    let same = server.run(&format!("topology replace second {} --wait", file.display())).success().stdout;
    assert_eq!(same, "nothing would change\n", "the same bytes are the same component");
    server.run("topology remove second --wait").success();
    assert_eq!(nodes(&server).len(), 3);
    let rolled = server.run("topology rollback --wait").success().stderr;
    assert!(rolled.contains("✓ Topology updated: orders → second → filter → out"), "{rolled}");
    flowctl.write("shop.yaml", flowctl.read("shop.yaml").replace("minimum: 0", "minimum: 2"));
    let plan = server.run("topology plan shop.yaml").success().stdout;
    assert!(plan.contains("- second") && plan.contains("~ filter") && plan.contains("plan hash: "), "{plan}");
    server.run("topology sync shop.yaml --wait").success();
    let again = server.run("topology sync shop.yaml").success().stdout;
    assert_eq!(again, "nothing would change\n");

    let history = server.json("topology history --pipeline shop");
    let history = history.as_array().unwrap();
    let statuses: Vec<&str> = history.iter().map(|row| row["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["kept", "kept", "kept", "kept", "kept", "started"], "{history:#?}");
    assert_eq!((&history[0]["is_current"], &history[0]["revision"]), (&true.into(), &6.into()));
    assert_eq!(history[1]["reason"], "back to revision 3");
    server.run("topology rollback 1 --wait").success();
    server.run("topology rollback 77").failure(&["no revision 77", "topology history"]);

    server.run("pipelines stop shop").success();
    let info = server.info_at("shop", "stopped");
    let rows = rows(&flowctl);
    assert_eq!(info["events_out"].as_u64().unwrap() as usize, rows.len(), "{info:#}");
    assert_eq!(info["rejected"], 0);
    let ids: BTreeSet<&String> = rows.iter().collect();
    assert_eq!(ids.len(), rows.len(), "no order is there twice");
    assert_eq!(info["events_in"], info["events_out"], "no order is missing: {info:#}");
    server.run("topology remove filter").failure(&["no pipeline runs", "flowctl run"]);
}

fn refused() {
    let flowctl = Flowctl::new();
    let server = Server::start_at(&flowctl, 1_000_000);
    shop(&flowctl);
    server.run("run shop.yaml --detach").success();
    until("orders are in the database", || (!rows(&flowctl).is_empty()).then_some(()));
    let before = server.json("topology show --live");
    for (command, said) in [
        ("add ttp-processor --after orders", &["stellar.ledger.v1", "example.order.v1"][..]),
        ("add volume-aggregator --after filter --before out", &["stellar.token.transfer.v1", "example.order.v1"]),
        ("add nothing-of-the-kind --after orders", &["no component `nothing-of-the-kind`", "processors list"]),
        ("add order-filter --after ordres", &["no node `ordres`", "`orders`"]),
        ("add order-filter --id out --after orders", &["a node `out` already"]),
        ("remove out", &["sink"]),
        ("configure filter minimum=lots", &["minimum", "lots"]),
        ("configure filter no_such_field=1", &["no_such_field"]),
        ("replace filter ./missing.wasm", &["missing.wasm"]),
        ("remove filter --pipeline other", &["no pipeline `other`"]),
    ] {
        server.run(&format!("topology {command}")).failure(said);
    }
    assert_eq!(server.json("topology show --live"), before);
    let broken = guests().join("slow_configure.wasm");
    server.run(&format!("topology add {} --after orders", broken.display())).failure(&[]);
    assert_eq!(server.json("topology history --pipeline shop").as_array().unwrap().len(), 1, "nothing was made");
    server.run("pipelines stop shop").success();
    let info = server.info_at("shop", "stopped");
    assert_eq!(info["events_in"], info["events_out"], "{info:#}");
}

/// Writes a pipeline of bytes that pass through `guest`.
fn write_bytes(flowctl: &Flowctl) -> String {
    let text = format!(
        "apiVersion: flowctl/v1
kind: Pipeline
metadata: {{name: bytes}}
spec:
  checkpoint: {{interval: 100ms}}
  sources: [{{id: source, type: generate, config: {{type: test.bytes.v1, rate: 1000}}}}]
  processors: [{{id: guest, plugin: '{}', inputs: [source]}}]
  sinks: [{{id: out, type: blackhole, inputs: [guest]}}]
",
        guests().join("identity.wasm").display()
    );
    flowctl.write("bytes.yaml", &text);
    text
}

/// What a file says that is followed at a control plane is tried like any other change.
fn watched_on_trial() {
    let flowctl = Flowctl::new();
    let server = Server::start_at(&flowctl, 1_000_000);
    let text = write_bytes(&flowctl);
    let said = std::fs::File::create(flowctl.path("said")).unwrap();
    let mut run = server.command_at("run bytes.yaml --watch").stdout(Stdio::null()).stderr(said).spawn().unwrap();
    let says = |words: &str| until(words, || flowctl.read("said").contains(words).then_some(()));
    says("✓ All components running");
    flowctl.replace("bytes.yaml", text.replace("identity.wasm", "panics.wasm"));
    // before every node has switched, or on trial
    says("rolled back");
    flowctl.replace("bytes.yaml", text.replace("name: bytes", "name: others"));
    says("the file is of the pipeline `others` by now, and `bytes` runs");
    flowctl
        .replace("bytes.yaml", text.replace("[source]}]", "[source]}, {id: more, type: identity, inputs: [guest]}]"));
    says("identity");
    signal(run.id(), "-INT");
    assert!(run.wait().unwrap().success(), "{}", flowctl.read("said"));

    server.run("run bytes.yaml --detach").failure(&["identity"]);
    flowctl.write("bytes.yaml", text);
    server.run("run bytes.yaml --detach").success();
    let identity = guests().join("identity.wasm").display().to_string();
    for id in ["identity", "identity-2"] {
        server.run(&format!("topology add {identity} --after guest --wait")).success();
        assert!(nodes(&server).contains(id), "a node of that name is there already, so it gets a number");
    }
    // what the one before was configured with may go, and what the new one needs may come
    let replace = "topology replace out file --wait --config path=bytes.jsonl";
    server.run(replace).success();
    server.run("topology replace out blackhole --wait").failure(&["`out` has nothing to configure"]);
    server.run("topology replace out blackhole --wait --config path=null").success();
    server.run("topology add stdout --after guest").failure(&["`stdout` of the control plane is not that of this"]);
    server.run("topology configure guest =1").failure(&["error", "`configure.values` is empty"]);
    let refused = server.run(&format!("topology add {identity} --after guest --id identity"));
    refused.failure(&["the pipeline has a node `identity` already", "`--id`"]);
    server.run("topology remove guest --trial-rejects 2").misuse(&["write a number from 0 to 1"]);
}

fn on_trial() {
    let flowctl = Flowctl::new();
    let server = Server::start_at(&flowctl, 1_000_000);
    write_bytes(&flowctl);
    server.run("run bytes.yaml --detach").success();
    let trapping = guests().join("panics.wasm");
    for command in
        [format!("replace guest {}", trapping.display()), format!("add {} --after source", trapping.display())]
    {
        let mut made = server.command_at(&format!("topology {command} --wait"));
        let answer = Answer::of(made.output().unwrap());
        assert_eq!(answer.code, Some(1), "{}", answer.stderr);
        assert!(answer.stderr.contains("panic"), "{}", answer.stderr);
        // who was told so may go on at once
        assert_eq!(nodes(&server), ["guest", "out", "source"].map(ToOwned::to_owned).into());
        assert_eq!(server.json("topology history")[0]["status"], "kept");
    }
    let history = server.json("topology history");
    let latest = &history[0];
    assert_eq!((&latest["status"], &latest["is_current"]), (&"kept".into(), &true.into()), "{history:#}");
    assert!(latest["reason"].as_str().unwrap().contains("was rolled back"), "{history:#}");
    server.run("pipelines stop bytes").success();
    let info = server.info_at("bytes", "stopped");
    assert_eq!((&info["events_in"], &info["rejected"]), (&info["events_out"], &0.into()), "{info:#}");
}

fn embedded() {
    let flowctl = Flowctl::new();
    shop(&flowctl);
    let granted =
        flowctl.read("shop.yaml").replace("plugin: order-filter,", "plugin: order-filter, allow: {dirs: [.]},");
    flowctl.write("shop.yaml", granted);
    let mut command = flowctl.command("run shop.yaml");
    command.env("FLOWCTL_PLUGINS", plugins()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    until("orders are in the database", || (!rows(&flowctl).is_empty()).then_some(()));
    let add = "topology add order-filter --id second --after filter --config minimum=0";
    let plan = flowctl.command(&format!("{add} --dry-run")).env_remove("FLOWCTL_ENDPOINT").output().unwrap();
    let plan = Answer::of(plan).success().stdout;
    assert!(plan.contains("+ second") && !plan.contains("~ filter"), "{plan}");
    let mut change = flowctl.command(&format!("{add} --wait"));
    // the run's own port is found where no control plane answers at the default one
    let answer = Answer::of(change.env_remove("FLOWCTL_ENDPOINT").output().unwrap()).success();
    assert!(answer.stderr.contains("✓ Topology updated: orders → filter → second → out"), "{}", answer.stderr);
    signal(child.id(), "-INT");
    let ended = Answer::of(child.wait_with_output().unwrap()).success();
    assert!(ended.stderr.contains("Stopped `shop`"), "{}", ended.stderr);
    let rows = rows(&flowctl);
    assert_eq!(rows.iter().collect::<BTreeSet<_>>().len(), rows.len());
}

fn watched() {
    let flowctl = Flowctl::new();
    shop(&flowctl);
    let mut command = flowctl.command("run shop.yaml --watch");
    command.env("FLOWCTL_PLUGINS", plugins());
    follows(&flowctl, command);
    flowctl.run("run - --watch").misuse(&["standard input cannot be watched"]);
}

fn watched_with_plugins() {
    let flowctl = Flowctl::new();
    let server = Server::start(&flowctl);
    shop(&flowctl);
    follows(&flowctl, server.command_at(&format!("run shop.yaml --watch --plugins {}", plugins().display())));
    let listed = server.json("topology history --pipeline shop");
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed:#}");
}

/// Changes the file while `command` runs and follows it.
fn follows(flowctl: &Flowctl, mut command: Command) {
    let said = std::fs::File::create(flowctl.path("said")).unwrap();
    let mut child = command.stdout(Stdio::null()).stderr(said).spawn().unwrap();
    let says = |words: &str| until(words, || flowctl.read("said").contains(words).then_some(()));
    says("✓ All components running");
    let file = flowctl.read("shop.yaml");
    flowctl.replace("shop.yaml", file.replace("minimum: 0", "minimum: nothing"));
    says("the pipeline goes on as it was");
    flowctl.replace("shop.yaml", file.replace("minimum: 0", "minimum: 1"));
    says("✓ no events lost");
    signal(child.id(), "-INT");
    assert!(child.wait().unwrap().success(), "{}", flowctl.read("said"));
    let said = flowctl.read("said");
    assert!(said.contains("minimum") && said.contains("Stopped `shop`"), "{said}");
}

/// A pipeline whose control plane is killed while it changes.
struct Victim {
    sinks: &'static str,
    /// What is asked for in turn; some of it is refused where the one before was made or was not.
    changes: &'static [&'static str],
    /// The nodes that come and go.
    guests: &'static [&'static str],
    databases: &'static [&'static str],
}

/// Changes behind marks of their own.
const OF_PROCESSORS: Victim = Victim {
    sinks: "    - {id: lite, type: sqlite, config: {path: numbers.db}, inputs: [filter, sums]}\n",
    changes: &[
        "add transfer-filter --id one --after numbers",
        "add transfer-filter --id two --after filter --before sums",
        "remove one",
        "configure filter minimum_amount=\"0\"",
        "remove two",
    ],
    guests: &["one", "two"],
    databases: &["numbers.db"],
};

/// Changes at the barrier of a checkpoint.
const OF_SINKS: Victim = Victim {
    sinks: "    - {id: lite, type: sqlite, config: {path: numbers.db}, inputs: [filter, sums]}
    - {id: copy, type: sqlite, config: {path: copy.db}, inputs: [filter, sums]}\n",
    changes: &[
        "add sqlite --id third --after filter --config path=third.db",
        "configure copy mode=append",
        "add transfer-filter --id one --after numbers",
        "remove third",
        "configure copy mode=null",
        "remove one",
    ],
    guests: &["one", "third"],
    databases: &["numbers.db", "copy.db"],
};

/// The control plane is killed at random moments of changes: each event is in the databases
/// once, and what runs is what ran before the change or what should run after it.
fn killed(victim: &Victim) -> Result<(), Failed> {
    let kills = n_kills(10);
    let mut numbers = Numbers::empty();
    // more than what it reads before the last kill, also where commands take seconds
    numbers.append(kills * 8_000);
    let flowctl = &numbers.flowctl;
    flowctl.write("numbers.yaml", pipeline("numbers", victim.sinks));
    let mut server = Server::start_at(flowctl, 1_000);
    server.run("run numbers.yaml --detach").success();
    let base = nodes(&server);
    for number in 0..kills {
        until("the pipeline runs", || {
            let active = server.json("pipelines active");
            (active[0]["status"] == "running").then_some(())
        });
        let there = nodes(&server);
        assert!(there.is_superset(&base), "a mix: {there:?}");
        let strange: Vec<_> = there.difference(&base).filter(|id| !victim.guests.contains(&id.as_str())).collect();
        assert_eq!(strange, Vec::<&String>::new(), "a mix: {there:?}");
        let change = victim.changes[usize::try_from(number).unwrap() % victim.changes.len()];
        let mut command = server.command_at(&format!("topology {change} --trial-batches 3"));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        std::thread::park_timeout(moment(Duration::from_millis(400)));
        server.kill();
        child.wait()?;
        server.restart();
    }
    until("the pipeline runs", || (server.json("pipelines active")[0]["status"] == "running").then_some(()));
    // from here on as fast as it can
    server.kill();
    flowctl.write("policy.yaml", everything_at(10_000_000));
    server.restart();
    server.info_at("numbers", "completed");
    let history: Value = server.json("topology history --pipeline numbers");
    println!("{kills} kills, {} revisions", history.as_array().map_or(0, Vec::len));
    for database in victim.databases {
        let found = in_sqlite_file(flowctl, database, numbers.n_events);
        assert_eq!(found, (0, 0, 0), "{database}: lost, doubled, wrong sums");
    }
    Ok(())
}
