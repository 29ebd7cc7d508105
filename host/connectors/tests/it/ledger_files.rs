//! Files of ledgers in every format: read whole, gone on from anywhere, refused when
//! they are damaged.

use std::io::Write;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use expect_test::{Expect, expect};
use flowctl_connectors::{Generator, GeneratorSettings, source};
use flowctl_runtime::{Bounds, Piece};
use proptest::prelude::*;
use serde_json::json;
use stellar_xdr::{LedgerCloseMeta, Limits, ReadXdr as _};
use tempfile::TempDir;

use crate::support::{block_on, drain, header, pipeline, source_node};

const FORMATS: [&str; 3] = ["records", "batches", "lines"];

fn ledgers(n_ledgers: usize) -> Vec<Vec<u8>> {
    let passphrase = "test".to_owned();
    let settings = GeneratorSettings { passphrase, seed: 3, start: 10, transactions_per_ledger: 1 };
    Generator::new(settings).take(n_ledgers).map(|ledger| ledger.xdr).collect()
}

/// The bytes of a file that holds `ledgers`.
fn encode(format: &str, ledgers: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    match format {
        "records" => {
            for xdr in ledgers {
                bytes.extend_from_slice(&(xdr.len() as u32 | 1 << 31).to_be_bytes());
                bytes.extend_from_slice(xdr);
            }
        }
        "batches" => {
            // two batches, of which the first has one ledger
            for part in [&ledgers[..1], &ledgers[1..]].into_iter().filter(|part| !part.is_empty()) {
                for number in [header(&part[0]).ledger_seq, header(&part[part.len() - 1]).ledger_seq, part.len() as u32]
                {
                    bytes.extend_from_slice(&number.to_be_bytes());
                }
                part.iter().for_each(|xdr| bytes.extend_from_slice(xdr));
            }
        }
        _ => {
            for xdr in ledgers {
                writeln!(bytes, "{}", STANDARD.encode(xdr)).unwrap();
            }
        }
    }
    bytes
}

fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn read(path: &Path, position: Option<&[u8]>, max_events: usize, max_bytes: usize) -> Result<Vec<Piece>, String> {
    let node = source_node("stellar-ledgers", json!({ "path": path }));
    let bounds = Bounds { max_events, max_bytes, until: None };
    block_on(async { drain(&mut *source(&node, &pipeline())?, position, &bounds).await })
        .map_err(|error| error.to_string())
}

fn payloads(pieces: &[Piece]) -> Vec<Vec<u8>> {
    let batches = pieces.iter().filter_map(|piece| piece.batch.as_ref());
    batches.flat_map(|batch| batch.columns.payloads().map(<[u8]>::to_vec)).collect()
}

#[test]
fn every_format_gives_the_same_ledgers() {
    let want = ledgers(5);
    for format in FORMATS {
        let plain = encode(format, &want);
        let twice = [compress(&plain[..plain.len() / 2]), compress(&plain[plain.len() / 2..])].concat();
        for bytes in [&plain, &compress(&plain), &twice] {
            let folder = folder(&[("ledgers", bytes)]);
            let pieces = read(&folder.path().join("ledgers"), None, 2, 1 << 20).unwrap();
            assert!(payloads(&pieces) == want, "{format}");
            let batch = pieces[0].batch.as_ref().unwrap();
            assert_eq!(batch.columns.timestamps[0], header(&want[0]).scp_value.close_time.0 * 1_000_000_000);
            assert!(batch.ids.get(0).ends_with(if format == "batches" { "ledgers/12" } else { "ledgers/0" }));
        }
    }
}

#[test]
fn lines_may_end_as_they_do_elsewhere() {
    let want = ledgers(2);
    let [first, second] = [&want[0], &want[1]].map(|xdr| STANDARD.encode(xdr));
    for text in
        [format!("{first}\r\n\r\n{second}\r\n"), format!("{first}\n  {second}"), format!("\n{first}\n{second}\n\n")]
    {
        let folder = folder(&[("ledgers.txt", text.as_bytes())]);
        assert!(payloads(&read(&folder.path().join("ledgers.txt"), None, 10, 1 << 20).unwrap()) == want);
    }
}

#[test]
fn a_file_that_was_cut_off_is_an_error_and_gives_no_part_of_a_ledger() {
    let want = ledgers(3);
    for format in FORMATS {
        let plain = encode(format, &want);
        for (is_compressed, whole) in [(false, plain.clone()), (true, compress(&plain))] {
            for length in (1..whole.len()).step_by(whole.len() / 97) {
                let folder = folder(&[("cut", &whole[..length])]);
                let path = folder.path().join("cut");
                match read(&path, None, 1, 1 << 20) {
                    Err(error) => assert!(error.starts_with(&format!("`{}` at byte ", path.display())), "{error}"),
                    // the cut is between two ledgers, which nothing in the file tells
                    Ok(pieces) => {
                        let found = payloads(&pieces);
                        assert!(!is_compressed && found == want[..found.len()], "{format}, {length} bytes");
                        assert!(
                            encode(format, &want[..found.len()]).len().abs_diff(length) <= 1,
                            "{format}, {length} bytes"
                        );
                    }
                }
            }
        }
    }
}

