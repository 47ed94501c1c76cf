//! Guarantee: what a key of a container makes costs no service its registration, whether or not the
//! agent knows the field.

use std::sync::Arc;

use serde_json::{Value, json};
use url::Url;
use wharfinger::{
    model::{host::Compat, service::Service},
    pipeline::Pipeline,
    registry::{Consul as Agent, ConsulConfig, Registry as _},
    stages::builtin::Builtin,
};

use crate::common::{
    consul::{Consul, Options},
    corpus::Case,
};

/// The service of a container with these variables, that offers 80/tcp at 192.0.2.10, port 8000.
async fn service(env: &[&str]) -> Service {
    let env: Vec<_> = env.iter().map(|pair| format!("SERVICE_{pair}")).collect();
    let container = json!({
        "Id": "a".repeat(64), "Name": "/web", "State": {"Status": "running"}, "Image": "sha256:1",
        "Config": {"Image": "web:1", "Env": env, "Labels": {}, "ExposedPorts": {"80/tcp": {}}},
        "HostConfig": {"NetworkMode": "bridge"},
        "NetworkSettings": {
            "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8000"}]},
            "Networks": {"bridge": {"NetworkID": "n", "IPAddress": "172.17.0.2"}},
        },
    });
    let registrator = json!({ "hostname": "h", "flags": ["-ip", "192.0.2.10"] });
    let value = json!({ "registrator": registrator, "docker_inspect": { "web": container } });
    let case = Case { name: "web".into(), value };
    let stage = Builtin::new("registrator", "registrator", "{}").expect("it is built in");
    let pipeline = Pipeline::new(vec![Arc::new(stage)]);
    let container = case.containers().remove(0);
    let outcome =
        pipeline.evaluate(&container, &case.host(Compat::None)).await.expect("it answers");
    outcome.services.into_iter().next().expect("a service")
}

fn agent(consul: &Consul) -> Agent {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = Url::parse(&format!("consul://127.0.0.1:{}", consul.port())).expect("a URL");
    let config = ConsulConfig::new(&url, |_| None).expect("a configuration");
    Agent::new(config).expect("a client")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_check_costs_the_service() {
    let consul = Consul::start(Options::default()).await;
    let agent = agent(&consul);
    let usual = [
        "CHECK_NAME=front",
        "CHECK_NOTES=of the web",
        "CHECK_INTERVAL=1h",
        "CHECK_TIMEOUT=2s",
        "CHECK_STATUS=warning",
        "CHECK_DEREGISTER_CRITICAL_SERVICE_AFTER=2h",
        "CHECK_SUCCESS_BEFORE_PASSING=2",
        "CHECK_FAILURES_BEFORE_CRITICAL=3",
        "CHECK_TLS_SKIP_VERIFY=true",
        "CHECK_GRPC_USE_TLS=true",
        "CHECK_GRPC_SERVICE=a.B",
        "CHECK_METHOD=HEAD",
        "CHECK_BODY=b",
        "CHECK_HEADER={\"X-A\":[\"1\",\"2\"]}",
    ];
    // What not every agent knows, and with it whether the check stays with one that does not.
    let newer = ["CHECK_FAILURES_BEFORE_WARNING=2", "CHECK_OUTPUT_MAX_SIZE=256"];
    for (kind, known) in [
        (&["CHECK_HTTP=/h"][..], true),
        (&["CHECK_HTTPS=/h"], true),
        (&["CHECK_TCP=true"], true),
        (&["CHECK_GRPC=true"], true),
        (&["CHECK_TTL=1h"], true),
        (&["CHECK_SCRIPT=true"], true),
        (&["CHECK_ARGS=[\"true\"]"], true),
        (&["CHECK_ALIAS_NODE=other"], false),
        (&["CHECK_ALIAS_SERVICE=db"], true),
        (&["80_CHECK_UDP=true"], false),
        (&["CHECK_H2PING=true"], false),
        (&["CHECK_HTTP=/h", "80_CHECK_METHOD=PUT"], false),
        (&["CHECK_HTTPS=/h", "CHECK_TLS_SERVER_NAME=a.example"], false),
        (&["CHECK_TCP=true", "CHECK_TCP_USE_TLS=true"], false),
        (&["CHECK_OS_SERVICE=spooler"], false),
        (&["CHECKS=[{\"TTL\": \"9s\", \"Name\": \"front\", \"Shiny\": {\"New\": 1}}]"], true),
    ] {
        for further in [&[][..], &newer] {
            let env: Vec<_> = kind.iter().chain(&usual).chain(further).copied().collect();
            let service = service(&env).await;
            assert!(service.meta.is_empty(), "{kind:?}: {service:?}");
            agent.register(&service).await.unwrap_or_else(|error| panic!("{kind:?}: {error:?}"));
            assert!(consul.services().await.contains_key(&service.id), "{kind:?}");
            let checks = consul.checks().await;
            let found = checks.values().find(|check| check["ServiceID"] == *service.id);
            let name = found.map(|check| check["Name"].clone());
            assert!(name == Some(Value::from("front")) || (name.is_none() && !known), "{kind:?}");
            agent.deregister(&service.id).await.expect("it goes");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_has_the_service_as_it_was_said() {
    let consul = Consul::start(Options::default()).await;
    let service = service(&[
        "ENABLE_TAG_OVERRIDE=true",
        "WEIGHTS_PASSING=10",
        "WEIGHTS_WARNING=0",
        "TAGGED_ADDRESSES={\"wan\":{\"Address\":\"198.51.100.7\",\"Port\":81}}",
        "TAGS= b ,a",
    ])
    .await;
    agent(&consul).register(&service).await.expect("it is taken");
    let services = consul.services().await;
    let found = &services["h:web:80"];
    assert_eq!(found["EnableTagOverride"], true);
    assert_eq!(found["Weights"], json!({"Passing": 10, "Warning": 0}));
    assert_eq!(found["TaggedAddresses"]["wan"], json!({"Address": "198.51.100.7", "Port": 81}));
    assert_eq!(found["Tags"], json!(["b", "a"]));
}
