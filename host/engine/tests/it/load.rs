//! Files: verified, compiled, kept compiled.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flowctl_engine::{Engine, EngineConfig};
use flowctl_runtime::{Fault, Stage as _};
use flowctl_topology::Component;
use flowctl_types::Digest;

use crate::support::{batch, chain, engine, guest, node, stage};

fn engine_with_cache(dir: &Path) -> Engine {
    let config = EngineConfig { cache_dir: Some(dir.to_owned()), max_instances: 10, ..EngineConfig::default() };
    Engine::new(config).unwrap()
}

/// Loads the well-behaved guest and uses it; answers cache hits and compilations.
async fn load(dir: &Path) -> (u64, u64) {
    let engine = engine_with_cache(dir);
    let stage = stage(&engine, &node("echo", &guest("identity"))).await.unwrap();
    let outcome = stage.instantiate().await.unwrap().process(&batch(["one"])).await.unwrap();
    assert_eq!(outcome.outputs[0].columns.payload(0), b"one");
    let stats = engine.stats();
    (stats.n_cache_hits, stats.n_compiled)
}

fn only_file(dir: &Path) -> PathBuf {
    let files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = files.try_into().unwrap();
    file
}

#[tokio::test]
async fn second_start_finds_the_code_compiled() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("deep/cache");
    assert_eq!(load(&cache).await, (0, 1));
    assert_eq!(load(&cache).await, (1, 0));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&cache), mode(&only_file(&cache))), (0o700, 0o600));
}

#[tokio::test]
async fn damaged_code_is_compiled_again() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(load(dir.path()).await, (0, 1));
    let file = only_file(dir.path());
    let whole = fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for damaged in [&flipped[..], &whole[..whole.len() / 2], b"", b"something else entirely"] {
        fs::write(&file, damaged).unwrap();
        assert_eq!(load(dir.path()).await, (0, 1));
        assert_eq!(fs::read(&file).unwrap().len(), whole.len());
    }
    assert_eq!(load(dir.path()).await, (1, 0));
}

#[tokio::test]
async fn code_that_others_may_write_is_not_trusted() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(load(dir.path()).await, (0, 1));
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    set(&only_file(dir.path()), 0o622);
    assert_eq!(load(dir.path()).await, (0, 1));
    set(dir.path(), 0o777);
    let engine = engine_with_cache(dir.path());
    let [warning] = engine.warnings() else { panic!("expected a warning, found {:?}", engine.warnings()) };
    assert!(warning.contains("others may write to it (mode 777)"), "{warning}");
    assert_eq!(load(dir.path()).await, (0, 1), "the cache is left alone");
}

#[tokio::test]
async fn plugin_of_two_nodes_is_compiled_once() {
    let engine = engine();
    let (first, second) = (node("first", &guest("identity")), node("second", &guest("identity")));
    let (first, second) = tokio::join!(stage(&engine, &first), stage(&engine, &second));
    let (_first, _second) = (first.unwrap(), second.unwrap());
    assert_eq!(engine.stats().n_compiled, 1);
}

#[tokio::test]
async fn changed_file_is_refused() {
    let mut node = node("echo", &guest("identity"));
    let Component::Plugin { digest, .. } = &mut node.component else { unreachable!() };
    *digest = Digest::of(b"another");
    let text = chain(&stage(&engine(), &node).await.err().unwrap());
    assert!(text.starts_with("cannot prepare node `echo`: `"), "{text}");
    assert!(text.contains("has changed: its digest is sha256:"), "{text}");
    assert!(text.contains(&Digest::of(b"another").to_string()), "{text}");
}

#[tokio::test]
async fn types_that_were_not_planned_are_refused() {
    let mut node = node("echo", &guest("identity"));
    node.outputs.clear();
    let text = chain(&stage(&engine(), &node).await.err().unwrap());
    assert!(text.contains("declares `test.bytes.v1` ("), "{text}");
    assert!(text.ends_with("as output, but node `echo` was planned with nothing"), "{text}");
}

#[tokio::test]
async fn what_is_no_component_is_refused_without_harm() {
    let dir = tempfile::tempdir().unwrap();
    let whole = fs::read(guest("identity")).unwrap();
    let cases: [(&str, &[u8], &str); 4] = [
        ("empty", b"", "cannot prepare node `bad`: `empty` is no flowctl plugin"),
        ("module", b"\0asm\x01\0\0\0", "cannot prepare node `bad`: `module` is no flowctl plugin"),
        ("truncated", &whole[..whole.len() / 2], "cannot prepare node `bad`: `truncated` is no flowctl plugin"),
        ("text", b"hello", "cannot prepare node `bad`: `text` is no flowctl plugin"),
    ];
    for (name, bytes, want) in cases {
        let path = dir.path().join(format!("{name}.wasm"));
        fs::write(&path, bytes).unwrap();
        let text = chain(&stage(&engine(), &node("bad", &path)).await.err().unwrap());
        assert!(text.starts_with(want) && text.len() > want.len(), "{text}");
    }
}

#[tokio::test]
async fn flipped_component_is_refused_or_crashes_alone() {
    let dir = tempfile::tempdir().unwrap();
    let whole = fs::read(guest("identity")).unwrap();
    let engine = engine();
    let (mut n_refused, mut n_loaded) = (0, 0);
    for at in (0..whole.len()).step_by(whole.len() / 16) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0xff;
        let path = dir.path().join("flipped.wasm");
        fs::write(&path, flipped).unwrap();
        let mut node = node("bad", &path);
        node.limits.timeout = Duration::from_secs(1);
        let made = match stage(&engine, &node).await {
            Ok(stage) => stage.instantiate().await,
            Err(error) => Err(error),
        };
        match made {
            Err(error) => {
                n_refused += 1;
                let text = chain(&error);
                assert!(text.starts_with("cannot prepare node `bad`: ") && text.contains("`flipped`"), "{at}: {text}");
            }
            // what is valid all the same answers, or ends as any guest does
            Ok(mut instance) => {
                n_loaded += 1;
                if let Err(Fault::Crashed { reason, .. }) = instance.process(&batch(["one"])).await {
                    assert!(reason.contains("`flipped`"), "byte {at}: {reason}");
                }
            }
        }
    }
    assert!(n_refused > 0 && n_refused + n_loaded >= 16, "{n_refused} refused, {n_loaded} loaded");
    let honest = stage(&engine, &node("echo", &guest("identity"))).await.unwrap();
    let outcome = honest.instantiate().await.unwrap().process(&batch(["one"])).await.unwrap();
    assert_eq!(outcome.outputs[0].columns.payload(0), b"one");
}

#[tokio::test]
async fn file_that_is_not_there_is_named() {
    let mut node = node("echo", &guest("identity"));
    let Component::Plugin { path, .. } = &mut node.component else { unreachable!() };
    *path = PathBuf::from("/no/such/plugin.wasm");
    let text = chain(&stage(&engine(), &node).await.err().unwrap());
    assert!(text.starts_with("cannot prepare node `echo`: cannot read `/no/such/plugin.wasm`: No such file"), "{text}");
}
