//! Guarantee: a component is handled by the contract's version that it was built against. What was
//! built against 0.1.0 loads and answers as it did then; 0.2.0 shows a stage what policies
//! ask about, and never a container as harmless of which nobody knows; and the two take turns in one
//! pipeline and at a reload.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::common::{
    author::{arg, wharfinger},
    corpus,
    daemon::Daemon,
    fake_docker::{FakeDocker, Way},
    http::Activity,
    plugin,
    recording_consul::RecordingConsul,
    root,
    wait::until,
};

const SOON: std::time::Duration = std::time::Duration::from_secs(60);

#[test]
fn what_was_built_against_0_1_0_answers_as_it_did() {
    let frozen = root().join("tests/fixtures/contract-0.1.0");
    for name in ["c.wasm", "rust.wasm"] {
        let file = frozen.join(name);
        let said = wharfinger(
            &frozen,
            &["plugin", "test", arg(&frozen), "--component", arg(&file), "--json"],
        );
        let report = said.good().json();
        assert!(report["passed"].as_u64().is_some_and(|passed| passed >= 10), "{name}: {report}");
        assert_eq!(report["failed"], 0, "{name}: {report}");
        let inspected =
            wharfinger(&frozen, &["plugin", "inspect", arg(&file), "--json"]).good().json();
        assert_eq!(inspected["contract"], "0.1.0");
        assert_eq!(inspected["moving"][0]["contract"], "0.2.0", "{inspected}");
        let text = wharfinger(&frozen, &["plugin", "inspect", arg(&file)]).good().stdout.clone();
        assert!(text.contains("built again against 0.2.0 it sees"), "{text}");
    }
}

#[test]
fn inspect_says_of_which_version_a_component_is() {
    let file = plugin("facts");
    let said = wharfinger(root(), &["plugin", "inspect", arg(&file), "--json"]);
    let report = said.good().json();
    assert_eq!(report["contract"], "0.2.0");
    let said = wharfinger(root(), &["plugin", "inspect", arg(&file)]);
    let text = &said.good().stdout;
    assert!(text.contains("stage-component@0.2.0"), "{text}");
    assert!(report["moving"] == json!([]) && !text.contains("moving"), "{text}");
}

/// A recorded container with one published port, changed at these places.
fn recorded(changes: &[(&str, Value)]) -> Value {
    let case = corpus::cases().into_iter().find(|case| case.name == "net-bridge");
    let mut one = case.expect("the case is part of the corpus").inspected().remove(0);
    for (place, value) in changes {
        let (parent, key) = place.rsplit_once('/').expect("a place");
        one.pointer_mut(parent).expect("its parent")[key] = value.clone();
    }
    one
}

/// What `plugin run` says of the test's guest for these entries of a recording.
fn run(folder: &Path, entries: &Value) -> crate::common::author::Said {
    let file = folder.join("container.json");
    fs::write(&file, entries.to_string()).expect("it is written");
    let stage = plugin("facts");
    wharfinger(
        folder,
        &["plugin", "run", arg(&stage), "--container", arg(&file), "--settings", "{}", "--json"],
    )
}

/// The words that the guest tags with.
fn tags(report: &Value) -> Vec<String> {
    let tags = report["services"][0]["Tags"].as_array().cloned().unwrap_or_default();
    tags.iter().filter_map(|tag| tag.as_str().map(String::from)).collect()
}