/// What is read of `whole` with each of many bytes changed in turn.
fn with_changed_bytes(whole: &[u8], step: usize, mut check: impl FnMut(usize, &Path, Result<Vec<Piece>, String>)) {
    for (at, damage) in (0..whole.len()).step_by(step).zip([0x55, 0x01, 0x80].into_iter().cycle()) {
        let mut bytes = whole.to_vec();
        bytes[at] ^= damage;
        let folder = folder(&[("changed", &bytes)]);
        let path = folder.path().join("changed");
        check(at, &path, read(&path, None, 10, 1 << 20));
    }
}

#[test]
fn a_byte_that_was_changed_in_zstd_is_found() {
    let want = ledgers(2);
    for format in FORMATS {
        let whole = compress(&encode(format, &want));
        with_changed_bytes(&whole, whole.len() / 101, |at, _, result| {
            // the bits of a frame's header that no decoder looks at change nothing
            assert!(result.is_err() || payloads(&result.unwrap()) == want, "{format}, byte {at}");
        });
    }
}

#[test]
fn a_byte_that_was_changed_is_found_where_it_leaves_no_ledger() {
    let want = ledgers(2);
    for format in FORMATS {
        let (mut n_found, mut n_tried) = (0, 0);
        with_changed_bytes(&encode(format, &want), 7, |at, path, result| {
            n_tried += 1;
            match result {
                Err(error) => {
                    n_found += 1;
                    assert!(
                        error.starts_with(&format!("`{}` at byte ", path.display())),
                        "{format}, byte {at}: {error}"
                    );
                }
                Ok(pieces) => {
                    for payload in payloads(&pieces) {
                        let limits = Limits { depth: 500, len: payload.len() };
                        let decoded = LedgerCloseMeta::from_xdr(&payload, limits);
                        assert!(decoded.is_ok(), "{format}, byte {at}: {:?}", decoded.err());
                    }
                }
            }
        });
        assert!(n_found * 4 > n_tried, "{format}: {n_found} of {n_tried} changes leave no ledger");
    }
}

#[test]
fn files_are_read_in_the_order_of_their_names_and_directories_passed_over() {
    let want = ledgers(3);
    let parts: Vec<Vec<u8>> =
        FORMATS.iter().zip(&want).map(|(format, xdr)| encode(format, std::slice::from_ref(xdr))).collect();
    let folder = folder(&[("b", &parts[1]), ("a", &parts[0]), ("c", &compress(&parts[2]))]);
    std::fs::create_dir(folder.path().join("d")).unwrap();
    assert!(payloads(&read(&folder.path().join("*"), None, 10, 1 << 20).unwrap()) == want);
    // a name that could be a glob is a name first
    std::fs::write(folder.path().join("[x]"), &parts[1]).unwrap();
    assert!(payloads(&read(&folder.path().join("[x]"), None, 10, 1 << 20).unwrap()) == want[1..2]);
}

