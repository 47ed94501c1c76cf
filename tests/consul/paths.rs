//! Whatever stands in a path or a query arrives as it was, or is not sent: for every call of
//! every adapter, and on a real agent.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use reqwest::{Method, Url};
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Runtime};
use wharfinger::{
    model::{
        container::Protocol,
        service::{Check, CheckKind, CheckStatus, Service, addressable},
    },
    registry::{Consul, ConsulConfig, ConsulKv, ConsulReader, Registry, RegistryError},
    stages::plugin::KvReader,
};

use crate::common::{
    consul,
    http::{self, Answer},
};

/// A server that notes what it is asked, and has whatever it is asked for.
struct Recorder {
    uri: String,
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

/// A request: method, path and parameters, decoded once.
type Asked = (String, Vec<u8>, Vec<(String, String)>);

impl Recorder {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let uri = listener.local_addr().expect("its address").to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let seen = seen.clone();
                tokio::spawn(async move {
                    let Some(request) = http::read(&mut stream).await else { return };
                    seen.lock().expect("a list").push((request.method, request.target));
                    let id = request.path.strip_prefix("/v1/agent/service/");
                    let answer = match id {
                        Some(id) => Answer::Json(json!({ "ID": id })),
                        None if request.path.starts_with("/v1/kv/") => Answer::Json(json!([])),
                        None => Answer::Json(json!({})),
                    };
                    http::send(&mut stream, &answer).await;
                });
            }
        });
        Self { uri, asked }
    }

    /// The requests since the last time.
    fn take(&self) -> Vec<Asked> {
        let asked = std::mem::take(&mut *self.asked.lock().expect("a list"));
        let read = |(method, target): (String, String)| {
            assert!(target.bytes().all(|byte| byte.is_ascii_graphic()), "{target}");
            let (path, query) = target.split_once('?').unwrap_or((&target, ""));
            let url = Url::parse(&format!("http://h/?{query}")).expect("a query");
            let path = percent_encoding::percent_decode_str(path).collect();
            (method, path, url.query_pairs().into_owned().collect())
        };
        asked.into_iter().map(read).collect()
    }
}

fn env(name: &str) -> Option<String> {
    let value = match name {
        "CONSUL_NAMESPACE" => "a b&c=d\n+%é",
        "CONSUL_PARTITION" => "p/?#",
        _ => return None,
    };
    Some(value.into())
}

fn agent(address: &str, env: impl Fn(&str) -> Option<String>) -> Consul {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let uri = Url::parse(&format!("consul://{address}")).expect("a URI");
    Consul::new(ConsulConfig::new(&uri, env).expect("a configuration")).expect("a client")
}

fn service(id: &str, check: Option<&str>) -> Service {
    let check = Check {
        id: check.map(String::from),
        name: None,
        notes: None,
        kind: CheckKind::Ttl { ttl: "60s".into() },
        interval: None,
        timeout: None,
        initial_status: None,
        deregister_after: None,
        success_before_passing: None,
        failures_before_critical: None,
        attributes: Default::default(),
    };
    Service {
        id: id.into(),
        name: "web".into(),
        address: "192.0.2.1".into(),
        port: 80,
        protocol: Protocol::Tcp,
        tags: Vec::new(),
        meta: Default::default(),
        checks: vec![check],
        weights: None,
        enable_tag_override: false,
        tagged_addresses: Default::default(),
        origin: None,
        further: Default::default(),
        attributes: Default::default(),
    }
}

