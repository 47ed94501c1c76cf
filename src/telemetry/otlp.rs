//! Traces and logs in the form of OTLP, as JSON: the way of a container is a span, and what was done on it are its children; a
//! decision is a record of a log.
//!
//! The names of attributes are those of OpenTelemetry's conventions where there are any, and begin with `wharfinger.`
//! otherwise. Every text passes the same masks as the decision log.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::{
    model::timed::Timed,
    pipeline::Mode,
    reconcile::{Answered, Operation, Part, PartKind, Way},
    secrets, text,
};

/// The longest text in a span; of a longer one the beginning is sent.
const LONGEST: usize = 500;
// Spans that stand for something within this process, and for what is asked of another one.
const INTERNAL: u8 = 1;
const CLIENT: u8 = 3;
/// The status of what has failed.
const FAILED: u8 = 2;

/// The numbers and names of what a record tells.
const TOLD: (u8, &str) = (9, "INFO");
const TOLD_OF_FAILURE: (u8, &str) = (17, "ERROR");

/// A record of a log.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// When.
    pub at: SystemTime,
    /// Whether it tells of something that has failed.
    pub failed: bool,
    /// Its text, without secrets.
    pub body: String,
    /// Its attributes, an object.
    pub attributes: Value,
}

/// The body of a request that brings these records of a host.
pub fn logs(host: &str, records: &[Record]) -> Value {
    let record = |record: &Record| {
        let (number, name) = if record.failed { TOLD_OF_FAILURE } else { TOLD };
        let at = nanoseconds(record.at, Duration::ZERO);
        json!({
            "timeUnixNano": at,
            "observedTimeUnixNano": at,
            "severityNumber": number,
            "severityText": name,
            "eventName": "wharfinger.decision",
            "body": { "stringValue": record.body },
            "attributes": attributes(record.attributes.clone()),
        })
    };
    let (resource, scope) = from(host);
    let records: Vec<Value> = records.iter().map(record).collect();
    json!({ "resourceLogs": [{
        "resource": resource,
        "scopeLogs": [{ "scope": scope, "logRecords": records }],
    }] })
}

/// The resource and the scope of a host's records and spans.
fn from(host: &str) -> (Value, Value) {
    let version = env!("CARGO_PKG_VERSION");
    let resource = json!({
        "service.name": "wharfinger",
        "service.version": version,
        "host.name": host,
    });
    let scope = json!({ "name": "wharfinger", "version": version });
    (json!({ "attributes": attributes(resource) }), scope)
}

/// Where the identifiers of traces and spans come from: random bytes.
pub trait Ids {
    /// So many bytes, in hexadecimal.
    fn hex(&mut self, bytes: usize) -> String;
}

/// The body of a request that brings these ways of the containers of a host.
pub fn request(host: &str, ways: &[Box<Way>], ids: &mut impl Ids) -> Value {
    let (resource, scope) = from(host);
    let spans: Vec<Value> = ways.iter().flat_map(|way| spans(way, ids)).collect();
    json!({ "resourceSpans": [{
        "resource": resource,
        "scopeSpans": [{ "scope": scope, "spans": spans }],
    }] })
}

fn spans(way: &Way, ids: &mut impl Ids) -> Vec<Value> {
    let (trace, root) = (ids.hex(16), ids.hex(8));
    let own = json!({
        "container.id": way.container.id.0,
        "container.name": way.container.name,
        "container.image.name": way.container.image,
        "wharfinger.trigger": if way.heard { "event" } else { "look" },
        "wharfinger.pipeline": way.pipeline,
        "wharfinger.outcome": way.outcome,
        "wharfinger.services": way.services,
    });
    let span = |id: String, kind: u8, name: String, timed: Timed, own, error: Option<&str>| {
        let mut span = json!({
            "traceId": trace,
            "spanId": id,
            "name": name,
            "kind": kind,
            "startTimeUnixNano": nanoseconds(timed.at, Duration::ZERO),
            "endTimeUnixNano": nanoseconds(timed.at, timed.took),
            "attributes": attributes(own),
        });
        if id != root {
            span["parentSpanId"] = root.clone().into();
        }
        if let Some(error) = error {
            let mut said = json!({ "message": error });
            masked(&mut said);
            span["status"] = json!({ "code": FAILED, "message": said["message"] });
        }
        span
    };
    let mut all = vec![span(
        root.clone(),
        INTERNAL,
        "reconcile".into(),
        way.timed,
        own,
        way.error.as_deref(),
    )];
    for part in &way.parts {
        let (kind, name, own) = said(part);
        all.push(span(ids.hex(8), kind, name, part.timed, own, part.error.as_deref()));
    }
    all
}

