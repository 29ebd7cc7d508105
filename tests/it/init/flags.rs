//! `init` where nobody can be asked: flags answer, what is missing is named, and nothing is
//! written that should not be.

use libtest_mimic::Trial;

use super::{is_expected, two_ways};
use crate::delivery::SmallDisk;
use crate::fact;
use crate::flowctl::{Answer, Flowctl};

const ORDERS: &str = "init --from example.order.v1 --source generate --to stdout";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("init::every_question_has_a_flag", every_flag),
        fact("init::what_is_missing_is_named_by_its_flag", missing),
        fact("init::what_flags_say_wrongly_is_told_with_a_remedy", wrong),
        fact("init::several_chains_are_listed_where_nobody_can_choose", several_chains),
        fact("init::a_file_that_is_there_is_replaced_by_force_only", replaced),
        fact("init::a_place_that_cannot_be_written_is_named", places),
        fact("init::settings_that_need_each_other_may_be_set_in_any_order", any_order),
        fact("init::secrets_are_neither_written_nor_repeated", secrets),
        fact("init::the_plugins_of_flags_are_those_of_the_next_command", next_command),
        fact("init::a_command_to_paste_is_quoted", quoted),
    ]
}

fn every_flag() {
    let flowctl = Flowctl::new();
    flowctl.write("refund.wit", "package shop:refund@1.0.0; interface event { record refund { id: string } }");
    let answer = flowctl.run(
        "init refunds.yaml --types refund.wit --from shop.refund.v1 --source generate --to file --name refunds \
         --set generate.count=3 --set file.path=refunds.jsonl --non-interactive",
    );
    let answer = answer.success();
    assert_eq!(
        (answer.stdout.as_str(), answer.stderr.as_str()),
        ("refunds.yaml\n", "Next:\n  flowctl run refunds.yaml\n")
    );
    is_expected("refunds.yaml", &flowctl.read("refunds.yaml"));
    flowctl.run("validate refunds.yaml").success();
    flowctl.run("run refunds.yaml").success();
    assert_eq!(flowctl.read("refunds.jsonl").lines().count(), 3);
    // one type in a file needs no name, and without one the pipeline is called by its ends
    let answer = flowctl.run("init --types refund.wit --source stdin --to blackhole").success();
    assert_eq!(answer.stdout, "refund-to-blackhole.yaml\n");
    // through several processors, in their order
    let answer = flowctl.run_with_plugins(
        "init volumes.yaml --from stellar.ledger.v1 --source stellar-ledgers --to stdout --via ttp-processor \
         --via volume-aggregator --set stellar-ledgers.generate.ledgers=10 --set ttp-processor.network=testnet",
    );
    answer.success();
    is_expected("volumes.yaml", &flowctl.read("volumes.yaml"));
    let printed = flowctl.run_with_plugins("run volumes.yaml").success().stdout;
    assert!(printed.contains("\"asset\""), "{printed}");
}

/// What was said cannot be done.
#[track_caller]
fn fails(arguments: &str, wanted: &[&str]) {
    writes_nothing(arguments, |answer| answer.failure(wanted));
}

/// Not enough was said.
#[track_caller]
fn lacks(arguments: &str, wanted: &[&str]) {
    writes_nothing(arguments, |answer| answer.misuse(wanted));
}

#[track_caller]
fn writes_nothing(arguments: &str, refused: impl FnOnce(Answer) -> Answer) {
    let flowctl = Flowctl::new();
    let answer = refused(flowctl.run_with_plugins(&format!("init {arguments}")));
    assert_eq!(answer.stdout, "");
    assert!(answer.stderr.contains("hint: "), "{}", answer.stderr);
    let files: Vec<_> = std::fs::read_dir(flowctl.path("")).unwrap().collect();
    assert!(files.is_empty(), "{files:?}");
}

