//! The meaning of a stage's keys: mode, on-error, validate-only and select; the answers
//! that are remembered; and how a stage's health and figures tell of it.

use super::*;

/// A stage that answers as it is told and counts its calls.
struct Script {
    name: &'static str,
    answer: Answer,
    pure: bool,
    wants: Wants,
    calls: Arc<Mutex<usize>>,
}

#[async_trait::async_trait]
impl Stage for Script {
    fn name(&self) -> &str {
        self.name
    }

    fn is_pure(&self) -> bool {
        self.pure
    }

    fn wants(&self) -> Wants {
        self.wants
    }

    async fn process(&self, _: &Container, _: &Host, services: &[Service]) -> Called {
        *self.calls.lock().expect("no stage panics") += 1;
        let text = format!("{} was called", self.name);
        Called {
            result: (self.answer)(services),
            messages: vec![Message { level: Level::Info, text }],
        }
    }
}

struct Scripted {
    step: Step,
    calls: Arc<Mutex<usize>>,
}

impl Scripted {
    fn new(name: &'static str, answer: Answer) -> Self {
        Self::of(name, answer, true)
    }

    fn of(name: &'static str, answer: Answer, pure: bool) -> Self {
        Self::wanting(name, answer, pure, Wants::default())
    }

    fn wanting(name: &'static str, answer: Answer, pure: bool, wants: Wants) -> Self {
        let calls = Arc::default();
        let stage = Script { name, answer, pure, wants, calls: Arc::clone(&calls) };
        let made = Made { plugin: name.into(), ..Made::default() };
        Self { step: Step::new(Arc::new(stage)).made_of(made), calls }
    }

    fn with(self, rules: Rules) -> Self {
        Self { step: self.step.with(rules), ..self }
    }

    fn set(self, settings: &str) -> Self {
        let made = Made { settings: settings.into(), ..self.step.made().cloned().expect("made") };
        Self { step: self.step.made_of(made), ..self }
    }

    fn calls(&self) -> usize {
        *self.calls.lock().expect("no stage panics")
    }
}

fn pipeline(stages: &[&Scripted]) -> Pipeline {
    Pipeline::of(stages.iter().map(|stage| stage.step.clone()).collect())
}

async fn evaluate(pipeline: &Pipeline) -> Result<Outcome, PipelineError> {
    pipeline.evaluate(&container(), &host()).await
}

fn on_error(on_error: OnError) -> Rules {
    Rules { on_error, ..Rules::default() }
}

fn monitor() -> Rules {
    Rules { mode: Mode::Monitor, ..Rules::default() }
}

fn ids(outcome: &Outcome) -> Vec<&str> {
    outcome.services.iter().map(|service| service.id.as_str()).collect()
}

fn invalid_name(services: &[Service]) -> Result<Decision, StageError> {
    let empty = Service { name: String::new(), ..services[0].clone() };
    let mut verdicts = vec![Verdict::Keep; services.len()];
    verdicts[0] = Verdict::Replace(Box::new(empty));
    Ok(Decision { verdicts, added: Vec::new(), remarks: Vec::new() })
}

fn same_id(services: &[Service]) -> Result<Decision, StageError> {
    let same = |service: &Service| {
        Verdict::Replace(Box::new(Service { id: "same".into(), ..service.clone() }))
    };
    Ok(Decision {
        verdicts: services.iter().map(same).collect(),
        added: Vec::new(),
        remarks: Vec::new(),
    })
}

fn replace_by_itself(services: &[Service]) -> Result<Decision, StageError> {
    let itself = |service: &Service| Verdict::Replace(Box::new(service.clone()));
    Ok(Decision {
        verdicts: services.iter().map(itself).collect(),
        added: Vec::new(),
        remarks: Vec::new(),
    })
}

