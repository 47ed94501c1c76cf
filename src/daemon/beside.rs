//! Threads for what is done beside the loop.
//!
//! The loop, and what it asks Docker and the registry, share one thread, so that no step of a container's way has to
//! wake another. Who looks at the daemon, files that are read again, policies, and what is told to others are served
//! by threads of their own, where a long answer or a file system that hangs keeps no container waiting.

use std::thread;

use anyhow::Context as _;
use tokio::{
    runtime::{Builder, EnterGuard, Runtime},
    task::JoinHandle,
};

/// What is done there waits more than it computes.
const MOST_THREADS: usize = 2;

/// The threads. Dropping it abandons what still runs on them.
pub(super) struct Beside {
    /// There until it is dropped.
    runtime: Option<Runtime>,
}

impl Beside {
    /// Start them.
    ///
    /// # Errors
    ///
    /// A thread cannot be started.
    pub(super) fn start() -> anyhow::Result<Self> {
        let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("beside")
            .enable_all()
            .build()
            .context("cannot start the threads beside the loop")?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Run this there.
    pub(super) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.runtime().spawn(future)
    }

    /// What is spawned runs there, for as long as the guard lives.
    pub(super) fn enter(&self) -> EnterGuard<'_> {
        self.runtime().enter()
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("the runtime is only taken when this is dropped")
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting is not possible here: this may be an async task.
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;

    fn here() -> String {
        thread::current().name().unwrap_or_default().to_string()
    }

    #[tokio::test]
    async fn what_blocks_there_keeps_nobody_here_waiting() {
        let beside = Beside::start().expect("threads");
        let (release, blocked) = mpsc::channel();
        let there = beside.spawn(async move {
            let released = blocked.recv_timeout(Duration::from_secs(10));
            (released, here())
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!there.is_finished());
        release.send(()).expect("it waits");
        assert_eq!(there.await.expect("it ends"), (Ok(()), "beside".to_string()));
        let inside = {
            let _beside = beside.enter();
            tokio::spawn(async { here() })
        };
        assert_eq!(inside.await.expect("it ends"), "beside");
        assert_ne!(here(), "beside");
    }
}
