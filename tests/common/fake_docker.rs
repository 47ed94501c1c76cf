//! A Docker API that says what it is told to say, on a Unix socket.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use super::http::{self, Activity, Answer, Asked};

/// More events than a test sends at once.
const BACKLOG: usize = 16_384;

/// How a server answers that is no server of containers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Way {
    /// It takes the request and says nothing.
    Hang,
    /// It says this, and then this over and over.
    Endless(&'static str, &'static str),
    /// It says this, and then a space now and then.
    Drip(&'static str),
    /// Its head has no end.
    Head,
    /// It refuses in words without an end.
    Refuse,
}

/// The server; it ends with the value.
pub struct FakeDocker {
    folder: tempfile::TempDir,
    state: Arc<State>,
    server: JoinHandle<()>,
}

struct State {
    host: Mutex<Host>,
    events: broadcast::Sender<String>,
    activity: Activity,
    /// How requests are answered whose path ends like this.
    ways: Mutex<Vec<(String, Way)>>,
}

#[derive(Default)]
struct Host {
    /// What `docker inspect` prints of each container, by its name.
    containers: BTreeMap<String, Value>,
    lists: usize,
    asked: Asked,
    /// How often each path was asked for, without the API's version.
    requests: HashMap<String, usize>,
    /// How often each container was inspected, by its identifier.
    inspections: HashMap<String, usize>,
    /// Errors that inspections are answered with, in order, by identifiers.
    faults: HashMap<String, VecDeque<(u16, String)>>,
    /// The error that the next list is answered with.
    list_fault: Option<(u16, String)>,
    /// What it calls itself, such as `Podman Engine`.
    engine: Option<String>,
    /// Its identity, if it is another one than that of all others.
    identity: Option<String>,
}

impl FakeDocker {
    /// A host without containers.
    pub fn start(activity: Activity) -> Self {
        // The program under test chooses its own; a client in this process needs one, too.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::Builder::new().prefix("wf-").tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join("docker.sock")).expect("a socket");
        let (events, _) = broadcast::channel(BACKLOG);
        let ways = Mutex::default();
        let state = Arc::new(State { host: Mutex::default(), events, activity, ways });
        let shared = state.clone();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Self { folder, state, server }
    }

    /// The value for `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }

    /// What `docker inspect` prints of a container from now on; none if it is
    /// removed.
    pub fn set(&self, name: &str, inspected: Option<Value>) {
        let mut host = self.lock();
        match inspected {
            Some(inspected) => host.containers.insert(name.into(), inspected),
            None => host.containers.remove(name),
        };
    }

    /// What `docker inspect` prints of a container now.
    pub fn inspected(&self, name: &str) -> Option<Value> {
        self.lock().containers.get(name).cloned()
    }

    /// From now on it calls itself this in its answer to `/version`.
    pub fn be(&self, engine: &str) {
        self.lock().engine = Some(engine.into());
    }

    /// From now on it is another engine than the others.
    pub fn identify(&self, identity: &str) {
        self.lock().identity = Some(identity.into());
    }

    /// One more inspection of a container is answered with an error.
    pub fn fail(&self, id: &str, status: u16, message: &str) {
        let mut host = self.lock();
        host.faults.entry(id.into()).or_default().push_back((status, message.into()));
    }

    /// The next list of containers is answered with an error.
    pub fn fail_list(&self, status: u16, message: &str) {
        self.lock().list_fault = Some((status, message.into()));
    }

    /// From now on, answers requests like this whose path ends like that; sanely, with
    /// no way.
    pub fn misbehave(&self, path: &str, way: Option<Way>) {
        let mut ways = self.state.ways.lock().expect("the ways");
        ways.retain(|(other, _)| other != path);
        ways.extend(way.map(|way| (path.to_string(), way)));
    }

    /// Sends something to everyone who listens to events.
    pub fn send_raw(&self, text: &str) {
        let _ = self.state.events.send(text.into());
    }

    /// Sends an event to everyone who listens.
    pub fn send(&self, event: &Value) {
        // Nobody may be listening.
        let _ = self.state.events.send(format!("{event}\n"));
    }

    /// How many listen to the events.
    pub fn listeners(&self) -> usize {
        self.state.events.receiver_count()
    }

    /// The list of containers.
    pub fn list(&self) -> Value {
        self.lock().running()
    }

    /// How often the containers were listed.
    pub fn lists(&self) -> usize {
        self.lock().lists
    }

    /// How much it was asked, but for the events.
    pub fn asked(&self) -> Asked {
        self.lock().asked
    }

    /// How many requests were for a path that begins like this.
    pub fn requests(&self, beginning: &str) -> usize {
        let host = self.lock();
        let alike = host.requests.iter().filter(|(path, _)| path.starts_with(beginning));
        alike.map(|(_, count)| count).sum()
    }

