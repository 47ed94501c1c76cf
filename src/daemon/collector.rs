//! A collector that takes OTLP over HTTP, as JSON: where it is, what goes with each request, and how it
//! is sent something.
//!
//! Nothing waits for it. A request that fails is sent again after pauses; a refused one is lost, and
//! its sender counts that.

use std::{fmt, path::Path, time::Duration};

use anyhow::{Context as _, anyhow};
use percent_encoding::percent_decode_str;
use reqwest::{
    StatusCode,
    header::{
        CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue,
        TRANSFER_ENCODING,
    },
};
use serde_json::Value;
use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{error::error_chain, files, text};

/// The variable that has fields for a collector, as OpenTelemetry's specification has it.
pub const VARIABLE: &str = "OTEL_EXPORTER_OTLP_HEADERS";
/// The time for which others are waited for that go into the same request.
const TOGETHER: Duration = Duration::from_millis(500);
/// The most of them in one request.
pub(super) const AT_ONCE: usize = 256;
/// The time of one request.
const ANSWERS: Duration = Duration::from_secs(10);
/// The pause after a request that was not taken, at first and at last.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// The time in which what waits is sent at the end.
pub(super) const END: Duration = Duration::from_secs(1);
/// So much of an answer is read.
const ANSWER: usize = 64 << 10;
/// The most bytes of the file with fields, and of the variable.
const FIELDS: u64 = 64 << 10;

/// Where a collector is, and the fields that go with each request. Their values are in no log.
#[derive(Clone)]
pub struct Endpoint {
    url: Url,
    fields: HeaderMap,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&text::without_secrets(self.url.as_str()))
    }
}

/// The kind of telemetry that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Logs,
}

impl Endpoint {
    /// The collector at this URL, which takes traces, with the fields of a file, and with those of the
    /// variable that the file does not name.
    ///
    /// # Errors
    ///
    /// A field cannot be used; the words name the key or the variable, and no value.
    pub fn new(url: Url, file: Option<&Path>, variable: Option<&str>) -> Result<Self, String> {
        let mut fields = HeaderMap::new();
        let of_variable = variable.map(|said| of_variable(said, &mut fields));
        of_variable.transpose().map_err(|fault| format!("{VARIABLE}: {fault}"))?;
        if let Some(file) = file {
            let fault = |words| format!("telemetry.headers-file: {}: {words}", file.display());
            let text = files::read_text(file, FIELDS).map_err(|error| fault(error.to_string()))?;
            of_file(&text, &mut fields).map_err(fault)?;
        }
        Ok(Self { url, fields })
    }

    fn url(&self, signal: Signal) -> Url {
        let mut url = self.url.clone();
        if signal == Signal::Logs
            && let Some(base) = self.url.path().strip_suffix("/traces")
        {
            url.set_path(&format!("{base}/logs"));
        }
        url
    }
}

/// The fields of a file: a line each, as in HTTP. Lines that begin with `#` are comments.
fn of_file(text: &str, fields: &mut HeaderMap) -> Result<(), String> {
    for (number, line) in text.lines().enumerate() {
        let (line, number) = (line.trim(), number + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| format!("line {number}: it is no field such as Authorization: …"))?;
        field(name, value, fields).map_err(|fault| format!("line {number}: {fault}"))?;
    }
    Ok(())
}

/// The fields of the variable: `name=value`, with commas between them, each value percent-encoded.
fn of_variable(text: &str, fields: &mut HeaderMap) -> Result<(), String> {
    for (number, one) in text.split(',').enumerate() {
        let (one, number) = (one.trim(), number + 1);
        if one.is_empty() {
            continue;
        }
        let (name, value) =
            one.split_once('=').ok_or_else(|| format!("part {number}: it is no name=value"))?;
        let value = percent_decode_str(value.trim()).decode_utf8();
        let value = value.map_err(|_| format!("part {number}: the value is no text"))?;
        field(name, &value, fields).map_err(|fault| format!("part {number}: {fault}"))?;
    }
    Ok(())
}

