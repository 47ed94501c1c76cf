//! What a component is granted, and that it gets nothing else: HTTP to the
//! listed origins, a part of a key-value store, the time and random numbers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::common::{
    consul::{self, Consul},
    stages::{AMPLE, process, spec},
};
use serde_json::json;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};
use wharfinger::{
    error::error_chain,
    registry::ConsulReader,
    stages::plugin::{
        Capability, ComponentSpec, ComponentStage, Grants, HostOptions, KvReader, Limits,
        LoadError, PluginHost,
    },
};

/// A server that remembers what it was asked.
struct Server {
    origin: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let origin = format!("http://{}", listener.local_addr().expect("its address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, seen.clone()));
            }
        });
        Self { origin, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("the list").clone()
    }
}

async fn serve(mut stream: TcpStream, asked: Arc<Mutex<Vec<String>>>) {
    let Some(request) = crate::common::http::read(&mut stream).await else { return };
    asked.lock().expect("the list").push(format!("{} {}", request.method, request.path));
    let answer = |status: &str, head: &str, body: &str| {
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{head}\r\n{body}"
        )
    };
    let text = match request.path.as_str() {
        "/v1/hello" => answer("200 OK", "", "hello"),
        "/v1/moved" => answer("302 Found", "Location: /admin\r\n", "gone"),
        "/v1/big" => answer("200 OK", "", &"x".repeat(2 << 20)),
        "/v1/kv/teams/shop" => answer("200 OK", "", "ann"),
        // Never answered; the connection stays.
        "/v1/slow" => return std::future::pending().await,
        _ => answer("404 Not Found", "", "nothing"),
    };
    let _ = stream.write_all(text.as_bytes()).await;
}

struct Fake(HashMap<&'static str, &'static str>);

#[async_trait::async_trait]
impl KvReader for Fake {
    async fn get(&self, key: &str, _most: usize) -> Result<Option<Vec<u8>>, String> {
        if key.ends_with("/slow") {
            return std::future::pending().await;
        }
        Ok(self.0.get(key).map(|value| value.as_bytes().to_vec()))
    }
}

/// Two libraries speak TLS; another test may have chosen already.
fn choose_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn host(kv: Option<Arc<dyn KvReader>>) -> Arc<PluginHost> {
    choose_provider();
    let options = HostOptions { kv, ..HostOptions::default() };
    Arc::new(PluginHost::new(options).expect("this machine runs WebAssembly"))
}

fn granted(plugin: &str, grants: Grants) -> ComponentSpec {
    let limits = Limits { request_timeout: Duration::from_secs(10), ..AMPLE };
    ComponentSpec { grants, ..spec(crate::common::plugin(plugin), "null", limits) }
}

async fn said(stage: &ComponentStage, key: &str, value: &str) -> String {
    let called = process(stage, &[(key, value)]).await;
    called.result.expect("it answers");
    called.messages[0].text.clone()
}