#[tokio::test]
async fn a_failure_holds_is_skipped_or_vetoes() {
    for answer in [fail as Answer, invalid_name] {
        let (a, c) = (Scripted::new("a", rename), Scripted::new("c", add_one));

        let b = Scripted::new("b", answer);
        let error = evaluate(&pipeline(&[&a, &b, &c])).await.expect_err("it holds by default");
        assert_eq!((error.stage.as_str(), c.calls()), ("b", 0));

        let b = Scripted::new("b", answer).with(on_error(OnError::Skip));
        let outcome = evaluate(&pipeline(&[&a, &b, &c])).await.expect("it is skipped");
        assert_eq!(ids(&outcome), ["h:app:80", "h:app:443", "made-up"]);
        assert!(outcome.services.iter().all(|service| service.name == "x"), "a counts");
        let (stage, failure) = outcome.degraded().expect("it has to be looked at again");
        assert_eq!((stage, failure.matters), ("b", true));

        let b = Scripted::new("b", answer).with(on_error(OnError::Veto));
        let calls = c.calls();
        let outcome = evaluate(&pipeline(&[&a, &b, &c])).await.expect("it vetoes");
        assert_eq!((ids(&outcome), c.calls()), (vec![], calls), "also what c would add");
        assert_eq!(outcome.vetoed.len(), 2);
        assert!(outcome.vetoed.iter().all(|veto| veto.stage == "b"), "{:?}", outcome.vetoed);
        assert!(outcome.vetoed[0].reason.starts_with("the stage failed: "));
        assert!(outcome.degraded().is_some());
    }
}

#[tokio::test]
async fn a_monitored_stage_is_a_shadow() {
    let (a, c) = (Scripted::new("a", rename), Scripted::new("c", keep));
    let without = evaluate(&pipeline(&[&a, &c])).await.expect("the stages answer");
    for answer in [veto_first as Answer, add_one, same_id, invalid_name, fail] {
        let b = Scripted::new("b", answer).with(monitor());
        let with = pipeline(&[&a, &b, &c]);
        let outcome = evaluate(&with).await.expect("a monitored stage holds nothing");
        assert_eq!((&outcome.services, &outcome.vetoed), (&without.services, &without.vetoed));
        assert_eq!(outcome.degraded(), None);
        let trace = &outcome.trace[1];
        assert_eq!(trace.changes, []);
        assert_ne!(trace.would_be.is_empty(), trace.failure.is_none(), "one of them is told");
    }
    let vetoing = Scripted::new("b", veto_first).with(monitor());
    let watched = pipeline(&[&a, &vetoing]);
    let outcome = evaluate(&watched).await.expect("the stages answer");
    let [(id, change)] = &outcome.trace[1].would_be[..] else { panic!("{:?}", outcome.trace) };
    assert_eq!((id.as_str(), change.to_string().as_str()), ("h:app:80", "vetoed: no"));
    let figures = &watched.health()[1].figures;
    assert_eq!((figures.vetoes, figures.would_be_vetoes), (0, 1));
}

#[tokio::test]
async fn a_monitored_stage_sees_what_the_enforced_ones_made() {
    fn untouched(services: &[Service]) -> Result<Decision, StageError> {
        assert!(services.iter().all(|service| service.name == "x"), "{services:?}");
        veto_first(services)
    }
    let (a, b) = (Scripted::new("a", rename), Scripted::new("b", untouched).with(monitor()));
    let c = Scripted::new("c", untouched);
    let outcome = evaluate(&pipeline(&[&a, &b, &c])).await.expect("the stages answer");
    assert_eq!((ids(&outcome), b.calls()), (vec!["h:app:443"], 1));
}

