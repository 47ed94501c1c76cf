//! As much of an HTTP/1.1 server as the fakes of Docker and Consul need: one
//! request for each connection, and a count of what is under way.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// A request: the path is without its query, and decoded; the target is as it was sent.
pub struct Request {
    pub method: String,
    pub path: String,
    pub target: String,
    pub head: String,
    pub body: Vec<u8>,
}

/// An answer: the status and the body, which is JSON or plain text.
pub enum Answer {
    Json(Value),
    Text(u16, String),
    /// Of a server of Consul's that has counted so many changes.
    Counted(u64, Value),
}

/// How much a server was asked, and has answered.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Asked {
    pub requests: usize,
    pub bytes: usize,
}

impl Answer {
    pub fn not_found(what: &str) -> Self {
        Self::Text(404, json!({ "message": format!("no such thing: {what}") }).to_string())
    }
}

/// Reads a request; none if the connection ends before.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Request> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break String::from_utf8_lossy(&bytes[..end]).into_owned();
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?.to_string(), words.next()?);
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let mut body = bytes.split_off(head.len() + 4);
    while body.len() < length.unwrap_or_default() {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    let path = decoded(target.split('?').next().unwrap_or(target));
    let target = target.to_string();
    Some(Request { method, path, target, head, body })
}

/// Sends an answer, the only one on its connection.
pub async fn send(stream: &mut (impl AsyncWrite + Unpin), answer: &Answer) {
    send_counted(stream, answer).await;
}

/// The same; how many bytes it has.
pub async fn send_counted(stream: &mut (impl AsyncWrite + Unpin), answer: &Answer) -> usize {
    let (status, kind, body) = match answer {
        Answer::Json(value) => (200, "application/json", value.to_string()),
        Answer::Counted(index, value) => {
            let kind = format!(
                "application/json\r\nX-Consul-Index: {index}\r\nX-Consul-KnownLeader: true"
            );
            return send_all(stream, 200, &kind, &value.to_string()).await;
        }
        Answer::Text(status, text) => (*status, "text/plain", text.clone()),
    };
    send_all(stream, status, kind, &body).await
}

async fn send_all(
    stream: &mut (impl AsyncWrite + Unpin),
    status: u16,
    kind: &str,
    body: &str,
) -> usize {
    let head = format!(
        "HTTP/1.1 {status} Status\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    let all = head + body;
    // The program under test may have been killed meanwhile.
    let _ = stream.write_all(all.as_bytes()).await;
    let _ = stream.shutdown().await;
    all.len()
}

fn decoded(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte.filter(|_| first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What the servers of one lab are being asked. Shared by all of them, so that
/// it tells when the program under test has come to rest.
#[derive(Clone, Default)]
pub struct Activity(Arc<Mutex<(usize, Option<Instant>)>>);

impl Activity {
    /// A request is being answered for as long as the value lives.
    pub fn busy(&self) -> Busy {
        self.0.lock().expect("the activity").0 += 1;
        Busy(self.clone())
    }

    /// How long nothing has been asked; none while something is.
    pub fn idle(&self) -> Option<Duration> {
        let (busy, last) = *self.0.lock().expect("the activity");
        (busy == 0).then(|| last.map_or(Duration::MAX, |last| last.elapsed()))
    }

    /// What follows takes its time from now on.
    pub fn touch(&self) {
        self.0.lock().expect("the activity").1 = Some(Instant::now());
    }
}

pub struct Busy(Activity);

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.0.lock().expect("the activity");
        state.0 -= 1;
        state.1 = Some(Instant::now());
    }
}
