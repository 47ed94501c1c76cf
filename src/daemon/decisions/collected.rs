//! Sends decisions to a collector of logs, by OTLP over HTTP: the same records as a file has, each as the
//! body of one.
//!
//! The decision log's writer hands them over and never waits. Records that find no place in the queue, or
//! that the collector refuses, are counted with those missing in the decision log.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::json;
use tokio::{
    sync::mpsc::{self, Sender},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    daemon::collector::{self, Collector, END, Endpoint, News, Sends, Signal},
    reconcile::{Decision, Decisions},
    telemetry::{
        event,
        otlp::{self, Record},
    },
};

/// Records that wait to be sent, and the bytes of all of them.
const WAITING: usize = 2048;
const MOST_WAITING: usize = 8 << 20;

/// The task that sends decisions.
pub(super) struct Collected {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Where decisions are handed over.
pub(super) struct Outbox {
    queue: Sender<Record>,
    waiting: Arc<AtomicUsize>,
}

impl Collected {
    /// Send decisions of this host there, from now on.
    ///
    /// # Errors
    ///
    /// An HTTP client cannot be made.
    pub(super) fn start(
        endpoint: &Endpoint,
        host: String,
        decisions: Arc<Decisions>,
    ) -> anyhow::Result<(Self, Outbox)> {
        let stop = CancellationToken::new();
        let collector = Collector::new(endpoint, Signal::Logs, stop.clone())?;
        let (sender, queue) = mpsc::channel(WAITING);
        let waiting = Arc::new(AtomicUsize::new(0));
        let sending = Sending { collector, host, decisions, waiting: waiting.clone() };
        let task = tokio::spawn(collector::run(queue, sending, stop.clone()));
        Ok((Self { stop, task }, Outbox { queue: sender, waiting }))
    }

    /// Send what waits, as far as that takes no long time.
    pub(super) async fn end(self) {
        self.stop.cancel();
        let _ = timeout(2 * END, self.task).await;
    }
}

impl Outbox {
    /// Hand a decision over, which is this line; false if there is no place for it.
    pub(super) fn put(&self, decision: &Decision, line: &str) -> bool {
        let line = line.trim_end().to_string();
        let size = line.len();
        if self.waiting.fetch_add(size, Ordering::Relaxed) + size > MOST_WAITING {
            self.waiting.fetch_sub(size, Ordering::Relaxed);
            return false;
        }
        let attributes = json!({
            "container.id": decision.container.id.0,
            "container.name": decision.container.name,
            "container.image.name": decision.container.image,
            "wharfinger.pipeline": decision.pipeline,
            "wharfinger.outcome": decision.outcome,
        });
        let failed = decision.error.is_some();
        let put = self.queue.try_send(Record { at: decision.at, failed, body: line, attributes });
        if put.is_err() {
            self.waiting.fetch_sub(size, Ordering::Relaxed);
        }
        put.is_ok()
    }
}

struct Sending {
    collector: Collector,
    host: String,
    decisions: Arc<Decisions>,
    waiting: Arc<AtomicUsize>,
}

impl Sends<Record> for Sending {
    async fn send(&mut self, records: &[Record]) {
        let size = records.iter().map(|record| record.body.len()).sum();
        self.waiting.fetch_sub(size, Ordering::Relaxed);
        let body = otlp::logs(&self.host, records).to_string().into_bytes();
        let lost = self.collector.deliver(body, records.len() as u64, say).await;
        (0..lost).for_each(|_| self.decisions.lose());
    }
}

fn say(place: &str, news: News<'_>) {
    match news {
        News::Sent => {
            info!(event = event::DECISIONS_WRITTEN, place, "Sending decisions to {place}");
        }
        News::Failing(error) => warn!(
            event = event::DECISIONS_UNWRITTEN,
            place,
            reason = format!("{error:#}"),
            "decisions cannot be sent; all else goes on"
        ),
    }
}
