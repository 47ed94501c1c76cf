//! The plugin host with real components: what they may do, what becomes of
//! those that misbehave, and that the default stage gives the same result
//! natively and as a component.

mod common;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use bytesize::ByteSize;
use common::{corpus, plugin};
use globset::{Glob, GlobSet};
use wharfinger::{
    container::Container,
    host::{Compat, Host},
    pipeline::{
        AddressRules, Builtin, Called, Decision, Level, Outcome, Pipeline, Stage, StageError,
        Verdict, candidates,
    },
    plugin::{ComponentSpec, ComponentStage, Limits, LoadError, PluginHost},
    reconcile::error_chain,
    service::Service,
};

const LIMITS: Limits = Limits { timeout: Duration::from_secs(2), memory: ByteSize::mib(64) };

fn plugin_host() -> Arc<PluginHost> {
    Arc::new(PluginHost::new(8, ByteSize::mib(64)).expect("this machine runs WebAssembly"))
}

fn spec(file: PathBuf, settings: &str, limits: Limits) -> ComponentSpec {
    let visible_env =
        GlobSet::new([Glob::new("SERVICE_*").expect("a pattern")]).expect("a set of patterns");
    ComponentSpec { name: "stage".into(), file, settings: settings.into(), limits, visible_env }
}

async fn load(name: &str, settings: &str, limits: Limits) -> ComponentStage {
    let loaded = plugin_host().load(spec(plugin(name), settings, limits)).await;
    loaded.unwrap_or_else(|error| panic!("{name}: {}", error_chain(&error)))
}

/// A container with one published port and these labels.
fn container(labels: &[(&str, &str)]) -> (Container, Host, Vec<Service>) {
    let case = corpus::cases().into_iter().find(|case| case.name == "net-bridge");
    let case = case.expect("the case is part of the corpus");
    let host = case.host(Compat::None);
    let mut container = case.containers().remove(0);
    container.labels.extend(labels.iter().map(|(key, value)| (key.to_string(), value.to_string())));
    container.env = vec![("SERVICE_TEAM".into(), "a".into()), ("PASSWORD".into(), "b".into())];
    let services =
        candidates(&container, &host, &AddressRules::default()).expect("no labels").services;
    assert_eq!(services.len(), 1);
    (container, host, services)
}

async fn misbehave(stage: &ComponentStage, how: &str) -> Called {
    let (container, host, services) = container(&[("hostile", how)]);
    stage.process(&container, &host, &services).await
}

#[tokio::test]
async fn native_and_component_agree_on_every_fixture() {
    let native = Builtin::new("registrator", "registrator", "{}").expect("it is built in");
    let component = load("registrator", "{}", LIMITS).await;
    let mut compared = 0;
    for case in corpus::cases() {
        for compat in [Compat::None, Compat::Registrator] {
            let host = case.host(compat);
            for container in case.containers() {
                let services = candidates(&container, &host, &AddressRules::default())
                    .expect("no labels")
                    .services;
                let a = native.process(&container, &host, &services).await;
                let b = component.process(&container, &host, &services).await;
                let (a_result, b_result) =
                    (a.result.expect("native"), b.result.expect("component"));
                assert_eq!(a_result, b_result, "{} ({compat})", case.name);
                assert_eq!(a.messages, b.messages, "{} ({compat})", case.name);
                compared += 1;
            }
        }
    }
    assert!(compared > 380, "{compared}");
    println!("{compared} of {compared} evaluations identical");
}