/// A part's kind of span, its name and its attributes.
fn said(part: &Part) -> (u8, String, Value) {
    match &part.kind {
        PartKind::Inspect => (CLIENT, "inspect".into(), json!({ "server.address": "docker" })),
        PartKind::Stage { name, mode, changed, vetoed, remembered } => {
            let own = json!({
                "wharfinger.stage": name,
                "wharfinger.stage.mode": if *mode == Mode::Monitor { "monitor" } else { "enforce" },
                "wharfinger.stage.changed": changed,
                "wharfinger.stage.vetoed": vetoed,
                "wharfinger.stage.remembered": remembered,
            });
            (INTERNAL, format!("stage {}", text::shown_within(name, LONGEST)), own)
        }
        PartKind::Write { service, operation, answered } => {
            let name = match operation {
                Operation::Register => "register",
                Operation::Deregister => "deregister",
                Operation::Maintenance => "maintenance",
            };
            let answer = match answered {
                Answered::Ok => "ok",
                Answered::Refused => "refused",
                Answered::Lost => "lost",
            };
            let own =
                json!({ "wharfinger.service.id": service, "wharfinger.write.answer": answer });
            (CLIENT, name.into(), own)
        }
    }
}

/// A table as OTLP writes attributes, without secrets.
fn attributes(mut table: Value) -> Value {
    masked(&mut table);
    let Value::Object(table) = table else { return json!([]) };
    let value = |value: Value| match value {
        Value::Bool(value) => json!({ "boolValue": value }),
        // A number of 64 bits is a text in the JSON of protocol buffers.
        Value::Number(value) => json!({ "intValue": value.to_string() }),
        Value::String(value) => json!({ "stringValue": value }),
        other => json!({ "stringValue": other.to_string() }),
    };
    table.into_iter().map(|(key, one)| json!({ "key": key, "value": value(one) })).collect()
}

fn masked(table: &mut Value) {
    secrets::json(table);
    let fields: Option<&mut Map<String, Value>> = table.as_object_mut();
    for value in fields.into_iter().flat_map(Map::values_mut) {
        if let Value::String(text) = value {
            *text = text::shown_within(text, LONGEST).into_owned();
        }
    }
}

fn nanoseconds(at: SystemTime, after: Duration) -> String {
    let at = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    (at + after).as_nanos().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::container::ContainerId, reconcile::Subject};

    struct Counted(u64);

    impl Ids for Counted {
        fn hex(&mut self, bytes: usize) -> String {
            self.0 += 1;
            format!("{:0width$x}", self.0, width = 2 * bytes)
        }
    }

    #[test]
    fn a_way_is_a_tree_of_spans_without_secrets() {
        let at = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let timed = |millis| Timed { at, took: Duration::from_millis(millis) };
        let part = |kind, error: Option<&str>| Part {
            kind,
            timed: timed(5),
            error: error.map(String::from),
        };
        let way = Way {
            pipeline: "p".into(),
            container: Subject {
                id: ContainerId("c".repeat(64).into()),
                name: "web\u{202e}\n".into(),
                image: "i".repeat(2 * LONGEST),
            },
            timed: timed(20),
            heard: true,
            outcome: "registered".into(),
            error: None,
            services: 1,
            parts: vec![
                part(PartKind::Inspect, None),
                part(
                    PartKind::Write {
                        service: "h:web:80".into(),
                        operation: Operation::Register,
                        answered: Answered::Lost,
                    },
                    Some("cannot ask http://u:hunter2@192.0.2.1/: it does not answer"),
                ),
            ],
        };
        let body = request("h", &[Box::new(way)], &mut Counted(0));
        let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().expect("spans");
        assert_eq!(spans.len(), 3);
        assert_eq!(spans[0]["traceId"].as_str().map(str::len), Some(32));
        assert!(spans[0].get("parentSpanId").is_none() && spans[0].get("status").is_none());
        for child in &spans[1..] {
            assert_eq!(child["parentSpanId"], spans[0]["spanId"]);
            assert_eq!(child["traceId"], spans[0]["traceId"]);
        }
        assert_eq!(spans[0]["startTimeUnixNano"], "1700000000000000000");
        assert_eq!(spans[0]["endTimeUnixNano"], "1700000000020000000");
        assert_eq!(spans[2]["status"]["code"], FAILED);
        let text = body.to_string();
        assert!(!text.contains("hunter2") && !text.contains('\u{202e}'), "{text}");
        assert!(!text.contains(&"i".repeat(LONGEST + 1)), "{text}");
        assert!(
            text.contains(r#"{"key":"wharfinger.services","value":{"intValue":"1"}}"#),
            "{text}"
        );
    }
}
