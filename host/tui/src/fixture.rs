//! A model as a control plane would fill it, for tests.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use flowctl_client::{Moment, admin};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::Colours;
use crate::message::{Answer, Effect, Interest, Message, News, Trouble};
use crate::model::Model;
use crate::model::dialog::Reading;
use crate::view::{self, Theme};

const STARTED: i64 = 1_700_000_000;

/// A pipeline that runs for `second` seconds.
pub(crate) fn pipeline(name: &str, status: admin::RunStatus, second: u64, per_second: u64) -> admin::Pipeline {
    let run =
        admin::Run { resolved: String::new(), nodes: Vec::new(), edges: Vec::new(), ..run(name, second, per_second) };
    let run = admin::Run { status: status.into(), ..run };
    admin::Pipeline { name: name.to_owned(), n_runs: 1, last_run: Some(run), ..admin::Pipeline::default() }
}

/// The run of a pipeline `orders → filter → out, audit`, with all that is known of it.
pub(crate) fn run(pipeline: &str, second: u64, per_second: u64) -> admin::Run {
    let n = second * per_second;
    let node = |id: &str, role: &str, origin: &str| admin::NodeFigures {
        node: id.to_owned(),
        role: role.to_owned(),
        origin: origin.to_owned(),
        events_in: n,
        events_out: n,
        bytes_in: n * 100,
        bytes_out: n * 90,
        latency: Some(admin::Latency {
            buckets: vec![
                admin::LatencyBucket { up_to_us: 100, count: 0 },
                admin::LatencyBucket { up_to_us: 500, count: second * 9 },
                admin::LatencyBucket { up_to_us: 1_000, count: second },
            ],
            sum_ns: second * 3_400_000,
            count: second * 10,
        }),
        ..admin::NodeFigures::default()
    };
    let edge = |from: &str, to: &str, batches| admin::EdgeFigures {
        from: from.to_owned(),
        to: to.to_owned(),
        batches,
        bytes: batches * 4_096,
        max_batches: 8,
        max_bytes: 16 << 20,
    };
    admin::Run {
        id: format!("run-of-{pipeline}"),
        pipeline: pipeline.to_owned(),
        status: admin::RunStatus::Running.into(),
        created_at: Some(Moment { seconds: STARTED, nanos: 0 }),
        started_at: Some(Moment { seconds: STARTED, nanos: 0 }),
        elapsed: Some(prost_duration(second)),
        resolved: r#"{"nodes": [
            {"id": "orders", "component": {"name": "generate"}, "inputs": [], "outputs": [{"type": "example.order.v1"}]},
            {"id": "filter", "component": {"name": "order-filter", "version": "0.1.0"}, "parallelism": 2,
             "inputs": [{"type": "example.order.v1"}], "outputs": [{"type": "example.order.v1"}]},
            {"id": "out", "component": {"name": "sqlite"}, "inputs": [{"type": "example.order.v1"}], "outputs": []},
            {"id": "audit", "component": {"name": "file"}, "inputs": [{"type": "example.order.v1"}], "outputs": []}
        ]}"#
            .to_owned(),
        nodes: vec![
            node("orders", "source", "built-in"),
            admin::NodeFigures {
                rejected: 12,
                memory_bytes: 12 << 20,
                cpu_ns: 3_200_000_000,
                ..node("filter", "processor", "wasm sha256:6b7f9a1f6b7f9a1f6b7f9a1f6b7f9a1f6b7f9a1f6b7f9a1f6b7f9a1f6b7f9a1f")
            },
            admin::NodeFigures { waiting: "for the database".to_owned(), ..node("out", "sink", "built-in") },
            node("audit", "sink", "built-in"),
        ],
        edges: vec![edge("orders", "filter", 2), edge("filter", "out", 8), edge("filter", "audit", 0)],
        epoch: second,
        events_in: n,
        events_out: n,
        rejected: 12,
        ..admin::Run::default()
    }
}

/// What a control plane answers of itself.
pub(crate) fn host() -> admin::Host {
    admin::Host {
        version: "0.1.0".to_owned(),
        tenant: "default".to_owned(),
        role: "admin".to_owned(),
        is_serving: true,
        ..admin::Host::default()
    }
}

