//! What the macro makes of a module, run natively by the test host.
#![allow(clippy::unwrap_used, unreachable_pub, dead_code)]

use flowctl_sdk::contract::{Batch, Fault};
use flowctl_sdk::testing::{Host, batch};
use flowctl_sdk::{Processor, state::key_group};

/// Several input and output types, one of them opaque and one without borrows.
#[flowctl_sdk::processor(
    input = ["test.note.v1", "test:reading/event@1.2.0", "test.blob.v1"],
    output = ["test.blob.v1", "test.note.v1"],
    wit = "tests/wit",
    metadata(network = "testnet")
)]
mod router {
    pub struct Router;

    impl Router {
        fn new() -> Self {
            Self
        }

        fn process(&mut self, event: EventRef<'_>, out: &mut Emitter<Output>) -> Result<(), Reject> {
            match event {
                EventRef::Note(note) if note.text.is_empty() => {
                    out.emit(note);
                    return Err(Reject::new("an empty note"));
                }
                EventRef::Note(note) => {
                    out.emit(note.text.as_bytes());
                    out.emit(note);
                }
                EventRef::Reading(reading) => {
                    out.emit(Note { author: reading.sensor.to_string(), text: reading.value.to_string() });
                }
                EventRef::Blob(bytes) => {
                    out.emit(Output::Blob(bytes.to_vec()));
                }
            }
            Ok(())
        }
    }
}

fn note(author: &str, text: &str) -> router::Note {
    router::Note { author: author.into(), text: text.into() }
}

#[test]
fn several_types_go_in_and_come_out_by_kind() {
    use router::{Output, Reading, Router};
    assert_eq!(Router::INPUTS, ["test:note/event@1.0.0", "test:reading/event@1.2.0", "test:blob/event@1.0.0"]);
    assert_eq!(Router::OUTPUTS, ["test:blob/event@1.0.0", "test:note/event@1.0.0"]);
    let mut host = Host::<Router>::start(()).unwrap();
    let answer = host.send([note("a", "x"), note("b", ""), note("c", "y")]).unwrap();
    let blob = |text: &str| Output::Blob(text.as_bytes().to_vec());
    let expected = [blob("x"), blob("y"), Output::Note(note("a", "x")), Output::Note(note("c", "y"))];
    assert_eq!(answer.events, expected);
    assert_eq!(answer.rejected, [(1, "an empty note".to_owned())]);
    let kinds: Vec<_> = answer.outcome.outputs.iter().map(|output| (output.kind, output.origins.clone())).collect();
    assert_eq!(kinds, [(0, vec![0, 2]), (1, vec![0, 2])]);
    let answer = host.send([Reading { sensor: 7, value: 1.5 }]).unwrap();
    assert_eq!(answer.events, [Output::Note(note("7", "1.5"))]);
    let answer = host.send([[1u8, 2].as_slice()]).unwrap();
    assert_eq!(answer.events, [Output::Blob(vec![1, 2])]);
    let undeclared = Batch { kind: 3, ..Batch::default() };
    assert_eq!(host.send_batch(undeclared), Err(Fault::Fatal("kind 3 of the input is not declared".into())));
}

/// Everything that can go wrong with an event, and a count as state.
#[flowctl_sdk::processor(input = "test.note.v1", output = "test.note.v1", wit = "tests/wit")]
mod moody {
    use std::cell::Cell;

    pub struct Moody {
        config: Config,
        pub n_taken: u64,
    }

    pub struct Config {
        pub prefix: String,
        #[config(default = 3)]
        pub patience: u8,
        pub limits: Option<Limits>,
        #[config(default = Mood::Calm)]
        pub mood: Mood,
        #[config(default = ["a", "b"])]
        pub words: Vec<String>,
    }

    pub struct Limits {
        /// The most that is taken.
        pub at_most: u64,
    }

    #[derive(PartialEq)]
    pub enum Mood {
        Calm,
        VeryAngry,
    }

    thread_local! {
        pub static BUSY: Cell<bool> = const { Cell::new(false) };
    }

    impl Moody {
        fn new(config: Config) -> Result<Self, String> {
            if config.mood == Mood::VeryAngry { Err("too angry".into()) } else { Ok(Self { config, n_taken: 0 }) }
        }