fn field(name: &str, value: &str, fields: &mut HeaderMap) -> Result<(), String> {
    let name = name.trim();
    // A name that is none may be a value that was put in the wrong place.
    let name: HeaderName = name.parse().map_err(|_| "its name is none of a field".to_string())?;
    if [CONTENT_TYPE, CONTENT_LENGTH, TRANSFER_ENCODING, HOST, CONNECTION].contains(&name) {
        return Err(format!("{name} is not for others to say"));
    }
    let value = HeaderValue::from_str(value.trim());
    let mut value = value.map_err(|_| format!("{name}: its value has what no field has"))?;
    value.set_sensitive(true);
    fields.insert(name, value);
    Ok(())
}

/// A collector that is sent one kind of thing.
pub(super) struct Collector {
    client: reqwest::Client,
    url: Url,
    fields: HeaderMap,
    signal: Signal,
    /// The URL without what only the collector should know.
    pub(super) place: String,
    pub(super) stop: CancellationToken,
    /// Whether the last request failed; none before the first.
    fails: Option<bool>,
}

/// A change in how a collector fares.
pub(super) enum News<'a> {
    /// It takes what it is sent, for the first time or again.
    Sent,
    /// It does not.
    Failing(&'a anyhow::Error),
}

/// Why a request brought nothing.
enum Fault {
    /// It may be taken another time.
    Away(anyhow::Error),
    /// It will not.
    Refused(anyhow::Error),
}