#[tokio::test]
async fn a_convention_renames_tags_and_vetoes() {
    let settings = r#"{"owner-label": "owner", "team-label": "team", "tag": "blessed"}"#;
    let registrator = Builtin::new("registrator", "registrator", "{}").expect("it is built in");
    let convention = load("convention", settings, LIMITS).await;
    assert_eq!(convention.identity().name, "convention");
    let pipeline = Pipeline::new(vec![Arc::new(registrator), Arc::new(convention)]);

    let (owned, host, _) = container(&[("owner", "ann"), ("team", "shop")]);
    let Outcome { services, trace, .. } =
        pipeline.evaluate(&owned, &host).await.expect("the stages answer");
    assert_eq!(services[0].name, "shop-web");
    assert_eq!(services[0].tags, ["blessed"]);
    let changes = trace[1].changes[0].1.to_string();
    assert_eq!(changes, r#"name: "web" -> "shop-web", tags: [] -> ["blessed"]"#);

    let (orphan, host, _) = container(&[]);
    let outcome = pipeline.evaluate(&orphan, &host).await.expect("the stages answer");
    assert_eq!(outcome.services, []);
    assert_eq!(outcome.vetoed[0].stage, "stage");
    assert_eq!(outcome.vetoed[0].reason, "the container has no label owner");
}

#[tokio::test]
async fn settings_are_refused_by_the_component_itself() {
    let spec = spec(plugin("convention"), r#"{"owner-lable": "x"}"#, LIMITS);
    let error = plugin_host().load(spec).await.err().expect("the key is misspelt");
    assert!(
        matches!(&error, LoadError::Settings(faults) if faults[0].contains("owner-lable")),
        "{error}"
    );
}

#[tokio::test]
async fn five_ways_to_fail_are_five_errors() {
    let limits = Limits { timeout: Duration::from_millis(200), memory: ByteSize::mib(16) };
    let stage = load("hostile", "null", limits).await;

    let called = misbehave(&stage, "trap").await;
    let Err(StageError::Trap(text)) = &called.result else { panic!("{called:?}") };
    assert!(text.contains("a panic of the guest"), "{text}");
    assert!(called.messages.iter().any(|message| message.level == Level::Error));

    let result = misbehave(&stage, "loop").await.result;
    assert!(
        matches!(result, Err(StageError::Timeout(limit)) if limit == limits.timeout),
        "{result:?}"
    );

    for how in ["memory", "big"] {
        let result = misbehave(&stage, how).await.result;
        assert!(
            matches!(result, Err(StageError::Memory(limit)) if limit == limits.memory),
            "{how}: {result:?}"
        );
    }

    let result = misbehave(&stage, "error").await.result;
    assert!(
        matches!(&result, Err(StageError::Guest(text)) if text == "this container is beyond me"),
        "{result:?}"
    );

    let result = misbehave(&stage, "recursion").await.result;
    assert!(matches!(result, Err(StageError::Trap(_))), "{result:?}");
}

#[tokio::test]
async fn an_invalid_result_names_service_and_field() {
    let stage = load("hostile", "null", LIMITS).await;
    let pipeline = Pipeline::new(vec![Arc::new(stage)]);
    for (how, fault) in [
        ("count", "2 verdicts for 1 services"),
        ("newline", r#"service "testhost:app:80": name: it has a control character"#),
        ("empty", r#"service "testhost:app:80": name: it is empty"#),
    ] {
        let (container, host, _) = container(&[("hostile", how)]);
        let error = pipeline.evaluate(&container, &host).await.expect_err("the result is invalid");
        assert!(matches!(error.source, StageError::Invalid(_)), "{how}: {error:?}");
        let text = error_chain(&error);
        assert!(text.contains(fault) && text.contains("stage stage failed"), "{how}: {text}");
    }
}

#[tokio::test]
async fn messages_are_bounded() {
    let stage =
        load("hostile", "null", Limits { timeout: Duration::from_secs(20), ..LIMITS }).await;
    let called = misbehave(&stage, "log").await;
    assert!(called.result.is_ok());
    assert_eq!(called.messages.len(), 101);
    assert_eq!(called.messages[100].text, "999900 more messages of this call are dropped");
}

#[tokio::test]
async fn a_stage_sees_the_granted_variables_only() {
    let stage = load("hostile", "null", LIMITS).await;
    let texts: Vec<_> =
        misbehave(&stage, "env").await.messages.into_iter().map(|message| message.text).collect();
    assert_eq!(texts, ["sees SERVICE_TEAM"]);
}

#[tokio::test]
async fn others_are_served_while_a_guest_loops() {
    let limits = Limits { timeout: Duration::from_secs(5), ..LIMITS };
    let stage = Arc::new(load("hostile", "null", limits).await);
    let looping: Vec<_> = (0..4)
        .map(|_| {
            let stage = stage.clone();
            tokio::spawn(async move { misbehave(&stage, "loop").await.result })
        })
        .collect();
    let began = Instant::now();
    for _ in 0..20 {
        assert!(misbehave(&stage, "").await.result.is_ok());
    }
    assert!(began.elapsed() < limits.timeout, "{:?}", began.elapsed());
    for guest in looping {
        let result = guest.await.expect("the task ends");
        assert!(matches!(result, Err(StageError::Timeout(_))), "{result:?}");
    }
}

#[tokio::test]
async fn a_sleep_in_the_host_ends_at_the_deadline() {
    let limits = Limits { timeout: Duration::from_millis(100), ..LIMITS };
    let stage = load("wasi_probe", "null", limits).await;
    let (container, host, services) = container(&[("probe", "sleep")]);
    let result = stage.process(&container, &host, &services).await.result;
    assert!(matches!(result, Err(StageError::Timeout(_))), "{result:?}");
}

#[tokio::test]
async fn wasi_gives_nothing_away_and_is_the_same_each_time() {
    let stage = load("wasi_probe", "null", LIMITS).await;
    let (container, host, services) = container(&[]);
    let mut said = Vec::new();
    for _ in 0..2 {
        let Called { result, messages } = stage.process(&container, &host, &services).await;
        assert_eq!(
            result.expect("it answers"),
            Decision { verdicts: vec![Verdict::Keep], added: vec![] }
        );
        said.push(messages[0].text.clone());
    }
    assert!(said[0].starts_with("variables=0 seconds=0 random="), "{said:?}");
    assert_eq!(said[0], said[1]);
}

#[tokio::test]
async fn a_file_that_is_no_stage_is_refused_with_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let component = std::fs::read(plugin("convention")).expect("a component");
    let socket = r#"(component (import "wasi:sockets/tcp@0.2.0" (instance)) (instance $i)
        (export "wharfinger:pipeline/stage@0.1.0" (instance $i)))"#;
    for (name, content, fault) in [
        ("text.wasm", b"hello".to_vec(), "not a WebAssembly file"),
        ("core.wasm", wat::parse_str("(module)").expect("a module"), "wasm-tools component new"),
        ("cut.wasm", component[..component.len() / 2].to_vec(), "a damaged component"),
        ("empty.wasm", wat::parse_str("(component)").expect("a component"), "exports nothing"),
        (
            "socket.wasm",
            wat::parse_str(socket).expect("a component"),
            "imports wasi:sockets/tcp@0.2.0",
        ),
    ] {
        let file = folder.path().join(name);
        std::fs::write(&file, content).expect("the file is written");
        let error =
            plugin_host().load(spec(file, "{}", LIMITS)).await.err().expect("it is refused");
        let text = error_chain(&error);
        assert!(text.contains(name) && text.contains(fault), "{text}");
    }
    let error = plugin_host().load(spec(folder.path().join("none.wasm"), "{}", LIMITS)).await;
    assert!(matches!(error, Err(LoadError::Read(..))));
}
