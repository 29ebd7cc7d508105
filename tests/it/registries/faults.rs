//! Registries and connections that fail, and processes that are killed.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use flowctl_test_support::fault_proxy::{Fault, Gate, Rule};
use libtest_mimic::Trial;

use super::{Faulty, Shelf, left_in_store, listed, plugin, push};
use crate::fact;
use crate::flowctl::{Answer, Flowctl};

/// How often a pull is killed.
const KILLS: u64 = 50;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("registries::faults_that_pass_are_outlasted", passing),
        fact("registries::faults_that_stay_are_told_and_leave_nothing", lasting),
        fact("registries::a_killed_pull_is_gone_on_with", resumed),
        fact("registries::twenty_pulls_at_once_download_one_component", at_once),
        fact("registries::however_often_a_pull_is_killed_the_store_is_whole", killed),
    ]
}

fn passing() {
    let shelf = Shelf::new();
    shelf.push("f:1");
    let faulty = Faulty::before(&shelf.registry);
    let faults = [
        Rule::new(Fault::status(500)).times(2),
        Rule::new(Fault::status(503)).path("/blobs/").times(1),
        Rule::new(Fault::too_many(1)).path("/manifests/").times(1),
        Rule::new(Fault::Reset).times(2),
        Rule::new(Fault::Cut { after: 50_000 }).path("/blobs/").times(1),
        Rule::new(Fault::ResetBody { after: 70_000 }).path("/blobs/").times(1),
    ];
    for (index, rule) in faults.into_iter().enumerate() {
        let flowctl = Flowctl::new();
        faulty.proxy.inject(rule);
        flowctl.run(&format!("pull {} --no-compile", faulty.at("f:1"))).success();
        assert_eq!(listed(&flowctl).len(), 1, "fault {index}");
        faulty.proxy.heal();
    }
    // pushing too
    faulty.proxy.inject(Rule::new(Fault::status(502)).method("POST").times(1));
    push(&Flowctl::new(), &plugin("ttp-processor"), &faulty.at("t:1"));
}

fn lasting() {
    let shelf = Shelf::new();
    shelf.push("f:1");
    let faulty = Faulty::before(&shelf.registry);
    let flowctl = Flowctl::new();
    for (rule, wanted) in [
        (Rule::new(Fault::status(500)).path("/manifests/"), "500"),
        (Rule::new(Fault::status(403)).path("/blobs/"), "flowctl login"),
        (Rule::new(Fault::Replace { at: 1_000, with: vec![0xff; 16] }).path("/blobs/"), "digest"),
    ] {
        faulty.proxy.inject(rule);
        let answer = flowctl.run(&format!("pull {}", faulty.at("f:1")));
        let said = answer.stderr.to_lowercase();
        answer.failure(&["acme/f:1"]);
        assert!(said.contains(wanted), "no `{wanted}`: {said}");
        assert!(listed(&flowctl).is_empty());
        faulty.proxy.heal();
    }
    flowctl.run(&format!("pull {}", faulty.at("f:1"))).success();
}

fn resumed() {
    let shelf = Shelf::new();
    push(&shelf.flowctl, &plugin("ttp-processor"), &shelf.at("t:1"));
    let faulty = Faulty::before(&shelf.registry);
    let gate = Gate::new();
    let rule = Rule::new(Fault::Stall { after: 300_000, gate: gate.clone() }).path("/blobs/").after(1);
    faulty.proxy.inject(rule);
    let flowctl = Flowctl::new();
    let pull = format!("pull {} --no-compile", faulty.at("t:1"));
    let mut child = flowctl.command(&pull).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let part = loop {
        let written = left_in_store(&flowctl).iter().filter_map(|path| path.metadata().ok()).map(|m| m.len()).max();
        if let Some(n_bytes) = written.filter(|n_bytes| *n_bytes >= 200_000) {
            break n_bytes;
        }
        assert!(Instant::now() < deadline, "nothing of the component came: {:?}", faulty.proxy.passages());
        std::thread::yield_now();
    };
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(listed(&flowctl).is_empty());
    faulty.proxy.heal();
    gate.open();
    flowctl.run(&pull).success();
    let ranges: Vec<String> =
        faulty.proxy.passages().iter().filter_map(|passage| passage.range().map(str::to_owned)).collect();
    let from = ranges.iter().filter_map(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<u64>().ok());
    assert!(from.max().is_some_and(|from| from >= part.min(200_000)), "{ranges:?}");
    assert_eq!(listed(&flowctl)[0]["name"], "ttp-processor");
}

fn at_once() {
    let shelf = Shelf::new();
    push(&shelf.flowctl, &plugin("ttp-processor"), &shelf.at("t:1"));
    let faulty = Faulty::before(&shelf.registry);
    let flowctl = Flowctl::new();
    let pull = format!("pull {} --no-compile", faulty.at("t:1"));
    let start = |_| flowctl.command(&pull).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let children: Vec<_> = (0..20).map(start).collect();
    for child in children {
        Answer::of(child.wait_with_output().unwrap()).success();
    }
    assert_eq!(listed(&flowctl).len(), 1);
    assert_eq!(left_in_store(&flowctl).len(), 3);
    let size = plugin("ttp-processor").metadata().unwrap().len();
    let downloads = faulty.proxy.passages().iter().filter(|passage| passage.n_body_bytes == size).count();
    assert_eq!(downloads, 1, "it was downloaded {downloads} times");
}

fn killed() {
    let shelf = Shelf::new();
    push(&shelf.flowctl, &plugin("ttp-processor"), &shelf.at("t:1"));
    let flowctl = Flowctl::new();
    let pull = format!("pull {} --no-compile", shelf.at("t:1"));
    let took = Instant::now();
    Flowctl::new().run(&pull).success();
    let whole = took.elapsed();
    let mut seed = RandomState::new().build_hasher().finish();
    println!("kills seeded with {seed}");
    let mut n_whole = 0;
    for _ in 0..KILLS {
        let mut child = flowctl.command(&pull).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        // somewhere in its life
        let at = Instant::now() + whole.mul_f64((seed % 1_000) as f64 / 1_000.0);
        while Instant::now() < at {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let listed = listed(&flowctl);
        if let [only] = listed.as_slice() {
            let bytes = std::fs::read(only["path"].as_str().unwrap()).unwrap();
            assert!(bytes == std::fs::read(plugin("ttp-processor")).unwrap());
            n_whole += 1;
            flowctl.run(&format!("plugins remove {}", shelf.at("t:1"))).success();
            flowctl.run("plugins gc").success();
        } else {
            assert!(listed.is_empty(), "{listed:?}");
        }
    }
    println!("{KILLS} kills, {n_whole} of them after the plugin was whole");
    flowctl.run(&pull).success();
    assert_eq!(listed(&flowctl).len(), 1);
    flowctl.run("plugins gc").success();
    assert_eq!(left_in_store(&flowctl).len(), 3, "{:?}", left_in_store(&flowctl));
}
