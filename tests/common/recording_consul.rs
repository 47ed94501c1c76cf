//! A Consul agent that keeps what is registered, notes every write, and refuses
//! what it is told to refuse.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use wharfinger::model::marks::META_HOST;

use super::http::{self, Activity, Answer, Asked, Request};

const SERVICE: &str = "/v1/agent/service/";
const REGISTER: &str = "/v1/agent/service/register";
const DEREGISTER: &str = "/v1/agent/service/deregister/";
const KV: &str = "/v1/kv/";

/// A write: two are equal if they ask for the same, whatever the answer is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Write {
    /// A registration, by its ID and its body in the form of [`unmarked`].
    Register(String, String),
    /// A deregistration, by the ID as it stands in the path.
    Deregister(String),
    /// A key that is set, as it stands in the path with the query, and its value.
    Set(String, String),
    /// A key that is deleted.
    Delete(String),
}

impl Write {
    /// The write that a call makes, if it makes one. The body is JSON, or a
    /// string for what is none.
    pub fn of(method: &str, path: &str, body: &Value) -> Option<Self> {
        let key = path.strip_prefix(KV).map(String::from);
        match method {
            "PUT" if path.split('?').next() == Some(REGISTER) => {
                let id = body["ID"].as_str().unwrap_or_default();
                Some(Self::Register(id.into(), unmarked(body).to_string()))
            }
            "PUT" if key.is_some() => {
                key.map(|key| Self::Set(key, body.as_str().unwrap_or_default().into()))
            }
            "PUT" => path.strip_prefix(DEREGISTER).map(|id| Self::Deregister(id.into())),
            "DELETE" => key.map(Self::Delete),
            _ => None,
        }
    }
}

/// Without the body: `register <ID>`, `deregister <ID>`, `set <key>` or
/// `delete <key>`.
impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register(id, _) => write!(f, "register {id}"),
            Self::Deregister(id) => write!(f, "deregister {id}"),
            Self::Set(key, _) => write!(f, "set {key}"),
            Self::Delete(key) => write!(f, "delete {key}"),
        }
    }
}

/// A body with sorted keys and without the daemon's marks.
pub fn unmarked(value: &Value) -> Value {
    let map = match value {
        Value::Object(map) => map,
        Value::Array(list) => return list.iter().map(unmarked).collect(),
        other => return other.clone(),
    };
    let sorted: BTreeMap<_, _> = map
        .iter()
        .filter(|(key, _)| !key.starts_with("wharfinger-"))
        .map(|(key, value)| (key.clone(), unmarked(value)))
        .filter(|(key, value)| key != "Meta" || *value != json!({}))
        .collect();
    sorted.into_iter().collect()
}

/// A body with sorted keys and without what means nothing (null, empty and
/// false; empty values of metadata are values) and without the daemon's marks.
pub fn normal(value: &Value, keep_empty: bool) -> Value {
    let Value::Object(map) = value else { return value.clone() };
    let nothing = [json!(null), json!(false), json!(""), json!([]), json!({})];
    let sorted: BTreeMap<_, _> = map
        .iter()
        .filter(|(key, _)| !key.starts_with("wharfinger-"))
        .map(|(key, value)| (key.clone(), normal(value, key == "Meta")))
        .filter(|(_, value)| keep_empty || !nothing.contains(value))
        .collect();
    sorted.into_iter().collect()
}

/// The server; it ends with the value.
pub struct RecordingConsul {
    address: SocketAddr,
    agent: Arc<Mutex<Agent>>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct Agent {
    services: BTreeMap<String, Value>,
    writes: Vec<Write>,
    reads: usize,
    asked: Asked,
    /// It says how often its services have changed, and filters what it lists.
    counts: bool,
    /// How often it was asked what it is.
    introductions: usize,
    /// Whether a registration carried the daemon's marks.
    marked: bool,
    refusals: Vec<(Write, u16, String)>,
    /// What it says of its version, if it says it.
    version: Option<String>,
    /// Fields of a registration that it does not know, so that it refuses the whole.
    unknown: Vec<String>,
}

impl RecordingConsul {
    /// An agent without services. It answers a write of `refusals` with the
    /// status and the text beside it.
    pub async fn start(activity: Activity, refusals: Vec<(Write, u16, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let agent = Arc::new(Mutex::new(Agent { refusals, ..Agent::default() }));
        let shared = agent.clone();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone(), activity.clone()));
            }
        });
        Self { address, agent, server }
    }

    /// From now on it is an agent of this version, or one that does not say which, that knows
    /// all fields but these.
    pub fn be(&self, version: Option<&str>, unknown: &[&str]) {
        let mut agent = self.lock();
        agent.version = version.map(String::from);
        agent.unknown = unknown.iter().map(ToString::to_string).collect();
    }

    /// From now on it says how often its services have changed, as servers do, and knows filters:
    /// none of its services is another daemon's.
    pub fn count_changes(&self) {
        self.lock().counts = true;
    }

    /// How much it was asked.
    pub fn asked(&self) -> Asked {
        self.lock().asked
    }

    /// The registry's URI.
    pub fn uri(&self) -> String {
        format!("consul://{}", self.address)
    }

    /// Registers what somebody else does; it is no write of the daemon's.
    pub fn put(&self, body: &Value) {
        self.lock().register(body);
    }

    /// Forget a service; it is no write of the daemon's.
    pub fn remove(&self, id: &str) {
        self.lock().services.remove(id);
    }

    /// The IDs of what is registered, in order.
    pub fn ids(&self) -> Vec<String> {
        self.lock().services.keys().cloned().collect()
    }

    /// What is registered, by ID, as the agent lists it.
    pub fn services(&self) -> BTreeMap<String, Value> {
        self.lock().services.clone()
    }

    /// How many writes there were.
    pub fn count(&self) -> usize {
        self.lock().writes.len()
    }

    /// The writes after the first `skip`.
    pub fn writes(&self, skip: usize) -> Vec<Write> {
        self.lock().writes[skip..].to_vec()
    }

    /// Whether a registration carried the daemon's marks.
    pub fn marked(&self) -> bool {
        self.lock().marked
    }

    /// How often all services were read.
    pub fn reads(&self) -> usize {
        self.lock().reads
    }

    /// How often it was asked what it is.
    pub fn introductions(&self) -> usize {
        self.lock().introductions
    }

    fn lock(&self) -> MutexGuard<'_, Agent> {
        self.agent.lock().expect("the agent")
    }
}

