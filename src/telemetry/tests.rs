use std::{
    io,
    sync::{Arc, Mutex},
};

use tracing::{info, subscriber::with_default, warn};

use super::*;

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("the sink").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("the sink").clone()).expect("a text")
    }
}

const FORGERY: &str = "a\n2026-01-01T00:00:00Z  INFO gone\u{85}\u{2028}\u{202e}\u{1b}[31m\r";

/// Everything that can be logged, by every way of logging it.
fn say() {
    let failure = io::Error::other(FORGERY);
    let by_type: &(dyn std::error::Error + 'static) = &failure;
    info!(text = FORGERY, shown = %FORGERY, debug = ?FORGERY, count = 7, "{FORGERY}");
    info!(error = by_type, r#type = %failure, yes = true, "a message");
    info!(long = %"x".repeat(5_000_000), "long");
}

#[test]
fn an_entry_is_one_line_of_text() {
    for colour in [false, true] {
        let sink = Sink::default();
        let writer = sink.clone();
        let log = log::fmt().with_writer(move || writer.clone()).with_ansi(colour);
        let log = log.event_format(Lines::new(Form::Text)).finish();
        with_default(log, say);
        let text = sink.text();
        let lines: Vec<&str> = text.split('\n').collect();
        assert_eq!(lines.len(), 4, "{}", text.escape_debug());
        assert_eq!(lines[3], "");
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert!(!plain.replace('\n', "").contains(char::is_control), "{plain:.300}");
        assert!(!text.contains(['\u{2028}', '\u{202e}', '\u{85}']));
        assert!(plain.contains(" count=7") && plain.contains(" type=a\\n2026"), "{plain:.900}");
        assert!(plain.contains(" error=a\\n2026") && plain.contains(" yes=true"));
        assert!(text.len() < 20_000 && text.contains("… (5000000 bytes)"), "{}", text.len());
    }
}

#[test]
fn an_entry_is_one_line_of_json() {
    let sink = Sink::default();
    let writer = sink.clone();
    let log = log::fmt().with_writer(move || writer.clone());
    let log = log.event_format(Lines::new(Form::Json)).finish();
    with_default(log, say);
    let text = sink.text();
    let all: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(all.len(), 3, "{}", text.escape_debug());
    assert!(!text.replace('\n', "").contains(char::is_control));
    assert!(!text.contains(['\u{2028}', '\u{202e}', '\u{85}']));
    let expected = text::shown(FORGERY).into_owned();
    assert_eq!(
        (&all[0]["message"], &all[0]["text"]),
        (&expected.clone().into(), &expected.clone().into())
    );
    assert_eq!((&all[0]["count"], &all[1]["yes"]), (&7.into(), &true.into()));
    assert_eq!((&all[1]["type"], &all[1]["error"]), (&expected.clone().into(), &expected.into()));
    assert!(all[2]["long"].as_str().is_some_and(|long| long.len() < 10_000));
    let keys: Vec<_> = all[1].as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["timestamp", "level", "message", "error", "type", "yes"]);
}

/// The lines of the log, in this form, for all that is said.
fn written(form: Form, say: impl FnOnce()) -> Vec<String> {
    let sink = Sink::default();
    let writer = sink.clone();
    let log = log::fmt().with_writer(move || writer.clone()).with_ansi(false);
    with_default(log.event_format(Lines::new(form)).finish(), say);
    sink.text().lines().map(String::from).collect()
}

#[test]
fn a_sentence_is_followed_by_what_it_does_not_tell() {
    let id = "5d4d7e5e12abcdef5d4d7e5e12abcdef5d4d7e5e12abcdef5d4d7e5e12abcdef";
    let say = || {
        let (short, service, none) = (&id[..12], "h:web:80", None::<&str>);
        info!(
            event = event::REGISTERED,
            reason = "added",
            container.id = id,
            container.name = "web",
            service = "shop",
            id = service,
            old = none,
            "added: {short} {service}"
        );
        info!(event = event::SYNCING, count = 7, "Syncing services on 7 containers");
        warn!(event = event::LABEL, container.id = id, container.name = "a b", "it is wrong");
        let ids = ["h:a:80".to_string(), "x\u{202e}".into()];
        let plain = &ids[..1];
        info!(event = event::HELD, ids = ?plain, "held");
        info!(event = event::HELD, ids = ?ids, "held");
        tracing::warn!(target: "h2::proto", stream = 3, "reset");
    };
    let text: Vec<_> = written(Form::Text, say)
        .into_iter()
        .map(|line| line.split_once("Z ").expect("a time").1.trim_start().to_string())
        .collect();
    assert_eq!(
        text,
        [
            "INFO added: 5d4d7e5e12ab h:web:80 container.name=\"web\" service=\"shop\"",
            "INFO Syncing services on 7 containers",
            "WARN it is wrong container.id=5d4d7e5e12ab container.name=\"a b\"",
            "INFO held ids=[\"h:a:80\"]",
            "INFO held ids=[\"h:a:80\", \"x\\u{202e}\"]",
            "WARN reset stream=3 library=h2::proto",
        ]
    );
    let all: Vec<Value> = written(Form::Json, say)
        .iter()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let events: Vec<_> = all.iter().map(|entry| entry["event"].as_str().expect("one")).collect();
    assert_eq!(events, ["registered", "syncing", "label", "held", "held", "library"]);
    assert_eq!((&all[0]["container.id"], &all[0]["id"]), (&id.into(), &"h:web:80".into()));
    assert_eq!(
        (all[0].get("old"), &all[0]["message"]),
        (None, &"added: 5d4d7e5e12ab h:web:80".into())
    );
    assert_eq!(all[1]["count"], 7);
    assert_eq!(all[3]["ids"], serde_json::json!(["h:a:80"]));
    assert!(all[4]["ids"].is_string(), "it is not plain");
    let said = written(Form::Said, say);
    assert_eq!(said[2], "warning: it is wrong container.id=5d4d7e5e12ab container.name=\"a b\"");
}

#[test]
fn what_repeats_is_told_once_until_its_reason_changes_or_it_is_over() {
    let fails = |id: &str, reason: &str| {
        warn!(event = event::CONTAINER_FAILING, container.id = id, reason, "cannot");
    };
    let lines = written(Form::Json, || {
        for port in 40_000..40_050 {
            fails("a", &format!("127.0.0.1:{port} does not answer after {}ms", port % 7));
            fails("b", "refused");
        }
        fails("a", "refused");
        fails("a", "refused");
        info!(event = event::CONTAINER_RECOVERED, container.id = "a", count = 52, "again");
        fails("a", "refused");
        fails("b", "refused");
        // These answer somebody, or are told by who knows what was told.
        for _ in 0..2 {
            error!(event = event::NOT_RELOADED, file = "w.toml", reason = "x", "not reloaded");
        }
    });
    let told: Vec<(String, String)> = lines
        .iter()
        .map(|line| {
            let entry: Value = serde_json::from_str(line).expect("JSON");
            let text = |key: &str| entry[key].as_str().unwrap_or_default().to_string();
            (text("container.id") + &text("file"), text("reason"))
        })
        .collect();
    let told: Vec<_> = told.iter().map(|(who, why)| (who.as_str(), why.as_str())).collect();
    assert_eq!(
        told,
        [
            ("a", "127.0.0.1:40000 does not answer after 2ms"),
            ("b", "refused"),
            ("a", "refused"),
            ("a", ""),
            ("a", "refused"),
            ("w.toml", "x"),
            ("w.toml", "x"),
        ]
    );
}
