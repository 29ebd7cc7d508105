//! A processor is written while its pipeline runs: `flowctl processors dev`.

use std::process::{Child, Stdio};

use libtest_mimic::Trial;

use super::Author;
use crate::control_plane::server::{kill_with_descendants, signal, until, within_patience};
use crate::fact;
use crate::flowctl::Flowctl;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("authoring::dev_swaps_what_builds_takes_back_what_fails_and_loses_nothing", life),
        fact("authoring::dev_hands_the_state_over_and_refuses_what_cannot_take_it", stateful),
        fact("authoring::dev_finds_the_crate_by_name_and_follows_the_pipeline's_file", by_name),
        fact("authoring::dev_refuses_a_pipeline_that_does_not_run_the_crate", another),
        fact("authoring::dev_gives_up_a_build_that_hangs_and_tells_of_one_that_is_killed", hanging),
    ]
}

/// A running `flowctl processors dev`, killed when dropped.
pub(crate) struct Dev {
    child: Child,
}

impl Dev {
    /// Starts it in `folder` of the author's; what it says goes into the file `said` beside.
    pub(crate) fn start(author: &Author, folder: &str, arguments: &str) -> Self {
        let said = std::fs::File::create(author.flowctl.path("said")).unwrap();
        let mut command = author.command(&format!("processors dev {arguments}"));
        command.current_dir(author.flowctl.path(folder)).stdout(Stdio::null()).stderr(said);
        Self { child: command.spawn().unwrap() }
    }

    /// Ends it with Ctrl-C; it must end well.
    pub(crate) fn interrupt(mut self, flowctl: &Flowctl) {
        signal(self.child.id(), "-INT");
        assert!(self.child.wait().unwrap().success(), "{}", flowctl.read("said"));
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // a build that goes on would hold up those of others
        kill_with_descendants(&mut self.child);
    }
}

/// Waits until it has said `words`, and answers all that it said.
pub(crate) fn says(flowctl: &Flowctl, words: &str) -> String {
    let said = within_patience(|| Some(flowctl.read("said")).filter(|said| said.contains(words)));
    said.unwrap_or_else(|| panic!("waited in vain for `{words}` in {}", flowctl.read("said")))
}

/// The ids and the notes of what is in the database, in the order it came.
fn rows(flowctl: &Flowctl) -> Vec<(String, String)> {
    let Ok(database) = rusqlite::Connection::open(flowctl.path("shop.db")) else { return Vec::new() };
    let select = "SELECT id, coalesce(note, '') FROM example_order_v1 ORDER BY rowid";
    let Ok(mut rows) = database.prepare(select) else { return Vec::new() };
    rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map_while(Result::ok).collect()
}

fn noted(note: &str) -> String {
    format!("out.emit(Order {{ note: Some(\"{note}\".into()), ..order }});")
}

