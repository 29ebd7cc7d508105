//! Pictures, held as they were looked at.

use crossterm::event::KeyCode;
use expect_test::{Expect, expect, expect_file};
use flowctl_client::{Moment, admin};
use flowctl_test_support::screens;
use ratatui::style::{Color, Modifier};

use crate::Colours;
use crate::fixture::{drawn, host, model, opened, picture, pipeline, run};
use crate::message::{Answer, Effect, Interest, Message, News, Trouble};
use crate::model::Model;
use crate::model::detail::Panel;

fn check(model: &Model, expected: &Expect) {
    expected.assert_eq(&picture(model, 80, 24));
}

#[test]
fn the_list_shows_every_pipeline_and_the_runs_of_the_chosen_one() {
    let mut model = model();
    model.presses("j");
    model.sees(
        10,
        Interest::Runs("billing".to_owned()),
        News::Runs(vec![run("billing", 3, 40), run("billing", 60, 7)]),
    );
    check(
        &model,
        &expect![[r#"
            " flowctl 127.0.0.1:8080 · default as admin                          ● connected "
            " 6 pipelines   2 running   1 failed   2.40k events/s                            "
            "                                                                                "
            "  PIPELINE                    STATUS      EVENTS/S                   IN REJECTED"
            "  archive                     ◌ stopping         0    ▁▁▁▁▁▁▁▁▁       0       12"
            "▸ billing                     ✗ failed           –                  120       12"
            "  never                       ○ never run        –                    –        –"
            "  nightly                     ✓ completed        –                1.23M       12"
            "  orders                      ● running      2.00k    ▆▆▆▆▆▆▆▆▆   20.0k       12"
            "  transfers                   ● running        400    ▂▂▂▃▃▄▅▆▆    2500       12"
            "                                                                                "
            "                                                                                "
            "                                                                                "
            "                                                                                "
            "                                                                                "
            "                                                                                "
            "── runs of billing ─────────────────────────────────────────────────────────────"
            " ✗ node `pg`: cannot connect to `db.example:5432`: connection refused           "
            "  ● running   11-14 22:13:20       3s     120 in     120 out    12 rejected     "
            "  ● running   11-14 22:13:20    1m 0s     420 in     420 out    12 rejected     "
            "                                                                                "
            "                                                                                "
            "                                                                                "
            " ? help  ↑↓ choose  enter open  / filter  s stop  q quit                        "
        "#]],
    );
    expect_file!["pictures/list-wide.txt"].assert_eq(&picture(&model, 200, 50));
}

#[test]
fn a_pipeline_is_a_graph_with_figures_on_each_node() {
    let model = opened();
    check(
        &model,
        &expect![[r#"
            " flowctl 127.0.0.1:8080 · default as admin                          ● connected "
            " orders ● running for 10s             2.16k/s  21.0k in  21.0k out  12 rejected "
            "                                                      ╭ out ────────────────╮   "
            "                                                      │ 2.16k/s     0.34 ms │   "
            "                                                   ╭─▶│ queue ━━━━━━━━ 100% │   "
            " ┏ orders ━━━━━━━━━━━━━┓   ╭ filter ─────────────╮ │  │           ▆▆▆▆▆▆▆▆▆ │   "
            " ┃ 2.16k/s     0.34 ms ┃   │ 2.16k/s     0.34 ms │ │  │ waits: for the dat… │   "
            " ┃ source              ┃──▶│ queue ━━━────── 25% │─┤  ╰─────────────────────╯   "
            " ┃           ▆▆▆▆▆▆▆▆▆ ┃   │           ▆▆▆▆▆▆▆▆▆ │ │  ╭ audit ──────────────╮   "
            " ┃ generate            ┃   │ 12 rejected         │ │  │ 2.16k/s     0.34 ms │   "
            " ┗━━━━━━━━━━━━━━━━━━━━━┛   ╰─────────────────────╯ ╰─▶│ queue ────────── 0% │   "
            "                                                      │           ▆▆▆▆▆▆▆▆▆ │   "
            "                                                      │ file                │   "
            "                                                      ╰─────────────────────╯   "
            "── 1 Node ─ 2 Logs ─ 3 Tap ─ 4 History ─ 5 Runs ─ orders ───────────────────────"
            " source    generate · built-in                         events/s, up to 2.16k    "
            " emits     21.0k · 2.16k/s · 1.8 MiB                                      ⢀⣀⣀⡠⠤ "
            " latency   0.34 ms · half ≤ 0.50 ms · 99 % ≤ 1.00 ms                            "
            " rejected  0 · 0 restarts                                                       "
            " writes    example.order.v1                                                     "
            "                                                                                "
            "                                                                                "
            "                                                       ──────────────────────── "
            " ? help  esc back  ←↑↓→ node  1-5 panel  r replace  a add  s stop  q quit       "
        "#]],
    );
    expect_file!["pictures/nodes-wide.txt"].assert_eq(&picture(&model, 200, 50));
}

#[test]
fn logs_are_read_from_the_end_and_filtered() {
    let mut model = opened();
    model.presses("l2n");
    let event = |number, level: &str, node: &str, message: &str| admin::RunEvent {
        number,
        at: Some(Moment { seconds: 1_700_000_000 + number as i64, nanos: 0 }),
        level: level.to_owned(),
        kind: "log".to_owned(),
        node: node.to_owned(),
        message: message.to_owned(),
    };
    let mut events: Vec<_> = (1..30).map(|n| event(n, "info", "filter", &format!("order {n} is small"))).collect();
    events.push(event(30, "warn", "filter", "a long message\nwith a second line, and with \u{1b}[31mescapes"));
    events.push(event(31, "error", "out", &"the database is away ".repeat(8)));
    let interest = Interest::Events { run: "run-of-orders".to_owned(), node: None };
    model.sees(10, interest, News::Events(events));
    check(
        &model,
        &expect![[r#"
            " flowctl 127.0.0.1:8080 · default as admin                          ● connected "
            " orders ● running for 10s             2.16k/s  21.0k in  21.0k out  12 rejected "
            "                                                      ╭ out ────────────────╮   "
            "                                                      │ 2.16k/s     0.34 ms │   "
            "                                                   ╭─▶│ queue ━━━━━━━━ 100% │   "
            " ╭ orders ─────────────╮   ┏ filter ━━━━━━━━━━━━━┓ │  │           ▆▆▆▆▆▆▆▆▆ │   "
            " │ 2.16k/s     0.34 ms │   ┃ 2.16k/s     0.34 ms ┃ │  │ waits: for the dat… │   "
            " │ source              │──▶┃ queue ━━━────── 25% ┃─┤  ╰─────────────────────╯   "
            " │           ▆▆▆▆▆▆▆▆▆ │   ┃           ▆▆▆▆▆▆▆▆▆ ┃ │  ╭ audit ──────────────╮   "
            " │ generate            │   ┃ 12 rejected         ┃ │  │ 2.16k/s     0.34 ms │   "
            " ╰─────────────────────╯   ┗━━━━━━━━━━━━━━━━━━━━━┛ ╰─▶│ queue ────────── 0% │   "
            "                                                      │           ▆▆▆▆▆▆▆▆▆ │   "
            "                                                      │ file                │   "
            "                                                      ╰─────────────────────╯   "
            "── 1 Node ─ 2 Logs ─ 3 Tap ─ 4 History ─ 5 Runs ─ all nodes ────────────────────"
            " 22:13:48 info  log filter  order 28 is small                                   "
            " 22:13:49 info  log filter  order 29 is small                                   "
            " 22:13:50 warn  log filter  a long message                                      "
            "                            with a second line, and with �[31mescapes           "
            " 22:13:51 error log out  the database is away the database is away the database "
            "                          is away the database is away the database is away the "
            "                          database is away the database is away the database is "
            "                          away                                                  "
            " ? help  esc back  ←↑↓→ node  / filter  n all nodes  pgup older  1-5 panel      "
        "#]],
    );
    model.presses("/order 2");
    check(
        &model,
        &expect![[r#"
            " flowctl 127.0.0.1:8080 · default as admin                          ● connected "
            " orders ● running for 10s             2.16k/s  21.0k in  21.0k out  12 rejected "
            "                                                      ╭ out ────────────────╮   "
            "                                                      │ 2.16k/s     0.34 ms │   "
            "                                                   ╭─▶│ queue ━━━━━━━━ 100% │   "
            " ╭ orders ─────────────╮   ┏ filter ━━━━━━━━━━━━━┓ │  │           ▆▆▆▆▆▆▆▆▆ │   "
            " │ 2.16k/s     0.34 ms │   ┃ 2.16k/s     0.34 ms ┃ │  │ waits: for the dat… │   "
            " │ source              │──▶┃ queue ━━━────── 25% ┃─┤  ╰─────────────────────╯   "
            " │           ▆▆▆▆▆▆▆▆▆ │   ┃           ▆▆▆▆▆▆▆▆▆ ┃ │  ╭ audit ──────────────╮   "
            " │ generate            │   ┃ 12 rejected         ┃ │  │ 2.16k/s     0.34 ms │   "
            " ╰─────────────────────╯   ┗━━━━━━━━━━━━━━━━━━━━━┛ ╰─▶│ queue ────────── 0% │   "
            "                                                      │           ▆▆▆▆▆▆▆▆▆ │   "
            "                                                      │ file                │   "
            "                                                      ╰─────────────────────╯   "
            "── 1 Node ─ 2 Logs ─ 3 Tap ─ 4 History ─ 5 Runs ─ all nodes only `order 2` ─────"
            " 22:13:42 info  log filter  order 22 is small                                   "
            " 22:13:43 info  log filter  order 23 is small                                   "
            " 22:13:44 info  log filter  order 24 is small                                   "
            " 22:13:45 info  log filter  order 25 is small                                   "
            " 22:13:46 info  log filter  order 26 is small                                   "
            " 22:13:47 info  log filter  order 27 is small                                   "
            " 22:13:48 info  log filter  order 28 is small                                   "
            " 22:13:49 info  log filter  order 29 is small                                   "
            " / order 2    enter keep · esc clear                                            "
        "#]],
    );
}

#[test]
fn tapped_events_are_shown_as_json() {
    let mut model = opened();
    model.presses("l3");
    let event = |number: i64| admin::TappedEvent {
        id: format!("orders/{number}"),
        r#type: "example.order.v1".to_owned(),
        time: Some(Moment { seconds: 1_700_000_000 + number, nanos: 0 }),
        json: format!(
            r#"{{"id":"order-{number}","customer":"customer-17","amount":{},"items":["a","b","c"]}}"#,
            number * 7
        ),
        n_skipped: 0,
    };
    let interest = Interest::Tap { pipeline: "orders".to_owned(), node: "filter".to_owned() };
    model.sees(10, interest, News::Tapped((1..9).map(event).collect()));
    check(
        &model,
        &expect![[r#"
            " flowctl 127.0.0.1:8080 · default as admin                          ● connected "
            " orders ● running for 10s             2.16k/s  21.0k in  21.0k out  12 rejected "
            "                                                      ╭ out ────────────────╮   "
            "                                                      │ 2.16k/s     0.34 ms │   "
            "                                                   ╭─▶│ queue ━━━━━━━━ 100% │   "
            " ╭ orders ─────────────╮   ┏ filter ━━━━━━━━━━━━━┓ │  │           ▆▆▆▆▆▆▆▆▆ │   "
            " │ 2.16k/s     0.34 ms │   ┃ 2.16k/s     0.34 ms ┃ │  │ waits: for the dat… │   "
            " │ source              │──▶┃ queue ━━━────── 25% ┃─┤  ╰─────────────────────╯   "
            " │           ▆▆▆▆▆▆▆▆▆ │   ┃           ▆▆▆▆▆▆▆▆▆ ┃ │  ╭ audit ──────────────╮   "
            " │ generate            │   ┃ 12 rejected         ┃ │  │ 2.16k/s     0.34 ms │   "
            " ╰─────────────────────╯   ┗━━━━━━━━━━━━━━━━━━━━━┛ ╰─▶│ queue ────────── 0% │   "
            "                                                      │           ▆▆▆▆▆▆▆▆▆ │   "
            "                                                      │ file                │   "
            "                                                      ╰─────────────────────╯   "
            "── 1 Node ─ 2 Logs ─ 3 Tap ─ 4 History ─ 5 Runs ─ of filter ────────────────────"
            " 22:13:25 {"id":"order-5","customer":"customer-17","amount":35,"items":["a","b" "
            "          ,"c"]}                                                                "
            " 22:13:26 {"id":"order-6","customer":"customer-17","amount":42,"items":["a","b" "
            "          ,"c"]}                                                                "
            " 22:13:27 {"id":"order-7","customer":"customer-17","amount":49,"items":["a","b" "
            "          ,"c"]}                                                                "
            " 22:13:28 {"id":"order-8","customer":"customer-17","amount":56,"items":["a","b" "
            "          ,"c"]}                                                                "
            " ? help  esc back  ←↑↓→ node  / filter  space freeze  pgup older  1-5 panel     "
        "#]],
    );
}

#[test]
fn an_event_without_a_time_stands_where_others_do() {
    let mut model = opened();
    model.presses("l3");
    let event =
        |json: &str| admin::TappedEvent { id: "1".to_owned(), json: json.to_owned(), ..admin::TappedEvent::default() };
    let interest = Interest::Tap { pipeline: "orders".to_owned(), node: "filter".to_owned() };
    model.sees(10, interest, News::Tapped(vec![event("{\"n\":1}")]));
    let picture = picture(&model, 80, 24);
    let line = picture.lines().nth(15).unwrap_or_default();
    assert_eq!(line.trim_matches('"').trim_end(), " –        {\"n\":1}");
}

#[test]
fn the_history_says_what_changed_and_what_became_of_it() {
    let mut model = opened();
    model.presses("4");
    let revision = |number, status: &str, reason: &str, line: &str, is_current| admin::Revision {
        number,
        made_at: Some(Moment { seconds: 1_700_000_000 + number as i64 * 60, nanos: 0 }),
        status: status.to_owned(),
        reason: reason.to_owned(),
        changes: vec!["+ second: order-filter 0.1.0".to_owned(), "~ filter: reads from second".to_owned()],
        line: line.to_owned(),
        pause_us: if number > 1 { 120 } else { 0 },
        is_current,
        ..admin::Revision::default()
    };
    let (long, short) = ("orders → second → filter → out", "orders → filter → out");
    let revisions = vec![
        revision(4, "on-trial", "", long, true),
        revision(3, "rolled-back", "node `second` trapped: the order has no customer", long, false),
        revision(2, "kept", "back to revision 1", short, false),
        revision(1, "started", "", short, false),
    ];
    model.sees(10, Interest::Revisions("orders".to_owned()), News::Revisions(revisions));
    check(
        &model,
        &expect![[r#"
            " flowctl 127.0.0.1:8080 · default as admin                          ● connected "
            " orders ● running for 10s             2.16k/s  21.0k in  21.0k out  12 rejected "
            "                                                      ╭ out ────────────────╮   "
            "                                                      │ 2.16k/s     0.34 ms │   "
            "                                                   ╭─▶│ queue ━━━━━━━━ 100% │   "
            " ┏ orders ━━━━━━━━━━━━━┓   ╭ filter ─────────────╮ │  │           ▆▆▆▆▆▆▆▆▆ │   "
            " ┃ 2.16k/s     0.34 ms ┃   │ 2.16k/s     0.34 ms │ │  │ waits: for the dat… │   "
            " ┃ source              ┃──▶│ queue ━━━────── 25% │─┤  ╰─────────────────────╯   "
            " ┃           ▆▆▆▆▆▆▆▆▆ ┃   │           ▆▆▆▆▆▆▆▆▆ │ │  ╭ audit ──────────────╮   "
            " ┃ generate            ┃   │ 12 rejected         │ │  │ 2.16k/s     0.34 ms │   "
            " ┗━━━━━━━━━━━━━━━━━━━━━┛   ╰─────────────────────╯ ╰─▶│ queue ────────── 0% │   "
            "                                                      │           ▆▆▆▆▆▆▆▆▆ │   "
            "                                                      │ file                │   "
            "                                                      ╰─────────────────────╯   "
            "── 1 Node ─ 2 Logs ─ 3 Tap ─ 4 History ─ 5 Runs ─ of orders ────────────────────"
            "▸  4 11-14 22:17:20 on-trial    pause 0.12 ms  orders → second → filter → out   "
            "      + second: order-filter 0.1.0                                              "
            "      ~ filter: reads from second                                               "
            "   3 11-14 22:16:20 rolled-back pause 0.12 ms  orders → second → filter → out   "
            "      node `second` trapped: the order has no customer                          "
            "   2 11-14 22:15:20 kept        pause 0.12 ms  orders → filter → out            "
            "      back to revision 1                                                        "
            "   1 11-14 22:14:20 started     orders → filter → out                           "
            " ? help  esc back  ←↑↓→ node  1-5 panel  r replace  a add  s stop  q quit       "
        "#]],
    );
}

#[test]
fn the_history_has_the_pause_however_long_the_chain_is() {
    let mut model = opened();
    model.presses("4");
    let revision = |number, line: &str, pause_us| admin::Revision {
        number,
        made_at: Some(Moment { seconds: 1_700_000_000, nanos: 0 }),
        status: "kept".to_owned(),
        line: line.to_owned(),
        pause_us,
        ..admin::Revision::default()
    };
    let revisions = vec![
        revision(3, "numbers → guest → identity → another → out", 120_000),
        revision(2, "numbers → guest → identity → out", 12_340),
        revision(1, "numbers → guest → out", 20),
    ];
    model.sees(10, Interest::Revisions("orders".to_owned()), News::Revisions(revisions));
    let line = |width, row: usize| {
        let picture = picture(&model, width, 24);
        picture.lines().nth(row).unwrap_or_default().trim_matches('"').trim_end().to_owned()
    };
    assert_eq!(line(80, 15), "   3 11-14 22:13:20 kept        pause 120 ms  numbers → guest → identity → anot…");
    assert_eq!(line(80, 16), "   2 11-14 22:13:20 kept        pause 12 ms  numbers → guest → identity → out");
    assert_eq!(line(80, 17), "   1 11-14 22:13:20 kept        pause 0.02 ms  numbers → guest → out");
    let narrow = picture(&model, 40, 24);
    assert!(narrow.contains("   1 11-14 22:13:20 kept        numbers…"), "{narrow}");
}

#[test]
fn names_that_are_cut_are_told_apart_by_their_ends() {
    let mut model = Model::new("127.0.0.1:8080", None);
    let name = |number| format!("pipeline-with-a-rather-long-name-{number:02}");
    let pipelines = (1..=25).map(|number| pipeline(&name(number), admin::RunStatus::Running, 10, 1)).collect();
    model.sees(10, Interest::Overview, News::Overview(host(), pipelines));
    let screen = picture(&model, 80, 24);
    for number in 1..=12 {
        assert!(screen.contains(&format!(" pipeline-with…-long-name-{number:02} ● running")), "{number}: {screen}");
    }
    let screen = picture(&model, 40, 10);
    assert!(screen.contains("▸ pip…e-01 ● running"), "{screen}");
    assert!(picture(&model, 200, 50).contains(&format!("{} ", name(25))), "where there is room, nothing is cut");
}

#[test]
fn what_is_left_and_right_does_not_run_together() {
    let mut model = opened();
    let line = |model: &Model, width, row: usize| {
        let picture = picture(model, width, 10);
        picture.lines().nth(row).unwrap_or_default().trim_matches('"').to_owned()
    };
    let news = News::Run(Box::new(run("orders", 121, 2_100)));
    model.sees(121, Interest::Run("run-of-orders".to_owned()), news);
    for width in 40..=120 {
        let line = line(&model, width, 1);
        let figures = line.strip_prefix(" orders ● running for 2m 1s ").unwrap_or_else(|| panic!("{width}: {line}"));
        let is_whole = ["/s ", " in ", " out ", " rejected "].iter().any(|end| figures.ends_with(end));
        assert!(is_whole, "{width}: {line}");
    }
    model.detail.as_mut().unwrap().pipeline = "pipeline-with-a-rather-long-name-07".to_owned();
    assert_eq!(line(&model, 40, 1).trim_end(), " pipeline…g-name-07 ● running for 2m 1s");
    model.address = "https://flowctl.example.internal:8443".to_owned();
    assert_eq!(line(&model, 40, 0), " flowctl https://…rnal:8443 ● connected ");
}

#[test]
fn a_run_that_is_over_says_after_what_time_it_ended() {
    let mut model = opened();
    for (status, said) in [
        (admin::RunStatus::Running, " orders ● running for 10s "),
        (admin::RunStatus::Stopping, " orders ◌ stopping for 10s "),
        (admin::RunStatus::Completed, " orders ✓ completed after 10s "),
        (admin::RunStatus::Stopped, " orders ■ stopped after 10s "),
        (admin::RunStatus::Failed, " orders ✗ failed after 10s "),
    ] {
        let seen = admin::Run { status: status.into(), ..run("orders", 10, 2_100) };
        model.sees(10, Interest::Run("run-of-orders".to_owned()), News::Run(Box::new(seen)));
        let screen = picture(&model, 80, 24);
        assert!(screen.contains(said), "{screen}");
    }
}

#[test]
fn a_control_plane_that_is_away_leaves_the_last_picture() {
    let mut model = model();
    let trouble = Trouble {
        text: "the connection to the control plane broke: Connection refused (os error 111)".to_owned(),
        hint: None,
        is_away: true,
        again_in: Some(std::time::Duration::from_secs(2)),
    };
    model.update(std::time::Duration::from_secs(12), Message::Lost(Interest::Overview, trouble.clone()));
    model.update(std::time::Duration::from_secs(15), Message::Lost(Interest::Overview, trouble));
    let picture = picture(&model, 80, 24);
    let lines: Vec<&str> = picture.lines().collect();
    expect![[r#"
        " flowctl 127.0.0.1:8080 · default as admin         ✗ reconnecting, try 3 in 2 s "
        " 6 pipelines   2 running   1 failed   2.40k events/s                            "
        "  nightly                     ✓ completed        –                1.23M       12"
        " as it was 3s ago: the connection to the control plane broke: Connection refused""#]]
    .assert_eq(&[lines[0], lines[1], lines[7], lines[22]].join("\n"));
}

#[test]
fn a_change_is_shown_as_a_plan_before_it_is_made() {
    let mut model = opened();
    model.presses("lr");
    let plugin = |name: &str, input: &str, output: &str| admin::Plugin {
        name: name.to_owned(),
        role: "processor".to_owned(),
        version: "0.1.0".to_owned(),
        input_types: vec![input.to_owned()],
        output_types: vec![output.to_owned()],
        ..admin::Plugin::default()
    };
    let plugins = vec![
        plugin("ttp-processor", "stellar.ledger.v1", "stellar.token.transfer.v1"),
        plugin("order-filter", "example.order.v1", "example.order.v1"),
        admin::Plugin { role: "sink".to_owned(), ..plugin("file", "any", "") },
    ];
    model.update(model.now, Message::Answered(Answer::Components(Ok(plugins))));
    model.press_code(KeyCode::Down);
    check(
        &model,
        &expect![[r#"
            " flowctl 127.0.0.1:8080 · default as admin                          ● connected "
            " orders ● running for 10s             2.16k/s  21.0k in  21.0k out  12 rejected "
            "                                                      ╭ out ────────────────╮   "
            "                                                      │ 2.16k/s     0.34 ms │   "
            "                                                   ╭─▶│ queue ━━━━━━━━ 100% │   "
            " ╭ orders ─────────────╮   ┏ filter ━━━━━━━━━━━━━┓ │  │           ▆▆▆▆▆▆▆▆▆ │   "
            " │ 2.16k/s     0.34 ms │   ┃ 2.16k/s     0.34 ms ┃ │  │ waits: for the dat… │   "
            " │ source              │──▶┃ queue ━━━────── 25% ┃─┤  ╰─────────────────────╯   "
            " │╭ Replace `filter` ────────────────────────────────────────────────────────╮  "
            " ││ component                                                                │  "
            " ╰│                                                                          │  "
            "  │  ✓ order-filter  0.1.0 example.order.v1 → example.order.v1               │  "
            "  │  · ttp-processor 0.1.0 stellar.ledger.v1 → stellar.token.transfer.v1     │  "
            "  │                                                                          │  "
            "──│  ↑↓ choose  enter plan it  esc leave it                                  │──"
            " p╰──────────────────────────────────────────────────────────────────────────╯  "
            "           sha256:6b7f9a1f6b7f9a1f6b7f9a1f6b7f9a1f6b7                     ⢀⣀⣀⡠⠤ "
            "           f9a1f6b7f9a1f6b7f9a1f6b7f9a1f                                        "
            " takes     21.0k · 2.16k/s · 2.0 MiB                                            "
            " emits     21.0k · 2.16k/s · 1.8 MiB                                            "
            " queue     2 of 8 batches · 8.0 KiB · 25 % full                                 "
            " latency   0.34 ms · half ≤ 0.50 ms · 99 % ≤ 1.00 ms                            "
            " rejected  12 · 0 restarts                             ──────────────────────── "
            " ? help  esc back  ←↑↓→ node  1-5 panel  r replace  a add  s stop  q quit       "
        "#]],
    );
    let asked = model.press_code(KeyCode::Enter);
    let plan = admin::ChangeTopologyResponse {
        changes: vec!["~ filter: order-filter 0.1.0 → order-filter 0.2.0".to_owned()],
        plan_hash: "5b6c1de0c2f4a9aa".to_owned(),
        topology: Some(admin::Topology {
            line: "orders → filter → out, audit".to_owned(),
            ..admin::Topology::default()
        }),
        ..admin::ChangeTopologyResponse::default()
    };
    model.hears_plan(asked, Ok(plan));
    check(
        &model,
        &expect![[r#"
            " flowctl 127.0.0.1:8080 · default as admin                          ● connected "
            " orders ● running for 10s             2.16k/s  21.0k in  21.0k out  12 rejected "
            "                                                      ╭ out ────────────────╮   "
            "                                                      │ 2.16k/s     0.34 ms │   "
            "                                                   ╭─▶│ queue ━━━━━━━━ 100% │   "
            " ╭ orders ─────────────╮   ┏ filter ━━━━━━━━━━━━━┓ │  │           ▆▆▆▆▆▆▆▆▆ │   "
            " │ 2.16k/s     0.34 ms │   ┃ 2.16k/s     0.34 ms ┃ │  │ waits: for the dat… │   "
            " │╭ Replace `filter` ────────────────────────────────────────────────────────╮  "
            " ││ ~ filter: order-filter 0.1.0 → order-filter 0.2.0                        │  "
            " ││                                                                          │  "
            " ╰│ takes effect in place, between two batches                               │  "
            "  │ then: orders → filter → out, audit                                       │  "
            "  │ plan hash: 5b6c1de0c2f4a9aa                                              │  "
            "  │ It is on trial first; what fails is taken back by itself.                │  "
            "──│                                                                          │──"
            " p│  y make it  esc leave it                                                 │  "
            "  ╰──────────────────────────────────────────────────────────────────────────╯⠤ "
            "           f9a1f6b7f9a1f6b7f9a1f6b7f9a1f                                        "
            " takes     21.0k · 2.16k/s · 2.0 MiB                                            "
            " emits     21.0k · 2.16k/s · 1.8 MiB                                            "
            " queue     2 of 8 batches · 8.0 KiB · 25 % full                                 "
            " latency   0.34 ms · half ≤ 0.50 ms · 99 % ≤ 1.00 ms                            "
            " rejected  12 · 0 restarts                             ──────────────────────── "
            " ? help  esc back  ←↑↓→ node  1-5 panel  r replace  a add  s stop  q quit       "
        "#]],
    );
}

#[test]
fn what_is_refused_is_told_with_its_hint() {
    let mut model = opened();
    let asked = model.presses("x");
    let trouble = Trouble {
        text: "node `orders` is a source of the pipeline, and a pipeline needs one: it cannot be removed".to_owned(),
        hint: Some("`flowctl pipelines stop orders` stops the pipeline".to_owned()),
        is_away: false,
        again_in: None,
    };
    model.hears_plan(asked, Err(trouble));
    check(
        &model,
        &expect![[r#"
            " flowctl 127.0.0.1:8080 · default as admin                          ● connected "
            " orders ● running for 10s             2.16k/s  21.0k in  21.0k out  12 rejected "
            "                                                      ╭ out ────────────────╮   "
            "                                                      │ 2.16k/s     0.34 ms │   "
            "                                                   ╭─▶│ queue ━━━━━━━━ 100% │   "
            " ┏ orders ━━━━━━━━━━━━━┓   ╭ filter ─────────────╮ │  │           ▆▆▆▆▆▆▆▆▆ │   "
            " ┃ 2.16k/s     0.34 ms ┃   │ 2.16k/s     0.34 ms │ │  │ waits: for the dat… │   "
            " ┃ source              ┃──▶│ queue ━━━────── 25% │─┤  ╰─────────────────────╯   "
            " ┃╭ Remove `orders` ─────────────────────────────────────────────────────────╮  "
            " ┃│ node `orders` is a source of the pipeline, and a pipeline needs one: it  │  "
            " ┗│ cannot be removed                                                        │  "
            "  │                                                                          │  "
            "  │ hint: `flowctl pipelines stop orders` stops the pipeline                 │  "
            "  │                                                                          │  "
            "──│  esc close                                                               │──"
            " s╰──────────────────────────────────────────────────────────────────────────╯  "
            " emits     21.0k · 2.16k/s · 1.8 MiB                                      ⢀⣀⣀⡠⠤ "
            " latency   0.34 ms · half ≤ 0.50 ms · 99 % ≤ 1.00 ms                            "
            " rejected  0 · 0 restarts                                                       "
            " writes    example.order.v1                                                     "
            "                                                                                "
            "                                                                                "
            "                                                       ──────────────────────── "
            " ? help  esc back  ←↑↓→ node  1-5 panel  r replace  a add  s stop  q quit       "
        "#]],
    );
}

#[test]
fn a_source_in_an_error_is_marked_where_it_is_wrong() {
    let mut model = opened();
    model.presses("lr/nope.wasm");
    let asked = model.press_code(KeyCode::Enter);
    let text = "error[plugin-not-found]: there is no file `/nope.wasm`
 --> shop.yaml:12:9
   |
12 | plugin: /nope.wasm
   |         ^^^^^^^^^^
hint: build it first";
    model.hears_plan(asked, Err(Trouble { text: text.to_owned(), hint: None, is_away: false, again_in: None }));
    let screen = model.shows(80, 24);
    for line in text.lines() {
        assert!(screen.contains(&format!("│ {line:<72} │")), "no {line:?} in\n{screen}");
    }
}

#[test]
fn another_try_is_offered_where_something_can_be_typed() {
    let trouble = Trouble { text: "it cannot be".to_owned(), hint: None, is_away: false, again_in: None };
    for (keys, is_typed) in [("lrnothing", true), ("lanothing", true), ("lx", false), ("b", false)] {
        let mut model = opened();
        let mut asked = model.presses(keys);
        if is_typed {
            asked = model.press_code(KeyCode::Enter);
        }
        model.hears_plan(asked, Err(trouble.clone()));
        let screen = model.shows(80, 24);
        assert_eq!(screen.contains("enter try another  esc leave it"), is_typed, "{keys}: {screen}");
        assert_eq!(screen.contains("esc close"), !is_typed, "{keys}: {screen}");
    }
}

/// A plan for the node `filter` that was asked for and has come.
fn planned(changes: Vec<String>) -> Model {
    let mut model = opened();
    model.presses("lrorder-filter");
    let asked = model.press_code(KeyCode::Enter);
    let plan = admin::ChangeTopologyResponse {
        changes,
        plan_hash: "5b6c1de0c2f4a9aa".to_owned(),
        topology: Some(admin::Topology {
            line: "orders → filter → out, audit".to_owned(),
            ..admin::Topology::default()
        }),
        ..admin::ChangeTopologyResponse::default()
    };
    model.hears_plan(asked, Ok(plan));
    model
}

#[test]
fn a_plan_is_made_only_when_its_end_was_shown() {
    let mut model = planned((1..=30).map(|number| format!("+ filter-{number:02}: order-filter 0.1.0")).collect());
    expect![[r#"
            " flowctl 127.0.0.1:8080 · default as admin                          ● connected "
            " o╭ Replace `filter` ────────────────────────────────────────────────────────╮d "
            "  │ + filter-01: order-filter 0.1.0                                          │  "
            "  │ + filter-02: order-filter 0.1.0                                          │  "
            "  │ + filter-03: order-filter 0.1.0                                          │  "
            " ╭│ + filter-04: order-filter 0.1.0                                          │  "
            " ││ + filter-05: order-filter 0.1.0                                          │  "
            " ││ + filter-06: order-filter 0.1.0                                          │  "
            " ││ + filter-07: order-filter 0.1.0                                          │  "
            " ││ + filter-08: order-filter 0.1.0                                          │  "
            " ╰│ + filter-09: order-filter 0.1.0                                          │  "
            "  │ + filter-10: order-filter 0.1.0                                          │  "
            "  │ + filter-11: order-filter 0.1.0                                          │  "
            "  │ + filter-12: order-filter 0.1.0                                          │  "
            "──│ + filter-13: order-filter 0.1.0                                          │──"
            " p│ + filter-14: order-filter 0.1.0                                          │  "
            "  │ + filter-15: order-filter 0.1.0                                          │⠤ "
            "  │ + filter-16: order-filter 0.1.0                                          │  "
            " t│ + filter-17: order-filter 0.1.0                                          │  "
            " e│ + filter-18: order-filter 0.1.0                                          │  "
            " q│ + filter-19: order-filter 0.1.0                                          │  "
            " l│  ↓ 16 more  esc leave it                                                 │  "
            " r╰──────────────────────────────────────────────────────────────────────────╯─ "
            " ? help  esc back  ←↑↓→ node  1-5 panel  r replace  a add  s stop  q quit       "
        "#]]
    .assert_eq(&model.shows(80, 24));
    assert_eq!(model.presses("y"), None);
    model.press_code(KeyCode::PageDown);
    assert_eq!(model.presses("y"), None, "what comes now is not drawn yet");
    expect![[r#"
            " flowctl 127.0.0.1:8080 · default as admin                          ● connected "
            " o╭ Replace `filter` ────────────────────────────────────────────────────────╮d "
            "  │ + filter-17: order-filter 0.1.0                                          │  "
            "  │ + filter-18: order-filter 0.1.0                                          │  "
            "  │ + filter-19: order-filter 0.1.0                                          │  "
            " ╭│ + filter-20: order-filter 0.1.0                                          │  "
            " ││ + filter-21: order-filter 0.1.0                                          │  "
            " ││ + filter-22: order-filter 0.1.0                                          │  "
            " ││ + filter-23: order-filter 0.1.0                                          │  "
            " ││ + filter-24: order-filter 0.1.0                                          │  "
            " ╰│ + filter-25: order-filter 0.1.0                                          │  "
            "  │ + filter-26: order-filter 0.1.0                                          │  "
            "  │ + filter-27: order-filter 0.1.0                                          │  "
            "  │ + filter-28: order-filter 0.1.0                                          │  "
            "──│ + filter-29: order-filter 0.1.0                                          │──"
            " p│ + filter-30: order-filter 0.1.0                                          │  "
            "  │                                                                          │⠤ "
            "  │ takes effect in place, between two batches                               │  "
            " t│ then: orders → filter → out, audit                                       │  "
            " e│ plan hash: 5b6c1de0c2f4a9aa                                              │  "
            " q│ It is on trial first; what fails is taken back by itself.                │  "
            " l│  y make it  esc leave it                                                 │  "
            " r╰──────────────────────────────────────────────────────────────────────────╯─ "
            " ? help  esc back  ←↑↓→ node  1-5 panel  r replace  a add  s stop  q quit       "
        "#]]
    .assert_eq(&model.shows(80, 24));
    model.presses("k");
    assert!(model.shows(80, 24).contains("y make it"), "what was read once may be looked at again");
    assert!(matches!(model.presses("y"), Some(Effect::Make { .. })));
}

#[test]
fn keys_that_come_together_pass_over_no_line_of_a_plan() {
    let changes: Vec<String> = (1..=90).map(|number| format!("+ filter-{number:02}: order-filter 0.1.0")).collect();
    let mut model = planned(changes.clone());
    let mut read = model.shows(80, 24);
    for _ in 0..10 {
        for _ in 0..3 {
            model.press_code(KeyCode::PageDown);
        }
        read.push_str(&model.shows(80, 24));
    }
    let missed: Vec<&String> = changes.iter().filter(|change| !read.contains(change.as_str())).collect();
    assert!(missed.is_empty() && read.contains("y make it"), "{missed:?}");
}

#[test]
fn a_plan_is_read_on_the_smallest_screen() {
    let mut model = planned(vec!["~ filter: order-filter 0.1.0 → order-filter 0.2.0".to_owned()]);
    expect![[r#"
            " flowctl 127.0.0.1:8080     ● connected "
            "╭ Replace `filter` ────────────────────╮"
            "│ ~ filter: order-filter 0.1.0 →       │"
            "│ order-filter 0.2.0                   │"
            "│                                      │"
            "│ takes effect in place, between two   │"
            "│ batches                              │"
            "│  ↓ 4 more  esc leave it              │"
            "╰──────────────────────────────────────╯"
            " ? help  esc back  ←↑↓→ node  1-5 panel "
        "#]]
    .assert_eq(&model.shows(40, 10));
    assert_eq!(model.presses("y"), None);
    model.presses("jjjjj");
    expect![[r#"
            " flowctl 127.0.0.1:8080     ● connected "
            "╭ Replace `filter` ────────────────────╮"
            "│ batches                              │"
            "│ then: orders → filter → out, audit   │"
            "│ plan hash: 5b6c1de0c2f4a9aa          │"
            "│ It is on trial first; what fails is  │"
            "│ taken back by itself.                │"
            "│  y make it  esc leave it             │"
            "╰──────────────────────────────────────╯"
            " ? help  esc back  ←↑↓→ node  1-5 panel "
        "#]]
    .assert_eq(&model.shows(40, 10));
    assert!(matches!(model.presses("y"), Some(Effect::Make { .. })));
}

#[test]
fn an_error_is_read_to_its_end_on_every_screen() {
    let texts: Vec<String> = (0..60).map(|number| format!("fault-{number}.")).collect();
    let trouble =
        Trouble { text: texts.join(" and "), hint: Some("do-this".to_owned()), is_away: false, again_in: None };
    for (width, height) in [(40, 10), (80, 24), (200, 50)] {
        let mut refused = opened();
        let asked = refused.presses("x");
        refused.hears_plan(asked, Err(trouble.clone()));
        let mut failed = opened();
        failed.update(failed.now, Message::Answered(Answer::Made("Remove `filter`".to_owned(), Err(trouble.clone()))));
        for model in [&mut refused, &mut failed] {
            let mut read = String::new();
            for _ in 0..60 {
                read.push_str(&model.shows(width, height));
                model.press_code(KeyCode::Down);
            }
            let missed: Vec<&String> = texts.iter().filter(|text| !read.contains(text.as_str())).collect();
            assert!(missed.is_empty() && read.contains("do-this"), "{width}×{height}: no {missed:?} in {read}");
        }
    }
}

#[test]
fn the_guide_shows_what_is_drawn() {
    let mut list = model();
    list.presses("j");
    list.sees(10, Interest::Runs("billing".to_owned()), News::Runs(vec![run("billing", 3, 40)]));
    let mut nodes = opened();
    nodes.presses("l");
    let plan = planned(vec!["~ filter: order-filter 0.1.0 → order-filter 0.2.0".to_owned()]);
    let screens = screens("dashboard");
    assert_eq!(screens.len(), 3);
    for (screen, model) in screens.iter().zip([list, nodes, plan]) {
        screen.is_in(&picture(&model, 80, 24));
    }
}

#[test]
fn help_and_questions_stand_in_front() {
    let mut model = opened();
    model.presses("s");
    let lines = picture(&model, 80, 24);
    assert!(lines.contains("Stop `orders`?") && lines.contains("y stop it"), "{lines}");
    model.press_code(KeyCode::Esc);
    model.presses("?");
    expect_file!["pictures/help.txt"].assert_eq(&picture(&model, 100, 50));
}

#[test]
fn colours_are_left_out_where_they_are_not_wanted() {
    let model = opened();
    let colours = |colours| {
        let terminal = drawn(&model, 80, 24, colours);
        let cells = terminal.backend().buffer().content.iter();
        cells.filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
    };
    assert_eq!(colours(Colours::None), 0);
    assert!(colours(Colours::Some) > 100);
    let terminal = drawn(&model, 80, 24, Colours::None);
    let is_marked = |cell: &&ratatui::buffer::Cell| cell.modifier.contains(Modifier::REVERSED);
    assert!(
        terminal.backend().buffer().content.iter().filter(is_marked).count() > 0,
        "what is chosen is seen all the same"
    );
}

#[test]
fn no_size_of_a_terminal_is_too_much() {
    let mut models = [
        model(),
        opened(),
        opened(),
        opened(),
        opened(),
        Model::new("a", None),
        opened(),
        opened(),
        planned(vec!["- filter".to_owned()]),
    ];
    models[2].presses("?");
    models[3].presses("a");
    models[4].presses("2/abc");
    models[6].detail.as_mut().unwrap().open(Panel::Tap);
    models[7].presses("ax");
    models[7].press_code(KeyCode::Tab);
    models[7].presses("x");
    models[7].press_code(KeyCode::Enter);
    for model in &models {
        for (width, height) in
            (0..=44).flat_map(|w| (0..=26).map(move |h| (w, h))).chain([(500, 3), (40, 300), (1_000, 100)])
        {
            drawn(model, width, height, Colours::Some);
        }
    }
}