/// A model over which ten seconds passed, with a pipeline of each kind in its list.
pub(crate) fn model() -> Model {
    let mut model = Model::new("127.0.0.1:8080", None);
    for second in 1..=10 {
        model.sees(second, Interest::Overview, News::Overview(host(), pipelines(second)));
    }
    model.sees(10, Interest::Runs("billing".to_owned()), News::Runs(vec![run("billing", 0, 0)]));
    model
}

fn pipelines(second: u64) -> Vec<admin::Pipeline> {
    let mut billing = pipeline("billing", admin::RunStatus::Failed, 3, 40);
    if let Some(run) = &mut billing.last_run {
        run.error = "node `pg`: cannot connect to `db.example:5432`: connection refused".to_owned();
    }
    let never = admin::Pipeline { name: "never".to_owned(), ..admin::Pipeline::default() };
    vec![
        pipeline("transfers", admin::RunStatus::Running, second, 25 * second),
        pipeline("orders", admin::RunStatus::Running, second, 2_000),
        billing,
        pipeline("nightly", admin::RunStatus::Completed, 723, 1_700),
        never,
        pipeline("archive", admin::RunStatus::Stopping, second, 0),
    ]
}

/// The same with the pipeline `orders` open, seen for ten seconds.
pub(crate) fn opened() -> Model {
    let mut model = model();
    model.presses("jjjj");
    model.press_code(KeyCode::Enter);
    for second in 1..=10 {
        let news = News::Run(Box::new(run("orders", second, 2_000 + 10 * second)));
        model.sees(second, Interest::Run("run-of-orders".to_owned()), news);
    }
    model
}

impl Model {
    /// Takes in what was seen at a second.
    pub(crate) fn sees(&mut self, second: u64, interest: Interest, news: News) {
        self.update(Duration::from_secs(second), Message::Seen(interest, news));
    }

    /// Takes in the answer to a plan that was asked for.
    pub(crate) fn hears_plan(
        &mut self,
        asked: Option<Effect>,
        planned: Result<admin::ChangeTopologyResponse, Trouble>,
    ) {
        let Some(Effect::Plan(order)) = asked else { panic!("no plan was asked for") };
        self.update(self.now, Message::Answered(Answer::Planned(Box::new(order), planned)));
    }

    /// Is drawn, and takes in what was shown; answers the picture.
    pub(crate) fn shows(&mut self, width: u16, height: u16) -> String {
        let (terminal, shown) = draw(self, width, height, Colours::None);
        self.note_shown(shown);
        terminal.backend().to_string()
    }

    /// Presses a key for each character; answers what the last one asks for.
    pub(crate) fn presses(&mut self, keys: &str) -> Option<Effect> {
        keys.chars().map(|c| self.press_code(KeyCode::Char(c))).last().flatten()
    }

    /// Presses a key.
    pub(crate) fn press_code(&mut self, code: KeyCode) -> Option<Effect> {
        self.update(self.now, Message::Key(KeyEvent::new(code, KeyModifiers::NONE)))
    }
}

/// The picture of a model, as text.
pub(crate) fn picture(model: &Model, width: u16, height: u16) -> String {
    let terminal = drawn(model, width, height, Colours::None);
    terminal.backend().to_string()
}

/// A terminal on which a model is drawn.
pub(crate) fn drawn(model: &Model, width: u16, height: u16, colours: Colours) -> Terminal<TestBackend> {
    draw(model, width, height, colours).0
}

/// A terminal on which a model is drawn, and what of the dialog is on it.
fn draw(model: &Model, width: u16, height: u16, colours: Colours) -> (Terminal<TestBackend>, Option<Reading>) {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a test's terminal can be made");
    let mut shown = None;
    let drawn = terminal.draw(|frame| shown = view::draw(model, &Theme::new(colours), frame));
    drawn.expect("a test's terminal can be drawn on");
    (terminal, shown)
}

fn prost_duration(seconds: u64) -> flowctl_client::Length {
    flowctl_client::Length { seconds: i64::try_from(seconds).unwrap_or(i64::MAX), nanos: 0 }
}
