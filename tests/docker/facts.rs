//! Guarantee: what version 0.2.0 of the contract shows a stage that wants it is what a real engine and a real agent
//! say: how a container was set up, its image, the agent's node and the engine.

use serde_json::Value;

use crate::common::{
    consul,
    lab::{HOST, Lab, SOON, after_registrator},
    wait::until,
};

/// The words that the test's guest tags a service with.
fn tags(service: &Value) -> Vec<String> {
    let tags = service["Tags"].as_array().cloned().unwrap_or_default();
    tags.iter().filter_map(|tag| tag.as_str().map(String::from)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_is_shown_what_engine_and_agent_say() {
    let meta = r#"{"node_meta": {"rack": "r7"}}"#;
    let lab = Lab::with(consul::Options {
        config: vec![("meta.json".into(), meta.into())],
        ..Default::default()
    })
    .await;
    lab.docker.import_busybox("labelled:1", &["LABEL team=shop", "EXPOSE 80"]);
    let [port] = crate::common::ports::free::<1>();
    let publish = format!("{port}:80");
    let line = [
        "run",
        "-d",
        "--name",
        "strict",
        "-p",
        &publish,
        "--user",
        "1000:1000",
        "--cap-drop",
        "ALL",
        "--cap-add",
        "NET_BIND_SERVICE",
        "--read-only",
        "--tmpfs",
        "/run",
        "-v",
        "/etc:/host:ro",
        "--restart",
        "on-failure:3",
        "--memory",
        "64m",
        "--health-cmd",
        "true",
        "--health-interval",
        "30s",
        "labelled:1",
        "sleep",
        "100000",
    ];
    lab.docker.run(&line);
    let (daemon, _folder) = lab.configured(&after_registrator("facts", "facts", ""));
    let id = format!("{HOST}:strict:80");
    let found = until(SOON, "the facts are tags", async || {
        let services = lab.consul.services().await;
        let found = services.get(&id).map(tags).unwrap_or_default();
        if found.is_empty() { Err(daemon.log()) } else { Ok(found) }
    })
    .await;
    let agent = lab.consul.get("/v1/agent/self").await;
    let text = |place: &str| agent.pointer(place).and_then(Value::as_str).unwrap_or_default();
    let version = lab.docker.run(&["version", "--format", "{{.Server.Version}}"]);
    for expected in [
        "contract-0.2.0".to_string(),
        "user=1000:1000".into(),
        "cap-add=NET_BIND_SERVICE".into(),
        "cap-drop=ALL".into(),
        "read-only=true".into(),
        "mount=bind:/etc:/host:ro".into(),
        "mount=tmpfs::/run:rw".into(),
        "restart=on-failure:3".into(),
        "memory=67108864".into(),
        "health=CMD-SHELL true".into(),
        "health-interval=30s".into(),
        "image-digests=0".into(),
        "image-label=team:shop".into(),
        format!("node={}", text("/Config/NodeName")),
        format!("datacenter={}", text("/Config/Datacenter")),
        format!("agent={}", text("/Config/Version")),
        "node-meta=rack:r7".into(),
        "engine=docker".into(),
        format!("engine-version={}", version.trim()),
    ] {
        assert!(found.contains(&expected), "{expected}: {found:?}");
    }
}