        fn process(&mut self, note: Note, out: &mut Emitter<Note>) -> Result<(), Failure> {
            match note.text.as_str() {
                "busy" if BUSY.get() => return Err(Failure::retry("busy")),
                "fatal" => return Err(Failure::fatal("enough")),
                "bad" => {
                    out.emit(&note);
                    Err(Reject::from("bad"))?;
                }
                _ => {}
            }
            if self.config.limits.as_ref().is_some_and(|limits| self.n_taken >= limits.at_most) {
                return Err("no more".into());
            }
            self.n_taken += 1;
            log::info!("took {}", note.text);
            metrics::counter("taken", 1);
            if note.text == "as it came" {
                out.forward();
            } else {
                let text = format!("{}{}", self.config.prefix, note.text);
                out.emit(NoteRef { author: &note.author, text: &text });
            }
            Ok(())
        }

        fn key(note: &NoteRef<'_>) -> String {
            note.author.to_uppercase()
        }
    }
}

fn moody(at_most: Option<u64>) -> Host<moody::Moody> {
    use moody::{Config, Limits, Mood};
    let limits = at_most.map(|at_most| Limits { at_most });
    let config = Config { prefix: "> ".into(), patience: 1, limits, mood: Mood::Calm, words: vec![] };
    Host::start(config).unwrap()
}

fn said(author: &str, text: &str) -> moody::Note {
    moody::Note { author: author.into(), text: text.into() }
}

#[test]
fn rejected_event_leaves_no_output_and_the_others_keep_their_origin() {
    let mut host = moody(Some(2));
    let answer = host.send([said("a", "1"), said("b", "bad"), said("c", "as it came"), said("d", "4")]).unwrap();
    assert_eq!(answer.events, [said("a", "> 1"), said("c", "as it came")]);
    assert_eq!(answer.rejected, [(1, "bad".to_owned()), (3, "no more".to_owned())]);
    let output = &answer.outcome.outputs[0];
    assert_eq!((output.origins.as_slice(), output.timestamps.as_slice()), (&[0, 2][..], &[0, 2][..]));
    assert_eq!((output.keys.as_slice(), output.key_ends.as_slice()), (&b"AC"[..], &[1, 2][..]));
    assert_eq!((host.counter("taken"), host.processor().n_taken), (2, 2));
    assert_eq!(host.logs().map(|(_, line)| line).collect::<Vec<_>>(), ["took 1", "took as it came"]);
}

#[test]
fn retry_goes_on_from_the_event_that_asked_for_it() {
    let mut host = moody(None);
    let events = [said("a", "1"), said("b", "bad"), said("c", "busy"), said("d", "4")];
    moody::BUSY.set(true);
    assert_eq!(host.send(&events), Err(Fault::Retry("busy".into())));
    assert_eq!(host.send(&events), Err(Fault::Retry("busy".into())));
    moody::BUSY.set(false);
    let answer = host.send(&events).unwrap();
    assert_eq!(answer.events, [said("a", "> 1"), said("c", "> busy"), said("d", "> 4")]);
    assert_eq!(answer.rejected, [(1, "bad".to_owned())]);
    assert_eq!(host.processor().n_taken, 3, "the event before the retry was taken once");
}

#[test]
fn another_batch_after_a_retry_starts_anew() {
    let mut host = moody(None);
    moody::BUSY.set(true);
    assert_eq!(host.send([said("a", "1"), said("c", "busy")]), Err(Fault::Retry("busy".into())));
    moody::BUSY.set(false);
    assert_eq!(host.send([said("e", "5")]).unwrap().events, [said("e", "> 5")]);
}

#[test]
fn fatal_ends_the_batch() {
    assert_eq!(moody(None).send([said("a", "fatal")]), Err(Fault::Fatal("enough".into())));
}

#[test]
fn settings_are_refused_by_new() {
    use moody::{Config, Mood};
    let config = Config { prefix: String::new(), patience: 0, limits: None, mood: Mood::VeryAngry, words: vec![] };
    assert_eq!(Host::<moody::Moody>::start(config).unwrap_err(), "too angry");
}

#[test]
fn payload_that_is_no_event_is_rejected_with_the_field() {
    let mut batch = batch::<moody::Note, _>([said("a", "1"), said("b", "2")]);
    batch.data[1] = 0xff;
    let answer = moody(None).send_batch(batch).unwrap();
    assert_eq!(answer.events, [said("b", "> 2")]);
    let reason = "the payload cannot be decoded: a string is not UTF-8, in field `author`";
    assert_eq!(answer.rejected, [(0, reason.to_owned())]);
}

#[test]
fn watermark_and_attributes_are_passed_on_even_without_events() {
    let carried =
        |batch: Batch| Batch { watermark: Some(9), attributes: vec![("network".into(), "testnet".into())], ..batch };
    let answer = moody(None).send_batch(carried(Batch::default())).unwrap();
    assert_eq!(answer.outcome.outputs, [carried(Batch::default())]);
    let answer = moody(None).send_batch(carried(batch::<moody::Note, _>([said("a", "1")]))).unwrap();
    assert_eq!(answer.outcome.outputs[0].watermark, Some(9));
    assert_eq!(answer.outcome.outputs[0].attributes, [("network".to_owned(), "testnet".to_owned())]);
    assert_eq!(moody(None).send_batch(Batch::default()).unwrap().outcome.outputs, []);
}

