//! A name that is not known is answered with those that are near, whatever it is a name of.

use libtest_mimic::Trial;

use crate::completions::shop;
use crate::control_plane::server::Server;
use crate::fact;
use crate::flowctl::{Answer, Flowctl, plugins};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("misspelled::words_of_the_command_line", words),
        fact("misspelled::help_is_an_option_and_no_command", help),
        fact("misspelled::names_that_are_known_here", known_here),
        fact("misspelled::a_link_that_leads_nowhere_is_not_offered_for_itself", links),
        fact("misspelled::names_in_a_pipeline_file", in_a_file),
        fact("misspelled::letters_and_their_nodes", letters),
        fact("misspelled::plugins_of_the_store_tokens_and_tenants", stored),
        fact("misspelled::pipelines_runs_and_nodes_of_a_control_plane", running),
    ]
}

/// Each command fails, and offers the name.
fn offers(run: impl Fn(&str) -> Answer, cases: &[(&str, &str)]) {
    for (arguments, meant) in cases {
        let answer = run(arguments);
        assert_eq!(answer.code, Some(1), "{arguments}: {}", answer.stderr);
        let offered = format!("did you mean `{meant}`");
        assert!(answer.stderr.contains(&offered), "{arguments}: no {offered} in {}", answer.stderr);
    }
}

fn words() {
    let cases = [
        ("topolgy show a.yaml", "'topology'"),
        ("topology shwo a.yaml", "'show'"),
        ("dead-leters list a", "'dead-letters'"),
        ("run a.yaml --detatch", "'--detach'"),
        ("pipelines list --otput json", "'--output'"),
        ("processors list --output jsno", "'json'"),
        ("topology show a.yaml --output mermiad", "'mermaid'"),
        ("tokens create --tenant acme --role opertor", "'operator'"),
        ("completions bahs", "'bash'"),
    ];
    for (arguments, meant) in cases {
        let answer = Flowctl::new().run(arguments);
        assert_eq!(answer.code, Some(2), "{arguments}: {}", answer.stderr);
        assert!(answer.stderr.contains("similar") && answer.stderr.contains(meant), "{arguments}: {}", answer.stderr);
    }
}

fn help() {
    for (arguments, meant) in [
        ("help", "flowctl --help"),
        ("help run", "flowctl run --help"),
        ("topology help", "flowctl topology --help"),
        ("help topology show", "flowctl topology show --help"),
    ] {
        let answer = Flowctl::new().run(arguments);
        let tip = format!("tip: help is an option: '{meant}'");
        answer.misuse(&["unrecognized subcommand 'help'", &tip, "\nUsage: flowctl"]);
    }
}

fn known_here() {
    let flowctl = Flowctl::new();
    flowctl.write("orders.yaml", "");
    flowctl.write("refunds.wasm", "");
    offers(
        |arguments| flowctl.run_with_plugins(arguments),
        &[
            ("topology suggest --from stellar.leger.v1 --to postgres", "stellar.ledger.v1"),
            ("topology suggest --from stellar.ledger.v1 --to postgers", "postgres"),
            ("topology suggest --from stellar.ledger.v1 --to stdout --via tpp-processor", "ttp-processor"),
            ("topology suggest --from stellar.ledger.v1 --to stdout --source stelar-ledgers", "stellar-ledgers"),
            ("processors find --input example.ordre.v1", "example.order.v1"),
            ("processors show ttp-procesor", "ttp-processor"),
            ("processors show blakhole", "blackhole"),
            ("processors init a --input example.oder.v1 --output example.order.v1", "example.order.v1"),
            ("run ordres.yaml", "orders.yaml"),
            ("validate ./order.yaml", "orders.yaml"),
            ("inspect refnuds.wasm", "refunds.wasm"),
            ("inspect ./refund.wasm", "refunds.wasm"),
        ],
    );
}

fn links() {
    let flowctl = Flowctl::new();
    std::os::unix::fs::symlink("nowhere", flowctl.path("orders.yaml")).unwrap();
    let answer = flowctl.run("run orders.yaml").failure(&["cannot read pipeline `orders.yaml`"]);
    assert!(!answer.stderr.contains("did you mean"), "{}", answer.stderr);
}

