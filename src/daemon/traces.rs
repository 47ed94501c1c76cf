//! Sends the ways of containers to a collector of traces, by OTLP over HTTP.
//!
//! A task beside the loop, which nothing waits for: it takes ways out of a bounded queue, and a collector
//! that is away, hangs or refuses holds up nothing but it. It keeps unsent ways for a while, then counts
//! them, and says so once.

use std::sync::Arc;

use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    daemon::collector::{self, Collector, END, Endpoint, News, Sends, Signal},
    reconcile::{Way, Ways},
    telemetry::{event, otlp},
};

/// Ways that wait to be sent.
const WAITING: usize = 2048;

/// The task that sends traces.
pub struct Traces {
    ways: Arc<Ways>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Traces {
    /// Send traces of this host there, from now on.
    ///
    /// # Errors
    ///
    /// An HTTP client cannot be made.
    pub fn start(endpoint: &Endpoint, host: String) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let collector = Collector::new(endpoint, Signal::Traces, stop.clone())?;
        let (sender, queue) = mpsc::channel(WAITING);
        let ways = Arc::new(Ways::to(sender));
        let sending = Sending { collector, host, ways: ways.clone(), said: 0 };
        let task = tokio::spawn(collector::run(queue, sending, stop.clone()));
        Ok(Self { ways, stop, task })
    }

    /// Where the loop tells the ways of containers.
    pub fn ways(&self) -> Arc<Ways> {
        self.ways.clone()
    }

    /// Send what waits, as far as that takes no long time.
    pub async fn end(self) {
        self.stop.cancel();
        // It waits for an answer no longer than that by itself.
        let _ = timeout(2 * END, self.task).await;
    }
}

struct Sending {
    collector: Collector,
    host: String,
    ways: Arc<Ways>,
    /// The number of dropped spans that were spoken of.
    said: u64,
}

impl Sends<Box<Way>> for Sending {
    async fn send(&mut self, ways: &[Box<Way>]) {
        ways.iter().for_each(|way| self.ways.taken(way));
        let spans = ways.iter().map(|way| way.spans() as u64).sum();
        let Ok(body) = body(&self.host, ways) else {
            // Without random numbers there is no name for a trace.
            return self.ways.lose(spans);
        };
        let lost = self.collector.deliver(body, spans, say).await;
        self.ways.lose(lost);
        let dropped = self.ways.dropped();
        if lost < spans && dropped > self.said {
            let count = dropped - self.said;
            warn!(event = event::TRACES_DROPPED, count, "spans of traces are missing: {count}");
            self.said = dropped;
        }
    }
}

fn say(place: &str, news: News<'_>) {
    match news {
        News::Sent => info!(event = event::TRACES_SENT, place, "Sending traces to {place}"),
        News::Failing(error) => warn!(
            event = event::TRACES_FAILING,
            place,
            reason = format!("{error:#}"),
            "traces cannot be sent; all else goes on"
        ),
    }
}

/// Random numbers, as long as there are any.
struct Random {
    source: SystemRandom,
    failed: bool,
}

impl otlp::Ids for Random {
    fn hex(&mut self, bytes: usize) -> String {
        let mut id = vec![0; bytes];
        self.failed |= self.source.fill(&mut id).is_err();
        id.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn body(host: &str, ways: &[Box<Way>]) -> Result<Vec<u8>, ()> {
    let mut ids = Random { source: SystemRandom::new(), failed: false };
    let body = otlp::request(host, ways, &mut ids);
    if ids.failed { Err(()) } else { Ok(body.to_string().into_bytes()) }
}
