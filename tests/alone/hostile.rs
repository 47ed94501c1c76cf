//! Whatever a component does, it costs nobody but its own containers anything:
//! each way to misbehave is an error of its own that names the limit, the
//! others are served, and the daemon's memory stays bounded.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::common::{
    corpus,
    daemon::Daemon,
    fake_docker::FakeDocker,
    guest::{self, KEEP},
    http::Activity,
    recording_consul::RecordingConsul,
    stages::{AMPLE, load, load_bytes, process},
    wait,
};
use bytesize::ByteSize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use wharfinger::{
    error::error_chain,
    pipeline::StageError,
    stages::plugin::{Compiler, ComponentStage, HostOptions, Limits, LoadError, PluginHost},
};

const UNREACHABLE: &str = "(unreachable)";

/// What becomes of a stage of this `process`, in words, which are the same for each version of
/// the contract.
async fn fault(parts: &str, body: &str, limits: Limits) -> String {
    let mut said = Vec::new();
    for version in guest::VERSIONS {
        let stage = load_bytes(&guest::stage_of(version, parts, body), limits).await;
        let stage = stage.unwrap_or_else(|error| panic!("{version}: {}", error_chain(&error)));
        said.push(process(&stage, &[]).await.result.expect_err("it misbehaves").to_string());
    }
    // Where in the code it happened differs.
    said.dedup_by_key(|text| text.split("0x").next().map(String::from));
    assert_eq!(said.len(), 1, "{said:?}");
    said.remove(0)
}

async fn misbehave(stage: &ComponentStage, how: &str) -> Result<(), StageError> {
    process(stage, &[("hostile", how)]).await.result.map(drop)
}

