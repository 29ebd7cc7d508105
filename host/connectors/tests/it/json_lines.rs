//! Lines of JSON become events; lines that are none are refused and the stream goes on.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use expect_test::expect;
use flowctl_connectors::source;
use flowctl_runtime::{Bounds, Piece};
use flowctl_schema::Role;
use proptest::prelude::*;
use serde_json::json;

use crate::support::{block_on, drain, node, pipeline, schema};

const WIT: &str = "package test:point@1.0.0; interface event { record point { x: u32, name: option<string> } }";

fn read(path: &Path, position: Option<&[u8]>, bounds: &Bounds) -> Result<Vec<Piece>, String> {
    let config = json!({ "path": path, "type": "test.point.v1" });
    let node = node("file", Role::Source, config, vec![], vec![schema(WIT)]);
    block_on(async { drain(&mut *source(&node, &pipeline())?, position, bounds).await })
        .map_err(|error| error.to_string())
}

/// Ids and JSON of the events, and those that were refused, a line each.
fn show(pieces: &[Piece], folder: &Path) -> String {
    let mut text = String::new();
    for piece in pieces {
        if let Some(batch) = &piece.batch {
            for (number, payload) in batch.columns.payloads().enumerate() {
                let mut json = Vec::new();
                schema(WIT).payload_to_json(payload, &mut json).unwrap();
                text += &format!("{}: {}\n", batch.ids.get(number), String::from_utf8(json).unwrap());
            }
        }
        for refused in &piece.rejected {
            let payload = String::from_utf8_lossy(&refused.payload);
            // what is wrong with the JSON is for the schema's own tests
            let reason = refused.reason.split(": ").next().unwrap();
            text += &format!("{} refused: {payload} ({reason})\n", refused.id);
        }
    }
    text.replace(&*folder.to_string_lossy(), "dir")
}