fn life() {
    let author = Author::of_orders("live-orders");
    let flowctl = &author.flowctl;
    author.write_processor("live-orders", &noted("first"));
    flowctl.write(
        "shop.yaml",
        "apiVersion: flowctl/v1
kind: Pipeline
metadata: {name: shop}
spec:
  checkpoint: {interval: 100ms}
  sources: [{id: orders, type: generate, config: {type: example.order.v1, rate: 1000}}]
  processors: [{id: live, plugin: ./live-orders/target/wasm32-wasip2/release/live_orders.wasm, inputs: [orders]}]
  sinks: [{id: out, type: sqlite, config: {path: shop.db}, inputs: [live]}]
",
    );
    let dev = Dev::start(&author, "", "shop.yaml --crate live-orders --summary summary.json");
    let has = |note: &str| until(note, || rows(flowctl).iter().any(|row| row.1 == note).then_some(()));
    has("first");

    author.write_processor("live-orders", &noted("second"));
    has("second");
    says(flowctl, "✓ kept");

    author.write_processor("live-orders", "out.emit(nothing);");
    let said = says(flowctl, "the pipeline goes on with `live-orders` as it was");
    assert!(said.contains("`live-orders` does not build") && said.contains("cannot find value `nothing`"), "{said}");

    author.write_processor("live-orders", "panic!(\"bad luck with {}\", order.id);");
    // one that fails before every node has switched was never made, later it is rolled back
    let outcomes = ["the change was rolled back", "the pipeline goes on as it was"];
    until("it is taken back", || outcomes.iter().any(|words| flowctl.read("said").contains(words)).then_some(()));
    let said = flowctl.read("said");
    assert!(said.contains("bad luck with 0"), "what the panic says is shown: {said}");
    let n_rows = rows(flowctl).len();
    until("what ran before goes on", || (rows(flowctl).len() > n_rows).then_some(()));
    assert_eq!(rows(flowctl).last().unwrap().1, "second");

    author.write_processor("live-orders", &noted("third"));
    has("third");
    dev.interrupt(flowctl);

    let rows = rows(flowctl);
    let ids: Vec<String> = (0..rows.len()).map(|number| format!("{number:08}")).collect();
    assert_eq!(rows.iter().map(|row| row.0.clone()).collect::<Vec<_>>(), ids, "every order once, in order");
    let mut notes: Vec<&str> = rows.iter().map(|row| row.1.as_str()).collect();
    notes.dedup();
    assert_eq!(notes, ["first", "second", "third"]);
    let summary: serde_json::Value = serde_json::from_str(&flowctl.read("summary.json")).unwrap();
    assert_eq!((&summary["events_out"], &summary["rejected"]), (&rows.len().into(), &0.into()), "{summary}");
    let said = flowctl.read("said");
    assert!(said.contains("Stopped `shop`") && !said.contains("panicked at host"), "{said}");
    assert!(!flowctl.path("shop.lock").exists(), "what is being written is not locked");
}

