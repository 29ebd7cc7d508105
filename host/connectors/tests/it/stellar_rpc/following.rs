//! Reading on: the head, positions, sizes of pieces, and how far ahead is asked.

use flowctl_test_support::rpc_server::RpcFault;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::support::drain;

#[tokio::test]
async fn the_head_is_followed_as_ledgers_close() {
    let want = ledgers(1, 40);
    let server = server(40).await;
    server.set_window(1_000..=1_004);
    server.close_ledgers();
    server.fail([RpcFault::Empty, RpcFault::Half]);
    let mut source = asking(&server, json!({"end": 1_039, "limit": 4}));
    assert_ledgers(&drain(&mut *source, None, &BOUNDS).await.unwrap(), &want, NETWORK);
}

#[tokio::test]
async fn at_the_head_it_waits_for_the_next_ledger() {
    let server = server(10).await;
    server.set_window(1_000..=1_003);
    let mut source = asking(&server, json!({}));
    source.open(None).await.unwrap();
    assert_eq!(ids(&read(&mut *source, &BOUNDS, 4).await).len(), 4);
    let n_asked = server.http().requests().len();
    tokio::select! {
        piece = source.next(&BOUNDS) => panic!("there is no ledger yet: {piece:?}"),
        () = server.http().was_asked(n_asked + 3) => {}
    }
    server.set_window(1_000..=1_004);
    assert_eq!(ids(&[source.next(&BOUNDS).await.unwrap()]), ["node/1004"]);
}

#[tokio::test]
async fn a_source_that_is_opened_at_a_position_goes_on_there() {
    let want = ledgers(1, 20);
    let server = server(20).await;
    let config = json!({"end": 1_019});
    let bounds = Bounds { max_events: 3, ..BOUNDS };
    let pieces = drain(&mut *asking(&server, config.clone()), None, &bounds).await.unwrap();
    assert_ledgers(&pieces, &want, NETWORK);
    let mut n_read = 0;
    for piece in &pieces {
        n_read += piece.batch.as_ref().map_or(0, |batch| batch.len());
        let rest = drain(&mut *asking(&server, config.clone()), Some(&piece.position), &BOUNDS).await.unwrap();
        assert_ledgers(&rest, &want[n_read..], NETWORK);
    }
}

#[tokio::test]
async fn a_repetition_ends_at_the_position_that_is_asked_for() {
    let want = ledgers(1, 20);
    let server = server(20).await;
    let config = json!({"end": 1_019});
    let pieces = drain(&mut *asking(&server, config.clone()), None, &Bounds { max_events: 5, ..BOUNDS }).await.unwrap();
    for (index, piece) in pieces.iter().enumerate() {
        let mut source = asking(&server, config.clone());
        source.open(None).await.unwrap();
        let until = Bounds { max_events: 3, until: Some(piece.position.clone()), ..BOUNDS };
        let mut again = Vec::new();
        while again.last().is_none_or(|last: &Piece| last.position != piece.position) {
            again.push(source.next(&until).await.unwrap());
            assert!(!again.last().unwrap().is_finished);
        }
        let n_read = 5 * (index + 1);
        assert_ledgers(&again, &want[..n_read], NETWORK);
        let at_once = source.next(&until).await.unwrap();
        assert!(at_once.batch.is_none() && at_once.position == piece.position && !at_once.is_finished);
        // and from there it goes on as ever
        let mut rest = vec![source.next(&BOUNDS).await.unwrap()];
        while !rest.last().unwrap().is_finished {
            rest.push(source.next(&BOUNDS).await.unwrap());
        }
        assert_ledgers(&rest, &want[n_read..], NETWORK);
    }
}

#[tokio::test]
async fn a_position_that_is_passed_cannot_be_repeated() {
    let server = server(20).await;
    let mut source = asking(&server, json!({}));
    source.open(None).await.unwrap();
    let pieces = read(&mut *source, &Bounds { max_events: 2, ..BOUNDS }, 4).await;
    let behind = Bounds { until: Some(pieces[0].position.clone()), ..BOUNDS };
    let message = source.next(&behind).await.unwrap_err().to_string();
    assert_eq!(message, "`stellar-rpc` cannot repeat the ledgers up to 1002: it stands at 1004 already");
}

#[tokio::test]
async fn pieces_keep_to_their_bounds() {
    let want = ledgers(1, 12);
    let server = server(12).await;
    let longest = want.iter().map(|ledger| ledger.xdr.len()).max().unwrap();
    let config = json!({"end": 1_011});
    for (max_events, max_bytes) in [(1, 1 << 20), (5, 1 << 20), (100, 1), (100, 2 * longest)] {
        let bounds = Bounds { max_events, max_bytes, until: None };
        let pieces = drain(&mut *asking(&server, config.clone()), None, &bounds).await.unwrap();
        assert_ledgers(&pieces, &want, NETWORK);
        for batch in pieces.iter().filter_map(|piece| piece.batch.as_ref()) {
            assert!(batch.len() <= max_events && (batch.len() == 1 || batch.columns.n_bytes() <= max_bytes));
        }
    }
}

#[tokio::test]
async fn no_more_than_one_page_is_fetched_ahead() {
    let server = server(60).await;
    let mut source = asking(&server, json!({"limit": 2, "end": 1_059}));
    source.open(None).await.unwrap();
    for n_taken in 1..=5 {
        let piece = source.next(&Bounds { max_events: 2, ..BOUNDS }).await.unwrap();
        assert_eq!(piece.batch.map(|batch| batch.len()), Some(2));
        // the next page is asked for, and nothing behind it while others are answered
        while server.calls("getLedgers").len() <= n_taken {
            ask_for_health(&server).await;
        }
        for _ in 0..20 {
            ask_for_health(&server).await;
        }
        assert_eq!(server.calls("getLedgers").len(), n_taken + 1, "after {n_taken} pages");
    }
}

async fn ask_for_health(server: &RpcServer) {
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "getHealth"}).to_string();
    let request = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{call}", call.len());
    let mut stream = TcpStream::connect(server.http().address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    assert!(stream.read(&mut [0; 1_024]).await.unwrap() > 0);
}

#[tokio::test]
async fn pages_are_asked_for_by_cursor() {
    let server = server(10).await;
    let mut source = asking(&server, json!({"limit": 4, "end": 1_009}));
    drain(&mut *source, None, &BOUNDS).await.unwrap();
    let format = "base64";
    let want = [
        json!({"startLedger": 1_000, "pagination": {"limit": 4}, "xdrFormat": format}),
        json!({"pagination": {"cursor": "1003", "limit": 4}, "xdrFormat": format}),
        json!({"pagination": {"cursor": "1007", "limit": 2}, "xdrFormat": format}),
    ];
    assert_eq!(server.calls("getLedgers"), want);
}
