//! A collector of traces and logs that takes OTLP over HTTP as JSON, or behaves badly.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::http::{self, Answer};

/// What it does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It takes what it is sent.
    Takes,
    /// It reads the request and never answers.
    Hangs,
    /// It answers with this status.
    Refuses(u16),
}

#[derive(Debug)]
struct Inner {
    manner: Manner,
    requests: usize,
    heads: Vec<String>,
    bodies: Vec<Value>,
}

pub struct Collector {
    inner: Arc<Mutex<Inner>>,
    address: std::net::SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

/// A span, with its attributes as one table.
#[derive(Debug, Clone)]
pub struct Span {
    pub trace: String,
    pub id: String,
    pub parent: Option<String>,
    pub name: String,
    pub begin: u128,
    pub end: u128,
    pub attributes: Value,
    pub failed: bool,
    pub resource: Value,
}

impl Collector {
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let inner = Arc::new(Mutex::new(Inner {
            manner,
            requests: 0,
            heads: Vec::new(),
            bodies: Vec::new(),
        }));
        let shared = inner.clone();
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let shared = shared.clone();
                tokio::spawn(async move {
                    let Some(request) = http::read(&mut stream).await else { return };
                    let manner = {
                        let mut inner = shared.lock().expect("the collector");
                        inner.requests += 1;
                        inner.heads.push(request.head.clone());
                        let manner = inner.manner;
                        if manner == Manner::Takes {
                            let known = ["/v1/traces", "/v1/logs"].contains(&&*request.path);
                            assert!(request.method == "POST" && known, "{}", request.head);
                            inner.bodies.push(
                                serde_json::from_slice(&request.body).expect("the body is JSON"),
                            );
                        }
                        manner
                    };
                    match manner {
                        Manner::Takes => http::send(&mut stream, &Answer::Json(json!({}))).await,
                        Manner::Hangs => std::future::pending().await,
                        Manner::Refuses(status) => {
                            http::send(&mut stream, &Answer::Text(status, "no".into())).await;
                        }
                    }
                });
            }
        });
        Self { inner, address, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn be(&self, manner: Manner) {
        self.inner.lock().expect("the collector").manner = manner;
    }

    /// How often it was asked.
    pub fn requests(&self) -> usize {
        self.inner.lock().expect("the collector").requests
    }

    /// The heads of all requests to a path.
    pub fn heads(&self, path: &str) -> Vec<String> {
        let inner = self.inner.lock().expect("the collector");
        let is_there = |head: &&String| head.starts_with(&format!("POST {path} "));
        inner.heads.iter().filter(is_there).cloned().collect()
    }

    /// All records of logs that it has taken, with their attributes as one table.
    pub fn records(&self) -> Vec<(Value, Value)> {
        let bodies = self.inner.lock().expect("the collector").bodies.clone();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let mut records = Vec::new();
        for resource in bodies.iter().flat_map(|body| list(&body["resourceLogs"])) {
            for scope in list(&resource["scopeLogs"]) {
                let read = |one: Value| {
                    let attributes = table(&one["attributes"]);
                    (one, attributes)
                };
                records.extend(list(&scope["logRecords"]).into_iter().map(read));
            }
        }
        records
    }

    /// All that it was sent, as text.
    pub fn text(&self) -> String {
        let inner = self.inner.lock().expect("the collector");
        inner.bodies.iter().map(Value::to_string).collect()
    }

    /// All spans that it has taken.
    pub fn spans(&self) -> Vec<Span> {
        let bodies = self.inner.lock().expect("the collector").bodies.clone();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let mut spans = Vec::new();
        for resource in bodies.iter().flat_map(|body| list(&body["resourceSpans"])) {
            let own = table(&resource["resource"]["attributes"]);
            for scope in list(&resource["scopeSpans"]) {
                spans.extend(list(&scope["spans"]).iter().map(|span| read(span, &own)));
            }
        }
        spans
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn read(span: &Value, resource: &Value) -> Span {
    let text = |key: &str| span[key].as_str().map(String::from);
    let time = |key: &str| text(key).and_then(|text| text.parse().ok()).expect("a time as a text");
    Span {
        trace: text("traceId").expect("a trace"),
        id: text("spanId").expect("an identifier"),
        parent: text("parentSpanId"),
        name: text("name").expect("a name"),
        begin: time("startTimeUnixNano"),
        end: time("endTimeUnixNano"),
        attributes: table(&span["attributes"]),
        failed: span["status"]["code"] == 2,
        resource: resource.clone(),
    }
}

fn table(attributes: &Value) -> Value {
    let pair = |one: &Value| {
        let value = one["value"].as_object().and_then(|value| value.values().next().cloned());
        (one["key"].as_str().expect("a key").to_string(), value.expect("a value"))
    };
    attributes.as_array().into_iter().flatten().map(pair).collect::<serde_json::Map<_, _>>().into()
}