fn missing() {
    lacks("", &["nothing says what is to be made", "`--from TYPE`", "--list-presets"]);
    lacks("--to stdout", &["`--from TYPE` is missing", "stellar.ledger.v1"]);
    lacks("--from stellar.ledger.v1", &["`--source SOURCE` is missing", "stellar-ledgers, stellar-rpc"]);
    lacks("--from example.order.v1 --source generate", &["`--to SINK` is missing", "postgres"]);
    let ledgers = "--from stellar.ledger.v1 --source stellar-ledgers --to sqlite";
    fails(ledgers, &["`path` is missing: name a file", "`--set stellar-ledgers.KEY=VALUE`"]);
    let generated = format!("{ledgers} --set stellar-ledgers.generate={{}}");
    lacks(&generated, &["`--set ttp-processor.network=VALUE` is missing", "The network of the ledgers"]);
    lacks(&format!("{generated} --set ttp-processor.network=testnet"), &["`--set sqlite.path=VALUE` is missing"]);
}

fn wrong() {
    fails("--from stellar.leger.v1", &["unknown event type `stellar.leger.v1`", "did you mean `stellar.ledger.v1`"]);
    fails("--from acme.thing.v1", &["unknown event type `acme.thing.v1`", "`--types FILE`"]);
    fails("--from example.order.v1 --source flie", &["unknown source `flie`", "did you mean `file`"]);
    fails("--from example.order.v1 --source file --to stdot", &["unknown sink `stdot`", "`stdout`"]);
    fails("--from example.order.v1 --source file --to stdout --via no-such", &["unknown processor `no-such`"]);
    fails("--types nowhere.wit", &["cannot read `nowhere.wit`"]);
    let orders = "--from example.order.v1 --source generate --to stdout";
    fails(&format!("{orders} --set generat.count=1"), &["`--set generat.count=…` is of no node", "`generate`"]);
    fails(&format!("{orders} --set generate.cuont=1"), &["`generate` has no setting `cuont`", "`count`"]);
    fails(&format!("{orders} --set generate.count=many"), &["`--set generate.count=…` cannot be used", "u64"]);
    let usage = Flowctl::new().run("init --set generate=1");
    assert_eq!(usage.code, Some(2), "{}", usage.stderr);
}

fn several_chains() {
    let flowctl = Flowctl::new();
    let folder = two_ways(&flowctl);
    let init = format!(
        "init --plugins {} --from stellar.ledger.v1 --source stellar-ledgers --to sqlite --set sqlite.path=t.db \
         --set stellar-ledgers.generate={{}}",
        folder.display()
    );
    let answer = flowctl.run(&init);
    answer.failure(&[
        "2 chains are equally short:",
        "\n  stellar-ledgers → ttp-processor → sqlite",
        "\n  stellar-ledgers → ttp-transfers → sqlite",
        "hint: choose one, such as `--via ttp-processor`",
    ]);
    flowctl.run(&format!("{init} --via ttp-transfers --set ttp-transfers.network=testnet")).success();
}

fn replaced() {
    let flowctl = Flowctl::new();
    flowctl.write("orders.yaml", "mine");
    let init = format!("{ORDERS} --name orders");
    flowctl.run(&init).failure(&["`orders.yaml` is there already: nothing was written", "`--force`"]);
    assert_eq!(flowctl.read("orders.yaml"), "mine");
    flowctl.run(&format!("{init} --force")).success();
    assert!(flowctl.read("orders.yaml").contains("flowctl/v2"));
    // what a preset brings along is not replaced either
    let flowctl = Flowctl::new();
    flowctl.write("orders.jsonl", "mine");
    let answer = flowctl.run("init --preset orders-json");
    answer.failure(&["`orders.jsonl` is there already: nothing was written", "name a file in another folder"]);
    assert_eq!(flowctl.read("orders.jsonl"), "mine");
    assert!(!flowctl.path("orders-json.yaml").exists() && !flowctl.path("orders.wit").exists());
    std::fs::create_dir(flowctl.path("sub")).unwrap();
    flowctl.run("init sub/shop.yaml --preset orders-json").success();
}

