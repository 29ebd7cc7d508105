//! Presets: each is written as it is expected, valid, and runs.

use flowctl_test_support::postgres::Server;
use libtest_mimic::Trial;

use super::{is_expected, run_with_database, transfers};
use crate::fact;
use crate::flowctl::{Answer, Flowctl};

/// What stands in for a database that is not reached.
const NO_DATABASE: &str = "postgres://flow@localhost/flow";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("init::presets_are_listed_in_every_form", listed),
        fact("init::preset_transfers_stdout_prints_transfers", to_stdout),
        fact("init::preset_transfers_sqlite_writes_rows", to_sqlite),
        fact("init::preset_transfers_postgres_writes_rows", to_postgres),
        fact("init::preset_testnet_postgres_is_valid", testnet),
        fact("init::preset_orders_json_brings_its_type_and_orders", orders),
        fact("init::a_preset_takes_settings_a_name_and_a_file", adapted),
        fact("init::a_preset_is_called_after_its_file", called),
        fact("init::presets_that_run_one_after_the_other_have_checkpoints_of_their_own", one_after_the_other),
        fact("init::an_unknown_preset_is_answered_with_the_nearest", || {
            let answer = Flowctl::new().run("init --preset transfers-sqlte");
            answer.misuse(&["there is no preset `transfers-sqlte`", "hint: did you mean `transfers-sqlite`"]);
        }),
        fact("init::a_preset_whose_plugin_is_not_here_writes_nothing", || {
            let flowctl = Flowctl::new();
            let answer = flowctl.run("init --preset transfers-stdout");
            answer.failure(&["unknown processor `ttp-processor`", "hint: `--plugins DIR`"]);
            assert!(!flowctl.path("transfers-stdout.yaml").exists());
        }),
    ]
}

/// Makes the preset in a folder of its own, and validates it.
fn made(preset: &str) -> (Flowctl, Answer) {
    let flowctl = Flowctl::new();
    let file = format!("{preset}.yaml");
    let answer = flowctl.run_with_plugins(&format!("init --preset {preset}")).success();
    assert!(answer.stdout.lines().any(|line| line == file), "{}", answer.stdout);
    assert!(answer.stderr.ends_with(&format!("\n  flowctl run {file}\n")), "{}", answer.stderr);
    is_expected(&file, &flowctl.read(&file));
    run_with_database(&flowctl, &format!("validate {file}"), NO_DATABASE).success();
    (flowctl, answer)
}

fn listed() {
    let flowctl = Flowctl::new();
    let table = flowctl.run("init --list-presets").success().stdout;
    is_expected("presets.txt", &table);
    let json = flowctl.run("init --list-presets --output json").success().stdout;
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    let names: Vec<&str> = rows.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), table.lines().count() - 1);
    for name in names {
        assert!(table.contains(name), "{table}");
    }
}

fn to_stdout() {
    let (flowctl, _) = made("transfers-stdout");
    let printed = flowctl.run_with_plugins("run transfers-stdout.yaml").success().stdout;
    assert!(printed.lines().count() > 1000);
    assert_eq!(printed, transfers());
}

fn to_sqlite() {
    let (flowctl, _) = made("transfers-sqlite");
    flowctl.run_with_plugins("run transfers-sqlite.yaml").success();
    assert_eq!(rows(&flowctl), hashes_and_amounts());
}

fn one_after_the_other() {
    let flowctl = Flowctl::new();
    for preset in ["transfers-stdout", "transfers-sqlite"] {
        flowctl.run_with_plugins(&format!("init --preset {preset}")).success();
        flowctl.run_with_plugins(&format!("run {preset}.yaml")).success();
    }
    assert_eq!(rows(&flowctl), hashes_and_amounts());
}

/// What the preset of SQLite wrote.
fn rows(flowctl: &Flowctl) -> Vec<String> {
    let database = rusqlite::Connection::open(flowctl.path("transfers.db")).unwrap();
    let select = "SELECT tx_hash || ' ' || amount FROM stellar_token_transfer_v1 ORDER BY rowid";
    let mut statement = database.prepare(select).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn to_postgres() {
    let (flowctl, answer) = made("transfers-postgres");
    assert!(answer.stderr.contains("  export DATABASE_URL='postgres://"), "{}", answer.stderr);
    let server = Server::shared();
    let url = server.create_database("init_preset");
    run_with_database(&flowctl, "run transfers-postgres.yaml", &url).success();
    let select = "SELECT tx_hash || ' ' || amount FROM stellar_token_transfer_v1";
    let mut rows: Vec<String> = server.psql(&url, select).lines().map(ToOwned::to_owned).collect();
    let mut wanted = hashes_and_amounts();
    rows.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(rows, wanted);
    let unset = flowctl.run_with_plugins("validate transfers-postgres.yaml");
    unset.failure(&["environment variable `DATABASE_URL` is not set"]);
}

fn hashes_and_amounts() -> Vec<String> {
    let printed = transfers();
    let event = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    printed.lines().map(event).map(|event| format!("{} {}", text(&event["tx_hash"]), text(&event["amount"]))).collect()
}

fn testnet() {
    let (flowctl, _) = made("testnet-postgres");
    let show = "topology show testnet-postgres.yaml --output json";
    let shown = run_with_database(&flowctl, show, NO_DATABASE).success().stdout;
    for wanted in ["stellar-rpc", "ttp-processor", "postgres"] {
        assert!(shown.contains(wanted), "{shown}");
    }
}

fn orders() {
    let (flowctl, answer) = made("orders-json");
    assert_eq!(answer.stdout, "orders.wit\norders.jsonl\norders-json.yaml\n");
    let printed = flowctl.run("run orders-json.yaml").success().stdout;
    let wanted = r#"{"id":"o-1","status":"placed","total_cents":1999,"note":null}
{"id":"o-2","status":"paid","total_cents":4250,"note":"leave it at the door"}
{"id":"o-3","status":"shipped","total_cents":990,"note":null}
"#;
    assert_eq!(printed, wanted);
}

fn adapted() {
    let flowctl = Flowctl::new();
    std::fs::create_dir(flowctl.path("sub")).unwrap();
    let answer = flowctl.run("init sub/orders.yaml --preset orders-json --name shop --set file.path=sub/*.jsonl");
    assert_eq!(answer.success().stdout, "sub/orders.wit\nsub/orders.jsonl\nsub/orders.yaml\n");
    let text = flowctl.read("sub/orders.yaml");
    for line in ["  name: shop", "  types: sub/orders.wit", "      path: \"sub/*.jsonl\""] {
        assert!(text.lines().any(|found| found == line), "no `{line}` in {text}");
    }
    assert_eq!(flowctl.run("run sub/orders.yaml").success().stdout.lines().count(), 3);
}

fn called() {
    let flowctl = Flowctl::new();
    flowctl.write("orders.jsonl", "{\"id\": \"mine\", \"status\": \"paid\", \"total_cents\": 1}\n");
    std::fs::create_dir(flowctl.path("sub")).unwrap();
    // a path of one's own is not taken for one of the files that come along
    flowctl.run("init sub/shop.yaml --preset orders-json --set file.path=orders.jsonl").success();
    let text = flowctl.read("sub/shop.yaml");
    for line in ["  name: shop", "  types: sub/orders.wit", "      path: orders.jsonl"] {
        assert!(text.lines().any(|found| found == line), "no `{line}` in {text}");
    }
    let printed = flowctl.run("run sub/shop.yaml").success().stdout;
    assert!(printed.contains("\"mine\"") && printed.lines().count() == 1, "{printed}");
}