#[test]
fn a_stage_that_wants_it_sees_how_a_container_was_set_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let container = recorded(&[
        ("/Config/User", json!("1000:1000")),
        ("/HostConfig/CapAdd", json!(["cap_net_admin"])),
        ("/HostConfig/CapDrop", json!(["ALL"])),
        ("/HostConfig/ReadonlyRootfs", json!(true)),
        ("/HostConfig/RestartPolicy", json!({ "Name": "on-failure", "MaximumRetryCount": 3 })),
        ("/HostConfig/Memory", json!(67_108_864)),
        ("/HostConfig/NanoCpus", json!(1_500_000_000_i64)),
        ("/HostConfig/PidsLimit", json!(100)),
        ("/HostConfig/Tmpfs", json!({ "/run": "ro" })),
        (
            "/Mounts",
            json!([{ "Type": "bind", "Source": "/etc", "Destination": "/host", "RW": true }]),
        ),
        (
            "/Config/Healthcheck",
            json!({ "Test": ["CMD", "true"], "Interval": 30_000_000_000_i64, "Retries": 2 }),
        ),
        ("/Image", json!("sha256:cafe")),
    ]);
    let image = json!({
        "Id": "sha256:cafe", "RepoDigests": ["web@sha256:1"], "RepoTags": [],
        "Config": { "Labels": { "team": "shop" } },
    });
    let report = run(folder.path(), &json!([image, container])).good().json();
    let found = tags(&report);
    for expected in [
        "contract-0.2.0",
        "user=1000:1000",
        "cap-add=NET_ADMIN",
        "cap-drop=ALL",
        "read-only=true",
        "mount=bind:/etc:/host:rw",
        "mount=tmpfs::/run:ro",
        "restart=on-failure:3",
        "memory=67108864",
        "processors=1500",
        "processes=100",
        "health=CMD true",
        "health-interval=30s",
        "health-retries=2",
        "image-digests=1",
        "image-label=team:shop",
    ] {
        assert!(found.iter().any(|tag| tag == expected), "{expected}: {found:?}");
    }
    let alone = run(folder.path(), &json!([recorded(&[])])).good().json();
    let found = tags(&alone);
    assert!(found.iter().any(|tag| tag == "image=unknown"), "{found:?}");
}

#[test]
fn what_cannot_be_read_is_not_taken_for_harmless() {
    let folder = tempfile::tempdir().expect("a folder");
    for (place, value) in [
        ("/HostConfig/Privileged", json!("perhaps")),
        ("/HostConfig/CapAdd", json!({ "NET_ADMIN": true })),
        ("/HostConfig/CapDrop", json!([["ALL"]])),
        ("/HostConfig/ReadonlyRootfs", json!(1)),
        ("/HostConfig/PidsLimit", json!("many")),
        ("/Config/User", json!(0)),
        ("/Mounts", json!([{ "Type": 7, "Source": "/", "Destination": "/host" }])),
        ("/Mounts", json!("all")),
    ] {
        let said = run(folder.path(), &json!([recorded(&[(place, value.clone())])]));
        let text = format!("{}{}", said.stdout, said.stderr);
        assert_ne!(said.code, Some(0), "{place} {value}: {text}");
        assert!(text.contains("it is not known how the container was set up"), "{place}: {text}");
    }
}

/// The configuration of a daemon with these stages after the built-in one.
fn configuration(stages: &[(&str, &Path)]) -> String {
    let mut text = "[limits]\ntimeout = '10s'\n[decisions]\nfile = 'decisions.jsonl'\n\
        [[pipeline]]\nname = 'registrator'\nbuiltin = 'registrator'\n"
        .to_string();
    for (name, file) in stages {
        text += &format!("[[pipeline]]\nname = '{name}'\nfile = {file:?}\n");
    }
    text
}

/// Write a file as editors do, so that it is whole at any moment.
fn replace(file: &Path, content: &[u8]) {
    let new = file.with_extension("new");
    fs::write(&new, content).expect("the file is written");
    fs::rename(&new, file).expect("it is renamed");
}

