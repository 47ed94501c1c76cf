//! Relays that stand in front of real servers: one notes every call to Consul as
//! it was sent, one only sees when Docker is spoken to.

use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::JoinHandle;

use super::http::Activity;

/// A call to Consul.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: String,
    /// The path and the query, as they were sent.
    pub target: String,
    /// JSON, or a string for what is none.
    pub body: Value,
}

/// A relay to Consul; it ends with the value.
pub struct ConsulRelay {
    calls: Arc<Mutex<Vec<Call>>>,
    server: JoinHandle<()>,
}

impl ConsulRelay {
    /// Listens on an address and passes each call on to an agent.
    pub async fn start(address: &str, agent: String, activity: Activity) -> Self {
        let listener = TcpListener::bind(address).await.expect("the recorded port is free");
        let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
        let noted = calls.clone();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (agent, noted, activity) = (agent.clone(), noted.clone(), activity.clone());
                tokio::spawn(async move {
                    // The daemon may have been killed in the middle of a call.
                    let _ = pass_on(stream, &agent, &noted, &activity).await;
                });
            }
        });
        Self { calls, server }
    }

    /// The calls after the first `skip`.
    pub fn calls(&self, skip: usize) -> Vec<Call> {
        self.calls.lock().expect("the calls")[skip..].to_vec()
    }

    /// How many calls there were.
    pub fn count(&self) -> usize {
        self.calls.lock().expect("the calls").len()
    }
}

impl Drop for ConsulRelay {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// One call, after which the connection ends.
async fn pass_on(
    mut client: TcpStream,
    agent: &str,
    noted: &Mutex<Vec<Call>>,
    activity: &Activity,
) -> std::io::Result<()> {
    let Some((head, body)) = read_request(&mut client).await? else { return Ok(()) };
    let _busy = activity.busy();
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ').map(String::from);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let value = serde_json::from_slice(&body)
        .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&body).into_owned()));
    let fields: Vec<_> =
        lines.filter(|line| !line.to_ascii_lowercase().starts_with("connection:")).collect();
    let head = format!("{method} {target} HTTP/1.1\r\n{}\r\n", fields.join("\r\n"));
    let mut server = TcpStream::connect(agent).await?;
    server.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).await?;
    server.write_all(&body).await?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await?;
    noted.lock().expect("the calls").push(Call { method, target, body: value });
    client.write_all(&answer).await?;
    client.shutdown().await
}

/// The head without the empty line that ends it, and the body.
async fn read_request(stream: &mut TcpStream) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break String::from_utf8_lossy(&bytes[..end]).into_owned();
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let mut body = bytes.split_off(head.len() + 4);
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let wanted = name.eq_ignore_ascii_case("content-length");
        wanted.then(|| value.trim().parse::<usize>().ok())?
    });
    while body.len() < length.unwrap_or_default() {
        if stream.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some((head, body)))
}

/// A relay to Docker's socket; it ends with the value.
pub struct DockerRelay(JoinHandle<()>);

impl DockerRelay {
    /// Listens on a socket. Each byte that passes is activity.
    pub fn start(socket: &Path, docker: &Path, activity: Activity) -> Self {
        let listener = UnixListener::bind(socket).expect("a new socket");
        let docker = docker.to_owned();
        Self(tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = UnixStream::connect(&docker).await else { continue };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(copy(from_client, to_server, activity.clone()));
                tokio::spawn(copy(from_server, to_client, activity.clone()));
            }
        }))
    }
}

impl Drop for DockerRelay {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    activity: Activity,
) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        activity.touch();
        if to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