#[test]
fn columns_that_do_not_agree_are_fatal() {
    let sound = batch::<moody::Note, _>([said("a", "1"), said("b", "2")]);
    let broken = [
        Batch { timestamps: vec![0], ..sound.clone() },
        Batch { ends: vec![6, 3], ..sound.clone() },
        Batch { ends: vec![3, 7], ..sound.clone() },
        Batch { key_ends: vec![0], ..sound.clone() },
        Batch { key_ends: vec![1, 1], ..sound.clone() },
    ];
    for batch in broken {
        let fault = moody(None).send_batch(batch).unwrap_err();
        assert_eq!(fault, Fault::Fatal("the columns of the input batch do not agree".into()));
    }
}

/// Columns, and output that comes from no event.
#[flowctl_sdk::processor(input = "test.blob.v1", output = "test.note.v1", wit = "tests/wit")]
mod columns {
    pub struct Columns;

    impl Columns {
        fn new() -> Self {
            Self
        }

        fn process_batch(&mut self, events: &Events<'_>, out: &mut Emitter<Note>) -> Result<(), Failure> {
            let author = out.attribute("author").unwrap_or("nobody").to_owned();
            if author == "refused" {
                out.emit(Note { author, text: String::new() });
                return Err("not from them".into());
            }
            for event in events.iter() {
                if event.payload.is_empty() {
                    out.reject(&event, "empty");
                    continue;
                }
                if author != "whole" {
                    out.follow(&event);
                }
                let text = String::from_utf8_lossy(event.payload).into_owned();
                let note = out.emit(Note { author: author.clone(), text });
                if event.index == 1 {
                    note.key("second").at(77);
                }
            }
            out.set_attribute("author", "me");
            out.set_watermark(Some(1));
            Ok(())
        }
    }
}

fn blobs(author: &str) -> Batch {
    let attributes = vec![("author".to_owned(), author.to_owned())];
    Batch { attributes, ..batch::<Vec<u8>, _>([&b"x"[..], b"y", b"", b"z"]) }
}

#[test]
fn batch_override_sets_origins_keys_and_times() {
    let answer = Host::<columns::Columns>::start(()).unwrap().send_batch(blobs("ada")).unwrap();
    let output = &answer.outcome.outputs[0];
    assert_eq!(output.origins, [0, 1, 3]);
    assert_eq!(output.timestamps, [0, 77, 3]);
    assert_eq!((output.key_ends.as_slice(), output.keys.as_slice()), (&[0, 6, 6][..], &b"second"[..]));
    assert_eq!(output.attributes, [("author".to_owned(), "me".to_owned())]);
    assert_eq!(output.watermark, Some(1));
    assert_eq!(answer.rejected, [(2, "empty".to_owned())]);
}

#[test]
fn output_of_the_whole_batch_has_no_origins() {
    let answer = Host::<columns::Columns>::start(()).unwrap().send_batch(blobs("whole")).unwrap();
    let output = &answer.outcome.outputs[0];
    assert_eq!((output.len(), output.origins.as_slice()), (3, &[][..]));
}

#[test]
fn refusing_a_batch_refuses_each_event() {
    let answer = Host::<columns::Columns>::start(()).unwrap().send_batch(blobs("refused")).unwrap();
    assert_eq!(answer.events, []);
    assert_eq!(answer.rejected, (0..4).map(|index| (index, "not from them".to_owned())).collect::<Vec<_>>());
}

#[test]
fn keys_of_the_input_are_inherited_where_none_is_defined() {
    let batch = Batch { key_ends: vec![2, 2, 3, 4], keys: b"kkll".to_vec(), ..blobs("ada") };
    let answer = Host::<columns::Columns>::start(()).unwrap().send_batch(batch).unwrap();
    let output = &answer.outcome.outputs[0];
    assert_eq!((output.key_ends.as_slice(), output.keys.as_slice()), (&[2, 8, 9][..], &b"kksecondl"[..]));
}

#[test]
fn key_groups_never_change() {
    let groups = ["", "a", "native", "USDC:GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN"].map(key_group);
    assert_eq!(groups, KEY_GROUPS);
}

/// Worked out apart from the SDK, from the documented hash.
const KEY_GROUPS: [u8; 4] = [0xe1, 0xbb, 0x41, 0xfe];