#[tokio::test]
async fn a_stage_written_by_hand_works() {
    for version in guest::VERSIONS {
        let bytes = guest::stage_of(version, "", KEEP);
        let stage = load_bytes(&bytes, AMPLE).await.expect("it loads");
        assert_eq!(stage.identity().contract, version);
        let decision = process(&stage, &[]).await.result.expect("it answers");
        assert_eq!(decision.verdicts.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_of_20_ms_ends_a_loop_in_40_while_eight_others_run() {
    let limits = |millis| Limits { timeout: Duration::from_millis(millis), ..AMPLE };
    let host = crate::common::stages::host_for(9);
    let file = crate::common::plugin("hostile");
    let spec = |limits| crate::common::stages::spec(file.clone(), "null", limits);
    let watched = host.load(spec(limits(20))).await.expect("it loads");
    let others = Arc::new(host.load(spec(limits(500))).await.expect("it loads"));
    // The machine may be busy with other work. So the same is measured without
    // the others: if that is late, the bound is later as well.
    let mut rounds = Vec::new();
    for _ in 0..5 {
        let alone = durations(&watched, 20).await;
        let stop = CancellationToken::new();
        let busy: Vec<_> =
            (0..8).map(|_| tokio::spawn(loops(others.clone(), stop.clone()))).collect();
        let took = durations(&watched, 50).await;
        stop.cancel();
        for task in busy {
            task.await.expect("the others end");
        }
        println!(
            "20 ms: p50 {:?}, p90 {:?}, max {:?}; alone p50 {:?}, p90 {:?}",
            took[24], took[44], took[49], alone[9], alone[17]
        );
        let late = alone[17].saturating_sub(Duration::from_millis(25));
        let bound = Duration::from_millis(40) + 40 * late;
        rounds.push((took[49], bound));
        if took[49] < bound {
            return;
        }
    }
    panic!("{rounds:?}");
}

async fn loops(stage: Arc<ComponentStage>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        assert!(misbehave(&stage, "loop").await.is_err());
    }
}

/// How long so many calls take that loop until their deadline, sorted.
async fn durations(stage: &ComponentStage, count: usize) -> Vec<Duration> {
    let mut took = Vec::new();
    for _ in 0..count {
        let began = Instant::now();
        let result = misbehave(stage, "loop").await;
        took.push(began.elapsed());
        assert!(matches!(result, Err(StageError::Timeout(_))), "{result:?}");
    }
    took.sort();
    took
}

#[tokio::test]
async fn endless_recursion_is_told_from_other_traps() {
    let recursion = "(func $deep (param i64) (result i64)
        (i64.add (call $deep (i64.add (local.get 0) (i64.const 1))) (local.get 0)))";
    let body = "(drop (call $deep (i64.const 0))) (i32.const 1024)";
    let text = fault(recursion, body, AMPLE).await;
    assert_eq!(text, "exceeded its stack: 512.0 KiB (limits.stack)");

    // A compiler's own stack is a part of the memory, and an overflow of it an
    // access out of bounds.
    let stage = load("hostile", "null", AMPLE).await;
    let result = misbehave(&stage, "recursion").await;
    assert!(
        matches!(&result, Err(StageError::Stack(text)) if text.contains("its own memory")),
        "{result:?}"
    );

    let text = fault("", "(drop (i32.load (i32.const -4))) (i32.const 1024)", AMPLE).await;
    assert_eq!(text, "trapped: out of bounds memory access");
}

#[tokio::test]
async fn memory_and_tables_are_limited_in_the_call_and_from_the_start() {
    let limits = Limits { memory: ByteSize::mib(16), table_elements: 1000, ..AMPLE };
    let grow = "(loop $more (drop (memory.grow (i32.const 16))) (br $more)) (unreachable)";
    let memory = "exceeded its memory limit of 16.0 MiB (memory)";
    assert_eq!(fault("", grow, limits).await, memory);

    let table = "(table $t 1 funcref)";
    let grow = "(loop $more (drop (table.grow $t (ref.null func) (i32.const 100))) (br $more))
        (unreachable)";
    let tables = "exceeded its limit of 1000 table elements (limits.table-elements)";
    assert_eq!(fault(table, grow, limits).await, tables);
    // Many tables are one table.
    let two = "(table $t 600 funcref) (table $u 1 funcref)";
    let grow = "(drop (table.grow $u (ref.null func) (i32.const 600))) (unreachable)";
    assert_eq!(fault(two, grow, limits).await, tables);

    for (parts, fault) in [("(table 2000 funcref)", tables)] {
        let error = load_bytes(&guest::stage(parts, KEEP), limits).await.err().expect("too much");
        let text = error_chain(&error);
        assert!(text.contains("guest.wasm") && text.contains(fault), "{text}");
    }
    let huge = guest::stage("", KEEP);
    let least = Limits { memory: ByteSize::kib(64), ..limits };
    let text = error_chain(&load_bytes(&huge, least).await.err().expect("it has two pages"));
    assert!(text.contains("exceeded its memory limit of 64.0 KiB"), "{text}");
}

#[tokio::test]
async fn a_component_of_too_many_parts_is_refused() {
    let stage = "wharfinger:pipeline/stage@0.1.0";
    let many = |part: &str, count| {
        let parts = part.repeat(count);
        wat::parse_str(format!(
            r#"(component (core module $m) (core module $t (table 1 funcref))
                {parts} (component $c) (instance $i (instantiate $c))
                (export "{stage}" (instance $i)))"#
        ))
        .expect("a component")
    };
    for (bytes, what) in [
        (many("(core instance (instantiate $m))", 65), "65 core instances"),
        (many("(core instance (instantiate $m))", 5000), "5000 core instances"),
    ] {
        let text = load_bytes(&bytes, AMPLE).await.err().expect("too many").to_string();
        let words = format!(
            "guest.wasm is made of {what}, of which the stage may have 64 (limits.instances)"
        );
        assert!(text.ends_with(&words), "{text}");
    }
    let tables = "(table 1 funcref)".repeat(65);
    let error = load_bytes(&guest::stage(&tables, KEEP), AMPLE).await.err().expect("too many");
    let words =
        "guest.wasm is made of 65 tables, of which the stage may have 64 (limits.instances)";
    assert!(error.to_string().ends_with(words), "{error}");
}

#[tokio::test]
async fn what_a_guest_returns_is_limited() {
    let stage = load("hostile", "null", AMPLE).await;
    for (how, fault) in [
        ("big", "exceeded its memory limit of 64.0 MiB (memory)"),
        ("output", "exceeded its limit of 1.0 MiB in one answer or host call (limits.output)"),
        ("long-log", "exceeded its limit of 1.0 MiB in one answer or host call (limits.output)"),
        ("tags", "exceeded its limit of 256 tags of one service (limits.tags)"),
        ("services", "exceeded its limit of 1000 added services (limits.services)"),
    ] {
        let error = misbehave(&stage, how).await.expect_err("it is too much");
        assert_eq!(error.to_string(), fault, "{how}");
    }
    let outcomes = stage.stats().outcomes;
    assert_eq!((outcomes["output"], outcomes["memory"]), (4, 1), "{outcomes:?}");
    let generous = Limits { tags: 1000, services: 1001, ..AMPLE };
    let stage = load("hostile", "null", generous).await;
    for how in ["tags", "services"] {
        misbehave(&stage, how).await.expect("it may");
    }
}