#[tokio::test]
async fn what_is_not_granted_is_refused_with_the_lines_that_would_grant_it() {
    let error = host(None).load(granted("granted", Grants::default())).await.err();
    let error = error.expect("nothing is granted");
    assert!(matches!(error, LoadError::Invalid(..)));
    let text = error_chain(&error);
    for part in [
        "wharfinger_granted.wasm",
        "imports wasi:http/types@0.2.0, which is not granted",
        r#"add `grant.http = ["https://HOST/PATH/"]` to the stage"#,
        "wharfinger:host/kv@0.1.0, which is not granted",
        r#"add `grant.kv = "PREFIX"` to the stage"#,
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[tokio::test]
async fn http_reaches_the_granted_origins_and_nothing_else() {
    let (server, other) = (Server::start().await, Server::start().await);
    let grants = || Grants {
        http: vec![format!("{}/v1/", server.origin).parse().expect("an origin")],
        kv: Some("teams".parse().expect("a prefix")),
        ..Grants::default()
    };
    let kv: Arc<dyn KvReader> = Arc::new(Fake(HashMap::new()));
    let stage = host(Some(kv.clone())).load(granted("granted", grants())).await;
    let stage = stage.unwrap_or_else(|error| panic!("{}", error_chain(&error)));
    assert_eq!(stage.capabilities(), [Capability::Http, Capability::Kv]);
    assert!(!stage.is_pure());

    let ask = async |path: &str| said(&stage, "ask", &format!("{}{path}", server.origin)).await;
    assert_eq!(ask("/v1/hello").await, "200 hello");
    // The guest gets the redirect itself and would have to ask again.
    assert_eq!(ask("/v1/moved").await, "302 gone");
    assert!(ask("/v1/big").await.contains("HttpResponseBodySize"));
    let before = server.asked();
    assert_eq!(before, ["GET /v1/hello", "GET /v1/moved", "GET /v1/big"]);
    for path in ["/admin", "/v1/../admin", "/v1/%2e%2e/admin", "/v1/..%2fadmin", "/v10", "/"] {
        let answer = ask(path).await;
        assert!(answer.contains("HttpRequestDenied"), "{path}: {answer}");
    }
    let answer = said(&stage, "ask", &format!("{}/v1/hello", other.origin)).await;
    assert!(answer.contains("HttpRequestDenied"), "{answer}");
    assert_eq!((server.asked(), other.asked()), (before, Vec::new()));

    // A request has a limit of its own, so that the stage can still decide.
    let mut impatient = granted("granted", grants());
    impatient.limits.request_timeout = Duration::from_millis(50);
    let stage = host(Some(kv)).load(impatient).await.expect("it loads");
    let answer = said(&stage, "ask", &format!("{}/v1/slow", server.origin)).await;
    assert!(answer.contains("HttpResponseTimeout"), "{answer}");
}

#[tokio::test]
async fn a_key_is_read_below_the_granted_prefix_only() {
    let values = HashMap::from([("teams/shop", "ann"), ("secret", "42")]);
    let server = Server::start().await;
    let grants = || Grants {
        http: vec!["https://a.example/".parse().expect("an origin")],
        kv: Some("teams/".parse().expect("a prefix")),
        ..Grants::default()
    };
    choose_provider();
    let agent = server.origin.replace("http://", "consul://");
    let consul = ConsulReader::new(&agent.parse().expect("a URI"), |_| None).expect("an agent");
    let readers: [Arc<dyn KvReader>; 2] = [Arc::new(Fake(values)), Arc::new(consul)];
    for reader in readers {
        let mut spec = granted("granted", grants());
        spec.limits.request_timeout = Duration::from_secs(5);
        let stage = host(Some(reader)).load(spec).await.expect("it loads");
        assert_eq!(said(&stage, "key", "shop").await, "value ann");
        assert_eq!(said(&stage, "key", "none").await, "no value");
        for key in ["../secret", "/secret", "", "shop/../../secret", "shop//x"] {
            let answer = said(&stage, "key", key).await;
            assert!(answer.starts_with("failed: key: "), "{key}: {answer}");
        }
    }
    assert_eq!(server.asked(), ["GET /v1/kv/teams/shop", "GET /v1/kv/teams/none"]);

    let reader: Arc<dyn KvReader> = Arc::new(Fake(HashMap::new()));
    let mut spec = granted("granted", grants());
    spec.limits.request_timeout = Duration::from_millis(50);
    let stage = host(Some(reader)).load(spec).await.expect("it loads");
    let answer = said(&stage, "key", "slow").await;
    assert_eq!(answer, "failed: no answer within 50ms (limits.request-timeout)");

    let error = host(None).load(granted("granted", grants())).await.err().expect("no Consul");
    assert!(error.to_string().contains("grant.kv: there is no Consul"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_read_from_a_real_agent() {
    let agent = Consul::start(consul::Options::default()).await;
    let value = "a value, longer than a word: ".repeat(100);
    for (key, value) in [("teams/shop", "ann"), ("teams/a b", &value), ("secret", "42")] {
        // A text in JSON is the text in quotes.
        agent.put(&format!("/v1/kv/{}", key.replace(' ', "%20")), &json!(value)).await;
    }
    choose_provider();
    let uri = format!("consul://{}", agent.addr()).parse().expect("a URI");
    let reader = ConsulReader::new(&uri, |_| None).expect("an agent");
    let mut spec = granted(
        "granted",
        Grants {
            http: vec!["https://a.example/".parse().expect("an origin")],
            kv: Some("teams/".parse().expect("a prefix")),
            ..Grants::default()
        },
    );
    spec.limits.request_timeout = Duration::from_secs(5);
    let stage = host(Some(Arc::new(reader))).load(spec).await.expect("it loads");
    assert_eq!(said(&stage, "key", "shop").await, "value \"ann\"");
    assert_eq!(said(&stage, "key", "a b").await, format!("value {}", json!(value)));
    assert_eq!(said(&stage, "key", "none").await, "no value");
    let answer = said(&stage, "key", "../secret").await;
    assert!(answer.starts_with("failed: key: "), "{answer}");
}

#[tokio::test]
async fn time_and_random_numbers_are_real_if_they_are_granted() {
    let pure = host(None).load(granted("wasi_probe", Grants::default())).await.expect("it loads");
    assert!(pure.is_pure());
    assert_eq!(said(&pure, "", "").await, said(&pure, "", "").await);

    let both = Grants { clock: true, random: true, ..Grants::default() };
    let stage = host(None).load(granted("wasi_probe", both)).await.expect("it loads");
    assert_eq!(stage.capabilities(), [Capability::Clock, Capability::Random]);
    assert!(!stage.is_pure());
    let (first, second) = (said(&stage, "", "").await, said(&stage, "", "").await);
    assert_ne!(first, second);
    let seconds = first.split("seconds=").nth(1).and_then(|rest| rest.split(' ').next());
    let seconds: u64 = seconds.and_then(|text| text.parse().ok()).expect("the time");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    assert!(now.expect("after 1970").as_secs().abs_diff(seconds) < 60, "{first}");

    // What is granted and not imported makes no difference.
    let unused = Grants { clock: true, random: true, ..Grants::default() };
    let stage = host(None).load(granted("hostile", unused)).await.expect("it loads");
    assert!(stage.is_pure());
}
