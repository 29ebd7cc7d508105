//! Policies and quotas: what a tenant may, and that others do not feel it.

use std::time::Duration;

use flowctl_control_plane::tenants::{Policies, Role};
use flowctl_proto::admin::{RunStatus, StopRunRequest};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::support::{Host, Setup, eventually, within};

const POLICIES: &str = "
tenants:
  small: {connectors: [memory], quotas: {pipelines: 1, instances: 4}}
  slow: {connectors: [memory], quotas: {events_per_second: 20}}
  large: {connectors: ['*']}
  nothing: {}
";

async fn host(dir: &std::path::Path) -> Host {
    Host::with(dir, Setup { policies: Policies::parse(POLICIES).unwrap(), ..Setup::default() }).await
}

#[tokio::test]
async fn a_tenant_at_its_quota_is_told_which_and_others_do_not_feel_it() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(dir.path()).await;
    let small = host.caller_of("small", Role::Operator).await;
    let large = host.caller_of("large", Role::Operator).await;
    let wide = small.apply("name=wide parallelism=4").await.unwrap_err();
    assert_eq!(wide.code(), Code::ResourceExhausted);
    assert_eq!(wide.get_error_details().error_info().unwrap().reason, "QUOTA_EXCEEDED");
    let said = "the quota of tenant `small` is used up: it takes 5 instances beside the 0 that run, and the quota is 4";
    assert_eq!(wide.message(), said);
    let first = small.apply("name=a").await.unwrap().id;
    let second = small.apply("name=b").await.unwrap_err();
    assert_eq!(second.message(), "the quota of tenant `small` is used up: 1 pipelines run, and the quota is 1");
    for name in ["a", "b", "c"] {
        let id = large.apply(&format!("name={name} parallelism=4")).await.unwrap().id;
        large.until(&id, RunStatus::Running).await;
    }
    // what has ended counts no more
    let stop = StopRunRequest { id: first.clone(), drain_timeout: Some(Duration::ZERO.try_into().unwrap()) };
    small.runs().stop_run(stop).await.unwrap();
    small.until(&first, RunStatus::Stopped).await;
    eventually(async || small.apply("name=b").await.ok()).await;
    host.end().await;
}

#[tokio::test]
async fn what_the_policy_does_not_name_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(dir.path()).await;
    for tenant in ["nothing", "unnamed-in-the-file"] {
        let caller = host.caller_of(tenant, Role::Admin).await;
        let refused = caller.apply("name=a").await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{tenant}");
        assert_eq!(refused.get_error_details().error_info().unwrap().reason, "POLICY_VIOLATION");
        let said = "node `out`: connector `memory` is not allowed by the policy of the tenant";
        assert_eq!(refused.message(), said);
    }
    host.end().await;
}

#[tokio::test]
async fn sources_of_a_tenant_are_held_to_its_rate_together() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(dir.path()).await;
    let slow = host.caller_of("slow", Role::Operator).await;
    let large = host.caller_of("large", Role::Operator).await;
    // a second's events pass at once; 30 more take a second and a half
    let started = std::time::Instant::now();
    let (a, b) = (slow.apply("name=a events=25").await.unwrap().id, slow.apply("name=b events=25").await.unwrap().id);
    let free = large.apply("name=a events=25").await.unwrap().id;
    large.until(&free, RunStatus::Completed).await;
    within(slow.until(&a, RunStatus::Completed)).await;
    within(slow.until(&b, RunStatus::Completed)).await;
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
    host.end().await;
}
