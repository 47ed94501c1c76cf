//! A pipeline on its own result, and what is wrong with all containers together.

use super::*;

fn each(services: &[Service], change: impl Fn(&mut Service)) -> Result<Decision, StageError> {
    let verdict = |service: &Service| {
        let mut service = service.clone();
        change(&mut service);
        Verdict::Replace(Box::new(service))
    };
    Ok(Decision {
        verdicts: services.iter().map(verdict).collect(),
        added: Vec::new(),
        remarks: Vec::new(),
    })
}

fn tag(services: &[Service]) -> Result<Decision, StageError> {
    each(services, |service| service.tags.push("x".into()))
}

fn tag_once(services: &[Service]) -> Result<Decision, StageError> {
    each(services, |service| {
        if service.tags.is_empty() {
            service.tags.push("x".into());
        }
    })
}

fn name_a(services: &[Service]) -> Result<Decision, StageError> {
    each(services, |service| service.name = "a".into())
}

fn name_b(services: &[Service]) -> Result<Decision, StageError> {
    each(services, |service| service.name = "b".into())
}

fn veto_tagged(services: &[Service]) -> Result<Decision, StageError> {
    let verdict = |service: &Service| match service.tags.is_empty() {
        true => Verdict::Keep,
        false => Verdict::Veto("it has a tag".into()),
    };
    Ok(Decision {
        verdicts: services.iter().map(verdict).collect(),
        added: Vec::new(),
        remarks: Vec::new(),
    })
}

fn new_id(services: &[Service]) -> Result<Decision, StageError> {
    each(services, |service| service.id.push('x'))
}

async fn unsettled(answers: &[(&'static str, Answer)]) -> Vec<String> {
    let stage = |&(name, answer): &(&'static str, Answer)| {
        Arc::new(Told { name, answer, seen: Arc::default() }) as Arc<dyn Stage>
    };
    let pipeline = Pipeline::new(answers.iter().map(stage).collect());
    let outcome = pipeline.evaluate(&container(), &host()).await.expect("no stage fails");
    let found = pipeline.run_again(&container(), &host(), &outcome).await;
    found.iter().map(ToString::to_string).filter(|text| !text.contains("443")).collect()
}

#[tokio::test]
async fn what_changes_each_time_is_said_with_the_stages() {
    assert_eq!(unsettled(&[("once", tag_once), ("keep", keep)]).await, [""; 0]);
    assert_eq!(
        unsettled(&[("name", name_a), ("tag", tag)]).await,
        ["h:app:80: tags differs each time the pipeline runs on its own result: [\"x\"], then \
          [\"x\",\"x\"] (by tag)"]
    );
    assert_eq!(
        unsettled(&[("first", name_a), ("second", name_b)]).await,
        ["h:app:80: the stages first and second fight over its name"]
    );
    assert_eq!(
        unsettled(&[("strict", veto_tagged), ("tag", tag_once)]).await,
        ["h:app:80: stage strict vetoes what it has let pass: it has a tag"]
    );
    assert_eq!(
        unsettled(&[("renames", new_id), ("second", name_b), ("first", name_a)]).await,
        [
            "h:app:80x: id differs each time the pipeline runs on its own result: \
             \"h:app:80x\", then \"h:app:80xx\" (by renames)",
            "h:app:80x: the stages second and first fight over its name",
        ]
    );
    assert_eq!(
        unsettled(&[("adds", add_one)]).await,
        ["stage adds fails on the pipeline's own result: returned an invalid result: service \
          \"made-up\": id: another service of the container has it"]
    );
}

#[test]
fn what_all_containers_together_get_wrong_is_found() {
    let service = |id: &str, name: &str, port| Service {
        id: id.into(),
        name: name.into(),
        port,
        ..candidates(&container(), &host(), &AddressRules::default()).expect("candidates").services
            [0]
        .clone()
    };
    let named = |name: &str| Container { name: name.into(), ..container() };
    let mut survey = Survey::default();
    survey.note(&named("a"), &[service("1", "web", 80), service("2", "web", 80)]);
    survey.note(&named("b"), &[service("1", "we_b", 81), service("3", "web", 82)]);
    assert_eq!(
        survey.findings().iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "the service ID 1 is wanted several times: a, b",
            "DNS cannot serve the service name \"we_b\": '_' is neither a letter, a digit nor a hyphen \
         (b)",
        ]
    );
    survey.note(&named("c"), &[service("4", "web", 82), service("5", "web", 0)]);
    let all: Vec<_> = survey.findings().iter().map(ToString::to_string).collect();
    assert_eq!(all.len(), 3);
    assert_eq!(all[1], "10.0.0.1:82/tcp is claimed by several containers: 3 of b, 4 of c");
}