/// Every call that an ID stands in, with the path under which it stands.
async fn calls(recorder: &Recorder, consul: &Consul, store: &ConsulKv, id: &str) {
    let sent = |result: Result<(), RegistryError>, prefix: &str, sent_for: &str| {
        let asked = recorder.take();
        let (expected, all) = (format!("{prefix}{sent_for}").into_bytes(), asked.clone());
        let own = |(_, path, _): &(String, Vec<u8>, _)| *path == expected;
        match result {
            Ok(()) => assert!(asked.iter().any(own), "{prefix} {sent_for:?}: {all:?}"),
            Err(RegistryError::Impossible { .. }) => {}
            Err(error) => panic!("{prefix} {sent_for:?}: {error}"),
        }
        // Nothing else was asked for, and nothing else written to.
        for (method, path, query) in asked {
            let lookup = method == "GET" && path == format!("/v1/agent/service/{id}").as_bytes();
            let body = path == b"/v1/agent/service/register";
            let settings = path == b"/v1/agent/self";
            assert!(
                path == expected || lookup || body || settings,
                "{sent_for:?}: {method} {path:?}"
            );
            let of =
                |name| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
            assert_eq!(
                (of("ns"), of("partition")),
                (env("CONSUL_NAMESPACE"), env("CONSUL_PARTITION"))
            );
        }
    };
    sent(consul.has(id).await.map(drop), "/v1/agent/service/", id);
    sent(consul.deregister(id).await, "/v1/agent/service/deregister/", id);
    for reason in [Some(id), None] {
        let result = consul.set_maintenance(id, reason).await;
        let asked = recorder.asked.lock().expect("a list").last().cloned();
        if let (Ok(()), Some(reason), Some((_, target))) = (&result, reason, asked) {
            let url = Url::parse(&format!("http://h{target}")).expect("a URL");
            let told = url.query_pairs().find(|(key, _)| key == "reason").expect("a reason").1;
            assert_eq!(told, reason);
        }
        sent(result, "/v1/agent/service/maintenance/", id);
    }
    for check in [None, Some(id)] {
        let (service, own) = (service(id, check), format!("service:{id}"));
        let result = consul.beat(&service, &[0], CheckStatus::Passing, "").await;
        sent(result, "/v1/agent/check/update/", check.unwrap_or(&own));
    }
    let named = Service { name: "n/m".into(), ..service(id, None) };
    let registered = store.register(&named).await;
    let written = registered.is_ok();
    sent(registered, "/v1/kv/a b/n/m/", id);
    let removed = store.deregister(id).await;
    if written {
        sent(removed, "/v1/kv/a b/n/m/", id);
    } else {
        // There is nothing of it.
        assert!(removed.is_ok() && recorder.take().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn an_id_arrives_as_it_is_or_is_not_sent(
        id in prop_oneof![
            "\\PC{1,20}",
            "(?s).{1,8}",
            "[a./%\\\\?# ]{1,8}",
            "(a|\\.\\.|\\.|/|//|%2e|%2F|%00|\t|\n|\r|\u{7f}|\u{85}|\u{2028}){1,5}",
        ],
    ) {
        let runtime = Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let recorder = Recorder::start().await;
            let consul = agent(&recorder.uri, env);
            let uri = Url::parse(&format!("consulkv://{}/a%20b", recorder.uri)).expect("a URI");
            let store = ConsulKv::new(&uri, env, "h").expect("a store");
            calls(&recorder, &consul, &store, &id).await;
            let reader = ConsulReader::new(&uri, env).expect("a reader");
            let read = reader.get(&format!("x/{id}"), 100).await;
            let asked = recorder.take();
            match read {
                Ok(_) => {
                    let path = format!("/v1/kv/x/{id}").into_bytes();
                    prop_assert_eq!(&asked[0].1, &path);
                }
                Err(_) => prop_assert_eq!(asked.len(), 0),
            }
            Ok(())
        })?;
    }
}

