//! The commands that look: lists, descriptions, discovery, help.

use libtest_mimic::Trial;

use crate::fact;
use crate::flowctl::Flowctl;

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
            assert_eq!(names, ["run", "validate", "inspect", "topology", "processors", "completions"]);
        }),
        fact("commands::completions_exist_for_each_shell", || {
            for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
                let script = Flowctl::new().run(&format!("completions {shell}")).success().stdout;
                assert!(script.contains("topology") && !script.contains("__compile "), "{shell}");
            }
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
        fact("commands::show_and_inspect_say_the_same_of_a_plugin", || {
            let show = Flowctl::new().run_with_plugins("processors show ttp-processor").success().stdout;
            let file = crate::flowctl::plugins().join("ttp-processor.wasm");
            let inspect = Flowctl::new().run(&format!("inspect {}", file.display())).success().stdout;
            assert_eq!(show, inspect);
            for wanted in ["network", "mode", "sha256:", "stellar.ledger.v1", "to_muxed", "processor"] {
                assert!(show.contains(wanted), "no `{wanted}` in {show}");
            }
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
        fact("commands::schema_for_editors_is_json_schema", || {
            let schema = Flowctl::new().run("validate --schema").success().stdout;
            let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
            assert!(schema["$schema"].is_string());
        }),
    ]
}