    /// How often a container was inspected, by its identifier.
    pub fn inspections(&self, id: &str) -> usize {
        self.lock().inspections.get(id).copied().unwrap_or_default()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Host> {
        self.state.host.lock().expect("the host")
    }
}

impl Drop for FakeDocker {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(mut stream: UnixStream, state: Arc<State>) {
    let Some(request) = http::read(&mut stream).await else { return };
    let path = unversioned(&request.path);
    let way = {
        let ways = state.ways.lock().expect("the ways");
        ways.iter().find(|(end, _)| path.ends_with(end.as_str())).map(|(_, way)| *way)
    };
    if let Some(way) = way {
        way.answer(stream).await;
        return;
    }
    if path == "/events" {
        stream_events(stream, state.events.subscribe()).await;
        return;
    }
    let _busy = state.activity.busy();
    let answer = state.host.lock().expect("the host").answer(path);
    let bytes = http::send_counted(&mut stream, &answer).await;
    let asked = &mut state.host.lock().expect("the host").asked;
    asked.requests += 1;
    asked.bytes += bytes;
}

impl Way {
    /// Answers until the client is gone.
    async fn answer(self, mut stream: UnixStream) {
        let head =
            |status: u16| format!("HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\n");
        let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
        const CHUNKED: &str = "Transfer-Encoding: chunked\r\n\r\n";
        let (first, again, pause) = match self {
            Self::Hang => (String::new(), String::new(), None),
            Self::Endless(first, again) => {
                (head(200) + CHUNKED + &chunk(first), chunk(&again.repeat(4096)), None)
            }
            Self::Drip(first) => {
                let pause = std::time::Duration::from_millis(50);
                (head(200) + CHUNKED + &chunk(first), chunk(" "), Some(pause))
            }
            Self::Head => (head(200), "X-More: of this\r\n".repeat(16), None),
            Self::Refuse => (head(500) + CHUNKED, chunk(&"no, ".repeat(4096)), None),
        };
        if stream.write_all(first.as_bytes()).await.is_err() {
            return;
        }
        if again.is_empty() {
            let _ = stream.read(&mut [0; 64]).await;
            return;
        }
        while stream.write_all(again.as_bytes()).await.is_ok() {
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
        }
    }
}

/// The path without the `/v1.NN` that clients may put before it.
fn unversioned(path: &str) -> &str {
    let rest = path.strip_prefix("/v1.").unwrap_or(path);
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    if rest.starts_with('/') { rest } else { path }
}

impl Host {
    fn answer(&mut self, path: &str) -> Answer {
        *self.requests.entry(path.into()).or_default() += 1;
        match path {
            "/_ping" => Answer::Text(200, "OK".into()),
            "/version" => {
                let engine = self.engine.as_deref().unwrap_or("Engine");
                Answer::Json(json!({
                    "Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12",
                    "Components": [{ "Name": engine, "Version": "20.10.24" }],
                }))
            }
            "/info" => Answer::Json(json!({ "ID": self.identity.as_deref().unwrap_or("FAKE") })),
            "/containers/json" => {
                self.lists += 1;
                match self.list_fault.take() {
                    Some(fault) => error(&fault),
                    None => Answer::Json(self.running()),
                }
            }
            _ => {
                let id = path.strip_prefix("/containers/").and_then(|p| p.strip_suffix("/json"));
                id.map_or_else(|| Answer::not_found(path), |id| self.inspect(id))
            }
        }
    }

    fn running(&self) -> Value {
        let running = self.containers.iter().filter(|(_, it)| it["State"]["Running"] == true);
        let summary = |(name, inspected): (&String, &Value)| {
            json!({
                "Id": inspected["Id"],
                "Names": [format!("/{name}")],
                "Image": inspected["Config"]["Image"],
                "State": inspected["State"]["Status"],
            })
        };
        running.map(summary).collect()
    }

    fn inspect(&mut self, id: &str) -> Answer {
        *self.inspections.entry(id.into()).or_default() += 1;
        if let Some(fault) = self.faults.get_mut(id).and_then(VecDeque::pop_front) {
            return error(&fault);
        }
        let found = self.containers.iter().find(|(name, it)| it["Id"] == id || *name == id);
        found.map_or_else(|| Answer::not_found(id), |(_, it)| Answer::Json(it.clone()))
    }
}

/// An error as Podman words it.
fn error((status, message): &(u16, String)) -> Answer {
    let body = json!({ "cause": message, "message": message, "response": status });
    Answer::Text(*status, body.to_string())
}

/// Sends events as chunks, one JSON text a line, until the client is gone.
async fn stream_events(mut stream: UnixStream, mut events: broadcast::Receiver<String>) {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    if stream.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    let mut ignored = [0; 64];
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            // The client sends nothing more: whatever comes is the end.
            _ = stream.read(&mut ignored) => return,
        };
        let Ok(event) = event else { return };
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        if stream.write_all(chunk.as_bytes()).await.is_err() {
            return;
        }
    }
}
