//! Clients that this project did not write: skopeo and wkg read what we push, and we run
//! what they hold.

use std::fs;

use flowctl_test_support::registry::{Access, Artifact, Registry, digest};
use libtest_mimic::Trial;

use super::logins::with_password;
use super::market::{Market, held, json, order_filter, orders, run_orders, stamped};
use crate::fact;
use crate::flowctl::Flowctl;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("artifacts::what_skopeo_copies_into_a_layout_is_identical_and_runs", skopeo_copies),
        fact("artifacts::a_layout_of_ours_is_copied_into_a_registry_by_skopeo", skopeo_pushes),
        fact("artifacts::a_raw_layout_of_skopeos_runs_and_is_pushed_back", raw_layout),
        fact("artifacts::skopeo_copies_signatures_of_ours_as_attached_images", skopeo_mirrors),
        fact("artifacts::wkg_pulls_the_identical_bytes", wkg_pulls),
        fact("artifacts::what_wkg_pushed_is_run", wkg_pushes),
        fact("artifacts::wkg_and_flowctl_share_a_registry_with_a_password", with_a_password),
    ]
}

fn image(registry: &Registry, rest: &str) -> String {
    format!("docker://{}/{rest}", registry.address())
}

fn skopeo_copies() {
    let market = Market::new();
    let pushed = market.push(&order_filter(), "acme/a:1");
    let skopeo = market.registry.skopeo();
    let shelf = market.flowctl.path("shelf").display().to_string();
    skopeo.copy(&image(&market.registry, "acme/a:1"), &format!("oci:{shelf}:1"));
    let blob = |digest: &str| fs::read(format!("{shelf}/blobs/sha256/{}", &digest["sha256:".len()..])).unwrap();
    assert_eq!(blob(&digest(&order_filter())), order_filter());
    assert_eq!(blob(&pushed), market.registry.manifest("acme/a", "1").unwrap());
    assert_eq!(skopeo.manifest(&image(&market.registry, "acme/a:1")), blob(&pushed));
    // on a machine without a registry
    let flowctl = Flowctl::new();
    for reference in
        [format!("oci-layout:{shelf}:1"), format!("oci-layout:{shelf}"), format!("oci-layout:{shelf}@{pushed}")]
    {
        flowctl.write("orders.yaml", orders(&format!("plugin: '{reference}'")));
        run_orders(&flowctl, "");
        assert!(flowctl.read("orders.lock").contains(&pushed), "{reference}");
    }
}

fn skopeo_pushes() {
    let market = Market::new();
    market.flowctl.write("pushed.wasm", order_filter());
    let answer = market.flowctl.run("push pushed.wasm oci-layout:shelf:1").success();
    let shelf = market.flowctl.path("shelf").display().to_string();
    market.registry.skopeo().copy(&format!("oci:{shelf}:1"), &image(&market.registry, "acme/a:1"));
    let row = &json(&market.pull("acme/a:1").success())[0];
    assert_eq!(row["digest"], answer.stdout.trim());
    // the store is a layout, too
    let store = super::market::store(&market.flowctl).display().to_string();
    let source = format!("oci:{store}:{}", market.at("acme/a:1"));
    market.registry.skopeo().copy(&source, &image(&market.registry, "acme/b:1"));
    assert_eq!(json(&market.pull("acme/b:1").success())[0]["digest"], answer.stdout.trim());
}

/// An artifact that no client of ours made.
fn raw_layout() {
    let market = Market::new();
    let pushed = market.registry.push("raw/a", "1", &Artifact::of(stamped(b"raw")));
    let shelf = market.flowctl.path("shelf").display().to_string();
    let skopeo = market.registry.skopeo();
    skopeo.copy(&image(&market.registry, "raw/a:1"), &format!("oci:{shelf}:mine"));
    market.flowctl.write("orders.yaml", orders("plugin: oci-layout:shelf:mine"));
    run_orders(&market.flowctl, "");
    assert_eq!(held(&market.flowctl)[0]["digest"], pushed);
    skopeo.copy(&format!("oci:{shelf}:mine"), &image(&market.registry, "raw/b:1"));
    assert_eq!(json(&market.pull("raw/b:1").success())[0]["digest"], pushed);
    market.pipeline(&format!("plugin: '{}'", market.at("raw/b:1")));
    run_orders(&market.flowctl, "");
}

fn skopeo_mirrors() {
    let market = Market::new();
    market.flowctl.write("pushed.wasm", order_filter());
    let sign = super::signatures::key("openssl-p256.key");
    let verify = super::signatures::key("openssl-p256.pub");
    let pushed = market.flowctl.run(&format!("push pushed.wasm {} --sign {sign}", market.at("acme/a:1"))).success();
    let tag = format!("{}.sig", pushed.stdout.trim().replace(':', "-"));
    let skopeo = market.registry.skopeo();
    for tag in ["1", &tag] {
        let rest = |name: &str| image(&market.registry, &format!("{name}:{tag}"));
        skopeo.copy(&rest("acme/a"), &rest("mirror/a"));
    }
    market.flowctl.run(&format!("pull --no-compile {} --verify-key {verify}", market.at("mirror/a:1"))).success();
    assert_eq!(held(&market.flowctl)[0]["digest"], pushed.stdout.trim());
}

fn wkg_pulls() {
    let market = Market::new();
    market.push(&order_filter(), "acme/a:1");
    let file = market.flowctl.path("by-wkg.wasm");
    market.registry.wkg().pull(&format!("{}/acme/a:1", market.registry.address()), &file);
    assert_eq!(fs::read(file).unwrap(), order_filter());
}

fn wkg_pushes() {
    let market = Market::new();
    let file = market.flowctl.write("theirs.wasm", order_filter());
    let reference = format!("{}/theirs/a:1", market.registry.address());
    let pushed = market.registry.wkg().push(&reference, &file);
    let row = &json(&market.pull("theirs/a:1").success())[0];
    assert_eq!((&row["digest"], &row["component"]), (&pushed.clone().into(), &digest(&order_filter()).into()));
    for version in [":1".to_owned(), format!("@{pushed}")] {
        market.pipeline(&format!("plugin: '{}{version}'", market.at("theirs/a")));
        run_orders(&market.flowctl, "");
    }
    let said = market.flowctl.run(&format!("inspect {}", market.at("theirs/a:1"))).success().stdout;
    assert!(said.contains("no annotations of flowctl"), "{said}");
}

fn with_a_password() {
    use flowctl_test_support::registry::PASSWORD;
    const LOGIN: &str = "--username flowctl --password-stdin";
    let market = Market::with(Access::Password);
    let file = market.flowctl.write("pushed.wasm", order_filter());
    let wkg = market.registry.wkg();
    with_password(&market.flowctl, &format!("push pushed.wasm {} {LOGIN}", market.at("acme/a:1")), PASSWORD).success();
    let copy = market.flowctl.path("copy.wasm");
    wkg.pull(&format!("{}/acme/a:1", market.registry.address()), &copy);
    assert_eq!(fs::read(copy).unwrap(), order_filter());
    wkg.push(&format!("{}/acme/b:1", market.registry.address()), &file);
    with_password(&market.flowctl, &format!("pull {} {LOGIN}", market.at("acme/b:1")), PASSWORD).success();
}
