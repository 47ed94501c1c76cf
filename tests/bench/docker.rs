//! A Docker API of which every answer is made before it is asked for.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    sync::broadcast,
};

use crate::http::{self, Reply, Request};

/// What `docker inspect` prints of a container, with words in the place of what differs.
const INSPECT: &str = include_str!("inspect.json");
/// More events than are sent at once.
const BACKLOG: usize = 1 << 15;

/// The server's state, shared with who tells it what there is.
pub(crate) struct Docker {
    state: Mutex<State>,
    events: broadcast::Sender<Arc<[u8]>>,
}

#[derive(Default)]
struct State {
    containers: HashMap<String, Container>,
    list: Option<Arc<[u8]>>,
    requests: Requests,
    next: usize,
}

struct Container {
    name: String,
    running: bool,
    inspect: Arc<[u8]>,
    summary: Value,
}

/// How often the server was asked.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Requests {
    pub(crate) lists: u64,
    pub(crate) inspects: u64,
}

impl Docker {
    pub(crate) fn new() -> Arc<Self> {
        let (events, _) = broadcast::channel(BACKLOG);
        Arc::new(Self { state: Mutex::default(), events })
    }

    /// Serve on a socket, until the runtime ends.
    pub(crate) fn listen(self: &Arc<Self>, socket: &Path) {
        let listener = UnixListener::bind(socket).expect("a socket in a folder of our own");
        let docker = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(docker.clone().serve(stream));
            }
        });
    }

    /// So many more containers run; their identifiers.
    pub(crate) fn add(&self, count: usize) -> Vec<String> {
        let mut state = self.lock();
        state.list = None;
        let first = state.next;
        state.next += count;
        let mut add = |n: usize| {
            let id = format!("{:012x}{:052x}", n + 1, n + 1);
            let inspect = inspect(&id, n);
            let summary = summary(&inspect);
            let inspect = http::answer(200, inspect.to_string().as_bytes());
            let container = Container { name: name(n), running: true, inspect, summary };
            state.containers.insert(id.clone(), container);
            id
        };
        (first..first + count).map(&mut add).collect()
    }

    /// A container has started.
    pub(crate) fn started(&self, id: &str) {
        self.tell(id, "start", json!({}));
    }

    /// A container has ended.
    pub(crate) fn died(&self, id: &str) {
        {
            let mut state = self.lock();
            state.list = None;
            let container = state.containers.get_mut(id).expect("it was added");
            container.running = false;
            let whole = std::str::from_utf8(&container.inspect).expect("it is JSON");
            let body = whole.split("\r\n\r\n").nth(1).expect("it has a body");
            let mut inspect: Value = serde_json::from_str(body).expect("it is JSON");
            let finished = "2026-11-22T17:40:00.000000000Z";
            inspect["State"]["Status"] = json!("exited");
            inspect["State"]["Running"] = json!(false);
            inspect["State"]["Pid"] = json!(0);
            inspect["State"]["FinishedAt"] = json!(finished);
            inspect["NetworkSettings"]["Ports"] = json!({});
            container.inspect = http::answer(200, inspect.to_string().as_bytes());
        }
        self.tell(id, "die", json!({ "exitCode": "0" }));
    }

    /// How often it was asked so far.
    pub(crate) fn requests(&self) -> Requests {
        self.lock().requests
    }

    fn tell(&self, id: &str, action: &str, more: Value) {
        let name = self.lock().containers[id].name.clone();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut attributes = json!({ "image": IMAGE, "name": name });
        for (key, value) in more.as_object().into_iter().flatten() {
            attributes[key] = value.clone();
        }
        let event = json!({
            "status": action, "id": id, "from": IMAGE, "Type": "container", "Action": action,
            "Actor": { "ID": id, "Attributes": attributes }, "scope": "local",
            "time": now.as_secs(), "timeNano": u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
        });
        let line = format!("{event}\n");
        let chunk = format!("{:x}\r\n{line}\r\n", line.len());
        // Nobody may be listening.
        let _ = self.events.send(chunk.into_bytes().into());
    }

    async fn serve(self: Arc<Self>, mut stream: UnixStream) {
        // Whoever goes away while it is answered has its reasons.
        if let Ok(true) = http::serve(&mut stream, |request| self.answer(request)).await {
            let _ = self.stream(stream).await;
        }
    }

    async fn stream(&self, mut stream: UnixStream) -> std::io::Result<()> {
        let mut events = self.events.subscribe();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await?;
        let mut ignored = [0; 64];
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Ok(chunk) => stream.write_all(&chunk).await?,
                    Err(_) => return Ok(()),
                },
                // The client sends nothing more: whatever comes is the end.
                _ = stream.read(&mut ignored) => return Ok(()),
            }
        }
    }

    fn answer(&self, request: &Request<'_>) -> Reply {
        let path = unversioned(request.path.split('?').next().unwrap_or_default());
        let mut state = self.lock();
        if let Some(id) = path.strip_prefix("/containers/").and_then(|it| it.strip_suffix("/json"))
        {
            state.requests.inspects += 1;
            let found = state.containers.get(id);
            return Reply::Bytes(match found {
                Some(container) => container.inspect.clone(),
                None => http::answer(404, br#"{"message":"No such container"}"#),
            });
        }
        Reply::Bytes(match path {
            "/events" => return Reply::Stream,
            "/containers/json" => {
                state.requests.lists += 1;
                state.list()
            }
            "/version" => http::answer(
                200,
                br#"{"Version":"20.10.24","ApiVersion":"1.41","MinAPIVersion":"1.12"}"#,
            ),
            "/info" => http::answer(200, br#"{"ID":"BENCH"}"#),
            "/_ping" => http::answer(200, b"OK"),
            _ => http::answer(404, br#"{"message":"page not found"}"#),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Made when it is first asked for after a change.
    fn list(&mut self) -> Arc<[u8]> {
        let running = self.containers.values().filter(|container| container.running);
        self.list
            .get_or_insert_with(|| {
                let list: Vec<_> = running.map(|container| &container.summary).collect();
                http::answer(200, json!(list).to_string().as_bytes())
            })
            .clone()
    }
}

const IMAGE: &str = "registry.local:5000/shop/web:1.2.3";

fn name(n: usize) -> String {
    format!("clone-{n:05}")
}

fn inspect(id: &str, n: usize) -> Value {
    let ip = format!("10.{}.{}.{}", 100 + n / 62_500, n / 250 % 250, n % 250 + 2);
    let text = INSPECT
        .replace("@ID@", id)
        .replace("@SHORT@", &id[..12])
        .replace("@NAME@", &name(n))
        .replace("@IP@", &ip)
        .replace("@PORT@", &(10_000 + n % 50_000).to_string());
    serde_json::from_str(&text).expect("the template is JSON")
}

/// What a list says of the container.
fn summary(inspect: &Value) -> Value {
    let settings = &inspect["NetworkSettings"];
    let port = settings["Ports"]["80/tcp"][0]["HostPort"].as_str().unwrap_or_default();
    let port: u16 = port.parse().unwrap_or_default();
    let published =
        |ip: &str| json!({ "IP": ip, "PrivatePort": 80, "PublicPort": port, "Type": "tcp" });
    json!({
        "Id": inspect["Id"], "Names": [inspect["Name"]], "Image": inspect["Config"]["Image"],
        "ImageID": inspect["Image"], "Command": "sleep", "Created": 1_700_000_000,
        "Ports": [published("0.0.0.0"), published("::")], "Labels": inspect["Config"]["Labels"],
        "State": inspect["State"]["Status"], "Status": "Up 1 minute",
        "HostConfig": { "NetworkMode": inspect["HostConfig"]["NetworkMode"] },
        "NetworkSettings": { "Networks": settings["Networks"] }, "Mounts": [],
    })
}

/// The path without the `/v1.NN` that clients may put before it.
fn unversioned(path: &str) -> &str {
    let rest = path.strip_prefix("/v1.").unwrap_or(path);
    let rest = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
    if rest.starts_with('/') { rest } else { path }
}
