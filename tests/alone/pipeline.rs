//! Guarantee: a stage that misbehaves costs no more than the operator says, and
//! asking again what was asked before costs no call. With real components.

use std::{
    fmt::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use crate::common::{corpus, plugin};
use wharfinger::{
    config::Config,
    daemon::app::Stages,
    model::{
        container::{Container, ContainerId},
        host::{Compat, Host},
    },
    pipeline::{Pipeline, StageFigures},
};

fn stage(name: &str, file: &str, further: &str) -> String {
    format!("[[pipeline]]\nname = '{name}'\nfile = {:?}\n{further}\n", plugin(file))
}

fn parse(text: &str) -> Config {
    let text = format!("[limits]\ntimeout = '10s'\n{text}");
    Config::parse(&text, Path::new("test.toml"), Path::new("/")).expect("the file is right")
}

async fn load(stages: &mut Stages, text: &str) -> Pipeline {
    stages.load(&parse(text)).await.unwrap_or_else(|error| panic!("{error:#}"))
}

/// Containers with one published port each, and these labels.
fn containers(count: usize, labels: &[(&str, &str)]) -> (Vec<Container>, Host) {
    let case = corpus::cases().into_iter().find(|case| case.name == "net-bridge");
    let case = case.expect("the case is part of the corpus");
    let mut one = case.containers().remove(0);
    one.labels.extend(labels.iter().map(|(key, value)| (key.to_string(), value.to_string())));
    let container = |n| Container {
        id: ContainerId(format!("{n:064}").into()),
        name: format!("c{n}"),
        ..one.clone()
    };
    ((0..count).map(container).collect(), case.host(Compat::None))
}

/// Evaluate all, some at once, and say how many services that makes.
async fn evaluate(pipeline: &Pipeline, containers: &[Container], host: &Host) -> usize {
    use futures_util::{StreamExt as _, stream};
    let one = |container| async move {
        let outcome = pipeline.evaluate(container, host).await;
        outcome.unwrap_or_else(|error| panic!("{error:?}")).services.len()
    };
    stream::iter(containers).map(one).buffer_unordered(16).fold(0, async |sum, n| sum + n).await
}

fn figures(pipeline: &Pipeline) -> Vec<StageFigures> {
    pipeline.health().into_iter().map(|stage| stage.figures).collect()
}

fn calls(pipeline: &Pipeline) -> Vec<u64> {
    figures(pipeline).iter().map(|figures| figures.calls).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_host_costs_no_call_and_a_changed_stage_only_what_follows() {
    const COUNT: usize = 1_000;
    let (containers, host) = containers(COUNT, &[("owner", "ann"), ("team", "shop")]);
    let five = |fourth: &str| {
        let mut text = stage("s0", "registrator", "");
        for n in 1..5 {
            let tag = if n == 3 { fourth.to_string() } else { format!("t{n}") };
            let _ = write!(
                text,
                "{}",
                stage(&format!("s{n}"), "convention", &format!("settings = {{ tag = '{tag}' }}"))
            );
        }
        text
    };
    let mut stages = Stages::default();
    let first = load(&mut stages, &five("t3")).await;
    let began = Instant::now();
    assert_eq!(evaluate(&first, &containers, &host).await, COUNT);
    let cold = began.elapsed();
    assert_eq!(calls(&first), [COUNT as u64; 5]);

    let began = Instant::now();
    assert_eq!(evaluate(&first, &containers, &host).await, COUNT);
    let warm = began.elapsed();
    assert_eq!(calls(&first), [COUNT as u64; 5], "nothing has changed");
    assert!(figures(&first).iter().all(|figures| figures.hits == COUNT as u64));
    println!("{COUNT} containers, 5 components: {cold:?}, and {warm:?} the second time");
    assert!(warm < cold, "{warm:?} {cold:?}");

    // The fourth stage says the same by other settings: the fifth is shown what it
    // was shown before. Then it says something else.
    let mut text = five("t3");
    text = text.replace("tag = 't3'", "tag = 't3', team-label = 'team'");
    let same = load(&mut stages, &text).await.succeeding(&first);
    evaluate(&same, &containers, &host).await;
    assert_eq!(calls(&same), [1_000, 1_000, 1_000, 2_000, 1_000]);
    let changed = load(&mut stages, &five("new")).await.succeeding(&same);
    evaluate(&changed, &containers, &host).await;
    assert_eq!(calls(&changed), [1_000, 1_000, 1_000, 3_000, 2_000]);
}

/// The pipeline of the built-in stage and a hostile one with these keys.
async fn hostile(keys: &str) -> Pipeline {
    let builtin = "[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n";
    let text = format!("{builtin}{}", stage("hostile", "hostile", keys));
    load(&mut Stages::default(), &text).await
}

/// One failure has one name, whichever figure of `status --json` it is in.
#[tokio::test]
async fn a_failure_of_a_call_has_one_name_in_all_figures() {
    for (how, kind) in [("trap", "trap"), ("error", "guest"), ("loop", "timeout")] {
        let (containers, host) = containers(2, &[("hostile", how)]);
        let pipeline = hostile("timeout = '100ms'").await;
        for container in &containers {
            assert!(pipeline.evaluate(container, &host).await.is_err(), "{how}");
        }
        let health = serde_json::to_value(pipeline.health()).expect("it is JSON");
        let (figures, stats) = (&health[1]["figures"]["failures"], &health[1]["stats"]["outcomes"]);
        assert_eq!((&figures[kind], figures), (&stats[kind], stats), "{how}: {health:#}");
        assert_eq!(figures[kind], 2, "{how}: {health:#}");
    }
}

#[tokio::test]
async fn a_poisoned_stage_is_told_of_and_costs_what_the_operator_says() {
    for (how, kind) in [("trap", "trap"), ("error", "guest"), ("count", "invalid")] {
        let (containers, host) = containers(5, &[("hostile", how)]);
        for (keys, left) in [
            ("", None),
            ("on-error = 'skip'", Some(1)),
            ("on-error = 'veto'", Some(0)),
            ("mode = 'monitor'\non-error = 'veto'", Some(1)),
        ] {
            let pipeline = hostile(keys).await;
            for container in &containers {
                let outcome = pipeline.evaluate(container, &host).await;
                let services = outcome.ok().map(|outcome| outcome.services.len());
                assert_eq!(services, left, "{how} {keys}");
            }
            let health = pipeline.health();
            assert!(health[0].healthy && !health[1].healthy, "{how} {keys}");
            assert_eq!(health[1].figures.failures.get(kind), Some(&5), "{how} {keys}");
            assert!(health[1].last_error.is_some());
        }
    }
}

#[tokio::test]
async fn a_monitored_veto_is_told_and_vetoes_nothing() {
    let (containers, host) = containers(1, &[]);
    let convention = stage("convention", "convention", "mode = 'monitor'");
    let pipeline = load(&mut Stages::default(), &convention).await;
    let outcome = pipeline.evaluate(&containers[0], &host).await.expect("it answers");
    assert_eq!((outcome.services.len(), outcome.vetoed.len()), (1, 0));
    let told: Vec<_> =
        outcome.trace[0].would_be.iter().map(|(id, change)| format!("{id} {change}")).collect();
    assert_eq!(told, ["testhost:c0:80 vetoed: the container has no label owner"]);
}

#[tokio::test]
async fn a_change_by_a_stage_that_validates_is_its_error() {
    let pipeline =
        load(&mut Stages::default(), &stage("guard", "convention", "validate-only = true")).await;
    let (owned, host) = containers(1, &[("owner", "ann")]);
    let error = pipeline.evaluate(&owned[0], &host).await.expect_err("it adds a tag");
    let text = wharfinger::error::error_chain(&error);
    assert!(text.contains("stage guard") && text.contains("tags: it differs"), "{text}");
    let (orphan, host) = containers(1, &[]);
    let outcome = pipeline.evaluate(&orphan[0], &host).await.expect("it may veto");
    assert_eq!(outcome.vetoed.len(), 1);
}

#[tokio::test]
async fn a_folder_of_plugins_is_no_stage() {
    let folder = plugin("convention");
    let folder = folder.parent().expect("a folder");
    let text = format!("[[pipeline]]\nname = 'all'\nfile = {folder:?}\n");
    let error = Stages::default().load(&parse(&text)).await.expect_err("it is a folder");
    let text = format!("{error:#}");
    assert!(text.contains("stage \"all\": file: ") && text.contains("is a folder"), "{text}");
}

#[tokio::test]
async fn a_looping_stage_holds_up_nobody_else() {
    let (poisoned, host) = containers(1, &[("hostile", "loop")]);
    let (others, _) = containers(50, &[]);
    let pipeline = hostile("timeout = '5s'\non-error = 'skip'").await;
    let slow = pipeline.evaluate(&poisoned[0], &host);
    let began = Instant::now();
    let (outcome, fast) = tokio::join!(slow, async {
        evaluate(&pipeline, &others, &host).await;
        began.elapsed()
    });
    assert!(outcome.expect("it is skipped").degraded().is_some());
    assert!(fast < Duration::from_secs(5), "{fast:?}");
}