/// Writes a processor that numbers orders from 0 on, and notes `word` with the number.
fn write_counter(author: &Author, word: &str) {
    author.flowctl.write(
        "counted-orders/src/lib.rs",
        format!(
            "#[flowctl_sdk::processor(input = \"example.order.v1\", output = \"example.order.v1\")]
pub mod counted_orders {{
    /// Numbers orders.
    pub struct CountedOrders {{ next: u64 }}

    impl CountedOrders {{
        fn new() -> Self {{ Self {{ next: 0 }} }}

        fn process(&mut self, order: Order, out: &mut Emitter<Order>) {{
            out.emit(Order {{ note: Some(format!(\"{word} {{}}\", self.next)), ..order }});
            self.next += 1;
        }}
    }}

    impl State for CountedOrders {{
        fn save(&self, parts: &mut Parts) {{ parts.put(\"\", &self.next); }}

        fn restore(&mut self, _: &str, parts: &Parts) -> Result<(), String> {{
            for next in parts.entries::<u64>() {{ self.next = next?; }}
            Ok(())
        }}
    }}
}}
"
        ),
    );
}

fn stateful() {
    let author = Author::of_orders("counted-orders");
    let flowctl = &author.flowctl;
    write_counter(&author, "old");
    flowctl.write(
        "shop.yaml",
        "apiVersion: flowctl/v1
kind: Pipeline
metadata: {name: shop}
spec:
  checkpoint: {interval: 100ms}
  sources: [{id: orders, type: generate, config: {type: example.order.v1, rate: 500}}]
  processors: [{id: counted, plugin: counted-orders, inputs: [orders]}]
  sinks: [{id: out, type: sqlite, config: {path: shop.db}, inputs: [counted]}]
",
    );
    let dev = Dev::start(&author, "", "shop.yaml --crate counted-orders");
    let has = |word: &str| until(word, || rows(flowctl).iter().any(|row| row.1.starts_with(word)).then_some(()));
    has("old");
    write_counter(&author, "new");
    has("new");
    says(flowctl, "✓ kept");
    author.write_processor("counted-orders", &noted("nothing"));
    let said = says(flowctl, "the pipeline goes on as it was");
    assert!(said.contains("state"), "{said}");
    dev.interrupt(flowctl);

    let notes: Vec<String> = rows(flowctl).into_iter().map(|row| row.1).collect();
    let n_old = notes.iter().filter(|note| note.starts_with("old")).count();
    let word = |number: usize| if number < n_old { "old" } else { "new" };
    let expected: Vec<String> = (0..notes.len()).map(|number| format!("{} {number}", word(number))).collect();
    assert_eq!(notes, expected, "the new one counts on where the old one was");
}

fn by_name() {
    let author = Author::of_orders("named-orders");
    let flowctl = &author.flowctl;
    let pipeline = "apiVersion: flowctl/v2
kind: Topology
metadata: {name: shop}
spec:
  from: {type: example.order.v1, source: generate}
  to: sqlite
  via: [named-orders]
  checkpoint: {interval: 100ms}
  config:
    generate: {type: example.order.v1, rate: 100}
    sqlite: {path: shop.db}
";
    flowctl.write("shop.yaml", pipeline);
    let dev = Dev::start(&author, "", "shop.yaml --crate named-orders");
    until("orders are there", || (!rows(flowctl).is_empty()).then_some(()));
    author.write_processor("named-orders", &noted("new"));
    until("new ones too", || rows(flowctl).iter().any(|row| row.1 == "new").then_some(()));
    says(flowctl, "✓ kept");
    flowctl.replace("shop.yaml", pipeline.replace("via: [named-orders]", "via: [unnamed-orders]"));
    let said = says(flowctl, "the pipeline goes on as it was");
    assert!(said.contains("unnamed-orders"), "{said}");
    std::fs::remove_file(flowctl.path("shop.yaml")).unwrap();
    says(flowctl, "cannot read pipeline `shop.yaml`");
    dev.interrupt(flowctl);
}

fn another() {
    let author = Author::of_orders("other-orders");
    author.flowctl.write(
        "shop.yaml",
        "apiVersion: flowctl/v1
kind: Pipeline
spec:
  sources: [{id: orders, type: generate, config: {type: example.order.v1, count: 1}}]
  sinks: [{id: out, type: blackhole, inputs: [orders]}]
",
    );
    let answer = author.run("processors dev shop.yaml --crate other-orders");
    answer.failure(&["no node of `shop` runs the crate `other-orders`", "`plugin: other-orders`"]);
    author.run("processors dev missing.yaml --crate other-orders").failure(&["cannot read pipeline `missing.yaml`"]);
    author.run("processors dev - --crate other-orders").misuse(&["standard input cannot be watched"]);
    author.run("processors dev shop.yaml").failure(&["there is no crate in `.`"]);
}

fn hanging() {
    let author = Author::of_orders("stuck-orders");
    let flowctl = &author.flowctl;
    flowctl.write(
        "shop.yaml",
        "apiVersion: flowctl/v1
kind: Pipeline
metadata: {name: shop}
spec:
  checkpoint: {interval: 100ms}
  sources: [{id: orders, type: generate, config: {type: example.order.v1, rate: 100}}]
  processors: [{id: stuck, plugin: stuck-orders, inputs: [orders]}]
  sinks: [{id: out, type: sqlite, config: {path: shop.db}, inputs: [stuck]}]
",
    );
    let dev = Dev::start(&author, "", "shop.yaml --crate stuck-orders");
    until("orders are there", || (!rows(flowctl).is_empty()).then_some(()));

    flowctl.write(
        "stuck-orders/build.rs",
        "fn main() {
    std::fs::write(\"pid.new\", std::process::id().to_string()).unwrap();
    std::fs::rename(\"pid.new\", \"pid\").unwrap();
    loop {
        std::thread::park();
    }
}
",
    );
    let pid = until("it hangs", || std::fs::read_to_string(flowctl.path("stuck-orders/pid")).ok());
    says(flowctl, "still building `stuck-orders`");

    let killer = "fn main() {
    let cargo = std::os::unix::process::parent_id().to_string();
    std::process::Command::new(\"kill\").args([\"-9\", &cargo]).status().unwrap();
}
";
    flowctl.write("stuck-orders/build.rs", killer);
    says(flowctl, "given up: the source has changed");
    until("what cargo started is gone", || is_gone(&pid).then_some(()));
    says(flowctl, "cargo was ended by signal 9");
    says(flowctl, "the pipeline goes on with `stuck-orders` as it was");

    std::fs::remove_file(flowctl.path("stuck-orders/build.rs")).unwrap();
    author.write_processor("stuck-orders", &noted("second"));
    until("the next one builds", || rows(flowctl).iter().any(|row| row.1 == "second").then_some(()));
    dev.interrupt(flowctl);
}

/// Whether a process has ended; nobody may have asked yet how.
fn is_gone(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
}