#[tokio::test]
async fn a_list_that_names_the_same_bytes_again_and_again_is_limited() {
    // 8000 texts of 64 KiB each, which are all the same 64 KiB: half a gigabyte
    // for the host, and two pages for the guest.
    let validate = "(local $at i32)
        (local.set $at (i32.const 2048))
        (loop $next
            (i32.store (local.get $at) (i32.const 0))
            (i32.store offset=4 (local.get $at) (i32.const 65536))
            (local.set $at (i32.add (local.get $at) (i32.const 8)))
            (br_if $next (i32.lt_u (local.get $at) (i32.const 66048))))
        (i32.store (i32.const 512) (i32.const 1))
        (i32.store (i32.const 516) (i32.const 2048))
        (i32.store (i32.const 520) (i32.const 8000))
        (i32.const 512)";
    let bytes = guest::stage_validating("", validate, UNREACHABLE);
    let text = error_chain(&load_bytes(&bytes, AMPLE).await.err().expect("it is too much"));
    assert!(text.contains("1.0 MiB in one answer or host call (limits.output)"), "{text}");
}

#[tokio::test]
async fn messages_are_limited_in_a_call_and_in_a_second() {
    let stage = load("hostile", "null", AMPLE).await;
    let called = process(&stage, &[("hostile", "log")]).await;
    assert!(called.result.is_ok(), "{:?}", called.result);
    assert_eq!(called.messages.len(), 101);
    let last = "999900 more messages of this call are dropped: limits.log-lines is 100";
    assert_eq!(called.messages[100].text, last);
    assert_eq!(stage.stats().dropped_messages, 999_900);

    let stage = load("hostile", "null", Limits { log_rate: 10, ..AMPLE }).await;
    let called = process(&stage, &[("hostile", "log-100")]).await;
    assert_eq!(called.messages.len(), 11);
    let last = &called.messages[10].text;
    assert!(last.starts_with("90 messages") && last.ends_with("limits.log-rate is 10"), "{last}");
}

#[tokio::test]
async fn words_of_a_guest_are_one_short_line() {
    let stage = load("hostile", "null", AMPLE).await;
    let error = misbehave(&stage, "forge").await.expect_err("it could not decide");
    let text = error.to_string();
    assert!(!text.contains('\n') && text.len() < 5000, "{} bytes", text.len());
    let called = process(&stage, &[("hostile", "forge-veto")]).await;
    assert!(format!("{:?}", called.result).contains("Veto(\"a b\")"), "{:?}", called.result);
}

#[tokio::test]
async fn a_trap_or_a_loop_before_the_call_is_an_error_of_loading() {
    for (start, fault) in [
        ("(unreachable)", "`unreachable` instruction executed while it was instantiated"),
        ("(loop $more (br $more))", "exceeded its deadline of 100ms (timeout)"),
    ] {
        let parts = format!("(func $init {start}) (start $init)");
        let limits = Limits { timeout: Duration::from_millis(100), ..AMPLE };
        for version in guest::VERSIONS {
            let error = load_bytes(&guest::stage_of(version, &parts, KEEP), limits).await.err();
            let error = error.expect("it fails in its beginning");
            assert!(matches!(error, LoadError::Call { function: "describe", .. }), "{error}");
            let text = error_chain(&error);
            assert!(
                text.contains("guest.wasm failed in describe") && text.contains(fault),
                "{text}"
            );
        }
    }
}

#[tokio::test]
async fn an_answer_that_breaks_the_canonical_abi_is_an_invalid_result() {
    let error_text = |at, len| {
        format!(
            "(i32.store8 (i32.const 2048) (i32.const 255))
             (i32.store (i32.const 512) (i32.const 1))
             (i32.store (i32.const 516) (i32.const {at}))
             (i32.store (i32.const 520) (i32.const {len}))
             (i32.const 512)"
        )
    };
    for (what, body) in [
        ("invalid UTF-8", error_text(2048, 1)),
        ("a text beyond the memory", error_text(131_000, 1000)),
        ("an unaligned answer", "(i32.const 1025)".into()),
        ("an answer beyond the memory", "(i32.const -8)".into()),
        ("no such variant", "(i32.store (i32.const 512) (i32.const 7)) (i32.const 512)".into()),
    ] {
        let text = fault("", &body, AMPLE).await;
        println!("{what}: {text}");
        assert!(text.starts_with("returned an invalid result: "), "{what}: {text}");
    }
    let body = "(i32.store8 (i32.const 2048) (i32.const 255))
        (call $log (i32.const 0) (i32.const 2048) (i32.const 1)) (i32.const 1024)";
    let text = fault("", body, AMPLE).await;
    assert!(text.contains("utf-8") || text.contains("UTF-8"), "{text}");
}