async fn tagged(consul: &RecordingConsul, part: &str, there: bool) {
    until(SOON, format!("{part} is a tag: {there}"), async || {
        let services = consul.services();
        let has = |service: &Value| service["Tags"].to_string().contains(part);
        let right = services.len() == 1 && services.values().all(|one| has(one) == there);
        if right { Ok(()) } else { Err(format!("{services:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_take_turns_in_one_pipeline_and_at_a_reload() {
    let activity = Activity::default();
    let docker = FakeDocker::start(activity.clone());
    let consul = RecordingConsul::start(activity, Vec::new()).await;
    docker.set("web", Some(recorded(&[("/Name", json!("/web"))])));
    let folder = tempfile::tempdir().expect("a folder");
    let stage = folder.path().join("stage.wasm");
    let take = |name: &str| replace(&stage, &fs::read(plugin(name)).expect("a component"));
    take("facts");
    let file = folder.path().join("wharfinger.toml");
    let stages =
        [("first", &*plugin("minimal")), ("second", &*stage), ("third", &*plugin("minimal"))];
    replace(&file, configuration(&stages).as_bytes());
    let (path, uri) = (file.to_str().expect("a path"), consul.uri());
    let args = ["run", "--config", path, "--ip", "192.0.2.10", "--hostname", "testhost", &uri];
    let docker_host = docker.host();
    let _daemon =
        Daemon::start(&args, &[("DOCKER_HOST", &docker_host), ("WHARFINGER_CONTROL", "none")]);
    tagged(&consul, "contract-0.2.0", true).await;
    tagged(&consul, "contract-0.1.0", true).await;
    tagged(&consul, "engine=docker", true).await;
    let ids = consul.ids();
    take("minimal");
    tagged(&consul, "contract-0.2.0", false).await;
    take("facts");
    tagged(&consul, "contract-0.2.0", true).await;
    assert_eq!(consul.ids(), ids, "the same service all the time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_keeps_what_it_has_while_its_image_cannot_be_asked_for() {
    let activity = Activity::default();
    let docker = FakeDocker::start(activity.clone());
    let consul = RecordingConsul::start(activity, Vec::new()).await;
    let web = |labels: Value| {
        recorded(&[("/Name", json!("/web")), ("/Image", json!("cafe")), ("/Config/Labels", labels)])
    };
    docker.set("web", Some(web(json!({}))));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wharfinger.toml");
    replace(&file, configuration(&[("facts", &plugin("facts"))]).as_bytes());
    let (path, uri) = (file.to_str().expect("a path"), consul.uri());
    let args = ["run", "--config", path, "--ip", "192.0.2.10", "--hostname", "testhost", &uri];
    let docker_host = docker.host();
    let daemon =
        Daemon::start(&args, &[("DOCKER_HOST", &docker_host), ("WHARFINGER_CONTROL", "none")]);
    tagged(&consul, "image=unknown", true).await;
    let ids = consul.ids();
    docker.misbehave("/images/cafe/json", Some(Way::Refuse));
    let changed = web(json!({ "SERVICE_TAGS": "changed" }));
    let id = changed["Id"].clone();
    docker.set("web", Some(changed));
    docker.send(&json!({ "Type": "container", "Action": "update", "Actor": { "ID": id } }));
    daemon.wait_for_log("cannot inspect image cafe", SOON).await;
    assert_eq!(consul.ids(), ids);
    docker.misbehave("/images/cafe/json", None);
    tagged(&consul, "changed", true).await;
    assert_eq!(consul.ids(), ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_and_notes_are_told_and_decide_nothing() {
    let docker = FakeDocker::start(Activity::default());
    let privileged = [("/Name", json!("/root")), ("/HostConfig/Privileged", json!(true))];
    docker.set("root", Some(recorded(&privileged)));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wharfinger.toml");
    replace(&file, configuration(&[("facts", &plugin("facts"))]).as_bytes());
    let path = file.to_str().expect("a path");
    let args = ["run", "--config", path, "--ip", "192.0.2.10", "--hostname", "h", "memory://"];
    let docker_host = docker.host();
    let daemon = Daemon::start(&args, &[("DOCKER_HOST", &docker_host)]);
    let log = folder.path().join("decisions.jsonl");
    let line = until(SOON, "a decision on it", async || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        let line = text.lines().find(|line| line.contains("it is privileged")).map(String::from);
        line.ok_or(text)
    })
    .await;
    let line: Value = serde_json::from_str(&line).expect("JSON");
    let told =
        line["stages"].as_array().expect("stages").last().expect("the last")["remarks"].clone();
    assert_eq!(told[0]["code"], "privileged", "{line}");
    assert_eq!(told[0]["notes"], json!(["h:root:80 may do anything to this host"]), "{line}");
    assert_eq!(line["services"], json!([]), "{line}");
    let control = daemon.dir().join("control.sock");
    let mut child =
        Daemon::start(&["explain", "root", "--control", control.to_str().expect("a path")], &[]);
    assert!(child.wait(SOON).await.success(), "{}", child.log());
    let text = child.stdout();
    for part in ["code on h:root:80: privileged", "note on h:root:80: h:root:80 may do anything"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
