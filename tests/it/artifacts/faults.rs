//! Registries and networks that fail: what passes is outlived, what lasts is told, and
//! what came of a download is not asked for again.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use flowctl_test_support::fault_proxy::{Fault, Gate, Rule};
use libtest_mimic::Trial;

use super::market::{Market, assert_nothing_held, files, held, order_filter, run_orders, stamped, store, until};
use super::stores::noise;
use crate::fact;
use crate::flowctl::Answer;

/// Where a download that is to be cut is cut.
const CUT: u64 = 40_000;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("artifacts::a_pull_outlives_what_passes", pull_outlives),
        fact("artifacts::a_push_outlives_what_passes", push_outlives),
        fact("artifacts::a_registry_that_asks_to_wait_is_waited_for", retry_after),
        fact("artifacts::what_does_not_pass_is_told_and_nothing_is_kept", lasting),
        fact("artifacts::a_download_that_is_cut_goes_on_where_it_broke_off", cut),
        fact("artifacts::a_pull_that_was_killed_half_way_is_gone_on_with", killed_half_way),
        fact("artifacts::who_waits_for_a_process_that_is_killed_goes_on_with_its_download", heir),
        fact("artifacts::a_registry_that_stands_still_is_left_by_ctrl_c", interrupted),
        fact("artifacts::a_run_outlives_what_passes", run_outlives),
    ]
}

/// What a registry in trouble does once: it does what is asked the next time.
fn passing() -> Vec<(&'static str, Fault)> {
    vec![
        ("500", Fault::status(500)),
        ("502", Fault::status(502)),
        ("503", Fault::status(503)),
        ("429", Fault::too_many(0)),
        ("reset", Fault::Reset),
    ]
}

fn pull_outlives() {
    let market = Market::new();
    market.push(&order_filter(), "acme/a:1");
    let in_body = [("cut", Fault::Cut { after: 100 }), ("reset in the body", Fault::ResetBody { after: 100 })];
    let faults = passing().into_iter().chain(in_body);
    let rules = faults.flat_map(|(name, fault)| ["/manifests/", "/blobs/"].map(|path| (name, fault.clone(), path)));
    for (name, fault, path) in rules {
        let _ = fs::remove_dir_all(store(&market.flowctl));
        market.proxy.inject(Rule::new(fault).path(path).times(1));
        let answer = market.pull("acme/a:1");
        assert_eq!(answer.code, Some(0), "{name} at {path}: {}", answer.stderr);
        let row = &held(&market.flowctl)[0];
        assert_eq!(fs::read(row["path"].as_str().unwrap()).unwrap(), order_filter(), "{name} at {path}");
    }
    let n_faulted = market.proxy.passages().iter().filter(|passage| passage.is_faulted).count();
    assert_eq!(n_faulted, 14);
}

fn push_outlives() {
    let market = Market::new();
    let upload = ("reset in the upload", Fault::ResetUpload { after: 10_000 });
    let rules = passing().into_iter().chain([upload]);
    for (index, (name, fault)) in rules.enumerate() {
        for (method, path) in [("HEAD", "/blobs/"), ("POST", "/uploads/"), ("PUT", "/uploads/"), ("PUT", "/manifests/")]
        {
            if matches!(fault, Fault::ResetUpload { .. }) && path != "/uploads/" {
                continue;
            }
            market.proxy.inject(Rule::new(fault.clone()).method(method).path(path).times(1));
            let component = stamped(format!("{name} {method} {path}").as_bytes());
            let digest = market.push(&component, &format!("acme/a:{index}"));
            market.proxy.heal();
            assert!(market.registry.manifest("acme/a", &digest).is_some(), "{name} at {method} {path}");
            let layer = flowctl_test_support::registry::digest(&component);
            assert_eq!(market.registry.blob("acme/a", &layer).unwrap(), component, "{name} at {method} {path}");
        }
    }
}

fn retry_after() {
    let market = Market::new();
    market.push(&order_filter(), "acme/a:1");
    market.proxy.inject(Rule::new(Fault::too_many(2)).path("/manifests/").times(1));
    let begin = Instant::now();
    market.pull("acme/a:1").success();
    assert!(begin.elapsed() >= Duration::from_secs(2), "{:?}", begin.elapsed());
    // nobody waits for an hour
    fs::remove_dir_all(store(&market.flowctl)).unwrap();
    market.proxy.inject(Rule::new(Fault::too_many(3600)).path("/blobs/"));
    let begin = Instant::now();
    market.pull("acme/a:1").failure(&["is not able to answer (HTTP 429)", "try again later"]);
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    assert_nothing_held(&market.flowctl);
}

/// Each of them in a market of its own, all at once: one gives up after some seconds.
fn lasting() {
    let refused = |status: u16, body: &str| Fault::Answer { status, headers: Vec::new(), body: body.into() };
    let denied = r#"{"errors":[{"code":"DENIED","message":"not for you\u001b[31m"}]}"#;
    let layer = flowctl_test_support::registry::digest(&order_filter());
    let faults: Vec<(Fault, &str, &[&str])> = vec![
        (Fault::status(500), "/manifests/", &["(HTTP 500): of a test", "try again later"]),
        (Fault::status(503), &layer, &["(HTTP 503): of a test"]),
        (Fault::Reset, "/manifests/", &["cannot be reached"]),
        (Fault::Reset, &layer, &["cannot be reached"]),
        (Fault::Cut { after: 0 }, &layer, &["cannot be reached", "broke off"]),
        (refused(403, denied), "/manifests/", &["denies access to `acme/a`: not for you", "flowctl login"]),
        (refused(404, "{}"), &layer, &["has no blob `sha256:"]),
        (refused(410, "gone"), "/manifests/", &["refuses (HTTP 410): gone"]),
    ];
    let pulls: Vec<(Market, Child, &[&str])> = faults
        .into_iter()
        .map(|(fault, path, wanted)| {
            let market = Market::new();
            market.push(&order_filter(), "acme/a:1");
            market.proxy.inject(Rule::new(fault).path(path));
            let mut pull = market.flowctl.command(&format!("pull {}", market.at("acme/a:1")));
            let pull = pull.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            (market, pull, wanted)
        })
        .collect();
    for (market, pull, wanted) in pulls {
        let answer = Answer::of(pull.wait_with_output().unwrap()).failure(wanted);
        let reference = market.at("acme/a:1");
        assert!(answer.stderr.contains(&format!("]: cannot pull `{reference}`")), "{}", answer.stderr);
        assert!(!answer.stderr.contains('\u{1b}'), "{}", answer.stderr);
        assert_nothing_held(&market.flowctl);
        market.proxy.heal();
        market.pull("acme/a:1").success();
    }
}

