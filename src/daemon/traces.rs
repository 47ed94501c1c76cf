//! Sends the ways of containers to a collector of traces, by OTLP over HTTP.
//!
//! A task beside the loop, which nothing waits for: it takes ways out of a bounded queue, and a collector that is away,
//! hangs or refuses holds up nothing but it. What it cannot send it keeps for a while and then counts, and says so once.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use reqwest::StatusCode;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::Value;
use tokio::{
    sync::mpsc::{self, Receiver},
    task::JoinHandle,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use url::Url;

use crate::{
    error::error_chain,
    reconcile::{Way, Ways},
    telemetry::{event, otlp},
    text,
};

/// Ways that wait to be sent.
const WAITING: usize = 2048;
/// The most ways of one request.
const AT_ONCE: usize = 256;
/// The time for which others are waited for that go into the same request.
const TOGETHER: Duration = Duration::from_millis(500);
/// The time of one request.
const ANSWERS: Duration = Duration::from_secs(10);
/// The pause after a request that was not taken, at first and at last.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// The time in which what waits is sent at the end.
const END: Duration = Duration::from_secs(1);
/// So much of an answer is read.
const ANSWER: usize = 64 << 10;

/// What sends traces.
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
    pub fn start(url: Url, host: String) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            // It is the one that was named, and no other one by a redirect or the environment.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(ANSWERS)
            .user_agent(concat!("wharfinger/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("cannot make an HTTP client for traces")?;
        let (sender, queue) = mpsc::channel(WAITING);
        let ways = Arc::new(Ways::to(sender));
        let place = text::without_secrets(url.as_str());
        let stop = CancellationToken::new();
        let sending = Sending {
            client,
            url,
            place,
            host,
            ways: ways.clone(),
            stop: stop.clone(),
            fails: None,
            said: 0,
        };
        let task = tokio::spawn(sending.run(queue));
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
    client: reqwest::Client,
    url: Url,
    /// The URL without what only the collector should know.
    place: String,
    host: String,
    ways: Arc<Ways>,
    stop: CancellationToken,
    /// Whether the last request failed; none before the first.
    fails: Option<bool>,
    /// How many dropped spans were spoken of.
    said: u64,
}

/// Why a request brought nothing.
enum Fault {
    /// It may be taken another time.
    Away(anyhow::Error),
    /// It will not.
    Refused(anyhow::Error),
}

impl Sending {
    async fn run(mut self, mut queue: Receiver<Box<Way>>) {
        let stop = self.stop.clone();
        while !stop.is_cancelled() {
            let ways = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                ways = gathered(&mut queue) => ways,
            };
            if ways.is_empty() {
                return;
            }
            self.deliver(&ways).await;
        }
        queue.close();
        let mut ways = Vec::new();
        while let Ok(way) = queue.try_recv() {
            ways.push(way);
        }
        for some in ways.chunks(AT_ONCE) {
            self.deliver(some).await;
        }
    }

    /// Send these, again and again if need be. After the end, once.
    async fn deliver(&mut self, ways: &[Box<Way>]) {
        ways.iter().for_each(|way| self.ways.taken(way));
        let spans = ways.iter().map(|way| way.spans() as u64).sum();
        let Ok(body) = body(&self.host, ways) else {
            // Without random numbers there is no name for a trace.
            return self.ways.lose(spans);
        };
        let mut pause = PAUSE.0;
        loop {
            let ends = self.stop.is_cancelled();
            let sent = match ends {
                true => timeout(END, self.send(body.clone())).await,
                false => {
                    let stop = self.stop.clone();
                    tokio::select! {
                        biased;
                        // What is under way is cut short, and begun anew for the last time.
                        () = stop.cancelled() => continue,
                        sent = self.send(body.clone()) => Ok(sent),
                    }
                }
            };
            match sent {
                Ok(Ok(rejected)) => {
                    self.ways.lose(rejected.min(spans));
                    return self.say_sent();
                }
                Ok(Err(Fault::Refused(error))) => {
                    self.say_failing(&error);
                    return self.ways.lose(spans);
                }
                Ok(Err(Fault::Away(error))) => self.say_failing(&error),
                Err(_) => {}
            }
            if ends {
                return self.ways.lose(spans);
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = sleep(pause) => {}
            }
            pause = (2 * pause).min(PAUSE.1);
        }
    }

    /// How many spans the collector did not take of those that it was sent.
    async fn send(&self, body: Vec<u8>) -> Result<u64, Fault> {
        let request = self.client.post(self.url.clone());
        let request = request.header("content-type", "application/json").body(body);
        let mut answer = request.send().await.map_err(|error| {
            // Its text has the URL, with what only the collector should know.
            Fault::Away(anyhow!("{}", error_chain(&error.without_url())))
        })?;
        let status = answer.status();
        let mut text = Vec::new();
        while let Ok(Some(more)) = answer.chunk().await {
            text.extend_from_slice(&more);
            if text.len() > ANSWER {
                break;
            }
        }
        if status.is_success() {
            return Ok(rejected(&text));
        }
        let error = anyhow!("it answered with the status {}", status.as_u16());
        let later = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        Err(if later { Fault::Away(error) } else { Fault::Refused(error) })
    }

    fn say_sent(&mut self) {
        if self.fails.replace(false) != Some(false) {
            let place = &self.place;
            info!(event = event::TRACES_SENT, place, "Sending traces to {place}");
        }
        let dropped = self.ways.dropped();
        if dropped > self.said {
            let count = dropped - self.said;
            warn!(event = event::TRACES_DROPPED, count, "spans of traces are missing: {count}");
            self.said = dropped;
        }
    }

    fn say_failing(&mut self, error: &anyhow::Error) {
        if self.fails.replace(true) != Some(true) {
            warn!(
                event = event::TRACES_FAILING,
                place = self.place,
                reason = format!("{error:#}"),
                "traces cannot be sent; all else goes on"
            );
        }
    }
}

/// What comes within a moment; nothing if nothing comes any more.
async fn gathered(queue: &mut Receiver<Box<Way>>) -> Vec<Box<Way>> {
    let mut ways = Vec::new();
    if queue.recv_many(&mut ways, AT_ONCE).await == 0 {
        return ways;
    }
    let until = Instant::now() + TOGETHER;
    while ways.len() < AT_ONCE {
        let most = AT_ONCE - ways.len();
        match timeout_at(until, queue.recv_many(&mut ways, most)).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    ways
}

/// How many spans an answer says were not taken: a number of 64 bits, which may be a text.
fn rejected(answer: &[u8]) -> u64 {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let said = &answer["partialSuccess"]["rejectedSpans"];
    said.as_u64().or_else(|| said.as_str()?.parse().ok()).unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_collector_did_not_take_is_read_from_its_answer() {
        for (answer, expected) in [
            ("", 0),
            ("{}", 0),
            ("nonsense", 0),
            (r#"{"partialSuccess":{}}"#, 0),
            (r#"{"partialSuccess":{"rejectedSpans":"3"}}"#, 3),
            (r#"{"partialSuccess":{"rejectedSpans":3,"errorMessage":"no"}}"#, 3),
            (r#"{"partialSuccess":{"rejectedSpans":-3}}"#, 0),
        ] {
            assert_eq!(rejected(answer.as_bytes()), expected, "{answer}");
        }
    }
}