impl Drop for RecordingConsul {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(mut stream: TcpStream, agent: Arc<Mutex<Agent>>, activity: Activity) {
    let Some(request) = http::read(&mut stream).await else { return };
    // Whether it still has a service it is asked all the time.
    let is_lookup = request.method == "GET" && request.path.starts_with(SERVICE);
    let _busy = (!is_lookup).then(|| activity.busy());
    let answer = agent.lock().expect("the agent").answer(&request);
    let bytes = http::send_counted(&mut stream, &answer).await;
    let asked = &mut agent.lock().expect("the agent").asked;
    asked.requests += 1;
    asked.bytes += bytes;
}

impl Agent {
    fn answer(&mut self, request: &Request) -> Answer {
        let Request { method, path, body, target, .. } = request;
        self.introductions += usize::from(path == "/v1/agent/self");
        if self.counts && method == "GET" {
            let index = self.writes.len() as u64 + 1;
            match path.as_str() {
                "/v1/catalog/services" => return Answer::Counted(index, json!({})),
                path if path.starts_with("/v1/health/node/") => {
                    return Answer::Counted(index, json!([]));
                }
                _ if target.contains("filter=") => return Answer::Json(json!({})),
                _ => {}
            }
        }
        match (method.as_str(), path.as_str()) {
            ("GET", "/v1/status/leader") => Answer::Json(json!("127.0.0.1:8300")),
            ("GET", "/v1/agent/services") => {
                self.reads += 1;
                Answer::Json(self.services.clone().into_iter().collect())
            }
            // The services that it keeps have no checks.
            ("GET", "/v1/agent/checks") => Answer::Json(json!({})),
            ("GET", "/v1/agent/self") if self.version.is_some() => {
                let config = json!({ "Version": self.version, "NodeName": "n", "Datacenter": "d" });
                Answer::Json(json!({ "Config": config, "Meta": {} }))
            }
            ("GET", path) if path.starts_with(SERVICE) => self.service(&path[SERVICE.len()..]),
            _ => {
                let body = serde_json::from_slice(body).unwrap_or_default();
                match Write::of(method, path, &body) {
                    Some(write) => self.carry_out(write, &body),
                    None => Answer::not_found(path),
                }
            }
        }
    }

    fn service(&self, id: &str) -> Answer {
        let service = self.services.get(id).cloned();
        service.map_or_else(|| Answer::not_found(id), Answer::Json)
    }

    fn carry_out(&mut self, write: Write, body: &Value) -> Answer {
        self.writes.push(write.clone());
        self.marked |= body["Meta"][META_HOST].is_string();
        let refusal = self.refusals.iter().find(|(refused, ..)| *refused == write);
        if let Some((_, status, text)) = refusal {
            return Answer::Text(*status, text.clone());
        }
        let unknown = |field: &&String| matches!(write, Write::Register(..)) && has(body, field);
        if let Some(field) = self.unknown.iter().find(unknown) {
            // The words of Go's decoder of JSON.
            return Answer::Text(
                400,
                format!("Request decode failed: json: unknown field {field:?}"),
            );
        }
        match &write {
            Write::Register(..) => self.register(body),
            Write::Deregister(id) => drop(self.services.remove(id)),
            // This agent has no keys.
            Write::Set(key, _) | Write::Delete(key) => return Answer::not_found(key),
        }
        Answer::Text(200, String::new())
    }

    /// Keeps a service in the form in which an agent lists it.
    fn register(&mut self, body: &Value) {
        let id = body["ID"].as_str().expect("a registration has an ID").to_string();
        let mut entry = json!({
            "ID": id,
            "Service": body["Name"],
            "Tags": body.get("Tags").cloned().unwrap_or_else(|| json!([])),
            "Meta": body.get("Meta").cloned().unwrap_or_else(|| json!({})),
            "Port": body["Port"].as_u64().unwrap_or_default(),
            "Address": body["Address"].as_str().unwrap_or_default(),
            "Weights": { "Passing": 1, "Warning": 1 },
            "EnableTagOverride": body["EnableTagOverride"].as_bool().unwrap_or_default(),
        });
        for field in ["Kind", "Proxy", "Connect", "SocketPath", "Locality", "Ports"] {
            if let Some(value) = body.get(field) {
                entry[field] = value.clone();
            }
        }
        self.services.insert(id, entry);
    }
}

/// Whether a field stands anywhere in a body.
fn has(body: &Value, field: &str) -> bool {
    match body {
        Value::Object(map) => map.iter().any(|(key, value)| key == field || has(value, field)),
        Value::Array(list) => list.iter().any(|value| has(value, field)),
        _ => false,
    }
}
