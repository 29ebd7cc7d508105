//! The commands that look: lists, descriptions, discovery, help.

use std::process::Stdio;

use libtest_mimic::Trial;

use crate::fact;
use crate::flowctl::{Answer, Flowctl};

/// Ten orders to nowhere.
const ORDERS: &str = "\
apiVersion: flowctl/v1
kind: Pipeline
spec:
  sources: [{id: orders, type: generate, config: {type: example.order.v1, count: 10}}]
  sinks: [{id: out, type: blackhole, inputs: [orders]}]
";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("commands::help_lists_what_is_built_and_nothing_else", || {
            let help = Flowctl::new().run("--help").success().stdout;
            let after = help.split("Commands:\n").nth(1).unwrap();
            let names: Vec<&str> = after
                .lines()
                .take_while(|line| line.starts_with("  "))
                .filter_map(|line| line.split_whitespace().next())
                .collect();
            let pipelines = [
                "init",
                "run",
                "serve",
                "validate",
                "status",
                "dashboard",
                "pipelines",
                "tap",
                "tokens",
                "inspect",
                "topology",
                "processors",
                "dead-letters",
            ];
            let artifacts = ["push", "pull", "lock", "login", "logout", "plugins", "search", "index"];
            assert_eq!(names, [&pipelines[..], &artifacts, &["doctor", "explain", "completions", "man"]].concat());
        }),
        fact("commands::suggest_finds_the_flagship_chain", || {
            let answer = Flowctl::new().run_with_plugins("topology suggest --from stellar.ledger.v1 --to postgres");
            assert_eq!(answer.success().stdout, "Chain found: stellar-ledgers → ttp-processor → postgres\n");
        }),
        fact("commands::unknown_type_is_answered_with_the_nearest", || {
            let answer = Flowctl::new().run_with_plugins("topology suggest --from stellar.leger.v1 --to postgres");
            answer.failure(&["`stellar.leger.v1`", "stellar.ledger.v1"]);
        }),
        fact("commands::no_chain_is_an_error", || {
            let answer = Flowctl::new().run("topology suggest --from stellar.ledger.v1 --to postgres");
            answer.failure(&["no chain from `stellar.ledger.v1` to `postgres`"]);
        }),
        fact("commands::list_has_every_form", || {
            let table = Flowctl::new().run_with_plugins("processors list").success().stdout;
            for wanted in ["ID", "INPUT TYPES", "OUTPUT TYPES", "STATUS", "ttp-processor", "stellar.token.transfer.v1"]
            {
                assert!(table.contains(wanted), "no `{wanted}` in {table}");
            }
            let json = Flowctl::new().run_with_plugins("processors list -o json").success().stdout;
            let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
            let ttp = rows.as_array().unwrap().iter().find(|row| row["id"] == "ttp-processor").unwrap();
            assert_eq!(ttp["input_types"], serde_json::json!(["stellar.ledger.v1"]));
            let yaml = Flowctl::new().run_with_plugins("processors list -o yaml").success().stdout;
            assert!(yaml.contains("id: ttp-processor"), "{yaml}");
        }),
        fact("commands::find_filters_by_types", || {
            let find = "processors find --input stellar.ledger.v1 --output stellar.token.transfer.v1 -o json";
            let json = Flowctl::new().run_with_plugins(find).success().stdout;
            let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
            let ids: Vec<&str> = rows.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
            assert_eq!(ids, ["ttp-processor"]);
        }),
        fact("commands::find_knows_that_a_record_sink_takes_no_bytes", || {
            let ids = |input: &str| {
                let find = format!("processors find --input {input} -o json");
                let json = Flowctl::new().run_with_plugins(&find).success().stdout;
                let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
                rows.as_array().unwrap().iter().map(|row| row["id"].to_string()).collect::<Vec<_>>()
            };
            assert!(!ids("stellar.ledger.v1").contains(&"\"postgres\"".to_owned()));
            assert!(ids("stellar.token.transfer.v1").contains(&"\"postgres\"".to_owned()));
        }),
        fact("commands::find_answers_an_unknown_type_with_the_nearest", || {
            for flag in ["--input", "--output"] {
                let answer = Flowctl::new().run_with_plugins(&format!("processors find {flag} stellar.leger.v1"));
                answer.failure(&["unknown event type `stellar.leger.v1`", "stellar.ledger.v1"]);
            }
        }),
        fact("commands::find_says_all_that_it_can_be_asked_with", || {
            let answer = Flowctl::new().run("processors find");
            answer.misuse(&["<--input <TYPE>|--output <TYPE>|--metadata <KEY=VALUE>>"]);
            for asked in ["--output example.order.v1", "--metadata network=pubnet"] {
                Flowctl::new().run(&format!("processors find {asked}")).success();
            }
        }),
        fact("commands::find_tells_a_format_from_an_event_type", || {
            for format in ["json", "yaml", "table"] {
                let answer = Flowctl::new().run(&format!("processors find --output {format}"));
                assert_eq!(answer.code, Some(2), "{}", answer.stderr);
                assert!(answer.stderr.contains(&format!("`-o {format}` or `--format {format}`")), "{}", answer.stderr);
            }
        }),
        fact("commands::empty_parts_of_the_plugin_variable_are_no_folders", || {
            for value in ["", ":", "plugins:", ":plugins"] {
                let flowctl = Flowctl::new();
                std::fs::create_dir(flowctl.path("plugins")).unwrap();
                let mut list = flowctl.command("processors list");
                Answer::of(list.env("FLOWCTL_PLUGINS", value).output().unwrap()).success();
            }
            let usage = Flowctl::new().run_with_plugins("topology show").stderr;
            assert!(
                usage.contains("Usage: flowctl topology show [OPTIONS] <FILE>") || !usage.contains("--plugins"),
                "{usage}"
            );
        }),
        fact("commands::plugin_folder_of_an_argument_may_have_a_colon", || {
            let flowctl = Flowctl::new();
            std::fs::create_dir(flowctl.path("a:b")).unwrap();
            flowctl.run("processors list --plugins a:b").success();
            flowctl.run("processors list --plugins a:c").failure(&["`a:c`"]);
        }),
        fact("commands::suggest_hints_in_the_words_of_the_command_line", || {
            let answer = Flowctl::new().run("topology suggest --from example.order.v1 --to stdout");
            let answer = answer.failure(&["no source emits `example.order.v1`", "write `--source file`"]);
            assert!(!answer.stderr.contains("from:"), "{}", answer.stderr);
        }),
        fact("commands::source_of_one_type_is_no_candidate_for_another", || {
            let flowctl = Flowctl::new();
            let text = "apiVersion: flowctl/v2\nkind: Topology\nspec:\n  from: [stellar.ledger.v1, {type: example.order.v1, \
                        source: generate}]\n  to: stdout\n  config: {generate: {count: 1}, stellar-ledgers: {generate: {}}}\n";
            flowctl.write("p.yaml", text);
            let shown = flowctl.run("topology show p.yaml").success().stdout;
            assert!(shown.contains("stellar-ledgers") && shown.contains("generate"), "{shown}");
        }),
        fact("commands::state_is_never_kept_below_a_relative_home", || {
            let flowctl = Flowctl::new();
            flowctl.write("orders.yaml", ORDERS);
            for home in ["", "relative"] {
                let mut run = flowctl.command("run orders.yaml");
                run.env("HOME", home).env_remove("XDG_STATE_HOME");
                Answer::of(run.output().unwrap()).failure(&["there is no place for the pipeline's state"]);
            }
        }),
        fact("commands::show_says_what_cases_mean", || {
            let show = Flowctl::new().run_with_plugins("processors show volume-aggregator").success().stdout;
            assert!(show.contains("fee: "), "no docs of a case: {show}");
        }),
        fact("commands::show_and_inspect_say_the_same_of_a_plugin", || {
            let show = Flowctl::new().run_with_plugins("processors show ttp-processor").success().stdout;
            let file = crate::flowctl::plugins().join("ttp-processor.wasm");
            let inspect = Flowctl::new().run(&format!("inspect {}", file.display())).success().stdout;
            assert_eq!(show, inspect);
            for wanted in ["network", "mode", "sha256:", "stellar.ledger.v1", "to_muxed", "processor"] {
                assert!(show.contains(wanted), "no `{wanted}` in {show}");
            }
        }),
        fact("commands::a_source_and_a_sink_of_one_name_are_both_shown", || {
            let show = Flowctl::new().run("processors show file").success().stdout;
            for role in ["role         source", "role         sink"] {
                assert!(show.contains(role), "no `{role}` in {show}");
            }
            let json = Flowctl::new().run("processors show http -o json").success().stdout;
            let said: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!(said.as_array().map(Vec::len), Some(2), "{json}");
        }),
        fact("commands::plugin_with_a_key_says_that_its_events_bring_one", || {
            for (name, brings_keys) in [("volume-aggregator", true), ("transfer-filter", false)] {
                let show = format!("processors show {name} -o json");
                let json = Flowctl::new().run_with_plugins(&show).success().stdout;
                let said: serde_json::Value = serde_json::from_str(&json).unwrap();
                assert_eq!(said["brings_keys"], brings_keys, "{json}");
            }
        }),
        fact("commands::unknown_processor_is_answered_with_the_nearest", || {
            Flowctl::new().run_with_plugins("processors show ttp-procesor").failure(&["ttp-processor"]);
        }),
        fact("commands::a_stderr_that_is_full_or_gone_changes_nothing", || {
            let flowctl = Flowctl::new();
            flowctl.write("wrong.yaml", "apiVersion: flowctl/v3\n");
            flowctl.write("good.yaml", ORDERS);
            for (arguments, code) in [("validate wrong.yaml", 1), ("validate good.yaml", 0), ("run none.yaml", 1)] {
                let (reader, writer) = std::io::pipe().unwrap();
                drop(reader);
                let full = std::fs::File::create("/dev/full").unwrap();
                for stderr in [Stdio::from(full), Stdio::from(writer)] {
                    let status = flowctl.command(arguments).stdout(Stdio::null()).stderr(stderr).status().unwrap();
                    assert_eq!(status.code(), Some(code), "{arguments}");
                }
            }
        }),
        fact("commands::schema_for_editors_is_json_schema", || {
            let schema = Flowctl::new().run("validate --schema").success().stdout;
            let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
            assert!(schema["$schema"].is_string());
        }),
    ]
}
