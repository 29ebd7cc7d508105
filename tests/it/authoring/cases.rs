//! Golden cases: what passes, what fails and how that reads, and cases that cannot be run.

use std::fs::{self, File};
use std::process::Stdio;

use libtest_mimic::Trial;

use super::Author;
use crate::control_plane::server::{signal, until};
use crate::fact;
use crate::flowctl::Answer;

/// Passes large orders with twice the total, refuses those without a currency, and breaks on
/// one.
const PROCESS: &str = "if order.currency.is_empty() { return Err(\"it has no currency\".into()); }
            assert_ne!(order.id, \"o-13\", \"not this one\");
            let total_cents = order.total_cents * 2;
            if total_cents > 100 { out.emit(Order { total_cents, ..order }); }";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("authoring::cases_pass_fail_with_a_difference_and_are_blessed", life),
        fact("authoring::a_case_that_cannot_be_run_is_named_with_its_line", unusable),
        fact("authoring::configuration_and_several_types_go_into_cases", configured),
        fact("authoring::a_crate_without_cases_is_told_how_to_make_one", none),
        fact("authoring::cases_are_those_of_the_crate_however_it_is_named", by_manifest),
        fact("authoring::a_case_that_is_interrupted_is_neither_blessed_nor_followed_by_others", interrupted),
    ]
}

/// An order as a line.
fn order(id: &str, total_cents: u64, currency: &str) -> String {
    format!(
        "{{\"id\":\"{id}\",\"customer\":\"ada\",\"status\":\"paid\",\"total_cents\":{total_cents},\
         \"currency\":\"{currency}\",\"items\":[],\"note\":null,\"placed_at\":1}}\n"
    )
}

fn life() {
    let author = Author::of_orders("cased-orders");
    let flowctl = &author.flowctl;
    author.write_processor("cased-orders", PROCESS);
    let input = [order("o-1", 100, "EUR"), order("o-2", 1, ""), String::from("\n"), order("o-13", 100, "EUR")].concat()
        + &order("o-4", 300, "EUR");
    flowctl.write("cased-orders/cases/all/input.jsonl", &input);
    author.run("processors test cased-orders --case all").failure(&["1 of 1 cases failed"]);

    let missing = author.run("processors test cased-orders --case all");
    assert!(missing.stdout.contains("the case `all` has no expected.jsonl, so it cannot fail"), "{}", missing.stdout);
    assert!(missing.stdout.contains("--bless"), "{}", missing.stdout);

    let blessed = author.run("processors test cased-orders --case all --bless").success();
    assert_eq!(blessed.stdout, "blessed  all: 2 out, 2 rejected\n");
    let expected = flowctl.read("cased-orders/cases/all/expected.jsonl");
    let lines: Vec<&str> = expected.lines().collect();
    assert_eq!(lines[..2], [order("o-1", 200, "EUR").trim(), order("o-4", 600, "EUR").trim()]);
    assert_eq!(lines[2], "{\"$rejected\":\"it has no currency\",\"line\":2}");
    assert!(lines[3].contains("not this one") && lines[3].ends_with("\"line\":4}"), "{expected}");
    let again = author.run("processors test cased-orders --case all --bless").success();
    assert_eq!(again.stdout, "ok       all: 2 out, 2 rejected\n");

    // spaces and the order of keys say nothing; a field does
    let spaced = lines[0].replace("\"customer\":\"ada\",", "").replace("\"id\":", " \"customer\": \"ada\", \"id\": ");
    let wrong = lines[1].replace("600", "601");
    flowctl.write("cased-orders/cases/all/expected.jsonl", format!("{spaced}\n{wrong}\n{}\n{}\n", lines[2], lines[3]));
    let failed = author.run("processors test cased-orders --case all").failure(&["`--bless` writes it down"]);
    let difference = format!("FAILED   all\n  expected.jsonl:2: `total_cents`\n  - {wrong}\n  + {}\n", lines[1]);
    assert_eq!(failed.stdout, difference);

    // the case of before is not among those that were asked for; it fails, too
    let all = author.run("processors test cased-orders").failure(&["2 of 2 cases failed"]);
    assert!(all.stdout.contains("FAILED   first\n"), "{}", all.stdout);
    author.run("processors test cased-orders --case thirst").failure(&["no case `thirst`", "did you mean `first`?"]);
}

fn unusable() {
    let author = Author::of_orders("hard-cases");
    let flowctl = &author.flowctl;
    let line = order("o-1", 100, "EUR");
    flowctl.write("hard-cases/cases/a-bad-line/input.jsonl", format!("{line}{{\"id\": 7}}\n"));
    flowctl.write("hard-cases/cases/b-empty/input.jsonl", "\n");
    flowctl.write("hard-cases/cases/c-config/input.jsonl", &line);
    flowctl.write("hard-cases/cases/c-config/config.yaml", "minimum: 1\n");
    flowctl.write("hard-cases/cases/d-nothing/expected.jsonl", "");
    flowctl.write("hard-cases/cases/e-no-json/input.jsonl", &line);
    for case in ["a-bad-line", "b-empty", "c-config", "e-no-json"] {
        flowctl
            .write(&format!("hard-cases/cases/{case}/expected.jsonl"), "so\n".repeat(usize::from(case == "e-no-json")));
    }
    let answer = author.run("processors test hard-cases").failure(&["5 of 6 cases failed"]);
    for wanted in [
        "cases/a-bad-line/input.jsonl:2: JSON is no valid `example.order.v1`",
        "cases/b-empty/input.jsonl` has no event",
        "cases/c-config/config.yaml` configures a processor that has no configuration",
        "cannot read `hard-cases/cases/d-nothing/input.jsonl`",
        "cases/e-no-json/expected.jsonl:1: it is no JSON",
        "ok       first: 1 out, 0 rejected",
    ] {
        assert!(answer.stdout.contains(wanted), "no `{wanted}` in {}", answer.stdout);
    }
}

