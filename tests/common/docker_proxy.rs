//! A proxy in front of Docker's socket, that falls silent without closing
//! anything: what is seen when something between the daemon and Docker dies
//! without a word.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// The proxy; it ends with the value.
///
/// Connections are numbered in the order in which they come. One that has
/// fallen silent stays so, whatever comes later.
pub struct DockerProxy {
    folder: tempfile::TempDir,
    silence: watch::Sender<Silence>,
    next: Arc<AtomicU64>,
    /// The paths of the requests that have come.
    requests: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

/// Which connections are silent.
#[derive(Debug, Clone, Copy, Default)]
struct Silence {
    /// Those with a smaller number.
    all_before: u64,
    /// Streams of events with a smaller number.
    events_before: u64,
}

impl Silence {
    fn covers(self, number: u64, is_events: bool) -> bool {
        number < self.all_before || (is_events && number < self.events_before)
    }
}

impl DockerProxy {
    /// A proxy before Docker's socket; everything passes.
    pub fn start(docker: PathBuf) -> Self {
        let folder = tempfile::Builder::new().prefix("wf-").tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join("docker.sock")).expect("a socket");
        let (silence, silences) = watch::channel(Silence::default());
        let next = Arc::new(AtomicU64::new(0));
        let numbers = next.clone();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let noted = requests.clone();
        let server = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let number = numbers.fetch_add(1, Ordering::SeqCst);
                let (docker, silences) = (docker.clone(), silences.clone());
                let noted = noted.clone();
                connections.spawn(async move {
                    // Either side may leave at any time.
                    let _ = connect(client, &docker, number, silences, &noted).await;
                });
            }
        });
        Self { folder, silence, next, requests, server }
    }

    /// The value for `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }

    /// The paths of the requests that have come since so many, without the API's version.
    pub fn requests(&self, skip: usize) -> Vec<String> {
        let requests = self.requests.lock().expect("the requests");
        requests.iter().skip(skip).cloned().collect()
    }

    /// No event comes through any more on the streams that are open now. All
    /// else passes, new streams as well.
    pub fn silence_open_streams(&self) {
        let next = self.next.load(Ordering::SeqCst);
        self.silence.send_modify(|silence| silence.events_before = next);
    }

    /// No event comes through any more, on no stream. All else passes.
    pub fn silence_streams(&self) {
        self.silence.send_modify(|silence| silence.events_before = u64::MAX);
    }

    /// Nothing comes through any more: connections are accepted, and nobody
    /// answers.
    pub fn silence_all(&self) {
        self.silence.send_modify(|silence| silence.all_before = u64::MAX);
    }

    /// What is opened from now on passes.
    pub fn recover(&self) {
        let next = self.next.load(Ordering::SeqCst);
        self.silence.send_modify(|silence| {
            silence.all_before = silence.all_before.min(next);
            silence.events_before = silence.events_before.min(next);
        });
    }
}

impl Drop for DockerProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Pass bytes in both directions. The client makes one request after the other on a
/// connection, none of which has a body; a stream of events has one of its own.
async fn connect(
    mut client: UnixStream,
    docker: &Path,
    number: u64,
    silences: watch::Receiver<Silence>,
    requests: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    while head_end(&request) == 0 {
        if client.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let is_events = note(&request, requests).contains("/events?");
    let mut docker = UnixStream::connect(docker).await?;
    docker.write_all(&request).await?;
    request.drain(..head_end(&request));

    let (mut from_docker, mut from_client) = (vec![0; 65536], vec![0; 65536]);
    let mut head_passed = false;
    loop {
        tokio::select! {
            read = docker.read(&mut from_docker) => {
                let read = read?;
                let silence = *silences.borrow();
                if silence.covers(number, is_events) {
                    // The head of a stream of events passes: the client is to
                    // believe that all is well.
                    let head = is_events && !head_passed && !silence.covers(number, false);
                    let end = if head { head_end(&from_docker[..read]) } else { 0 };
                    client.write_all(&from_docker[..end]).await?;
                    return wait_for_end(client).await;
                }
                head_passed = true;
                if read == 0 {
                    return client.shutdown().await;
                }
                client.write_all(&from_docker[..read]).await?;
            }
            read = client.read(&mut from_client) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                request.extend_from_slice(&from_client[..read]);
                while head_end(&request) > 0 {
                    note(&request, requests);
                    request.drain(..head_end(&request));
                }
                docker.write_all(&from_client[..read]).await?;
            }
        }
    }
}

/// Note the path of the first of these requests, and return its first line.
fn note(request: &[u8], requests: &Mutex<Vec<String>>) -> String {
    let line = String::from_utf8_lossy(request).lines().next().unwrap_or_default().to_string();
    let path = line.split(' ').nth(1).unwrap_or_default();
    let path = path
        .strip_prefix("/v")
        .and_then(|rest| rest.split_once('/'))
        .map_or(path, |(_, path)| path);
    requests.lock().expect("the requests").push(path.to_string());
    line
}

/// Where the body begins; 0 if the head is not complete.
fn head_end(bytes: &[u8]) -> usize {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    end.map_or(0, |end| end + 4)
}

/// Hold the connection until the client gives up.
async fn wait_for_end(mut client: UnixStream) -> std::io::Result<()> {
    while client.read(&mut [0; 64]).await? > 0 {}
    Ok(())
}