#[tokio::test]
async fn compiling_that_takes_too_much_memory_is_said_to() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("compiler");
    let program = Daemon::binary().display();
    let text = format!("#!/bin/sh\nulimit -d 15000\nexec {program} \"$@\"\n");
    std::fs::write(&script, text).expect("the script is written");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("permissions");
    let options = HostOptions { compiler: Compiler::Child(script), ..HostOptions::default() };
    let host = Arc::new(PluginHost::new(options).expect("a host"));
    let spec = crate::common::stages::spec(crate::common::plugin("tags"), "{}", AMPLE);
    let error = error_chain(&host.load(spec).await.err().expect("there is too little"));
    assert!(error.contains("cannot compile") && error.contains("takes more than"), "{error}");
}

/// A container as `docker inspect` prints it.
fn inspected(number: usize, name: &str, hostile: Option<&str>) -> Value {
    let case = corpus::cases().into_iter().find(|case| case.name == "net-bridge");
    let mut value = case.expect("the case is part of the corpus").inspected().remove(0);
    value["Id"] = json!(format!("{number:064x}"));
    value["Name"] = json!(format!("/{name}"));
    value["State"]["Running"] = json!(true);
    if let Some(how) = hostile {
        value["Config"]["Labels"] = json!({ "hostile": how });
    }
    value
}

#[tokio::test(flavor = "multi_thread")]
async fn the_others_register_and_the_memory_stays_bounded() {
    const SOON: Duration = Duration::from_secs(120);
    let activity = Activity::default();
    let docker = FakeDocker::start(activity.clone());
    let consul = RecordingConsul::start(activity, Vec::new()).await;
    let ways = [
        ("loop", "exceeded its deadline of 300ms (timeout)"),
        ("trap", "a panic of the guest"),
        ("recursion", "exceeded its stack"),
        ("memory", "exceeded its memory limit of 16.0 MiB (memory)"),
        ("big", "exceeded its memory limit of 16.0 MiB (memory)"),
        ("output", "1.0 MiB in one answer or host call (limits.output)"),
        ("services", "1000 added services (limits.services)"),
        ("tags", "256 tags of one service (limits.tags)"),
        ("newline", "name: it has a control character"),
        ("error", "could not decide: this container is beyond me"),
        ("duplicate", "id: another service of the container has it"),
    ];
    let mut number = 0;
    let mut start = |name: &str, how: Option<&str>| {
        number += 1;
        docker.set(name, Some(inspected(number, name, how)));
    };
    for (how, _) in ways {
        start(how, Some(how));
    }
    start("log", Some("log-100"));
    start("foreign", Some("foreign"));
    let marks = json!({ "wharfinger-host": "otherhost", "wharfinger-container": "other" });
    let theirs = json!({ "ID": "otherhost:app:80", "Name": "app", "Meta": marks });
    consul.put(&theirs);
    for n in 0..20 {
        start(&format!("good-{n}"), None);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("wharfinger.toml");
    let text = format!(
        "[[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n\
         [[pipeline]]\nname = 'suspect'\nfile = {:?}\ntimeout = '300ms'\nmemory = '16MiB'\n",
        crate::common::plugin("hostile")
    );
    std::fs::write(&config, text).expect("the file is written");
    let config = config.display().to_string();
    let mut daemon = Daemon::start(
        &["run", "--config", &config, "--hostname", "testhost", "-ip", "192.0.2.1", &consul.uri()],
        &[("DOCKER_HOST", &docker.host())],
    );
    wait::until(SOON, "all good ones are registered", async || {
        let ids = consul.ids();
        let good = |n: usize| ids.iter().any(|id| id.contains(&format!(":good-{n}:")));
        if (0..20).all(good) && ids.iter().any(|id| id.contains(":log:")) {
            Ok(())
        } else {
            Err(format!("{ids:?}"))
        }
    })
    .await;
    for (how, message) in ways {
        let line = daemon.wait_for_log(message, SOON).await;
        println!("{how}: {line}");
    }
    for (how, _) in ways {
        let log = daemon.log();
        let named = |line: &&str| line.contains("suspect") && line.contains(how);
        assert!(log.lines().any(|line| named(&line)), "{how} is not in {log}");
        let hostile = consul.ids().into_iter().filter(|id| id.contains(&format!(":{how}:")));
        assert_eq!(hostile.collect::<Vec<_>>(), Vec::<String>::new(), "{how}");
    }
    // Another host's service stays as it is.
    daemon.wait_for_log("id: it has the form of registrator's IDs", SOON).await;
    assert!(consul.ids().contains(&"otherhost:app:80".to_string()));
    let (now, peak) = (daemon.memory_kib("VmRSS"), daemon.memory_kib("VmHWM"));
    println!("resident: {now} KiB now, {peak} KiB at the most");
    // Eight calls at once with 16 MiB each, and the daemon itself.
    assert!(peak < (8 * 16 + 96) * 1024, "{peak} KiB");
    assert!(daemon.is_running());
}