impl Collector {
    /// A client that sends there until `stop`, and once more after it.
    ///
    /// # Errors
    ///
    /// An HTTP client cannot be made.
    pub(super) fn new(
        endpoint: &Endpoint,
        signal: Signal,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            // It is the one that was named, and no other one by a redirect or the environment.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(ANSWERS)
            .user_agent(concat!("wharfinger/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("cannot make an HTTP client for a collector")?;
        let url = endpoint.url(signal);
        let place = text::without_secrets(url.as_str());
        let fields = endpoint.fields.clone();
        Ok(Self { client, url, fields, signal, place, stop, fails: None })
    }

    /// Send so many things, again and again if need be; after the end, once. How many of them are
    /// lost.
    pub(super) async fn deliver(
        &mut self,
        body: Vec<u8>,
        count: u64,
        tell: impl Fn(&str, News<'_>),
    ) -> u64 {
        let mut pause = PAUSE.0;
        loop {
            let ends = self.stop.is_cancelled();
            let sent = match ends {
                true => timeout(END, self.send(body.clone())).await,
                false => {
                    let stop = self.stop.clone();
                    tokio::select! {
                        biased;
                        // A request under way is cut short, and begun anew for the last time.
                        () = stop.cancelled() => continue,
                        sent = self.send(body.clone()) => Ok(sent),
                    }
                }
            };
            match sent {
                Ok(Ok(rejected)) => {
                    if self.fails.replace(false) != Some(false) {
                        tell(&self.place, News::Sent);
                    }
                    return rejected.min(count);
                }
                Ok(Err(Fault::Refused(error))) => {
                    self.fail(&error, &tell);
                    return count;
                }
                Ok(Err(Fault::Away(error))) => self.fail(&error, &tell),
                Err(_) => {}
            }
            if ends {
                return count;
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = sleep(pause) => {}
            }
            pause = (2 * pause).min(PAUSE.1);
        }
    }

    fn fail(&mut self, error: &anyhow::Error, tell: &impl Fn(&str, News<'_>)) {
        if self.fails.replace(true) != Some(true) {
            tell(&self.place, News::Failing(error));
        }
    }

    /// Send this, and give the number of items that the collector did not take.
    async fn send(&self, body: Vec<u8>) -> Result<u64, Fault> {
        let request = self.client.post(self.url.clone()).headers(self.fields.clone());
        let request = request.header(CONTENT_TYPE, "application/json").body(body);
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
            return Ok(rejected(&text, self.signal));
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
}

/// A sender of things of one kind.
pub(super) trait Sends<T> {
    /// Send these.
    fn send(&mut self, some: &[T]) -> impl Future<Output = ()> + Send;
}

/// Send the queue's content until `stop` or until the queue is closed, and the rest of it then.
pub(super) async fn run<T: Send + Sync>(
    mut queue: Receiver<T>,
    mut sender: impl Sends<T>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let some = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            some = gathered(&mut queue) => some,
        };
        if some.is_empty() {
            return;
        }
        sender.send(&some).await;
    }
    queue.close();
    let mut left = Vec::new();
    while let Ok(one) = queue.try_recv() {
        left.push(one);
    }
    for some in left.chunks(AT_ONCE) {
        sender.send(some).await;
    }
}

/// The items that come within a moment; none if the queue is closed.
async fn gathered<T>(queue: &mut Receiver<T>) -> Vec<T> {
    let mut some = Vec::new();
    if queue.recv_many(&mut some, AT_ONCE).await == 0 {
        return some;
    }
    let until = Instant::now() + TOGETHER;
    while some.len() < AT_ONCE {
        let most = AT_ONCE - some.len();
        match timeout_at(until, queue.recv_many(&mut some, most)).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    some
}

/// The number of items not taken, as an answer tells: 64 bits, which may be a text.
fn rejected(answer: &[u8], signal: Signal) -> u64 {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let key = match signal {
        Signal::Traces => "rejectedSpans",
        Signal::Logs => "rejectedLogRecords",
    };
    let said = &answer["partialSuccess"][key];
    said.as_u64().or_else(|| said.as_str()?.parse().ok()).unwrap_or_default()
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
            assert_eq!(rejected(answer.as_bytes(), Signal::Traces), expected, "{answer}");
            assert_eq!(rejected(answer.as_bytes(), Signal::Logs), 0, "{answer}");
        }
        let answer = br#"{"partialSuccess":{"rejectedLogRecords":"2"}}"#;
        assert_eq!(rejected(answer, Signal::Logs), 2);
    }

    #[test]
    fn fields_are_read_and_what_is_none_is_named_without_its_value() {
        let url = Url::parse("http://u:hunter2@c.example/otlp/v1/traces").expect("a URL");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("headers");
        std::fs::write(&file, "# ours\n\nAuthorization: Bearer of the file\nX-A : b \n")
            .expect("it is written");
        let variable = "authorization=Basic%20YTpi, x-other = c%2Cd ,";
        let endpoint = Endpoint::new(url.clone(), Some(&file), Some(variable)).expect("fields");
        let of = |name: &str| endpoint.fields.get(name).and_then(|value| value.to_str().ok());
        assert_eq!(of("authorization"), Some("Bearer of the file"));
        assert_eq!((of("x-a"), of("x-other")), (Some("b"), Some("c,d")));
        assert_eq!(endpoint.url(Signal::Logs).path(), "/otlp/v1/logs");
        assert_eq!(endpoint.url(Signal::Traces).path(), "/otlp/v1/traces");
        let shown = format!("{endpoint:?}{:?}", endpoint.fields);
        assert!(!shown.contains("hunter2") && !shown.contains("Bearer"), "{shown}");

        for (text, part) in [
            ("secret-token", "line 1: it is no field"),
            ("a: b\nse cret: token", "line 2: its name is none"),
            ("Content-Type: text/secret", "line 1: content-type is not for others"),
            ("host: secret", "host is not for others"),
            ("a: secret\u{1}", "line 1: a: its value has what no field has"),
        ] {
            std::fs::write(&file, text).expect("it is written");
            let fault = Endpoint::new(url.clone(), Some(&file), None).expect_err(text);
            assert!(fault.starts_with("telemetry.headers-file: "), "{fault}");
            assert!(fault.contains(part) && !fault.contains("secret"), "{text}: {fault}");
        }
        for (text, part) in [
            ("secret-token", "part 1: it is no name=value"),
            ("a=b,host=secret", "part 2: host is not"),
            ("a=%ff", "part 1: the value is no text"),
            ("a=secret%0d%0ab", "part 1: a: its value"),
        ] {
            let fault = Endpoint::new(url.clone(), None, Some(text)).expect_err(text);
            assert!(fault.starts_with(VARIABLE), "{fault}");
            assert!(fault.contains(part) && !fault.contains("secret"), "{text}: {fault}");
        }
        let fault = Endpoint::new(url, Some(&folder.path().join("none")), None).expect_err("none");
        assert!(fault.contains("none: "), "{fault}");
    }
}