fn configured() {
    let author = Author::of_orders("two-kinds");
    let flowctl = &author.flowctl;
    flowctl.write(
        "two-kinds/src/lib.rs",
        "#[flowctl_sdk::processor(
    input = [\"example.order.v1\", \"stellar.volume.v1\"],
    output = [\"stellar.volume.v1\", \"example.order.v1\"],
)]
pub mod two_kinds {
    /// Passes on what is more than `minimum`.
    pub struct TwoKinds { config: Config }

    pub struct Config { pub minimum: u64 }

    impl TwoKinds {
        fn new(config: Config) -> Self { Self { config } }

        fn process(&mut self, event: EventRef<'_>, out: &mut Emitter<Output>) {
            let size = match &event {
                EventRef::Order(order) => order.total_cents,
                EventRef::Volume(volume) => volume.count,
            };
            if size > self.config.minimum { out.forward(); }
        }
    }
}
",
    );
    let typed = |event_type: &str, event: &str| format!("{{\"type\":\"{event_type}\",\"event\":{}}}\n", event.trim());
    let volume = "{\"asset\":\"native\",\"from_ledger\":1,\"to_ledger\":2,\"count\":9,\"sum\":\"7\"}";
    let input = [
        typed("example.order.v1", &order("o-1", 100, "EUR")),
        typed("stellar.volume.v1", volume),
        typed("example.order.v1", &order("o-2", 5, "EUR")),
    ];
    flowctl.write("two-kinds/cases/first/input.jsonl", input.concat());
    flowctl.write("two-kinds/cases/first/config.yaml", "minimum: 8\n");
    flowctl.write("two-kinds/cases/first/expected.jsonl", input[..2].concat());
    let passed = author.run("processors test two-kinds").success();
    assert_eq!(passed.stdout, "ok       first: 2 out, 0 rejected\n");

    flowctl.write("two-kinds/cases/first/config.yaml", "minimum: many\n");
    let answer = author.run("processors test two-kinds").failure(&[]);
    assert!(
        answer.stdout.contains("cases/first/config.yaml` does not fit the processor: minimum:"),
        "{}",
        answer.stdout
    );
    flowctl.write("two-kinds/cases/first/config.yaml", "minimum: 8\n");
    flowctl.write("two-kinds/cases/first/input.jsonl", order("o-1", 100, "EUR"));
    let answer = author.run("processors test two-kinds").failure(&[]);
    assert!(answer.stdout.contains("input.jsonl:1: the processor takes several types"), "{}", answer.stdout);
}

fn none() {
    let author = Author::of_orders("caseless");
    fs::remove_dir_all(author.flowctl.path("caseless/cases")).unwrap();
    author.run("processors test caseless").failure(&["there is no case in `caseless/cases`", "cases/NAME/input.jsonl"]);
}

fn by_manifest() {
    let author = Author::of_orders("pointed-orders");
    let tested = author.run("processors test pointed-orders/Cargo.toml").success();
    assert_eq!(tested.stdout, "ok       first: 1 out, 0 rejected\n");
    let misspelled = author.run("processors test pointed-orders --case frist");
    misspelled.failure(&["did you mean `first`"]);
    author.flowctl.write("none/README.md", "");
    author.run("processors test none").failure(&["there is no crate in `none`: it has no Cargo.toml"]);
}

fn interrupted() {
    const N_CASES: usize = 20;
    const N_EVENTS: usize = 5_000;
    let author = Author::of_orders("slow-orders");
    let flowctl = &author.flowctl;
    author.write_processor(
        "slow-orders",
        "for turn in 0..50_000 { std::hint::black_box(turn); }
            out.emit(order);",
    );
    fs::remove_dir_all(flowctl.path("slow-orders/cases")).unwrap();
    let folder = |number: usize| format!("slow-orders/cases/case-{number:02}");
    for number in 0..N_CASES {
        flowctl.write(&format!("{}/input.jsonl", folder(number)), order("o-1", 100, "EUR").repeat(N_EVENTS));
    }
    let mut command = author.command("processors test slow-orders --bless");
    command.stdout(File::create(flowctl.path("out")).unwrap()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    until("the first case is over", || flowctl.read("out").contains("case-00").then_some(()));
    signal(child.id(), "-INT");
    let answer = Answer::of(child.wait_with_output().unwrap());
    answer.failure(&["error: stopped before the case was over"]);
    let n_lines = |number| {
        let expected = fs::read_to_string(flowctl.path(&folder(number)).join("expected.jsonl"));
        expected.ok().map(|text| text.lines().count())
    };
    let blessed: Vec<usize> = (0..N_CASES).map_while(n_lines).collect();
    assert!(blessed.len() < N_CASES && blessed.iter().all(|n_lines| *n_lines == N_EVENTS), "{blessed:?}");
    assert_eq!(flowctl.read("out").lines().count(), blessed.len());
    assert_eq!((blessed.len()..N_CASES).find_map(n_lines), None);
}
