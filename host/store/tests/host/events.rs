//! The log of a run and its bounds.

use flowctl_store::{
    EventLevel, EventRecord, EventRow, HostStore, MAX_EVENT_BYTES, MAX_EVENTS, MAX_MESSAGE_BYTES, RunStatus, StateError,
};

use crate::support::{end, start, store};

fn event(level: EventLevel, node: Option<&str>, message: &str) -> EventRecord {
    EventRecord { at: 7, level, kind: "log".to_owned(), node: node.map(str::to_owned), message: message.to_owned() }
}

fn infos(n: u64) -> Vec<EventRecord> {
    (0..n).map(|n| event(EventLevel::Info, Some("ledgers"), &format!("line {n}"))).collect()
}

fn all(store: &HostStore) -> Vec<EventRow> {
    store.events("r", 0, None, u32::MAX).unwrap()
}

#[test]
fn events_are_numbered_from_1_within_their_run() {
    let (_folder, store) = store();
    start(&store, "p", "r");
    start(&store, "p", "other");
    let events = [event(EventLevel::Info, None, "a"), event(EventLevel::Warn, Some("sink"), "b")];
    assert_eq!(store.append_events("r", &[]).unwrap(), 1);
    assert_eq!(store.append_events("r", &events).unwrap(), 1);
    assert_eq!(store.append_events("other", &events[1..]).unwrap(), 1);
    end(&store, "r", RunStatus::Failed, 9);
    let last = event(EventLevel::Error, Some("sink"), "c");
    assert_eq!(store.append_events("r", std::slice::from_ref(&last)).unwrap(), 3, "also after its end");
    let [a, b] = events;
    let rows = [a, b, last].into_iter().zip(1..).map(|(event, number)| EventRow { number, event });
    let rows: Vec<_> = rows.collect();
    assert_eq!(all(&store), rows);
    assert_eq!(store.events("r", 1, None, 1).unwrap(), rows[1..2]);
    assert_eq!(store.events("r", 0, Some("sink"), 9).unwrap(), rows[1..]);
    assert_eq!(store.events("r", 2, Some("sink"), 9).unwrap(), rows[2..]);
    assert_eq!(store.events("r", u64::MAX, None, 9).unwrap(), []);
    assert_eq!(store.events("unknown", 0, None, 9).unwrap(), []);
    let error = store.append_events("unknown", &infos(1)).unwrap_err();
    assert!(matches!(&error, StateError::NoRun { id } if id == "unknown"), "{error}");
}

#[test]
fn a_long_message_is_cut_between_characters() {
    let (_folder, store) = store();
    start(&store, "p", "r");
    let whole = "x".repeat(MAX_MESSAGE_BYTES);
    let messages =
        [whole.clone(), format!("{whole}y"), "ß".repeat(MAX_MESSAGE_BYTES), format!("x{}", "ß".repeat(5_000))];
    let events: Vec<_> = messages.iter().map(|message| event(EventLevel::Info, None, message)).collect();
    store.append_events("r", &events).unwrap();
    let stored: Vec<_> = all(&store).into_iter().map(|row| row.event.message).collect();
    assert_eq!(stored[0], whole);
    for (message, stored) in messages.iter().zip(&stored).skip(1) {
        assert!((MAX_MESSAGE_BYTES - 1..=MAX_MESSAGE_BYTES).contains(&stored.len()), "{}", stored.len());
        let head = stored.strip_suffix('…').unwrap();
        assert!(message.starts_with(head));
    }
}

#[test]
fn a_full_log_loses_its_oldest_infos_but_neither_faults_nor_the_first_events() {
    let (_folder, store) = store();
    start(&store, "p", "r");
    let faults = [event(EventLevel::Warn, None, "slow"), event(EventLevel::Error, None, "lost")];
    store.append_events("r", &infos(100)).unwrap();
    store.append_events("r", &faults).unwrap();
    let mut last = 102;
    for _ in 0..25 {
        assert_eq!(store.append_events("r", &infos(1_000)).unwrap(), last + 1);
        last += 1_000;
        assert!(all(&store).len() as u64 <= MAX_EVENTS);
    }
    let rows = all(&store);
    assert!(rows.len() as u64 > MAX_EVENTS / 2, "{}", rows.len());
    let numbers: Vec<_> = rows.iter().map(|row| row.number).collect();
    let first: Vec<_> = (1..=32).chain([101, 102]).collect();
    assert_eq!(numbers[..34], first, "how it started, and what went wrong");
    let n_latest = numbers.len() as u64 - 34;
    assert_eq!(numbers[34..], (last + 1 - n_latest..=last).collect::<Vec<_>>(), "then the latest");
    let faults: Vec<_> = rows[32..34].iter().map(|row| row.event.clone()).collect();
    assert_eq!(faults, [event(EventLevel::Warn, None, "slow"), event(EventLevel::Error, None, "lost")]);
}

#[test]
fn a_log_of_faults_alone_is_bounded_too() {
    let (_folder, store) = store();
    start(&store, "p", "r");
    let faults = |level| vec![event(level, None, "again"); 4_000];
    for level in [EventLevel::Error, EventLevel::Warn, EventLevel::Error, EventLevel::Warn] {
        store.append_events("r", &faults(level)).unwrap();
    }
    let rows = all(&store);
    assert!(rows.len() as u64 <= MAX_EVENTS, "{}", rows.len());
    let n_errors = rows.iter().filter(|row| row.event.level == EventLevel::Error).count();
    assert_eq!(n_errors, 8_000, "warnings go before errors");
}

#[test]
fn a_log_of_long_messages_is_bounded_in_bytes() {
    let (_folder, store) = store();
    start(&store, "p", "r");
    let long = "x".repeat(2 * MAX_MESSAGE_BYTES);
    let events = vec![event(EventLevel::Info, None, &long); 300];
    for _ in 0..4 {
        store.append_events("r", &events).unwrap();
        let bytes: u64 = all(&store).iter().map(|row| row.event.message.len() as u64).sum();
        assert!(bytes <= MAX_EVENT_BYTES, "{bytes}");
    }
    let numbers: Vec<_> = all(&store).iter().map(|row| row.number).collect();
    assert!(numbers.len() > 400, "{}", numbers.len());
    assert_eq!(numbers.last(), Some(&1_200));
}
