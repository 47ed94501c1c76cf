//! A Docker API that says what it is told to say, on a Unix socket.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use super::http::{self, Activity, Answer};

/// More events than a test sends at once.
const BACKLOG: usize = 16_384;

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
}

#[derive(Default)]
struct Host {
    /// What `docker inspect` prints of each container, by its name.
    containers: BTreeMap<String, Value>,
    lists: usize,
    /// How often each container was inspected, by its identifier.
    inspections: HashMap<String, usize>,
}

impl FakeDocker {
    /// A host without containers.
    pub fn start(activity: Activity) -> Self {
        let folder = tempfile::Builder::new().prefix("wf-").tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join("docker.sock")).expect("a socket");
        let (events, _) = broadcast::channel(BACKLOG);
        let state = Arc::new(State { host: Mutex::default(), events, activity });
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

    /// Sends an event to everyone who listens.
    pub fn send(&self, event: &Value) {
        // Nobody may be listening.
        let _ = self.state.events.send(format!("{event}\n"));
    }

    /// How many listen to the events.
    pub fn listeners(&self) -> usize {
        self.state.events.receiver_count()
    }

    /// How often the containers were listed.
    pub fn lists(&self) -> usize {
        self.lock().lists
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
    if path == "/events" {
        stream_events(stream, state.events.subscribe()).await;
        return;
    }
    let _busy = state.activity.busy();
    let answer = state.host.lock().expect("the host").answer(path);
    http::send(&mut stream, &answer).await;
}

/// The path without the `/v1.NN` that clients may put before it.
fn unversioned(path: &str) -> &str {
    let rest = path.strip_prefix("/v1.").unwrap_or(path);
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    if rest.starts_with('/') { rest } else { path }
}

impl Host {
    fn answer(&mut self, path: &str) -> Answer {
        match path {
            "/_ping" => Answer::Text(200, "OK".into()),
            "/version" => Answer::Json(json!({
                "Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12",
            })),
            "/info" => Answer::Json(json!({ "ID": "FAKE" })),
            "/containers/json" => {
                self.lists += 1;
                Answer::Json(self.running())
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
        let found = self.containers.iter().find(|(name, it)| it["Id"] == id || *name == id);
        found.map_or_else(|| Answer::not_found(id), |(_, it)| Answer::Json(it.clone()))
    }
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
