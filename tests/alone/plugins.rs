//! The plugin host with real components: what they may do, what becomes of
//! those that misbehave, and that the default stage gives the same result
//! natively and as a component.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::common::{
    corpus, plugin,
    stages::{AMPLE, container, load, plugin_host, process, spec},
};
use bytesize::ByteSize;
use sha2::{Digest as _, Sha256};
use wharfinger::{
    error::error_chain,
    model::host::Compat,
    pipeline::{
        AddressRules, Called, Decision, Level, Message, Outcome, Pipeline, Stage, StageError,
        Verdict, candidates,
    },
    stages::{
        builtin::Builtin,
        plugin::{ComponentStage, Limits, LoadError},
    },
};

async fn misbehave(stage: &ComponentStage, how: &str) -> Called {
    process(stage, &[("hostile", how)]).await
}

#[tokio::test]
async fn native_and_component_agree_on_every_fixture() {
    let native = Builtin::new("registrator", "registrator", "{}").expect("it is built in");
    let component = load("registrator", "{}", AMPLE).await;
    let mut compared = 0;
    for case in corpus::cases().into_iter().chain(corpus::field()) {
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
    assert!(compared > 450, "{compared}");
    println!("{compared} of {compared} evaluations identical; {:?}", component.stats());
}

#[tokio::test]
async fn a_convention_renames_tags_and_vetoes() {
    let settings = r#"{"owner-label": "owner", "team-label": "team", "tag": "blessed"}"#;
    let registrator = Builtin::new("registrator", "registrator", "{}").expect("it is built in");
    let convention = load("convention", settings, AMPLE).await;
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
    let spec = spec(plugin("convention"), r#"{"owner-lable": "x"}"#, AMPLE);
    let error = plugin_host().load(spec).await.err().expect("the key is misspelt");
    assert!(
        matches!(&error, LoadError::Settings { faults, .. } if faults[0].contains("owner-lable")),
        "{error}"
    );
}

#[tokio::test]
async fn ways_to_fail_are_errors_of_their_own() {
    let limits = Limits { timeout: Duration::from_secs(1), memory: ByteSize::mib(16), ..AMPLE };
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

    let result = misbehave(&stage, "memory").await.result;
    assert!(
        matches!(result, Err(StageError::Memory(limit)) if limit == limits.memory),
        "{result:?}"
    );

    let result = misbehave(&stage, "error").await.result;
    assert!(
        matches!(&result, Err(StageError::Guest(text)) if text == "this container is beyond me"),
        "{result:?}"
    );
}

#[tokio::test]
async fn an_invalid_result_names_service_and_field() {
    let stage = load("hostile", "null", AMPLE).await;
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
async fn a_stage_sees_the_granted_variables_only() {
    let stage = load("hostile", "null", AMPLE).await;
    let texts: Vec<_> =
        misbehave(&stage, "env").await.messages.into_iter().map(|message| message.text).collect();
    assert_eq!(texts, ["sees SERVICE_TEAM"]);
}

#[tokio::test]
async fn others_are_served_while_a_guest_loops() {
    let limits = Limits { timeout: Duration::from_secs(5), ..AMPLE };
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
    let limits = Limits { timeout: Duration::from_millis(100), ..AMPLE };
    let stage = load("wasi_probe", "null", limits).await;
    let (container, host, services) = container(&[("probe", "sleep")]);
    let Called { result, messages } = stage.process(&container, &host, &services).await;
    assert!(matches!(result, Err(StageError::Timeout(_))), "{result:?}");
    // Nobody would else find out why.
    let why =
        "it waited for a time to pass (a sleep, a timer), and the clock of a stage stands still";
    let said = |message: &Message| message.level == Level::Error && message.text.starts_with(why);
    assert!(messages.iter().any(said), "{messages:?}");
}

#[tokio::test]
async fn wasi_gives_nothing_away_and_is_the_same_each_time() {
    let stage = load("wasi_probe", "null", AMPLE).await;
    let (container, host, services) = container(&[]);
    let mut said = Vec::new();
    for _ in 0..2 {
        let Called { result, messages } = stage.process(&container, &host, &services).await;
        assert_eq!(
            result.expect("it answers"),
            Decision { verdicts: vec![Verdict::Keep], added: vec![], remarks: Vec::new() }
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
    let wat = |text: &str| wat::parse_str(text).expect("a component");
    let export = |imports: &str, stage: &str| {
        wat(&format!(
            r#"(component {imports} (component $c) (instance $i (instantiate $c))
                (export "{stage}" (instance $i)))"#
        ))
    };
    let stage = "wharfinger:pipeline/stage@0.1.0";
    let wanted = "wanted is a component that exports wharfinger:pipeline/stage@0.1.0";
    let random: Vec<u8> =
        (0..100_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let socket = r#"(import "wasi:sockets/tcp@0.2.0" (instance))"#;
    for (name, content, faults) in [
        ("nothing.wasm", Vec::new(), ["an empty file", wanted]),
        ("text.wasm", b"hello".to_vec(), ["not a WebAssembly file: it begins with 68 65", wanted]),
        ("random.wasm", random, ["not a WebAssembly file: it begins with", wanted]),
        ("stage.wat", b"(component)".to_vec(), ["in its text form", "wasm-tools parse"]),
        ("core.wasm", wat("(module)"), ["a core module", "wasm-tools component new"]),
        ("cut.wasm", component[..component.len() / 2].to_vec(), ["a damaged component", "offset"]),
        ("empty.wasm", wat("(component)"), ["it exports nothing", wanted]),
        ("world.wasm", export("", "wasi:cli/run@0.2.0"), ["exports wasi:cli/run@0.2.0", wanted]),
        (
            "future.wasm",
            export("", "wharfinger:pipeline/stage@0.3.0"),
            ["of the contract's version 0.3.0", "this program knows 0.1.0, 0.2.0"],
        ),
        ("socket.wasm", export(socket, stage), ["imports wasi:sockets/tcp@0.2.0", "no stage can"]),
        ("hollow.wasm", export("", stage), ["cannot link", "describe"]),
    ] {
        let file = folder.path().join(name);
        std::fs::write(&file, content).expect("the file is written");
        let error = plugin_host().load(spec(file, "{}", AMPLE)).await.err().expect("it is refused");
        let text = error_chain(&error);
        for part in [name].iter().chain(&faults) {
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
    }
}

#[tokio::test]
async fn what_is_no_file_is_refused_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = async |name: &str| {
        let spec = spec(folder.path().join(name), "{}", AMPLE);
        plugin_host().load(spec).await.err().expect("it is refused")
    };
    assert!(matches!(refused("none.wasm").await, LoadError::Read(..)));
    std::fs::create_dir(folder.path().join("folder.wasm")).expect("a folder");
    let text = refused("folder.wasm").await.to_string();
    assert!(text.ends_with("folder.wasm is a folder, not a component's file"), "{text}");
    // To open it would wait for a writer that never comes.
    let pipe = folder.path().join("pipe.wasm");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo is there").success());
    let text = refused("pipe.wasm").await.to_string();
    assert!(text.contains("pipe.wasm is neither a file nor a folder"), "{text}");
}

#[tokio::test]
async fn a_component_of_each_released_contract_version_loads_and_runs() {
    let fixtures = crate::common::root().join("tests/fixtures/components");
    for version in ["0.1.0", "0.2.0"] {
        let file = fixtures.join(format!("v{version}.wasm"));
        let stage = plugin_host().load(spec(file, "{}", AMPLE)).await;
        let stage = stage.unwrap_or_else(|error| panic!("{version}: {}", error_chain(&error)));
        assert_eq!(stage.identity().name, "minimal");
        assert!(stage.is_pure());
        let Called { result, messages } = process(&stage, &[]).await;
        let decision = result.expect("it answers");
        let [Verdict::Replace(service)] = &decision.verdicts[..] else { panic!("{decision:?}") };
        assert_eq!(service.tags, [format!("contract-{version}")]);
        assert_eq!(messages.len(), 1);
    }
}

#[test]
fn released_contracts_are_frozen() {
    for (file, digest) in [
        (
            "wit/v0.1.0/pipeline.wit",
            "c183575fe77f2d1b0c518717ec20897e7314acfb25a23766fac6b2991092f005",
        ),
        (
            "wit/v0.2.0/pipeline.wit",
            "8d6ca64071f472409cac5e35b2f21283638765680ab04397a0c434ced3c50ea0",
        ),
        (
            "wit/host-v0.1.0/host.wit",
            "f058c0d5a5190b002efb9c338ed3f642a11044fa6f55dbc7c3969279a23a16ca",
        ),
    ] {
        let content =
            std::fs::read(crate::common::root().join(file)).expect("the contract is there");
        let found: String =
            Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, digest, "{file} is released: a change of it is a new version");
    }
}

#[test]
fn the_folder_of_a_released_contract_holds_what_is_frozen_and_no_more() {
    for (folder, expected) in [
        ("wit/v0.1.0", "pipeline.wit"),
        ("wit/v0.2.0", "pipeline.wit"),
        ("wit/host-v0.1.0", "host.wit"),
    ] {
        let entries = std::fs::read_dir(crate::common::root().join(folder)).expect("a folder");
        let names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
        assert_eq!(names, [expected], "{folder} is released: what is added to it changes it");
    }
}

#[tokio::test]
async fn the_calls_of_a_stage_are_counted() {
    let limits = Limits { timeout: Duration::from_millis(500), ..AMPLE };
    let host = plugin_host();
    let stage = host.load(spec(plugin("hostile"), "null", limits)).await.expect("it loads");
    assert_eq!(stage.stats().calls, 0);
    for how in ["", "", "trap", "error", "loop"] {
        misbehave(&stage, how).await;
    }
    let stats = stage.stats();
    assert_eq!(stats.calls, 5);
    let outcomes: Vec<_> = stats.outcomes.iter().map(|(kind, count)| (&**kind, *count)).collect();
    assert_eq!(outcomes, [("guest", 1), ("ok", 2), ("timeout", 1), ("trap", 1)]);
    assert!(stats.time.max >= limits.timeout && stats.time.p50 < limits.timeout, "{stats:?}");
    assert!(stats.peak_memory >= ByteSize::kib(64), "{stats:?}");
    assert_eq!(host.stats(), [("stage".to_string(), stats)]);
    drop(stage);
    assert_eq!(host.stats(), []);
}
