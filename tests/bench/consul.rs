//! A Consul agent that keeps the bytes of what is registered and understands them only where it is read.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::http::{self, Reply, Request};

const SERVICE: &str = "/v1/agent/service/";

/// The server's state, shared with who waits for a change.
pub(crate) struct Consul {
    state: Mutex<State>,
    changed: Condvar,
    fine: Arc<[u8]>,
}

#[derive(Default)]
struct State {
    /// The bodies of the registrations, by ID.
    services: HashMap<Vec<u8>, Box<[u8]>>,
    list: Option<Arc<[u8]>>,
    checks: Option<Arc<[u8]>>,
    writes: u64,
    reads: u64,
    /// What its servers have counted of the checks, of which some fail all the time.
    index: u64,
    /// When the last write came.
    last: Option<Instant>,
    /// How many services somebody waits for.
    awaited: Option<usize>,
}

impl Consul {
    pub(crate) fn new() -> Arc<Self> {
        let fine = http::answer(200, b"");
        Arc::new(Self { state: Mutex::default(), changed: Condvar::new(), fine })
    }

    /// Serve on a free port, until the runtime ends.
    pub(crate) async fn listen(self: &Arc<Self>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let consul = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(consul.clone().serve(stream));
            }
        });
        address
    }

    /// Forget everything.
    pub(crate) fn reset(&self) {
        *self.lock() = State::default();
    }

    /// How often services were written, and how often all of them were read.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let state = self.lock();
        (state.writes, state.reads)
    }

    /// Wait until so many services are there; the moment of the write that made it so.
    ///
    /// # Panics
    ///
    /// They never are.
    pub(crate) fn wait(&self, services: usize) -> Instant {
        let mut state = self.lock();
        state.awaited = Some(services);
        let deadline = Instant::now() + Duration::from_secs(120);
        while state.services.len() != services {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} services of {services}", state.services.len());
            state =
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.awaited = None;
        state.last.unwrap_or_else(Instant::now)
    }

    async fn serve(self: Arc<Self>, mut stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        // Whoever goes away while it is answered has its reasons.
        let _ = http::serve(&mut stream, |request| Reply::Bytes(self.answer(request))).await;
    }

    fn answer(&self, request: &Request<'_>) -> Arc<[u8]> {
        let path = request.path.split('?').next().unwrap_or_default();
        match (request.method, path) {
            ("PUT", "/v1/agent/service/register") => {
                let id = id(request.body).expect("a registration has an ID");
                self.write(|services| drop(services.insert(id.to_vec(), request.body.into())))
            }
            ("PUT", path) if path.starts_with("/v1/agent/service/deregister/") => {
                let id = path.rsplit('/').next().unwrap_or_default();
                let id: Vec<u8> = percent_encoding::percent_decode_str(id).collect();
                self.write(|services| drop(services.remove(&id)))
            }
            ("GET", "/v1/status/leader") => http::answer(200, br#""127.0.0.1:8300""#),
            ("GET", "/v1/agent/self") => http::answer(
                200,
                br#"{"Config":{"NodeName":"null","Version":"1.8.7"},"Member":{}}"#,
            ),
            // Only what other daemons have is filtered, of which there is none.
            ("GET", _) if request.path.contains("filter=") => http::answer(200, b"{}"),
            ("GET", "/v1/agent/checks") => self.checks(),
            ("GET", "/v1/agent/services") => self.list(),
            ("GET", "/v1/catalog/services") => counted(self.lock().writes + 1, b"{}"),
            ("GET", path) if path.starts_with("/v1/health/node/") => {
                let mut state = self.lock();
                state.index += 1;
                counted(state.index, b"[]")
            }
            ("GET", path) if path.starts_with(SERVICE) => {
                let id: Vec<u8> =
                    percent_encoding::percent_decode_str(&path[SERVICE.len()..]).collect();
                match self.lock().services.get(&id) {
                    Some(body) => http::answer(200, entry(body).to_string().as_bytes()),
                    None => http::answer(404, b"{}"),
                }
            }
            _ => http::answer(404, b"{}"),
        }
    }

    fn write(&self, change: impl FnOnce(&mut HashMap<Vec<u8>, Box<[u8]>>)) -> Arc<[u8]> {
        let mut state = self.lock();
        change(&mut state.services);
        (state.list, state.checks) = (None, None);
        state.writes += 1;
        state.last = Some(Instant::now());
        if state.awaited == Some(state.services.len()) {
            self.changed.notify_all();
        }
        self.fine.clone()
    }

    fn list(&self) -> Arc<[u8]> {
        let mut state = self.lock();
        state.reads += 1;
        let State { list, services, .. } = &mut *state;
        list.get_or_insert_with(|| {
            let entries = services
                .iter()
                .map(|(id, body)| (String::from_utf8_lossy(id).into_owned(), entry(body)));
            http::answer(200, entries.collect::<Value>().to_string().as_bytes())
        })
        .clone()
    }

    fn checks(&self) -> Arc<[u8]> {
        let State { checks, services, .. } = &mut *self.lock();
        checks
            .get_or_insert_with(|| {
                let all = services.iter().flat_map(|(id, body)| failing(id, body));
                http::answer(200, all.collect::<Value>().to_string().as_bytes())
            })
            .clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ID in a registration's body: the first key of that name, in which nothing is escaped.
fn id(body: &[u8]) -> Option<&[u8]> {
    const KEY: &[u8] = br#""ID":""#;
    let rest = &body[http::find(body, KEY)? + KEY.len()..];
    rest.split(|byte| *byte == b'"').next()
}

/// An answer of the servers, who have counted so many changes.
fn counted(index: u64, body: &[u8]) -> Arc<[u8]> {
    let head = format!(
        "X-Consul-Index: {index}\r\nX-Consul-Knownleader: true\r\nX-Consul-Lastcontact: 0\r\n"
    );
    http::answer_with(200, &head, body)
}

/// The checks of a service as an agent tells of them, which fail.
fn failing(id: &[u8], body: &[u8]) -> Vec<(String, Value)> {
    let body: Value = serde_json::from_slice(body).expect("a registration is JSON");
    let id = String::from_utf8_lossy(id);
    let checks = body["Checks"].as_array().into_iter().flatten();
    let all = checks.chain(body.get("Check")).enumerate();
    let one = |(n, check): (usize, &Value)| {
        let name = match n {
            0 => format!("service:{id}"),
            n => format!("service:{id}:{}", n + 1),
        };
        let url = check["HTTP"].as_str().unwrap_or_default();
        let output = format!("Get \"{url}\": dial tcp 10.0.0.1:80: connect: connection refused");
        let check = json!({
            "Node": "null", "CheckID": name, "Name": format!("Service '{}' check", body["Name"]),
            "Status": "critical", "Notes": "", "Output": output, "ServiceID": id,
            "ServiceName": body["Name"], "ServiceTags": body["Tags"], "Type": "http",
            "Interval": "60s", "Timeout": "10s", "ExposedPort": 0, "Definition": {},
            "CreateIndex": 0, "ModifyIndex": 0,
        });
        (name, check)
    };
    all.map(one).collect()
}

/// A service as an agent tells of it.
fn entry(body: &[u8]) -> Value {
    let body: Value = serde_json::from_slice(body).expect("a registration is JSON");
    json!({
        "ID": body["ID"], "Service": body["Name"],
        "Tags": body.get("Tags").cloned().unwrap_or_else(|| json!([])),
        "Meta": body.get("Meta").cloned().unwrap_or_else(|| json!({})),
        "Port": body["Port"].as_u64().unwrap_or_default(),
        "Address": body["Address"].as_str().unwrap_or_default(),
        "Weights": { "Passing": 1, "Warning": 1 }, "EnableTagOverride": false,
    })
}
