//! Guarantee: a real agent takes what every key of a container makes, and has it as it was said.

use std::{fs, process::Command};

use serde_json::{Value, json};

use crate::common::{
    consul::{Consul, Options},
    daemon::Daemon,
};

/// The body that a container with these variables is registered with: it offers 80/tcp at
/// 127.0.0.1, port 8000.
fn body(env: &[&str]) -> Value {
    let env: Vec<_> = env.iter().map(|pair| format!("SERVICE_{pair}")).collect();
    let containers = json!([{
        "Id": "a".repeat(64), "Name": "/web", "State": {"Status": "running"}, "Image": "sha256:1",
        "Config": {"Image": "web:1", "Env": env, "Labels": {}, "ExposedPorts": {"80/tcp": {}}},
        "HostConfig": {"NetworkMode": "bridge"},
        "NetworkSettings": {
            "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8000"}]},
            "Networks": {"bridge": {"NetworkID": "n", "IPAddress": "172.17.0.2"}},
        },
    }]);
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(&file, containers.to_string()).expect("the file is written");
    let mut command = Command::new(Daemon::binary());
    command.args(["plan", "--output", "consul-json", "--hostname", "h", "--ip", "192.0.2.1"]);
    let output = command.arg("--containers").arg(file.path()).output().expect("it starts");
    let bodies: Vec<Value> = serde_json::from_slice(&output.stdout).expect("the bodies");
    bodies.into_iter().next().expect("a body")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_takes_every_check_that_a_key_makes() {
    let consul = Consul::start(Options::default()).await;
    let details = [
        "CHECK_NAME=front",
        "CHECK_NOTES=of the web",
        "CHECK_INTERVAL=1h",
        "CHECK_TIMEOUT=2s",
        "CHECK_STATUS=warning",
        "CHECK_DEREGISTER_CRITICAL_SERVICE_AFTER=2h",
        "CHECK_SUCCESS_BEFORE_PASSING=2",
        "CHECK_FAILURES_BEFORE_WARNING=2",
        "CHECK_FAILURES_BEFORE_CRITICAL=3",
        "CHECK_OUTPUT_MAX_SIZE=256",
        "CHECK_TLS_SERVER_NAME=a.example",
        "CHECK_TLS_SKIP_VERIFY=true",
        "CHECK_TCP_USE_TLS=true",
        "CHECK_GRPC_USE_TLS=true",
        "CHECK_GRPC_SERVICE=a.B",
        "CHECK_METHOD=PUT",
        "CHECK_BODY=b",
        "CHECK_HEADER={\"X-A\":[\"1\",\"2\"]}",
    ];
    for (kind, word) in [
        ("CHECK_HTTP=/h", "http"),
        ("CHECK_HTTPS=/h", "http"),
        ("CHECK_TCP=true", "tcp"),
        ("CHECK_UDP=true", ""),
        ("80_CHECK_UDP=true", "udp"),
        ("CHECK_GRPC=true", "grpc"),
        ("CHECK_H2PING=true", "h2ping"),
        ("CHECK_TTL=1h", "ttl"),
        ("CHECK_SCRIPT=true", "script"),
        ("CHECK_ARGS=[\"true\"]", "script"),
        ("CHECK_ALIAS_NODE=other", "alias"),
        ("CHECK_ALIAS_SERVICE=db", "alias"),
    ] {
        let env: Vec<_> = [kind].into_iter().chain(details).collect();
        let body = body(&env);
        consul.put("/v1/agent/service/register", &body).await;
        assert_eq!(
            body["Meta"].as_object().map_or(0, |meta| {
                meta.keys().filter(|key| !key.starts_with("wharfinger-")).count()
            }),
            0,
            "{kind}: {body}"
        );
        let checks = consul.checks().await;
        let found = checks.values().find(|check| check["ServiceID"] == "h:web:80");
        let found = found.unwrap_or(&Value::Null);
        assert_eq!(found["Type"].as_str().unwrap_or_default(), word, "{kind}: {body}");
        if !word.is_empty() {
            assert_eq!(found["Name"], "front", "{kind}");
            assert_eq!(found["Notes"], "of the web", "{kind}");
        }
        consul.deregister("h:web:80").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_has_the_service_as_it_was_said() {
    let consul = Consul::start(Options::default()).await;
    let body = body(&[
        "ENABLE_TAG_OVERRIDE=true",
        "WEIGHTS_PASSING=10",
        "WEIGHTS_WARNING=0",
        "TAGGED_ADDRESSES={\"wan\":{\"Address\":\"198.51.100.7\",\"Port\":81}}",
        "TAGS= b ,a",
    ]);
    consul.put("/v1/agent/service/register", &body).await;
    let services = consul.services().await;
    let found = &services["h:web:80"];
    assert_eq!(found["EnableTagOverride"], true);
    assert_eq!(found["Weights"], json!({"Passing": 10, "Warning": 0}));
    assert_eq!(found["TaggedAddresses"]["wan"], json!({"Address": "198.51.100.7", "Port": 81}));
    assert_eq!(found["Tags"], json!(["b", "a"]));
}
