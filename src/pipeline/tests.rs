mod again;
mod steps;
mod threads;

use std::{collections::BTreeMap, sync::Mutex};

use super::*;
use crate::model::{
    container::{Health, Protocol, PublishedPort, State},
    host::Compat,
};

/// A stage that answers as it is told and remembers what it was shown.
struct Told {
    name: &'static str,
    answer: fn(&[Service]) -> Result<Decision, StageError>,
    seen: Arc<Mutex<Vec<String>>>,
}

#[async_trait::async_trait]
impl Stage for Told {
    fn name(&self) -> &str {
        self.name
    }

    async fn process(&self, _: &Container, _: &Host, services: &[Service]) -> Called {
        let ids = services.iter().map(|service| format!("{}:{}", self.name, service.id));
        self.seen.lock().expect("no stage panics").extend(ids);
        let message = Message { level: Level::Info, text: format!("{} was here", self.name) };
        Called { result: (self.answer)(services), messages: vec![message] }
    }
}

pub(crate) fn container() -> Container {
    let port = |container_port, host_port| PublishedPort {
        container_port,
        protocol: Protocol::Tcp,
        host_ip: "0.0.0.0".into(),
        host_port,
    };
    Container {
        id: ContainerId("c".repeat(64).into()),
        name: "app".into(),
        image: "web:1".into(),
        image_id: String::new(),
        hostname: String::new(),
        env: Vec::new(),
        labels: BTreeMap::new(),
        exposed_ports: Vec::new(),
        published_ports: vec![port(80, 8080), port(443, 8443)],
        pending_ports: Vec::new(),
        networks: Vec::new(),
        network_mode: "default".into(),
        network_peer: None,
        state: State::Running,
        exit_code: 0,
        health: Health::None,
        stop_signal: 15,
        created_at: String::new(),
        started_at: None,
        attributes: Default::default(),
        setup: None,
        image_facts: None,
    }
}

pub(crate) fn host() -> Host {
    Host {
        hostname: "h".into(),
        forced_address: Some("10.0.0.1".into()),
        resolved_address: None,
        internal: false,
        explicit: false,
        address_label: None,
        compat: Compat::None,
        flags: BTreeMap::new(),
        agent: None,
        engine: None,
    }
}

type Answer = fn(&[Service]) -> Result<Decision, StageError>;

async fn run(answers: &[(&'static str, Answer)]) -> (Result<Outcome, PipelineError>, Vec<String>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let stage = |&(name, answer): &(&'static str, Answer)| {
        Arc::new(Told { name, answer, seen: seen.clone() }) as Arc<dyn Stage>
    };
    let pipeline = Pipeline::new(answers.iter().map(stage).collect());
    let outcome = pipeline.evaluate(&container(), &host()).await;
    let seen = seen.lock().expect("no stage panics").clone();
    (outcome, seen)
}

fn veto_first(services: &[Service]) -> Result<Decision, StageError> {
    let mut verdicts = vec![Verdict::Keep; services.len()];
    verdicts[0] = Verdict::Veto("no".into());
    Ok(Decision { verdicts, added: Vec::new(), remarks: Vec::new() })
}

fn keep(services: &[Service]) -> Result<Decision, StageError> {
    Ok(Decision {
        verdicts: vec![Verdict::Keep; services.len()],
        added: Vec::new(),
        remarks: Vec::new(),
    })
}

fn add_one(services: &[Service]) -> Result<Decision, StageError> {
    let added = Service { id: "made-up".into(), ..services[0].clone() };
    Ok(Decision {
        verdicts: vec![Verdict::Keep; services.len()],
        added: vec![added],
        remarks: Vec::new(),
    })
}

fn rename(services: &[Service]) -> Result<Decision, StageError> {
    let renamed = |service: &Service| {
        let tags = vec!["t".to_string()];
        Verdict::Replace(Box::new(Service { name: "x".into(), tags, ..service.clone() }))
    };
    Ok(Decision {
        verdicts: services.iter().map(renamed).collect(),
        added: Vec::new(),
        remarks: Vec::new(),
    })
}

fn fail(_: &[Service]) -> Result<Decision, StageError> {
    Err(StageError::Guest("I cannot".into()))
}

#[tokio::test]
async fn what_is_vetoed_no_later_stage_sees() {
    let (outcome, seen) = run(&[("a", veto_first), ("b", keep)]).await;
    let outcome = outcome.expect("the stages answer");
    assert_eq!(seen, ["a:h:app:80", "a:h:app:443", "b:h:app:443"]);
    assert_eq!(outcome.services.len(), 1);
    assert_eq!(outcome.vetoed[0].service.id, "h:app:80");
    assert_eq!((outcome.vetoed[0].stage.as_str(), outcome.vetoed[0].reason.as_str()), ("a", "no"));
}

#[tokio::test]
async fn the_trace_says_what_each_stage_did() {
    let (outcome, _) = run(&[("a", veto_first), ("b", add_one), ("c", rename)]).await;
    let outcome = outcome.expect("the stages answer");
    let lines: Vec<_> = outcome
        .trace
        .iter()
        .flat_map(|trace| {
            let line = |(id, change): &(String, Change)| format!("{} {id} {change}", trace.stage);
            trace.changes.iter().map(line).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(
        lines,
        [
            "a h:app:80 vetoed: no",
            "b made-up added",
            r#"c h:app:443 name: "app" -> "x", tags: [] -> ["t"]"#,
            r#"c made-up name: "app" -> "x", tags: [] -> ["t"]"#,
        ]
    );
    assert_eq!(outcome.trace[2].messages[0].text, "c was here");
    assert!(outcome.services[0].origin.is_some());
    assert!(outcome.services[1].origin.is_none(), "a made-up service stands for no port");
}

#[tokio::test]
async fn a_failure_ends_the_run_and_tells_who_and_where() {
    let (outcome, seen) = run(&[("a", keep), ("b", fail), ("c", keep)]).await;
    let error = outcome.expect_err("a stage fails");
    assert!(!seen.iter().any(|line| line.starts_with("c:")));
    assert_eq!(error.to_string(), "stage b failed on container cccccccccccc (app)");
    let texts: Vec<_> = error.messages().map(|(_, message)| message.text.as_str()).collect();
    assert_eq!(texts, ["a was here", "b was here"]);
}