#[tokio::test]
async fn a_stage_that_validates_may_only_keep_and_veto() {
    let validates = || Rules { validate_only: true, ..Rules::default() };
    for (answer, fault) in [
        (keep as Answer, None),
        (replace_by_itself, None),
        (veto_first, None),
        (rename, Some(r#"service "h:app:80": name: it differs, and the stage is validate-only"#)),
        (add_one, Some(r#"service "made-up": it is added, and the stage is validate-only"#)),
    ] {
        let stage = Scripted::new("a", answer).with(validates());
        let said = evaluate(&pipeline(&[&stage])).await.err().map(|error| error.source.to_string());
        assert_eq!(said.is_some(), fault.is_some(), "{said:?}");
        assert!(said.unwrap_or_default().contains(fault.unwrap_or_default()));
    }
}

#[tokio::test]
async fn two_services_of_a_container_do_not_get_one_id() {
    let error = evaluate(&pipeline(&[&Scripted::new("a", same_id)])).await;
    let text = error.expect_err("one of them would be lost").source.to_string();
    assert!(
        text.contains(r#"service "same": id: another service of the container has it"#),
        "{text}"
    );
}

#[derive(Debug)]
struct Selected(Result<bool, String>);

impl Selects for Selected {
    fn selects(&self, _: &Container) -> Result<bool, String> {
        self.0.clone()
    }
}

#[tokio::test]
async fn a_stage_is_asked_about_the_containers_that_it_is_for() {
    let select = |answer| Rules { select: Some(Arc::new(Selected(answer))), ..Rules::default() };
    let poisoned = Scripted::new("a", fail).with(select(Ok(false)));
    let outcome = evaluate(&pipeline(&[&poisoned])).await.expect("it is not asked");
    assert_eq!((outcome.services.len(), poisoned.calls()), (2, 0));
    assert!(outcome.trace[0].skipped);
    let chosen = Scripted::new("a", veto_first).with(select(Ok(true)));
    let outcome = evaluate(&pipeline(&[&chosen])).await.expect("it answers");
    assert_eq!((outcome.services.len(), outcome.trace[0].skipped), (1, false));
    let unclear = Scripted::new("a", keep).with(select(Err("no such key".into())));
    let error = evaluate(&pipeline(&[&unclear])).await.expect_err("it is not known");
    assert!(error.source.to_string().contains("no such key"), "{error:?}");
}

#[tokio::test]
async fn an_answer_is_remembered_until_its_input_changes() {
    let (a, b, c) =
        (Scripted::new("a", keep), Scripted::new("b", rename), Scripted::new("c", add_one));
    let calls = || (a.calls(), b.calls(), c.calls());
    let first = pipeline(&[&a, &b, &c]);
    let whole = evaluate(&first).await.expect("the stages answer");
    assert_eq!(calls(), (1, 1, 1));
    let again = evaluate(&first).await.expect("the stages answer");
    assert_eq!((again, calls()), (whole.clone(), (1, 1, 1)), "the messages are the same, too");
    let figures = first.health().remove(1).figures;
    assert_eq!((figures.calls, figures.hits, figures.misses, figures.changes), (1, 1, 1, 2));

    let mut other = container();
    other.labels.insert("a".into(), "b".into());
    first.evaluate(&other, &host()).await.expect("the stages answer");
    assert_eq!(calls(), (2, 2, 2), "another container");

    // Settings of b that change nothing: c is shown what it was shown before.
    let set = Scripted::new("b", rename).set("new");
    let second = pipeline(&[&a, &set, &c]).succeeding(&first);
    evaluate(&second).await.expect("the stages answer");
    assert_eq!((calls(), set.calls()), ((2, 2, 2), 1));
    // Others that do.
    let set = Scripted::new("b", veto_first).set("newer");
    let third = pipeline(&[&a, &set, &c]).succeeding(&second);
    evaluate(&third).await.expect("the stages answer");
    assert_eq!((calls(), set.calls()), ((2, 2, 3), 1));
    assert_eq!(third.health()[0].figures.hits, 3, "figures go on");
}

#[tokio::test]
async fn failures_and_what_is_not_pure_are_not_remembered() {
    let (impure, failing) = (Scripted::of("a", keep, false), Scripted::new("b", fail));
    let invalid = Scripted::new("c", invalid_name).with(monitor());
    let pipeline = pipeline(&[&impure, &invalid, &failing]);
    for _ in 0..3 {
        evaluate(&pipeline).await.expect_err("b fails");
    }
    assert_eq!((impure.calls(), invalid.calls(), failing.calls()), (3, 3, 3));
    let health = pipeline.health();
    assert_eq!((health[0].figures.hits, health[0].figures.misses), (0, 0));
    assert_eq!(health[1].figures.failures, BTreeMap::from([("invalid".to_string(), 3)]));
    assert_eq!(health[2].figures.failures, BTreeMap::from([("guest".to_string(), 3)]));
    let healthy: Vec<_> = health.iter().map(|stage| stage.healthy).collect();
    assert_eq!(healthy, [true, false, false]);
    let last = health[2].last_error.as_ref().expect("it has failed");
    assert_eq!(last.error, "could not decide: I cannot");
}

#[tokio::test]
async fn the_health_of_a_stage_ends_with_it() {
    let failing = Scripted::new("a", fail);
    let first = pipeline(&[&failing]);
    for _ in 0..3 {
        evaluate(&first).await.expect_err("it fails");
    }
    assert!(!first.health()[0].healthy);
    let same = pipeline(&[&Scripted::new("a", fail)]).succeeding(&first);
    assert!(!same.health()[0].healthy, "a reload mends nothing");
    let mended = pipeline(&[&Scripted::new("a", keep).set("new")]).succeeding(&first);
    let health = mended.health().remove(0);
    assert!(health.healthy && health.last_error.is_none());
    assert_eq!(health.figures.calls, 3);
}

/// Services that came with one ID already are not held against a stage, but one more is.
#[tokio::test]
async fn an_added_service_has_an_id_that_no_other_has() {
    fn twin(services: &[Service], first: Verdict) -> Result<Decision, StageError> {
        let mut verdicts = vec![Verdict::Keep; services.len()];
        verdicts[0] = first;
        Ok(Decision { verdicts, added: vec![services[0].clone()], remarks: Vec::new() })
    }
    fn one_more(services: &[Service]) -> Result<Decision, StageError> {
        twin(services, Verdict::Keep)
    }
    fn in_the_place_of_one(services: &[Service]) -> Result<Decision, StageError> {
        twin(services, Verdict::Veto("it is mine".into()))
    }
    let one = super::super::candidates(&container(), &host(), &AddressRules::default());
    let one = one.expect("it says nothing").services.remove(0);
    for (services, answer, refused) in [
        (2, keep as Answer, false),
        (2, replace_by_itself, false),
        (2, add_one, false),
        (1, one_more, true),
        (1, in_the_place_of_one, false),
        (2, one_more, true),
        (2, in_the_place_of_one, true),
        (3, in_the_place_of_one, true),
    ] {
        let start = Outcome { services: vec![one.clone(); services], ..Outcome::default() };
        let stage = Scripted::new("a", answer);
        let judged = pipeline(&[&stage]).run(&container(), &host(), start, |_| true).await;
        let fault = judged.err().map(|error| error.source.to_string());
        let said = fault.as_ref().is_some_and(|it| it.contains("id: another service of the"));
        assert_eq!((fault.is_some(), said), (refused, refused), "{services}: {fault:?}");
    }
}

/// A fact that a stage does not want is no part of its answer's key, whoever else wants it.
#[tokio::test]
async fn an_answer_is_remembered_by_what_the_stage_wants() {
    use crate::model::{
        host::{Agent, Engine},
        setup::{ImageFacts, Setup},
    };
    let (plain, known) = ((container(), host()), (container(), host()));
    let with = |fact: &str| {
        let (mut container, mut host) = known.clone();
        match fact {
            "image" => container.image_facts = Some(ImageFacts::default()),
            "setup" => container.setup = Some(Setup::default()),
            "agent" => host.agent = Some(Agent::default()),
            _ => host.engine = Some(Engine::default()),
        }
        (container, host)
    };
    for wanted in Wants::ALL.words() {
        let wants = Wants {
            image: wanted == "image",
            setup: wanted == "setup",
            agent: wanted == "agent",
            engine: wanted == "engine",
        };
        let stage = Scripted::wanting("a", keep, true, wants);
        let pipeline = pipeline(&[&stage]);
        pipeline.evaluate(&plain.0, &plain.1).await.expect("it decides");
        for fact in Wants::ALL.words() {
            let before = stage.calls();
            let (container, host) = with(fact);
            pipeline.evaluate(&container, &host).await.expect("it decides");
            let again = stage.calls() - before;
            assert_eq!(again, usize::from(fact == wanted), "{fact}, and {wanted} is wanted");
        }
    }
}
