//! Looking at a daemon over HTTP, byte by byte, and the containers that there is something to see of.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{daemon::Daemon, fake_docker::FakeDocker};

/// An answer.
#[derive(Debug)]
pub struct Seen {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Seen {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A field of the head.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// Where a daemon that was started with port 0 answers.
pub async fn address(daemon: &Daemon) -> SocketAddr {
    let line = daemon.wait_for_log("Answering HTTP at http://", Duration::from_secs(30)).await;
    let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
    address.and_then(|address| address.parse().ok()).expect("an address")
}

/// Asks for a path as programs do.
pub async fn get(at: SocketAddr, path: &str) -> Seen {
    ask(at, &format!("GET {path} HTTP/1.1\r\nHost: {at}\r\n\r\n")).await
}

/// The same with the token.
pub async fn get_with(at: SocketAddr, path: &str, field: &str) -> Seen {
    ask(at, &format!("GET {path} HTTP/1.1\r\nHost: {at}\r\n{field}\r\n\r\n")).await
}

/// Sends a whole request and reads up to the end of the connection.
pub async fn ask(at: SocketAddr, request: &str) -> Seen {
    let mut stream = TcpStream::connect(at).await.expect("it answers");
    stream.write_all(request.as_bytes()).await.expect("it takes the request");
    let mut bytes = Vec::new();
    // It may have closed with bytes of ours unread.
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&*text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Seen { status, head: head.to_string(), body: body.to_string() }
}

/// What `docker inspect` prints of a container in the host's network that serves on port 80.
pub fn serving(name: &str, number: usize, labels: &[(&str, &str)]) -> Value {
    let labels: Value = labels.iter().map(|(key, value)| (key.to_string(), json!(value))).collect();
    json!({
        "Id": format!("{number:064x}"),
        "Name": format!("/{name}"),
        "Created": "2026-01-01T00:00:00Z",
        "Image": "sha256:0",
        "State": { "Status": "running", "Running": true, "StartedAt": "2026-01-01T00:00:01Z" },
        "Config": {
            "Image": "web:1", "Hostname": name, "ExposedPorts": { "80/tcp": {} }, "Labels": labels,
        },
        "HostConfig": { "NetworkMode": "host" },
        "NetworkSettings": { "Ports": {}, "Networks": { "host": { "IPAddress": "" } } },
    })
}

/// Starts such a container, and says so.
pub fn start(docker: &FakeDocker, name: &str, number: usize, labels: &[(&str, &str)]) {
    docker.set(name, Some(serving(name, number, labels)));
    event(docker, number, "start");
}

/// Says that something has happened to a container.
pub fn event(docker: &FakeDocker, number: usize, action: &str) {
    docker.send(&json!({
        "Type": "container", "Action": action, "status": action, "id": format!("{number:064x}"),
        "Actor": { "ID": format!("{number:064x}"), "Attributes": {} }, "time": 1, "timeNano": 1,
    }));
}
