//! A proxy between the daemon and a Consul agent, that notes every write and
//! fails in the way that it is told to.
//!
//! It works on whole requests: each has a connection of its own, to the client
//! and to the agent. A write is a PUT or a DELETE; it is noted when it has
//! arrived, whatever becomes of it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::sleep,
};

/// What the proxy does to requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Pass them on.
    Pass,
    /// Nobody listens: the connection is refused, and open ones are cut.
    Refuse,
    /// Answer each `every`-th request with this status; pass the others on.
    Answer { status: u16, every: usize },
    /// Pass them on after a while.
    Slow(Duration),
    /// Pass them on at once, and give back the answer to a question with a filter after a while.
    Late(Duration),
    /// Pass them on, and give back the answer's head and half of its body.
    HalfBody,
    /// Read them and never answer, whatever comes later.
    Hang,
}

/// What a write asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Of the service with this ID.
    Register(String),
    /// Of the service with this ID.
    Deregister(String),
    /// Any other, by its path: of a check, or of a key.
    Other(String),
}

/// A write that arrived.
#[derive(Debug, Clone)]
pub struct Write {
    pub kind: Kind,
    /// What was sent, to the byte.
    pub body: Vec<u8>,
    /// The status of the answer; none while there is no answer.
    pub status: Option<u16>,
}

/// The proxy; it ends with the value.
pub struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    seen: Arc<Mutex<Seen>>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    writes: Vec<Write>,
    reads: usize,
    /// Requests since the mode was set.
    requests: usize,
}

impl Proxy {
    /// A proxy before the agent at `agent`, host and port.
    pub async fn start(agent: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (mode, modes) = watch::channel(Mode::Pass);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let server = tokio::spawn(serve(listener, modes, agent.to_string(), seen.clone()));
        Self { address, mode, seen, server }
    }

    /// Host and port.
    pub fn addr(&self) -> String {
        self.address.to_string()
    }

    /// What is done to requests from now on.
    pub fn set(&self, mode: Mode) {
        self.lock().requests = 0;
        self.mode.send(mode).expect("the server lives as long as this value");
    }

    /// The writes after the first `skip`.
    pub fn writes(&self, skip: usize) -> Vec<Write> {
        self.lock().writes[skip..].to_vec()
    }

    /// How many writes have arrived.
    pub fn count(&self) -> usize {
        self.lock().writes.len()
    }

    /// How many requests that are no writes have arrived.
    pub fn reads(&self) -> usize {
        self.lock().reads
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("what was seen")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Accept connections for as long as the mode lets it; the connections end with
/// the server.
async fn serve(
    listener: TcpListener,
    mut modes: watch::Receiver<Mode>,
    agent: String,
    seen: Arc<Mutex<Seen>>,
) {
    let address = listener.local_addr().expect("an address");
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        if *modes.borrow_and_update() == Mode::Refuse {
            listener = None;
            connections.shutdown().await;
        } else if listener.is_none() {
            listener = Some(TcpListener::bind(address).await.expect("the port is still free"));
        }
        tokio::select! {
            accepted = accept(listener.as_ref()) => {
                let (modes, agent, seen) = (modes.clone(), agent.clone(), seen.clone());
                connections.spawn(async move {
                    // A client may leave, and the agent may be away.
                    let _ = answer(accepted, modes, &agent, &seen).await;
                });
            }
            changed = modes.changed() => if changed.is_err() { return },
            _ = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    match listener {
        Some(listener) => listener.accept().await.expect("a connection").0,
        None => std::future::pending().await,
    }
}

async fn answer(
    mut client: TcpStream,
    modes: watch::Receiver<Mode>,
    agent: &str,
    seen: &Mutex<Seen>,
) -> std::io::Result<()> {
    let (head, body) = read(&mut client).await?;
    let (number, write) = seen.lock().expect("what was seen").note(&head, &body);
    let mode = *modes.borrow();
    match mode {
        Mode::Answer { status, every } if number.is_multiple_of(every) => {
            let text = "a fault that the test injects";
            let length = text.len();
            let answer = format!(
                "HTTP/1.1 {status} Fault\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
            );
            note_status(seen, write, answer.as_bytes());
            client.write_all(answer.as_bytes()).await?;
            return client.shutdown().await;
        }
        Mode::Hang => {
            // Until the client gives up.
            while client.read(&mut [0; 64]).await? > 0 {}
            return Ok(());
        }
        Mode::Slow(delay) => sleep(delay).await,
        Mode::Pass | Mode::Refuse | Mode::Answer { .. } | Mode::Late(_) | Mode::HalfBody => {}
    }
    let answer = forward(agent, &head, &body).await?;
    note_status(seen, write, &answer);
    if let Mode::Late(delay) = mode
        && head.lines().next().is_some_and(|line| line.contains("filter="))
    {
        sleep(delay).await;
    }
    let end = match (mode, head_end(&answer)) {
        (Mode::HalfBody, Some(end)) => end + (answer.len() - end) / 2,
        _ => answer.len(),
    };
    client.write_all(&answer[..end]).await?;
    client.shutdown().await
}

/// A request: its head with the empty line at the end, and its body.
async fn read(client: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = head_end(&bytes) {
            break end;
        }
        if client.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let mut body = bytes.split_off(end);
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    while body.len() < length.unwrap_or_default() {
        if client.read_buf(&mut body).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok((head, body))
}

/// Where the body begins.
fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// The agent's whole answer, after which it closes the connection.
async fn forward(agent: &str, head: &str, body: &[u8]) -> std::io::Result<Vec<u8>> {
    let lines = head.trim_end().lines();
    let kept = lines.filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let mut request = kept.collect::<Vec<_>>().join("\r\n");
    request.push_str("\r\nConnection: close\r\n\r\n");
    let mut agent = TcpStream::connect(agent).await?;
    agent.write_all(request.as_bytes()).await?;
    agent.write_all(body).await?;
    let mut answer = Vec::new();
    agent.read_to_end(&mut answer).await?;
    Ok(answer)
}

fn note_status(seen: &Mutex<Seen>, write: Option<usize>, answer: &[u8]) {
    let status = answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
    if let Some(write) = write {
        let mut seen = seen.lock().expect("what was seen");
        seen.writes[write].status = status.and_then(|digits| digits.parse().ok());
    }
}

impl Seen {
    /// Note a request. Returns how many there were since the mode was set, and
    /// the place of a write among the writes.
    fn note(&mut self, head: &str, body: &[u8]) -> (usize, Option<usize>) {
        self.requests += 1;
        let mut words = head.split_whitespace();
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if !matches!(method, "PUT" | "DELETE") {
            self.reads += 1;
            return (self.requests, None);
        }
        let path = target.split('?').next().unwrap_or(target);
        let kind = if path == "/v1/agent/service/register" {
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            Kind::Register(body["ID"].as_str().unwrap_or_default().to_string())
        } else if let Some(id) = path.strip_prefix("/v1/agent/service/deregister/") {
            let id = percent_encoding::percent_decode_str(id).decode_utf8_lossy();
            Kind::Deregister(id.into_owned())
        } else {
            Kind::Other(path.to_string())
        };
        self.writes.push(Write { kind, body: body.to_vec(), status: None });
        (self.requests, Some(self.writes.len() - 1))
    }
}