/// What an agent says of the IDs of which the rule says that it can be asked for them, and of the
/// others; and what it has under another ID stays whatever is done.
#[tokio::test]
async fn a_real_agent_can_be_asked_for_what_the_rule_lets_through() {
    let server = consul::Consul::start(consul::Options::default()).await;
    let consul = agent(&server.addr(), |_| None);
    // What each of the IDs becomes if something is lost on the way.
    let neighbours = ["a", "b", "ab", "a/b", "x", "victim", "a b", "service", "deregister"];
    let body = |id: &str| json!({ "ID": id, "Name": "theirs" });
    for id in neighbours {
        server.send(Method::PUT, "/v1/agent/service/register", &body(id)).await.expect(id);
    }
    let long = "x".repeat(8 << 10);
    let ids = [
        "plain",
        " a",
        "a ",
        "A/b c",
        "a/b/",
        "...",
        "a?b",
        "a#b",
        "a%2Fb",
        "%2e%2e",
        "a%zz",
        "a\\b",
        "a;b",
        "é",
        "\u{1F600}",
        "'\"<>`{}|^[]",
        &long,
        "a\tb",
        "a\nb",
        "vic\ttim",
        "\u{7f}",
        "\u{85}",
        "\u{202e}",
        "\u{2028}",
        "\u{a0}",
        ".",
        "..",
        "/",
        "/a",
        "//",
        "a//b",
        "a/./b",
        "x/../a",
        "../service/a",
        "a/..",
    ];
    for id in ids {
        let check = if id.len() > 100 { "check".into() } else { format!("check {id}") };
        let written = service(id, Some(&check));
        let registered = consul.register(&written).await;
        assert_eq!(registered.is_ok(), addressable(id).is_ok(), "{id:?}: {registered:?}");
        // As a daemon without the rule has left it.
        server.send(Method::PUT, "/v1/agent/service/register", &body(id)).await.expect(id);
        let has = consul.has(id).await;
        assert_eq!(has.is_ok(), addressable(id).is_ok(), "{id:?}: {has:?}");
        if registered.is_ok() {
            consul.beat(&written, &[0], CheckStatus::Passing, "").await.expect(id);
            consul.set_maintenance(id, Some("a reason")).await.expect(id);
            let maintained = consul.maintenance().await.expect("the checks");
            assert_eq!(maintained.get(id).map(String::as_str), Some("a reason"));
        }
        let removed = consul.deregister(id).await;
        assert_eq!(removed.is_ok(), addressable(id).is_ok(), "{id:?}: {removed:?}");
        let left = server.services().await;
        assert_eq!(left.contains_key(id), addressable(id).is_err(), "{id:?}");
        for neighbour in neighbours {
            assert!(left.contains_key(neighbour), "{id:?} took out {neighbour:?}");
        }
    }
}

/// An agent of 1.21.5: it refuses some keys and says that it is a fault of its own.
#[tokio::test]
async fn an_agent_that_refuses_a_key_is_told_from_one_that_cannot_write_now() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address");
    let strict = Arc::new(Mutex::new(true));
    let mode = strict.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let Some(request) = http::read(&mut stream).await else { continue };
            let strict = *mode.lock().expect("the mode");
            let answer = match (request.path.contains(':'), request.method.as_str()) {
                (true, _) if strict => Answer::Text(500, "invalid key name".into()),
                (_, "GET") => Answer::not_found("key"),
                _ if !strict => Answer::Text(500, "No cluster leader".into()),
                _ => Answer::Json(Value::Bool(true)),
            };
            http::send(&mut stream, &answer).await;
        }
    });
    let _ = rustls::crypto::ring::default_provider().install_default();
    let uri = Url::parse(&format!("consulkv://{address}/services")).expect("a URI");
    let store = ConsulKv::new(&uri, |_| None, "h").expect("a store");
    store.register(&service("web-1", None)).await.expect("a plain key is taken");
    let error = store.register(&service("h:web:80", None)).await.expect_err("a colon");
    assert!(matches!(error, RegistryError::Refused { .. }), "{error:?}");
    let text = error.to_string();
    for part in ["h:web:80", "1.21.5", "disable_http_unprintable_char_filter", "SERVICE_ID"] {
        assert!(text.contains(part), "{text}");
    }
    *strict.lock().expect("the mode") = false;
    let error = store.register(&service("h:web:80", None)).await.expect_err("no leader");
    assert!(error.is_transient() && !error.to_string().contains("1.21.5"), "{error}");
}