#[test]
fn files_that_come_later_do_not_move_a_position() {
    let want = ledgers(4);
    let file = |n: usize| encode("records", &want[n..=n]);
    let folder = folder(&[("b", &file(0)), ("d", &file(1))]);
    let glob = folder.path().join("*");
    let pieces = read(&glob, None, 1, 1 << 20).unwrap();
    std::fs::write(folder.path().join("a"), file(2)).unwrap();
    std::fs::write(folder.path().join("c"), file(3)).unwrap();
    let rest = read(&glob, Some(&pieces[0].position), 1, 1 << 20).unwrap();
    assert!(payloads(&rest) == [want[3].clone(), want[1].clone()]);

    // a file that was read to its end may go, one that was not may not
    std::fs::remove_file(folder.path().join("d")).unwrap();
    let end = &pieces.last().unwrap().position;
    assert!(payloads(&read(&glob, Some(end), 1, 1 << 20).unwrap()).is_empty());
    std::fs::remove_file(folder.path().join("b")).unwrap();
    let error = read(&glob, Some(&pieces[0].position), 1, 1 << 20).unwrap_err();
    assert!(error.contains("is not among the files of `path` any more"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_stop_at_any_piece_is_gone_on_from_exactly(
        format in 0usize..3, is_compressed: bool, n_files in 1usize..4, max_events in 1usize..5, max_bytes in 1usize..20_000,
    ) {
        let want = ledgers(7);
        let mut files = Vec::new();
        for (number, part) in want.chunks(want.len().div_ceil(n_files)).enumerate() {
            let bytes = encode(FORMATS[format], part);
            files.push((format!("{number}.bin"), if is_compressed { compress(&bytes) } else { bytes }));
        }
        let borrowed: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        let folder = folder(&borrowed);
        let glob = folder.path().join("*.bin");
        let pieces = read(&glob, None, max_events, max_bytes).unwrap();
        prop_assert!(payloads(&pieces) == want);
        for (number, piece) in pieces.iter().enumerate() {
            if let Some(batch) = &piece.batch {
                prop_assert!(batch.len() <= max_events && (batch.len() == 1 || batch.columns.n_bytes() <= max_bytes));
            }
            let rest = read(&glob, Some(&piece.position), max_events, max_bytes).unwrap();
            prop_assert!(payloads(&rest) == payloads(&pieces[number + 1..]));
            let ids = |pieces: &[Piece]| -> Vec<String> {
                let batches = pieces.iter().filter_map(|piece| piece.batch.as_ref());
                batches.flat_map(|batch| (0..batch.len()).map(|n| batch.ids.get(n)).collect::<Vec<_>>()).collect()
            };
            prop_assert_eq!(ids(&rest), ids(&pieces[number + 1..]));
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn check(bytes: &[u8], want: Expect) {
    let folder = folder(&[("f", bytes)]);
    let error = read(&folder.path().join("f"), None, 10, 1 << 20).unwrap_err();
    want.assert_eq(&error.replace(&*folder.path().to_string_lossy(), "dir"));
}

#[test]
fn errors_name_file_place_and_what_was_expected() {
    let want = ledgers(2);
    let records = encode("records", &want);
    check(b"", expect!["`path` of `stellar-ledgers` names an empty file: `dir/f` has 0 bytes"]);
    check(
        b"{\"ledger\": 1}\n",
        expect![[
            r#"`dir/f` at byte 0: not ledgers: it starts with `{\"ledger\": 1}\n`; expected RFC 5531 records, a LedgerCloseMetaBatch or lines of base64, or zstd around one of these"#
        ]],
    );
    check(&compress(b""), expect!["`dir/f` at byte 0 of what is compressed in it: there is nothing in it"]);
    check(
        &compress(&records)[..100],
        expect!["`dir/f` at byte 0 of what is compressed in it: the zstd data is damaged or cut off: incomplete frame"],
    );
    check(&records[..records.len() - 1], expect!["`dir/f` at byte 1280: the file ends inside a ledger"]);
    check(
        &[&records[..], &[0, 0, 0, 4]].concat(),
        expect![
            "`dir/f` at byte 4036: the record mark 0x00000004 is not that of a whole record, which has the top bit set"
        ],
    );
    check(&[0xff; 16], expect!["`dir/f` at byte 0: a ledger of 2147483647 bytes, more than the limit of 67108864"]);
    check(
        &[&[0x80, 0, 0, 3][..], b"abc"].concat(),
        expect!["`dir/f` at byte 0: not a ledger: it ends inside its header"],
    );
    check(
        &[&[0x80, 0, 0, 4, 0, 0, 0, 7][..], b"abc"].concat(),
        expect!["`dir/f` at byte 0: not a ledger: xdr value invalid"],
    );
    check(
        &[0, 0, 0, 5, 0, 0, 0, 4, 0, 0, 0, 1],
        expect!["`dir/f` at byte 0: a batch of ledgers 5 to 4 that says it has 1"],
    );
    check(&encode("batches", &want)[..2_000], expect!["`dir/f` at byte 1300: the file ends inside a ledger"]);
    check(b"AAAA====\n", expect!["`dir/f` at byte 0: the line is not base64: Invalid symbol 61, offset 4."]);
    check(&STANDARD.encode(&want[0]).as_bytes()[..400], expect!["`dir/f` at byte 0: the file ends inside a ledger"]);
    check(b"AAAA\n", expect!["`dir/f` at byte 0: not a ledger: it ends inside its header"]);
}

#[test]
fn a_bomb_is_refused_before_it_fills_memory() {
    // 1 GiB of zeros after the mark of a record that says it has 64 MiB and one byte
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.write_all(&(((64u32 << 20) + 1) | 1 << 31).to_be_bytes()).unwrap();
    std::io::copy(&mut std::io::Read::take(std::io::repeat(0), 1 << 30), &mut encoder).unwrap();
    check(
        &encoder.finish().unwrap(),
        expect![
            "`dir/f` at byte 0 of what is compressed in it: a ledger of 67108865 bytes, more than the limit of 67108864"
        ],
    );
    // a line without end
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    std::io::copy(&mut std::io::Read::take(std::io::repeat(b'A'), 1 << 28), &mut encoder).unwrap();
    check(
        &encoder.finish().unwrap(),
        expect!["`dir/f` at byte 0 of what is compressed in it: a line of more than 89478490 bytes"],
    );
}
