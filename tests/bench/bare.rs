//! The limit: a client that makes the same requests as the daemon and nothing else, over connections that
//! it keeps, so many at once as is best.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpStream, UnixStream},
    runtime::{Builder, Runtime},
    task::JoinSet,
};

use crate::http;

/// What a registration with the daemon's marks has, with a word in the place of the ID.
const BODY: &str = include_str!("register.json");
/// How many at once are tried.
const CONCURRENCY: [usize; 5] = [1, 2, 4, 8, 16];

/// The ID under which a container is registered.
pub(crate) fn service(id: &str) -> String {
    format!("host:{}:80", &id[..12])
}

/// The client.
pub(crate) struct Bare {
    runtime: Runtime,
    docker: PathBuf,
    consul: SocketAddr,
}

/// A connection to each side.
pub(crate) struct Ways {
    docker: UnixStream,
    consul: TcpStream,
    buffer: Vec<u8>,
}

impl Bare {
    pub(crate) fn new(docker: &Path, consul: SocketAddr) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { runtime, docker: docker.into(), consul }
    }

    /// How long it takes to list, and to inspect and to register each of these; at the best concurrency,
    /// which comes with it.
    pub(crate) fn best(&self, ids: &[String]) -> (Duration, usize) {
        let tried = CONCURRENCY.iter().take_while(|tasks| **tasks <= ids.len());
        tried.map(|tasks| (self.all(ids, *tasks), *tasks)).min().expect("one at least")
    }

    fn all(&self, ids: &[String], tasks: usize) -> Duration {
        let requests: Arc<[_]> = ids.iter().map(|id| requests(id)).collect();
        self.runtime.block_on(async {
            let began = Instant::now();
            let mut first = self.ways().await;
            first.docker(b"GET /containers/json HTTP/1.1\r\nHost: d\r\n\r\n").await;
            let next = Arc::new(AtomicUsize::new(0));
            let mut workers = JoinSet::new();
            for _ in 0..tasks {
                let (requests, next) = (requests.clone(), next.clone());
                let mut ways = self.ways().await;
                workers.spawn(async move {
                    while let Some((inspect, register)) =
                        requests.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        ways.docker(inspect).await;
                        ways.consul(register).await;
                    }
                });
            }
            workers.join_all().await;
            began.elapsed()
        })
    }

    /// How long an inspection and a write take, one after the other, on connections that are there.
    pub(crate) fn one(&self, id: &str, repeats: usize) -> Vec<Duration> {
        let (inspect, register) = requests(id);
        self.runtime.block_on(async {
            let mut ways = self.ways().await;
            let mut times = Vec::with_capacity(repeats);
            for _ in 0..repeats {
                let began = Instant::now();
                ways.docker(&inspect).await;
                ways.consul(&register).await;
                times.push(began.elapsed());
            }
            times
        })
    }

    /// How long a removal takes, likewise.
    pub(crate) fn removal(&self, repeats: usize) -> Vec<Duration> {
        let request = b"PUT /v1/agent/service/deregister/none HTTP/1.1\r\nHost: c\r\nContent-Length: 0\r\n\r\n";
        self.runtime.block_on(async {
            let mut ways = self.ways().await;
            let mut times = Vec::with_capacity(repeats);
            for _ in 0..repeats {
                let began = Instant::now();
                ways.consul(request).await;
                times.push(began.elapsed());
            }
            times
        })
    }

    async fn ways(&self) -> Ways {
        Ways::open(&self.docker, self.consul).await
    }
}

impl Ways {
    pub(crate) async fn open(docker: &Path, consul: SocketAddr) -> Self {
        let docker = UnixStream::connect(docker).await.expect("Docker listens");
        let consul = TcpStream::connect(consul).await.expect("Consul listens");
        consul.set_nodelay(true).expect("it is a connection");
        Self { docker, consul, buffer: Vec::with_capacity(16 << 10) }
    }

    pub(crate) async fn docker(&mut self, request: &[u8]) {
        let answer = http::exchange(&mut self.docker, request, &mut self.buffer).await;
        assert!(answer.expect("Docker answers"));
    }

    pub(crate) async fn consul(&mut self, request: &[u8]) {
        let answer = http::exchange(&mut self.consul, request, &mut self.buffer).await;
        assert!(answer.expect("Consul answers"));
    }
}

/// The requests for a container: an inspection, and a registration.
pub(crate) fn requests(id: &str) -> (Vec<u8>, Vec<u8>) {
    let inspect = format!("GET /containers/{id}/json HTTP/1.1\r\nHost: d\r\n\r\n");
    let body = BODY.trim_end().replace("@ID@", &id[..12]);
    let register = format!(
        "PUT /v1/agent/service/register?replace-existing-checks=true HTTP/1.1\r\nHost: c\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    (inspect.into_bytes(), register.into_bytes())
}
