//! What stands between a client and a real agent and notes when the agent has answered a write. From that
//! answer on a service is in what the agent says, since it answers after it has taken it over. To ask the agent again and
//! again would add the pauses between two questions to what is measured, and a blocking query the time until the
//! servers have heard of it.

use std::{
    net::SocketAddr,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
};

/// A kind of write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    Register,
    Deregister,
}

/// The relay's record, shared with who waits for something in it.
#[derive(Default)]
pub(crate) struct Relay {
    passed: Mutex<Vec<(Write, SystemTime, Instant)>>,
    more: Condvar,
}

/// The write on a connection that was not answered yet.
type Asked = Arc<Mutex<Option<Write>>>;

impl Relay {
    /// Pass on what comes on a free port, until the runtime ends.
    pub(crate) async fn listen(self: &Arc<Self>, agent: String) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let relay = self.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&agent).await else { continue };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let asked = Asked::default();
                tokio::spawn(up(from_client, to_server, asked.clone()));
                tokio::spawn(relay.clone().down(from_server, to_client, asked));
            }
        });
        address
    }

    async fn down(self: Arc<Self>, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, asked: Asked) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let now = (SystemTime::now(), Instant::now());
            if let Some(write) = lock(&asked).take() {
                assert!(buffer.starts_with(b"HTTP/1.1 200"), "the agent refused a write");
                lock(&self.passed).push((write, now.0, now.1));
                self.more.notify_all();
            }
            if to.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    }

    /// Forget what has passed so far.
    pub(crate) fn reset(&self) {
        lock(&self.passed).clear();
    }

    /// Wait until so many writes of a kind have passed since the last reset; when the last of them has.
    ///
    /// # Panics
    ///
    /// They never do.
    pub(crate) fn wait(&self, write: Write, count: usize) -> (SystemTime, Instant) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut passed = lock(&self.passed);
        loop {
            let all: Vec<_> = passed.iter().filter(|one| one.0 == write).collect();
            if let Some((_, time, at)) = all.get(count - 1) {
                return (*time, *at);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} of {count} writes ({write:?})", all.len());
            passed = self.more.wait_timeout(passed, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

async fn up(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, asked: Asked) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let request = &buffer[..count];
        let kinds = [
            (Write::Register, &b"PUT /v1/agent/service/register"[..]),
            (Write::Deregister, b"PUT /v1/agent/service/deregister/"),
        ];
        if let Some((write, _)) = kinds.iter().find(|(_, line)| request.starts_with(line)) {
            *lock(&asked) = Some(*write);
        }
        if to.write_all(request).await.is_err() {
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