#[test]
fn lines_that_are_no_events_are_refused_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let text = "{\"x\": 1}\n\n{\"x\": 2, \"name\": \"two\"}\r\nnonsense\n{\"x\": -1}\n{\"y\": 3}\n{\"x\": 4}";
    std::fs::write(folder.path().join("a.jsonl"), text).unwrap();
    let zipped = zstd::encode_all(&b"{\"x\": 5}\n\xff\n"[..], 1).unwrap();
    std::fs::write(folder.path().join("b.jsonl.zst"), zipped).unwrap();
    let bounds = Bounds { max_events: 100, max_bytes: 1 << 20, until: None };
    let pieces = read(&folder.path().join("*.jsonl*"), None, &bounds).unwrap();
    expect![[r#"
        node/dir/a.jsonl/1: {"x":1,"name":null}
        node/dir/a.jsonl/3: {"x":2,"name":"two"}
        node/dir/a.jsonl/7: {"x":4,"name":null}
        node/dir/b.jsonl.zst/1: {"x":5,"name":null}
        node/dir/a.jsonl/4 refused: nonsense (line 4 of `dir/a.jsonl`)
        node/dir/a.jsonl/5 refused: {"x": -1} (line 5 of `dir/a.jsonl`)
        node/dir/a.jsonl/6 refused: {"y": 3} (line 6 of `dir/a.jsonl`)
        node/dir/b.jsonl.zst/2 refused: � (line 2 of `dir/b.jsonl.zst`)
    "#]]
    .assert_eq(&show(&pieces, folder.path()));
    assert!(pieces[0].batch.as_ref().unwrap().columns.timestamps.iter().all(|timestamp| *timestamp == 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_stop_at_any_piece_is_gone_on_from_exactly(
        lines in prop::collection::vec(prop_oneof![Just("{\"x\": 7}"), Just("{\"x\": 8, \"name\": \"long enough to count\"}"), Just("bad"), Just("")], 0..24),
        is_compressed: bool, max_events in 1usize..5, max_bytes in 1usize..40,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (head, tail) = lines.split_at(lines.len() / 2);
        for (name, part) in [("a", head), ("b", tail)] {
            let text = part.iter().map(|line| format!("{line}\n")).collect::<String>() + "{\"x\": 9}";
            let bytes = if is_compressed { zstd::encode_all(text.as_bytes(), 1).unwrap() } else { text.into_bytes() };
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        let (glob, bounds) = (folder.path().join("*"), Bounds { max_events, max_bytes, until: None });
        let pieces = read(&glob, None, &bounds).unwrap();
        let n_events: usize = pieces.iter().map(|piece| piece.rejected.len() + piece.batch.as_ref().map_or(0, |b| b.len())).sum();
        prop_assert_eq!(n_events, lines.iter().filter(|line| !line.is_empty()).count() + 2);
        for (number, piece) in pieces.iter().enumerate() {
            let rest = read(&glob, Some(&piece.position), &bounds).unwrap();
            prop_assert_eq!(show(&rest, folder.path()), show(&pieces[number + 1..], folder.path()));
        }
    }
}

#[test]
fn damaged_zstd_is_an_error_behind_the_lines_that_were_read() {
    let folder = tempfile::tempdir().unwrap();
    let text: String = (0..100_000).map(|number| format!("{{\"x\": {number}}}\n")).collect();
    let zipped = zstd::encode_all(text.as_bytes(), 1).unwrap();
    std::fs::write(folder.path().join("cut.zst"), &zipped[..zipped.len() / 2]).unwrap();
    let path = folder.path().join("cut.zst");
    let error = read(&path, None, &Bounds { max_events: 1_000, max_bytes: 1 << 20, until: None }).unwrap_err();
    assert!(error.starts_with(&format!("cannot read `{}` behind line ", path.display())), "{error}");
    assert!(error.contains("the zstd data is damaged or cut off"), "{error}");
}

#[tokio::test]
async fn a_pipe_gives_what_is_there_and_then_waits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let config = json!({ "path": path, "type": "test.point.v1" });
    let mut source = source(&node("file", Role::Source, config, vec![], vec![schema(WIT)]), &pipeline()).unwrap();
    source.open(None).await.unwrap();
    let bounds = Bounds { max_events: 100, max_bytes: 1 << 20, until: None };
    let writer = tokio::task::spawn_blocking(move || {
        let mut pipe = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        pipe.write_all(b"{\"x\": 1}\n{\"x\": 2}\n{\"x\"").unwrap();
        pipe
    });
    let mut n_events = 0;
    while n_events < 2 {
        let piece = source.next(&bounds).await.unwrap();
        assert!(!piece.is_finished, "the writer has not closed the pipe");
        n_events += piece.batch.map_or(0, |batch| batch.len());
    }
    writer.await.unwrap().write_all(b": 3}\n").unwrap();
    while !{
        let piece = source.next(&bounds).await.unwrap();
        n_events += piece.batch.map_or(0, |batch| batch.len());
        piece.is_finished
    } {}
    assert_eq!(n_events, 3);
}

/// Reads its own standard input when the test below starts it as a child; alone it has
/// nothing to do.
#[tokio::test]
async fn standard_input_of_a_child() {
    if std::env::var_os("FLOWCTL_TEST_READS_STDIN").is_none() {
        return;
    }
    let node = node("stdin", Role::Source, json!({ "type": "test.point.v1" }), vec![], vec![schema(WIT)]);
    let bounds = Bounds { max_events: 100, max_bytes: 1 << 20, until: None };
    let pieces = drain(&mut *source(&node, &pipeline()).unwrap(), None, &bounds).await.unwrap();
    let timestamps = pieces.iter().filter_map(|piece| piece.batch.as_ref()).flat_map(|batch| &batch.columns.timestamps);
    assert!(timestamps.into_iter().all(|timestamp| *timestamp > 0), "events have the time they came");
    let mut source = source(&node, &pipeline()).unwrap();
    let fault = source.open(Some(&pieces.last().unwrap().position)).await.unwrap_err();
    let folder = Path::new("/no/such/folder");
    std::fs::write(
        std::env::var_os("FLOWCTL_TEST_READS_STDIN").unwrap(),
        format!("{}{fault}\n", show(&pieces, folder)),
    )
    .unwrap();
}

#[test]
fn standard_input_is_read_once_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report");
    for is_compressed in [false, true] {
        let text = b"{\"x\": 1}\nbad\n{\"x\": 2}";
        let bytes = if is_compressed { zstd::encode_all(&text[..], 1).unwrap() } else { text.to_vec() };
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["json_lines::standard_input_of_a_child", "--exact"])
            .env("FLOWCTL_TEST_READS_STDIN", &report)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&bytes).unwrap();
        assert!(child.wait().unwrap().success());
        let mut lines: Vec<String> = std::fs::read_to_string(&report).unwrap().lines().map(str::to_owned).collect();
        // how many pieces there are depends on how the bytes came
        lines.sort();
        expect![[r#"
            node/1: {"x":1,"name":null}
            node/2 refused: bad (line 2 of `stdin`)
            node/3: {"x":2,"name":null}
            standard input was read to line 3 and cannot be read again from there; write it to a file and use the source `file`"#]]
        .assert_eq(&lines.join("\n"));
    }
}

#[test]
fn a_file_that_has_grown_is_read_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.jsonl");
    std::fs::write(&path, "{\"x\":1}\n").unwrap();
    let bounds = Bounds { max_events: 100, max_bytes: 1 << 20, until: None };
    let first = read(&path, None, &bounds).unwrap();
    let position = first.last().unwrap().position.clone();
    std::fs::write(&path, "{\"x\":1}\n{\"x\":2}\n").unwrap();
    let second = read(&path, Some(&position), &bounds).unwrap();
    assert_eq!(second.iter().filter_map(|piece| piece.batch.as_ref()).map(|batch| batch.len()).sum::<usize>(), 1);
    let position = second.last().unwrap().position.clone();
    let third = read(&path, Some(&position), &bounds).unwrap();
    assert!(third.iter().all(|piece| piece.batch.is_none() && piece.position == position), "no news, no change");
}