fn places() {
    let flowctl = Flowctl::new();
    let answer = flowctl.run(&format!("{ORDERS} nowhere/orders.yaml"));
    answer.failure(&["there is no folder `nowhere`", "hint: make it first"]);
    for name in [".", "-"] {
        let wanted = format!("`{name}` is no name of a file");
        flowctl.run(&format!("{ORDERS} {name}")).failure(&[&wanted, "hint: name one, such as `pipeline.yaml`"]);
    }
    // before anything is asked
    let disk = SmallDisk::mount(flowctl.path("disk")).unwrap();
    disk.remount("remount,ro");
    let answer = flowctl.run("init disk/orders.yaml");
    answer.failure(&["the folder `disk` cannot be written to: Read-only file system", "hint: name a file in another"]);
}

fn any_order() {
    let init = "init ledgers.yaml --from stellar.ledger.v1 --source stellar-ledgers --to sqlite --set sqlite.path=t.db \
                --set ttp-processor.network=testnet --set stellar-ledgers.generate.start=4294967290";
    let wanted = ["`--set stellar-ledgers.generate.start=…` cannot be used", "sequence numbers go from 1"];
    Flowctl::new().run_with_plugins(init).failure(&wanted);
    // few enough of them have numbers
    let few = format!("{init} --set stellar-ledgers.generate.ledgers=5");
    Flowctl::new().run_with_plugins(&few).success();
    let many = format!("{init} --set stellar-ledgers.generate.ledgers=6");
    let flags =
        "`--set stellar-ledgers.generate.start=…` and `--set stellar-ledgers.generate.ledgers=…` cannot be used";
    Flowctl::new().run_with_plugins(&many).failure(&[flags]);
}

fn secrets() {
    let postgres = "--source generate --to postgres --set postgres";
    let http = "--source http --to stdout --set http";
    for (set, key, value) in [
        (postgres, "url", "postgres://flow:hunter2@db/flow"),
        (postgres, "url", "postgres://db/flow?password=hunter2"),
        (http, "token", "hunter2${MORE}"),
    ] {
        let flowctl = Flowctl::new();
        let answer = flowctl.run(&format!("init --from example.order.v1 {set}.{key}={value}"));
        let answer = answer.failure(&[&format!("`{key}` holds a secret"), "write `${NAME}`"]);
        assert!(!answer.stderr.contains("hunter2"), "{}", answer.stderr);
        assert!(std::fs::read_dir(flowctl.path("")).unwrap().next().is_none());
    }
    let flowctl = Flowctl::new();
    let mut command = flowctl.command("init --from example.order.v1 --source generate --to postgres --name orders");
    command.env("DATABASE_URL", "postgres://flow:hunter2@db/flow");
    let answer = Answer::of(command.output().unwrap()).success();
    assert!(!answer.stderr.contains("export"), "it is set: {}", answer.stderr);
    let text = flowctl.read("orders.yaml");
    assert!(text.contains("url: \"${DATABASE_URL}\"") && !text.contains("hunter2"), "{text}");
}

fn next_command() {
    let flowctl = Flowctl::new();
    let folder = two_ways(&flowctl);
    let init = format!(
        "init --plugins {} --preset transfers-stdout --set stellar-ledgers.generate.ledgers=1",
        folder.display()
    );
    let answer = flowctl.run(&init).success();
    let run = answer.stderr.lines().last().unwrap().trim().strip_prefix("flowctl ").unwrap().to_owned();
    assert_eq!(run, format!("run transfers-stdout.yaml --plugins {}", folder.display()));
    flowctl.run(&run).success();
}

fn quoted() {
    let flowctl = Flowctl::new();
    let mut command = flowctl.command(ORDERS);
    let answer = Answer::of(command.arg("my orders; ls.yaml").output().unwrap()).success();
    assert_eq!(answer.stdout, "my orders; ls.yaml\n");
    assert_eq!(answer.stderr, "Next:\n  flowctl run 'my orders; ls.yaml'\n");
    let text = flowctl.read("my orders; ls.yaml");
    assert!(text.contains("# `flowctl validate 'my orders; ls.yaml'` checks it"), "{text}");
}
