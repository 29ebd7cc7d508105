//! What keys and news do.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use flowctl_client::admin;

use admin::change_topology_request::Change;

use crate::fixture::{host, model, opened, pipeline, run};
use crate::message::{Answer, Effect, Interest, Message, News, Order, Trouble};
use crate::model::detail::Panel;
use crate::model::dialog::{Dialog, Stage};
use crate::model::{Link, Model};

fn trouble(is_away: bool) -> Trouble {
    let again_in = Some(Duration::from_secs(1));
    Trouble { text: "no".to_owned(), hint: None, is_away, again_in }
}

fn names(model: &Model) -> Vec<&str> {
    model.listed().map(|pipeline| pipeline.wire.name.as_str()).collect()
}

#[test]
fn only_what_is_shown_is_asked_for() {
    let mut model = opened();
    let run = || "run-of-orders".to_owned();
    let of_panel = |model: &Model| {
        let mut interests = model.interests();
        assert!(interests.remove(&Interest::Overview) && interests.remove(&Interest::Run(run())));
        interests.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(of_panel(&model), []);
    model.presses("2");
    assert_eq!(of_panel(&model), [Interest::Events { run: run(), node: Some("orders".to_owned()) }]);
    model.presses("n");
    assert_eq!(of_panel(&model), [Interest::Events { run: run(), node: None }]);
    model.presses("3l");
    let tap = Interest::Tap { pipeline: "orders".to_owned(), node: "filter".to_owned() };
    assert_eq!(of_panel(&model), [tap]);
    model.presses(" ");
    assert_eq!(of_panel(&model), [], "a frozen tap asks for nothing");
    model.presses("4");
    assert_eq!(of_panel(&model), [Interest::Revisions("orders".to_owned())]);
    model.press_code(KeyCode::Esc);
    assert_eq!(
        model.interests().into_iter().collect::<Vec<_>>(),
        [Interest::Overview, Interest::Runs("orders".to_owned())]
    );
}

#[test]
fn the_filter_looks_at_names_and_statuses_and_keeps_a_choice() {
    let mut model = model();
    model.presses("/RUN");
    assert_eq!(names(&model), ["never", "orders", "transfers"], "`never run` has the word too");
    model.press_code(KeyCode::Enter);
    model.presses("/ning");
    assert_eq!((names(&model), model.chosen.as_deref()), (vec!["orders", "transfers"], Some("orders")));
    model.press_code(KeyCode::Esc);
    assert_eq!(names(&model).len(), 6);
}

#[test]
fn a_letter_in_a_filter_is_no_command() {
    let mut model = model();
    model.presses("/qs?");
    assert!(!model.is_done && model.dialog.is_none());
    assert_eq!(model.filter.input.text(), "qs?");
    let control = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    model.update(model.now, Message::Key(control));
    assert!(model.is_done, "but ctrl-c is");
}

#[test]
fn nothing_is_stopped_that_was_not_asked_for_twice() {
    let mut model = opened();
    assert_eq!(model.presses("s"), None);
    assert_eq!(model.press_code(KeyCode::Enter), None, "enter is pressed too easily");
    assert_eq!(model.press_code(KeyCode::Esc), None);
    assert!(model.dialog.is_none());
    assert_eq!(model.presses("sy"), Some(Effect::Stop { run: "run-of-orders".to_owned() }));
    let mut model = self::model();
    model.presses("js");
    assert!(model.dialog.is_none() && model.notice.is_some(), "what does not run is not stopped");
}

#[test]
fn a_change_is_made_as_it_was_planned_and_only_then() {
    let mut model = opened();
    assert_eq!(model.presses("la"), Some(Effect::Components));
    model.presses("dedup");
    model.press_code(KeyCode::Tab);
    model.presses("window");
    assert_eq!(model.press_code(KeyCode::Enter), None, "the configuration is none");
    model.presses("=3");
    let order = Order {
        pipeline: "orders".to_owned(),
        change: Change::Add(admin::AddNode {
            component: "dedup".to_owned(),
            after: vec!["filter".to_owned()],
            config: r#"{"window":3}"#.to_owned(),
            ..admin::AddNode::default()
        }),
    };
    assert_eq!(model.press_code(KeyCode::Enter), Some(Effect::Plan(order.clone())));
    assert_eq!(model.presses("y"), None, "nothing is planned yet");
    let plan = admin::ChangeTopologyResponse {
        changes: vec!["+ dedup".to_owned()],
        plan_hash: "abc".to_owned(),
        ..admin::ChangeTopologyResponse::default()
    };
    model.hears_plan(Some(Effect::Plan(order.clone())), Ok(plan.clone()));
    assert_eq!(model.presses("y"), None, "nobody has seen it");
    model.shows(80, 24);
    assert_eq!(model.press_code(KeyCode::Enter), None);
    let title = "Add a processor behind `filter`".to_owned();
    let make = Effect::Make { title: title.clone(), order, plan_hash: "abc".to_owned() };
    assert_eq!(model.presses("y"), Some(make));
    let panel = |model: &Model| model.detail.as_ref().unwrap().panel;
    assert!(model.dialog.is_none() && panel(&model) == Panel::History, "what becomes of it is shown");
    let preparing = "Add a processor behind `filter`: everything new is prepared";
    assert!(model.shows(80, 24).contains(preparing));
    model.presses("3");
    model.update(model.now, Message::Answered(Answer::Made(title, Ok(plan))));
    assert_eq!(panel(&model), Panel::Tap, "who went on meanwhile is not called back");
    let screen = model.shows(80, 24);
    assert!(screen.contains("changed: pause") && !screen.contains(preparing), "{screen}");
}

#[test]
fn a_plan_without_changes_cannot_be_made() {
    let mut model = opened();
    let rollback = Change::Rollback(admin::Rollback::default());
    let asked = model.presses("b");
    assert_eq!(asked, Some(Effect::Plan(Order { pipeline: "orders".to_owned(), change: rollback })));
    model.hears_plan(asked, Ok(admin::ChangeTopologyResponse::default()));
    model.shows(80, 24);
    assert_eq!(model.presses("y"), None);
}

#[test]
fn a_plan_that_comes_late_is_not_taken_for_another() {
    let mut model = opened();
    let left = model.presses("lx");
    model.press_code(KeyCode::Esc);
    let asked = model.presses("b");
    let plan = |hash: &str| admin::ChangeTopologyResponse {
        changes: vec!["- filter".to_owned()],
        plan_hash: hash.to_owned(),
        ..admin::ChangeTopologyResponse::default()
    };
    model.hears_plan(left, Ok(plan("of another")));
    model.shows(80, 24);
    assert_eq!(model.presses("y"), None);
    model.hears_plan(asked, Ok(plan("its own")));
    model.shows(80, 24);
    let made = model.presses("y");
    assert!(matches!(&made, Some(Effect::Make { plan_hash, .. }) if plan_hash == "its own"), "{made:?}");
}

#[test]
fn a_refused_component_can_be_tried_again() {
    let mut model = opened();
    model.presses("lrnothing");
    let asked = model.press_code(KeyCode::Enter);
    model.hears_plan(asked, Err(trouble(false)));
    model.press_code(KeyCode::Enter);
    let Some(Dialog::Change(dialog)) = &model.dialog else { panic!("the dialog is gone") };
    assert!(matches!(dialog.stage, Stage::Asking));
    assert_eq!(dialog.component.text(), "nothing");
}

#[test]
fn a_refused_removal_leaves_nothing_to_try() {
    for keys in ["lx", "b"] {
        let mut model = opened();
        let asked = model.presses(keys);
        model.hears_plan(asked, Err(trouble(false)));
        assert_eq!(model.press_code(KeyCode::Enter), None);
        assert!(model.dialog.is_none(), "{keys}");
    }
}

#[test]
fn a_pasted_reference_is_typed_at_once() {
    let mut model = opened();
    model.presses("lr");
    model.update(model.now, Message::Paste("registry.example/filter:1.2.0\n".to_owned()));
    let Some(Dialog::Change(dialog)) = &model.dialog else { panic!("the dialog is gone") };
    assert_eq!(dialog.meant(), "registry.example/filter:1.2.0");
}

#[test]
fn an_outage_is_counted_and_over_when_something_comes() {
    let mut model = model();
    for second in [11, 12, 14] {
        model.update(Duration::from_secs(second), Message::Lost(Interest::Overview, trouble(true)));
    }
    let Link::Down { since, n_tries, again_at, .. } = &model.link else { panic!("it is up") };
    assert_eq!((since.as_secs(), *n_tries, again_at.as_secs()), (11, 3, 15));
    assert_eq!(model.pipelines.len(), 6, "the last picture stays");
    model.sees(15, Interest::Overview, News::Overview(host(), Vec::new()));
    assert!(matches!(model.link, Link::Up) && model.pipelines.is_empty());
}

#[test]
fn another_run_begins_anew() {
    let mut model = opened();
    assert!(model.detail.as_ref().unwrap().events.per_second().is_some());
    let mut restarted = pipeline("orders", admin::RunStatus::Starting, 0, 0);
    restarted.last_run.as_mut().unwrap().id = "another".to_owned();
    model.sees(11, Interest::Overview, News::Overview(host(), vec![restarted]));
    let detail = model.detail.as_ref().unwrap();
    assert_eq!((detail.run_id.as_deref(), detail.events.per_second()), (Some("another"), None));
    assert!(model.interests().contains(&Interest::Run("another".to_owned())));
    // what the run before still sends is not taken for it
    model.sees(12, Interest::Run("run-of-orders".to_owned()), News::Run(Box::new(run("orders", 12, 1))));
    assert_eq!(model.detail.as_ref().unwrap().events.per_second(), None);
}

#[test]
fn a_pipeline_that_is_deleted_leads_back_to_the_list() {
    let mut model = opened();
    model.sees(11, Interest::Overview, News::Overview(host(), Vec::new()));
    assert!(model.detail.is_none() && model.chosen.is_none());
    assert_eq!(model.notice.as_ref().unwrap().text, "pipeline `orders` is gone");
}

#[test]
fn what_a_panel_cannot_see_is_told_until_it_can() {
    let mut model = opened();
    model.presses("4");
    let interest = || Interest::Revisions("orders".to_owned());
    model.update(model.now, Message::Lost(interest(), trouble(true)));
    assert!(model.detail.as_ref().unwrap().trouble.is_none(), "an outage is told once, for all");
    model.update(model.now, Message::Lost(interest(), trouble(false)));
    assert!(model.detail.as_ref().unwrap().trouble.is_some());
    model.sees(11, interest(), News::Revisions(Vec::new()));
    assert!(model.detail.as_ref().unwrap().trouble.is_none());
}

#[test]
fn lines_that_come_twice_are_there_once() {
    let mut model = opened();
    model.presses("2");
    let interest = Interest::Events { run: "run-of-orders".to_owned(), node: Some("orders".to_owned()) };
    let event = |number| admin::RunEvent { number, ..admin::RunEvent::default() };
    model.sees(11, interest.clone(), News::Events(vec![event(1), event(2)]));
    model.sees(11, interest, News::Events(vec![event(1), event(2), event(3)]));
    assert_eq!(model.detail.as_ref().unwrap().logs.lines.shown().len(), 3);
}

#[test]
fn a_notice_passes() {
    let mut model = model();
    model.tell("done");
    model.update(model.now + Duration::from_secs(7), Message::Tick);
    assert!(model.notice.is_some() && model.is_timed());
    model.update(model.now + Duration::from_secs(1), Message::Tick);
    assert!(model.notice.is_none() && !model.is_timed());
}

#[test]
fn what_fails_waits_for_what_is_in_front() {
    let mut model = opened();
    model.presses("la");
    model.presses("de");
    let trouble = trouble(false);
    model.update(model.now, Message::Answered(Answer::Made("Remove `out`".to_owned(), Err(trouble))));
    model.presses("dup");
    let typed = |model: &Model| match &model.dialog {
        Some(Dialog::Change(dialog)) => dialog.component.text(),
        other => panic!("{other:?}"),
    };
    assert_eq!(typed(&model), "dedup", "nothing comes before who types");
    model.press_code(KeyCode::Esc);
    assert!(matches!(&model.dialog, Some(Dialog::Failed { title, .. }) if title == "Remove `out`: not done"));
    model.press_code(KeyCode::Enter);
    assert!(model.dialog.is_none());
    let lost = self::trouble(true);
    model.update(model.now, Message::Answered(Answer::Made("Remove `out`".to_owned(), Err(lost))));
    assert!(matches!(&model.dialog, Some(Dialog::Failed { title, .. }) if title.contains("perhaps not done")));
}

#[test]
fn a_key_right_behind_esc_is_pressed_after_it() {
    let mut model = opened();
    model.presses("?");
    let key = KeyEvent::new(KeyCode::Char('4'), KeyModifiers::ALT);
    model.update(model.now, Message::Key(key));
    assert!(model.dialog.is_none() && model.detail.as_ref().unwrap().panel == Panel::History);
}
