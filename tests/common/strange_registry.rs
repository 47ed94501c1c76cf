//! A registry of images that does what a test says, and notes what it was asked and shown.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a connection may say nothing.
const SILENCE: Duration = Duration::from_secs(60);

/// A request.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    /// The path and the query, as they were sent.
    pub target: String,
    /// The server's own address, as the client knows it.
    pub host: String,
    /// The login that was shown.
    pub authorization: Option<String>,
}

/// An answer: the status, headers, and what follows.
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Body,
}

pub enum Body {
    Whole(Vec<u8>),
    /// These bytes, announced to be so many.
    Announced(u64, Vec<u8>),
    /// Bytes without an end, and without a word of how many.
    Endless,
}

impl Reply {
    pub fn of(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: Body::Whole(body.into()) }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn endless(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Endless }
    }
}

/// The server; it ends with the value.
pub struct StrangeRegistry {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    over: Arc<AtomicBool>,
}

impl StrangeRegistry {
    pub fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let (asked, over) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::<AtomicBool>::default());
        let (noted, ends, answer) = (asked.clone(), over.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                let (noted, answer) = (noted.clone(), answer.clone());
                // The client may go at any time.
                std::thread::spawn(move || drop(serve(&stream, &noted, &*answer)));
            }
        });
        Self { address, asked, over }
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("what was asked").clone()
    }

    /// Forget what was asked.
    pub fn forget(&self) {
        self.asked.lock().expect("what was asked").clear();
    }
}

impl Drop for StrangeRegistry {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(&self.address);
    }
}

/// Answers the one request of a connection.
fn serve(
    stream: &TcpStream,
    noted: &Mutex<Vec<Asked>>,
    answer: &dyn Fn(&Asked) -> Reply,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ');
    let mut word = || words.next().unwrap_or_default().to_string();
    let (method, target) = (word(), word());
    let mut asked = Asked { method, target, host: String::new(), authorization: None };
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        match name.to_lowercase().as_str() {
            "host" => asked.host = value.trim().into(),
            "authorization" => asked.authorization = Some(value.trim().into()),
            "content-length" => length = value.trim().parse().unwrap_or_default(),
            _ => {}
        }
    }
    std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
    noted.lock().expect("what was asked").push(asked.clone());
    let reply = answer(&asked);
    let mut stream = stream;
    let mut head = format!("HTTP/1.1 {} Status\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    match &reply.body {
        Body::Whole(bytes) => head += &format!("Content-Length: {}\r\n", bytes.len()),
        Body::Announced(length, _) => head += &format!("Content-Length: {length}\r\n"),
        Body::Endless => {}
    }
    stream.write_all((head + "\r\n").as_bytes())?;
    match &reply.body {
        _ if asked.method == "HEAD" => Ok(()),
        Body::Whole(bytes) | Body::Announced(_, bytes) => stream.write_all(bytes),
        Body::Endless => loop {
            stream.write_all(&[b' '; 16 << 10])?;
        },
    }
}