fn in_a_file() {
    let flowctl = Flowctl::new();
    let file = |source: &str, processor: &str, sink: &str| {
        format!(
            "apiVersion: flowctl/v1\nkind: Pipeline\nspec:\n  sources: [{{id: orders, {source}}}]\n  \
             processors: [{{id: filter, {processor}}}]\n  sinks: [{{id: out, {sink}}}]\n"
        )
    };
    let source = "type: generate, config: {type: example.order.v1, count: 1}";
    let processor = "plugin: order-filter, inputs: [orders]";
    let sink = "type: blackhole, inputs: [filter]";
    flowctl.write("good.yaml", file(source, processor, sink));
    flowctl.run_with_plugins("validate good.yaml").success();
    let check = |text: String, meant: &str| {
        flowctl.write("bad.yaml", text);
        offers(|arguments| flowctl.run_with_plugins(arguments), &[("validate bad.yaml", meant)]);
    };
    check(file("typ: generate", processor, sink), "type");
    check(file("type: genrate, config: {type: example.order.v1}", processor, sink), "generate");
    check(file("type: generate, config: {type: example.ordre.v1}", processor, sink), "example.order.v1");
    check(file("type: generate, config: {type: example.order.v1, cuont: 1}", processor, sink), "count");
    check(file(source, "plugin: order-fliter, inputs: [orders]", sink), "order-filter");
    check(file(source, "plugin: order-filter, inputs: [ordres]", sink), "orders");
    check(file(source, processor, "type: blakhole, inputs: [filter]"), "blackhole");
    check(file(source, processor, "type: blackhole, inputs: [fitler]"), "filter");
    let discovered = |rest: &str| format!("apiVersion: flowctl/v2\nkind: Topology\nspec:\n  from: {rest}\n");
    check(discovered("stellar.ledgr.v1\n  to: stdout"), "stellar.ledger.v1");
    check(discovered("stellar.ledger.v1\n  to: stdotu"), "stdout");
    check(discovered("stellar.ledger.v1\n  to: stdout\n  via: [ttp-procesor]"), "ttp-processor");
    let configured = "stellar.ledger.v1\n  to: stdout\n  via: [ttp-processor]\n  config: {ttp-procesor: {}}";
    check(discovered(configured), "ttp-processor");
}

fn letters() {
    let flowctl = Flowctl::new();
    let letter = "{\"time\":\"2026-01-01T00:00:00Z\",\"node\":\"filter\",\"event_id\":\"orders/7\",\"reason\":\"bad\",\
                  \"attempts\":1,\"payload\":{}}\n";
    flowctl.write("state/flowctl/orders/dead-letters.jsonl", letter);
    flowctl.run("dead-letters show orders orders/7").success();
    offers(
        |arguments| flowctl.run(arguments),
        &[("dead-letters list ordres", "orders"), ("dead-letters show orders order/7", "orders/7")],
    );
    // no letters are no failure
    let answer = flowctl.run("dead-letters list orders --node fliter --output json").success();
    assert_eq!(
        (answer.stdout.as_str(), answer.stderr.as_str()),
        ("[]\n", "node `fliter` has no letters; did you mean `filter`?\n")
    );
    let answer = flowctl.run("dead-letters list orders --node filter").success();
    assert_eq!(answer.stderr, "");
}

fn stored() {
    let flowctl = Flowctl::new();
    let plugin = plugins().join("order-filter.wasm");
    flowctl.run(&format!("push {} oci-layout:shelf:1", plugin.display())).success();
    flowctl.run("pull oci-layout:shelf:1 --no-compile").success();
    let shelf = flowctl.path("shelf");
    let meant = format!("oci-layout:{}:1", shelf.display());
    flowctl.run("tokens create --tenant acme --role viewer --state-dir host").success();
    let tokens = flowctl.run("tokens list --state-dir host --output json").success().stdout;
    let tokens: serde_json::Value = serde_json::from_str(&tokens).unwrap();
    let id = tokens[0]["id"].as_str().unwrap();
    let revoke = format!("tokens revoke {}x --state-dir host", &id[..id.len() - 1]);
    offers(|arguments| flowctl.run(arguments), &[("plugins remove oci-layout:shelv:1", &meant), (&revoke, id)]);
    // a tenant may be without tokens
    let answer = flowctl.run("tokens list --tenant acne --state-dir host --output json").success();
    assert_eq!(
        (answer.stdout.as_str(), answer.stderr.as_str()),
        ("[]\n", "tenant `acne` has no tokens; did you mean `acme`?\n")
    );
}

fn running() {
    let flowctl = Flowctl::new();
    let server = Server::start_with_plugins(&flowctl);
    shop(&flowctl);
    server.run("run shop.yaml --detach").success();
    let run = server.json("pipelines info shop")["id"].as_str().unwrap().to_owned();
    let slip = format!("pipelines info {}x", &run[..run.len() - 1]);
    offers(
        |arguments| server.run(arguments),
        &[
            ("pipelines runs shpo", "shop"),
            ("pipelines info shpo", "shop"),
            ("pipelines stop sohp", "shop"),
            ("pipelines logs shopp", "shop"),
            ("pipelines logs shop --node fliter", "filter"),
            ("pipelines delete shp", "shop"),
            ("tap shpo orders", "shop"),
            ("tap shop ordres", "orders"),
            ("topology show --live --pipeline shpo", "shop"),
            ("topology history --pipeline shpo", "shop"),
            ("topology rollback --pipeline shpo", "shop"),
            ("topology add order-filter --pipeline shpo --after orders", "shop"),
            ("topology add order-fliter --after orders", "order-filter"),
            ("topology add order-filter --id again --after ordres", "orders"),
            ("topology add order-filter --id again --after orders --before fliter", "filter"),
            ("topology remove fliter", "filter"),
            ("topology replace fliter order-filter", "filter"),
            ("topology replace filter order-fliter", "order-filter"),
            ("topology configure fliter minimum=2", "filter"),
            ("topology configure filter minimun=2", "minimum"),
            (&slip, &run),
        ],
    );
}