fn cut() {
    let market = Market::new();
    let component = order_filter();
    market.push(&component, "acme/a:1");
    let layer = flowctl_test_support::registry::digest(&component);
    market.proxy.inject(Rule::new(Fault::Cut { after: CUT }).path(&layer).times(2));
    market.pull("acme/a:1").success();
    let ranges: Vec<Option<String>> =
        market.downloads(&component).iter().map(|download| download.range().map(str::to_owned)).collect();
    let second = Some(format!("bytes={CUT}-"));
    let third = Some(format!("bytes={}-", 2 * CUT));
    assert_eq!(ranges, [None, second, third]);
    assert_eq!(fs::read(held(&market.flowctl)[0]["path"].as_str().unwrap()).unwrap(), component);
}

/// A pull of `acme/a:1` that has got [`CUT`] bytes of its layer, and gets no more.
fn stalled(market: &Market, component: &[u8], gate: &Gate) -> Child {
    let layer = flowctl_test_support::registry::digest(component);
    market.proxy.inject(Rule::new(Fault::Stall { after: CUT, gate: gate.clone() }).path(&layer).times(1));
    let mut pull = market.flowctl.command(&format!("pull --no-compile {}", market.at("acme/a:1")));
    let pull = pull.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    market.runtime.block_on(gate.was_reached(1));
    until("what came is on the disk", || part_len(market) == CUT);
    pull
}

fn part_len(market: &Market) -> u64 {
    let parts = files(&store(&market.flowctl).join("ingest"));
    parts.iter().filter_map(|part| fs::metadata(part).ok()).map(|part| part.len()).sum()
}

fn killed_half_way() {
    let market = Market::new();
    let component = stamped(&noise(1 << 20));
    market.push(&component, "acme/a:1");
    let gate = Gate::new();
    let mut pull = stalled(&market, &component, &gate);
    pull.kill().unwrap();
    pull.wait().unwrap();
    gate.open();
    assert_eq!(held(&market.flowctl), Vec::<serde_json::Value>::new());
    assert_eq!(part_len(&market), CUT);
    market.pull("acme/a:1").success();
    let downloads = market.downloads(&component);
    assert_eq!(downloads.len(), 2);
    assert_eq!((downloads[1].range(), downloads[1].status), (Some(format!("bytes={CUT}-").as_str()), Some(206)));
    assert_eq!(fs::read(held(&market.flowctl)[0]["path"].as_str().unwrap()).unwrap(), component);
    assert_eq!(part_len(&market), 0);
}

fn heir() {
    let market = Market::new();
    let component = stamped(&noise(1 << 20));
    market.push(&component, "acme/a:1");
    let gate = Gate::new();
    let mut first = stalled(&market, &component, &gate);
    let mut second = market.flowctl.command(&format!("pull --no-compile {}", market.at("acme/a:1")));
    let second = second.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // it has asked for all that it needs beside the layer, which it waits for
    let n_manifests = |passages: &[flowctl_test_support::fault_proxy::Passage]| {
        passages.iter().filter(|passage| passage.method == "GET" && passage.path.contains("/manifests/")).count()
    };
    market.runtime.block_on(market.proxy.until(|passages| n_manifests(passages) == 2));
    first.kill().unwrap();
    first.wait().unwrap();
    Answer::of(second.wait_with_output().unwrap()).success();
    let downloads = market.downloads(&component);
    assert_eq!((downloads.len(), downloads[1].range()), (2, Some(format!("bytes={CUT}-").as_str())));
    assert_eq!(fs::read(held(&market.flowctl)[0]["path"].as_str().unwrap()).unwrap(), component);
}

fn interrupted() {
    let market = Market::new();
    let component = stamped(&noise(1 << 20));
    market.push(&component, "acme/a:1");
    let gate = Gate::new();
    let mut pull = stalled(&market, &component, &gate);
    let pid = rustix::process::Pid::from_child(&pull);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let begin = Instant::now();
    assert!(!pull.wait().unwrap().success());
    // silence alone would end it after half a minute
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    assert_eq!(held(&market.flowctl), Vec::<serde_json::Value>::new());
    market.flowctl.run("plugins gc").success();
    assert_nothing_held(&market.flowctl);
}

fn run_outlives() {
    let market = Market::new();
    market.push(&order_filter(), "acme/a:1");
    market.pipeline(&format!("plugin: '{}'", market.at("acme/a:1")));
    market.proxy.inject(Rule::new(Fault::status(500)).path("/manifests/").times(1));
    market.proxy.inject(Rule::new(Fault::Cut { after: CUT }).path("/blobs/").times(1));
    run_orders(&market.flowctl, "");
}
