//! The connections to Docker, which are kept for the next call for as long as calls follow each other.
//!
//! Another engine may be behind the same address from one moment to the next, and a connection that
//! was kept leads to the one before. So none is kept for longer than a moment without a call, and none
//! beyond the question who the engine is, or the beginning of a stream ([`Pool::renew`]): that one, and
//! whatever is asked after it, has a connection that was made after it was put.
//!
//! Of connections over TLS none is kept: what they are made with reads the machine's authorities, which
//! takes longer than a call does.

use std::{
    error::Error as _,
    io,
    path::PathBuf,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use reqwest::{Certificate, Client, Identity, Response, redirect::Policy};
use serde::Serialize;

use super::CONNECT;

/// For how long a connection is kept that nobody uses.
const KEPT: Duration = Duration::from_secs(1);
/// The number of connections kept: as many as the loop has use for at once.
const MOST: usize = 16;

/// The way in which connections are made.
#[derive(Debug)]
pub(super) enum Way {
    /// To a Unix socket.
    Socket(PathBuf),
    /// Over TCP.
    Plain,
    /// Over TLS.
    Secured {
        /// Whose word counts for the server.
        roots: Vec<Certificate>,
        /// The client's certificate and key.
        identity: Identity,
    },
}

/// Connections that are kept.
#[derive(Debug)]
pub(super) struct Pool {
    way: Way,
    client: RwLock<Client>,
}

impl Pool {
    /// No connection is made yet.
    pub(super) fn new(way: Way) -> Result<Self, reqwest::Error> {
        let client = RwLock::new(client(&way)?);
        Ok(Self { way, client })
    }

    /// Keep none of the connections that there are.
    pub(super) fn renew(&self) -> Result<(), reqwest::Error> {
        if matches!(self.way, Way::Secured { .. }) {
            return Ok(());
        }
        let new = client(&self.way)?;
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// The head of an answer that may have no end, on a connection of its own.
    pub(super) async fn stream(
        &self,
        url: &str,
        query: &impl Serialize,
    ) -> Result<Response, reqwest::Error> {
        self.renew()?;
        client(&self.way)?.get(url).query(query).send().await
    }

    /// The head of an answer.
    pub(super) async fn get(
        &self,
        url: &str,
        query: &impl Serialize,
    ) -> Result<Response, reqwest::Error> {
        let ask = || {
            let client = self.client.read().unwrap_or_else(PoisonError::into_inner).clone();
            client.get(url).query(query).send()
        };
        match ask().await {
            // The other end closed it at the moment at which it was used again; to ask changes nothing.
            Err(error) if was_closed(&error) => ask().await,
            answer => answer,
        }
    }
}

fn client(way: &Way) -> Result<Client, reqwest::Error> {
    let builder = Client::builder()
        .redirect(Policy::none())
        // What is on the way to Docker is said by DOCKER_HOST.
        .no_proxy()
        .connect_timeout(CONNECT)
        .pool_idle_timeout(KEPT)
        .user_agent(concat!("wharfinger/", env!("CARGO_PKG_VERSION")));
    let builder = match way {
        Way::Secured { roots, identity } => {
            let builder = builder.pool_max_idle_per_host(0);
            return builder.tls_certs_merge(roots.clone()).identity(identity.clone()).build();
        }
        Way::Socket(path) => builder.unix_socket(path.clone()),
        Way::Plain => builder,
    };
    // Nobody is to be believed for a certificate, and none is read.
    builder.pool_max_idle_per_host(MOST).tls_certs_only([]).build()
}

/// Whether the connection ended before anything of an answer came.
fn was_closed(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        let closed = |error: &hyper::Error| error.is_incomplete_message() || error.is_canceled();
        if cause.downcast_ref::<hyper::Error>().is_some_and(closed) {
            return true;
        }
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            return matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
            );
        }
        source = cause.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{UnixListener, UnixStream},
    };

    use super::*;

    /// A server that says which of its connections it answers on; of each it answers so many requests
    /// and then closes it without a word.
    struct Server {
        folder: tempfile::TempDir,
        connections: Arc<AtomicUsize>,
    }

    impl Server {
        fn start(answers: usize) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let listener = UnixListener::bind(folder.path().join("s")).expect("a socket");
            let connections = Arc::new(AtomicUsize::new(0));
            let count = connections.clone();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                    tokio::spawn(answer(stream, number, answers));
                }
            });
            Self { folder, connections }
        }

        fn pool(&self) -> Pool {
            let _ = rustls::crypto::ring::default_provider().install_default();
            Pool::new(Way::Socket(self.folder.path().join("s"))).expect("a client")
        }
    }

    async fn answer(mut stream: UnixStream, number: usize, answers: usize) {
        let mut request = Vec::new();
        for _ in 0..answers {
            while !request.ends_with(b"\r\n\r\n") {
                if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            request.clear();
            let body = number.to_string();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).await.expect("the client reads");
        }
        // The next request has come when the end of the connection does.
        let _ = stream.read_buf(&mut request).await;
    }

    async fn ask(pool: &Pool) -> String {
        let answer = pool.get("http://localhost/x", &None::<()>).await.expect("an answer");
        let body = answer.text().await.expect("its body");
        // That its connection is free is noted by tasks of this one thread, which are awake.
        for _ in 0..32 {
            tokio::task::yield_now().await;
        }
        body
    }

    #[tokio::test]
    async fn a_connection_serves_call_after_call_until_it_is_asked_who_is_there() {
        let server = Server::start(usize::MAX);
        let pool = server.pool();
        assert_eq!([ask(&pool).await, ask(&pool).await], ["1", "1"]);
        pool.renew().expect("a client");
        assert_eq!([ask(&pool).await, ask(&pool).await], ["2", "2"]);
        tokio::time::sleep(KEPT * 2).await;
        assert_eq!(ask(&pool).await, "3", "it was kept for too long");
        assert_eq!(server.connections.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_call_is_made_again_where_its_connection_was_closed_without_an_answer() {
        let server = Server::start(2);
        let pool = server.pool();
        let answers = [ask(&pool).await, ask(&pool).await, ask(&pool).await];
        assert_eq!(answers, ["1", "1", "2"]);
    }

    #[tokio::test]
    async fn a_call_that_nobody_answers_is_made_twice_at_the_most() {
        let server = Server::start(0);
        let answer = server.pool().get("http://localhost/x", &None::<()>).await;
        assert!(was_closed(&answer.expect_err("nobody answers")));
        assert_eq!(server.connections.load(Ordering::SeqCst), 2);
    }
}
