//! A real container engine, asked as a bare client would, and what it tells.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use crate::http;

/// The image that containers are made of.
pub(crate) const IMAGE: &str = "registry.local:5000/shop/web:1.2.3";

/// An event of a container.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) action: String,
    pub(crate) id: String,
    /// When it happened, by the engine's word.
    pub(crate) at: SystemTime,
}

/// What the engine has told so far.
#[derive(Default)]
pub(crate) struct Events {
    told: Mutex<Vec<Told>>,
    more: Condvar,
}

impl Events {
    /// Listen until the runtime ends; `hear` is told of each event before anybody else.
    pub(crate) async fn listen<F>(self: Arc<Self>, socket: PathBuf, mut hear: impl FnMut(Told) -> F)
    where
        F: Future<Output = ()>,
    {
        let mut stream = UnixStream::connect(&socket).await.expect("the engine listens");
        // {"type":["container"]}
        let request = "GET /events?filters=%7B%22type%22%3A%5B%22container%22%5D%7D HTTP/1.1\r\nHost: d\r\n\r\n";
        stream.write_all(request.as_bytes()).await.expect("the engine listens");
        let mut input = Vec::new();
        while stream.read_buf(&mut input).await.is_ok_and(|count| count > 0) {
            // An event is a line between the lines of HTTP.
            while let Some(end) = http::find(&input, b"\n") {
                let line: Vec<u8> = input.drain(..=end).collect();
                let Some(told) = told(&line) else { continue };
                hear(told.clone()).await;
                lock(&self.told).push(told);
                self.more.notify_all();
            }
        }
    }

    /// When something happened to a container, once that was told.
    ///
    /// # Panics
    ///
    /// It never is.
    pub(crate) fn wait(&self, action: &str, id: &str) -> SystemTime {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut told = lock(&self.told);
        loop {
            if let Some(found) = told.iter().find(|told| told.action == action && told.id == id) {
                return found.at;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the engine tells of no {action} of {id}");
            told = self.more.wait_timeout(told, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn told(line: &[u8]) -> Option<Told> {
    let event: Value = serde_json::from_slice(line).ok()?;
    let text = |value: &Value| value.as_str().map(String::from);
    let at = UNIX_EPOCH + Duration::from_nanos(event["timeNano"].as_u64()?);
    Some(Told { action: text(&event["Action"])?, id: text(&event["Actor"]["ID"])?, at })
}

/// A connection on which containers are made and ended.
pub(crate) struct Engine {
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Engine {
    pub(crate) async fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).await.expect("the engine listens");
        Self { stream, buffer: Vec::new() }
    }

    /// Make a container as the harness's other ones are; its identifier.
    pub(crate) async fn create(&mut self) -> String {
        let like: Value = serde_json::from_str(include_str!("inspect.json")).expect("it is JSON");
        let config = &like["Config"];
        let body = json!({
            "Image": IMAGE, "Cmd": ["sleep", "1000000"], "Env": config["Env"],
            "Labels": config["Labels"], "ExposedPorts": config["ExposedPorts"],
            "HostConfig": { "PortBindings": { "80/tcp": [{ "HostPort": "" }] } },
        });
        self.ask("POST", "/containers/create", &body.to_string()).await;
        let answer = String::from_utf8_lossy(&self.buffer);
        let id = answer.split(r#""Id":""#).nth(1).and_then(|rest| rest.get(..64));
        id.unwrap_or_else(|| panic!("a container: {answer}")).to_string()
    }

    pub(crate) async fn start(&mut self, id: &str) {
        self.ask("POST", &format!("/containers/{id}/start"), "").await;
    }

    pub(crate) async fn kill(&mut self, id: &str) {
        self.ask("POST", &format!("/containers/{id}/kill"), "").await;
    }

    pub(crate) async fn remove(&mut self, id: &str) {
        self.ask("DELETE", &format!("/containers/{id}?force=true"), "").await;
    }

    async fn ask(&mut self, method: &str, path: &str, body: &str) {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        let fine = http::exchange(&mut self.stream, request.as_bytes(), &mut self.buffer).await;
        let answer = String::from_utf8_lossy(&self.buffer);
        assert!(fine.expect("the engine answers"), "{method} {path}: {answer}");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
