//! What the log lines of a run say of where they come from.

use std::io;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tracing::Dispatch;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::support::{Database, Pipe, Rule, SinkSpec, SourceSpec, Verdict};

/// Lines, kept.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Has every thread ask all subscribers what they want, whichever of its own it has: where
/// there is one alone, `tracing` asks that of the thread that comes to a line first, which
/// may have none, and takes its word for all.
fn several_subscribers() {
    static OTHER: OnceLock<Dispatch> = OnceLock::new();
    OTHER.get_or_init(|| Dispatch::new(tracing_subscriber::registry()));
}

/// The lines that a run of `pipe` writes, those of `level` and above, each without its
/// level.
async fn lines(pipe: &Pipe, level: LevelFilter, spans: FmtSpan) -> Vec<String> {
    several_subscribers();
    let kept = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_span_events(spans)
        .with_writer(kept.clone())
        .without_time()
        .with_ansi(false)
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    pipe.run().await;
    drop(guard);
    let bytes = kept.0.lock().unwrap();
    let text = std::str::from_utf8(&bytes).unwrap();
    text.lines().map(|line| line.trim_start().split_once(' ').unwrap().1.to_owned()).collect()
}

/// Says something in each call.
fn talkative(verdict: fn(u64) -> Verdict) -> Rule {
    Rule::new(move |n| {
        tracing::warn!(n, "judged");
        verdict(n)
    })
}

#[tokio::test(start_paused = true)]
async fn a_components_lines_name_run_and_node_once() {
    for n_instances in [1, 2] {
        let pipe = Pipe::line(SourceSpec::new(6), talkative(Verdict::Emit), &SinkSpec::new());
        let lines = lines(&pipe.parallel("p", n_instances), LevelFilter::WARN, FmtSpan::NONE).await;
        assert_eq!(lines.len(), 6, "{lines:?}");
        let (span, _) = lines[0].split_once(": ").unwrap();
        let run = span.strip_prefix("node{run=").unwrap().strip_suffix(" node=p}").unwrap();
        assert_eq!(run.len(), 16, "{run}");
        for (n, line) in lines.iter().enumerate() {
            assert_eq!(*line, format!("node{{run={run} node=p}}: it::spans: judged n={n}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_runtimes_own_lines_name_run_and_node_once() {
    let verdict = |n| if n == 40 { Verdict::CrashInCompany } else { Verdict::Emit(n) };
    let source = SourceSpec { pause: Duration::from_millis(100), ..SourceSpec::new(60) };
    let pipe = Pipe::line(source, Rule { is_sum: true, ..Rule::new(verdict) }, &SinkSpec::new());
    let stateful = lines(&pipe, LevelFilter::WARN, FmtSpan::NONE).await;
    let [back] = stateful.as_slice() else { panic!("{stateful:?}") };
    assert!(back.starts_with("run{run="), "{back}");
    let what = "run goes back to the last barrier node=p error=trapped at 40 epoch=1";
    assert!(back.ends_with(&format!("}}: flowctl_runtime::coordinator::rewind: {what}")), "{back}");

    let pipe = Pipe::line(SourceSpec::new(60), Rule::new(verdict), &SinkSpec::new());
    let stateless = lines(&pipe, LevelFilter::WARN, FmtSpan::NONE).await;
    let [apart, anew] = stateless.as_slice() else { panic!("{stateless:?}") };
    for (line, what) in [(apart, "batch is taken apart"), (anew, "component was made anew")] {
        assert!(line.starts_with("node{run=") && line.contains(what), "{line}");
        assert_eq!((line.matches("run=").count(), line.matches("node=p").count()), (1, 1), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_stands_in_the_span_that_it_was_started_in() {
    let database = Database::new("out");
    database.breaks.lock().unwrap().insert(1);
    let pipe = Pipe::new().source("s", SourceSpec::new(9)).database("out", &database, &["s"]);
    let pipe_in_span = async |pipe: &Pipe| {
        use tracing::Instrument as _;
        several_subscribers();
        let kept = Lines::default();
        let subscriber = tracing_subscriber::fmt().with_writer(kept.clone()).with_ansi(false).without_time().finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let span = tracing::error_span!("tenant", name = "acme");
        pipe.run().instrument(span).await;
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    };
    let text = pipe_in_span(&pipe).await;
    assert!(text.contains(r#"WARN tenant{name="acme"}:run{run="#), "{text}");
}

#[tokio::test(start_paused = true)]
async fn one_of_so_many_batches_has_a_span() {
    let batches = async |trace_every| {
        let mut pipe = Pipe::line(SourceSpec::new(30), talkative(Verdict::Emit), &SinkSpec::new());
        pipe.options.trace_every = trace_every;
        let lines = lines(&pipe, LevelFilter::INFO, FmtSpan::NEW).await;
        let is_new = |line: &&String| line.contains(":batch{") && line.ends_with("flowctl::batch: new");
        (lines.iter().filter(is_new).count(), lines)
    };
    assert_eq!(batches(0).await.0, 0);
    let (n_batches, lines) = batches(4).await;
    // of ten batches the fourth and the eighth, at each of three nodes
    assert_eq!(n_batches, 6, "{lines:?}");
    let judged = lines.iter().find(|line| line.ends_with("judged n=9")).unwrap();
    assert!(judged.contains(" node=p}:batch{run=") && judged.contains(" node=p n_events=3 n_bytes="), "{judged}");
    assert!(!lines.iter().any(|line| line.ends_with("judged n=12") && line.contains("batch{")));
}
