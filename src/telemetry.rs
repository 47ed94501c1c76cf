//! The daemon's log. It goes to the standard error; what a command prints goes
//! to the standard output.
//!
//! Its invariant: an entry is one line, whatever containers, components and servers
//! have said. All values, messages among them, pass [`text::shown`] here, so that no
//! place that logs has to think of it.

use std::fmt::{self, Debug};

use serde_json::{Map, Value};
use tracing::{
    Event, Level, Subscriber, error,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter,
    field::RecordFields,
    fmt::{
        self as log, FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime as _, SystemTime},
    },
    registry::LookupSpan,
};

use crate::{config::LogFormat, error::error_chain, text};

/// Write the daemon's log in this form from now on. `WHARFINGER_LOG` says how much, such
/// as `debug` or `info,wharfinger::reconcile=debug`; without it, `level` does.
pub fn start(form: LogFormat, level: Level) {
    let log = log::fmt().with_env_filter(filter(level)).with_writer(std::io::stderr);
    let log = log.with_target(false);
    match form {
        LogFormat::Json => log.event_format(Lines).init(),
        LogFormat::Text => {
            let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
            let colour = terminal && std::env::var_os("NO_COLOR").is_none();
            log.with_ansi(colour).fmt_fields(Fields).init();
        }
    }
    say_panics();
}

/// Write what a command has to say beside its output as programs do, without a date:
/// `error: …`, `warning: …`, and what is none of both as it is.
pub fn start_for_command(level: Level) {
    let log = log::fmt().with_env_filter(filter(level)).with_writer(std::io::stderr);
    log.fmt_fields(Fields).with_ansi(false).event_format(Said).init();
    say_panics();
}

fn filter(level: Level) -> EnvFilter {
    let filter = EnvFilter::builder().with_env_var("WHARFINGER_LOG");
    filter.with_default_directive(level.into()).from_env_lossy()
}

fn say_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let words = panic.payload_as_str().unwrap_or("without words");
        error!(place, "a panic, which is a fault of this program: {words}");
    }));
}

/// Fields as text: the message, and `name=value` for the others.
struct Fields;

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut text = Text { writer, first: true, result: Ok(()) };
        fields.record(&mut text);
        text.result
    }
}

struct Text<'w> {
    writer: Writer<'w>,
    first: bool,
    result: fmt::Result,
}

impl Text<'_> {
    fn write(&mut self, name: &str, value: &str) -> fmt::Result {
        if !std::mem::take(&mut self.first) {
            self.writer.write_char(' ')?;
        }
        let value = text::shown(value);
        match (name, self.writer.has_ansi_escapes()) {
            ("message", _) => self.writer.write_str(&value),
            (name, true) => {
                write!(self.writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m{value}")
            }
            (name, false) => write!(self.writer, "{name}={value}"),
        }
    }
}

impl Visit for Text<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.record_debug(field, &format_args!("{value}")),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_debug(field, &format_args!("{}", error_chain(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if let Some(name) = name(field).filter(|_| self.result.is_ok()) {
            self.result = self.write(name, &format!("{value:?}"));
        }
    }
}

/// The name under which a field is logged. Those of the crate `log` say where in a
/// library a line comes from.
fn name(field: &Field) -> Option<&'static str> {
    let name = field.name();
    (!name.starts_with("log.")).then(|| name.strip_prefix("r#").unwrap_or(name))
}

/// A line as a program says it that somebody has started.
struct Said;

impl<S, N> FormatEvent<S, N> for Said
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        writer.write_str(match *event.metadata().level() {
            Level::ERROR => "error: ",
            Level::WARN => "warning: ",
            Level::INFO => "",
            _ => "debug: ",
        })?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// A JSON object on a line for each entry.
struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut object = Object(Map::new());
        object.0.insert("timestamp".into(), time.into());
        object.0.insert("level".into(), event.metadata().level().to_string().into());
        event.record(&mut object);
        writeln!(writer, "{}", Value::Object(object.0))
    }
}

struct Object(Map<String, Value>);

impl Object {
    fn insert(&mut self, field: &Field, value: impl Into<Value>) {
        if let Some(name) = name(field) {
            self.0.insert(name.into(), value.into());
        }
    }
}

impl Visit for Object {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, text::shown(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.insert(field, text::shown(&error_chain(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.insert(field, text::shown(&format!("{value:?}")));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing::{info, subscriber::with_default};

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
            let log = log::fmt().with_writer(move || writer.clone()).with_target(false);
            let log = log.with_ansi(colour).fmt_fields(Fields).finish();
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
        let log = log::fmt().with_writer(move || writer.clone()).event_format(Lines).finish();
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
        assert_eq!(
            (&all[1]["type"], &all[1]["error"]),
            (&expected.clone().into(), &expected.into())
        );
        assert!(all[2]["long"].as_str().is_some_and(|long| long.len() < 10_000));
        let keys: Vec<_> = all[1].as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["timestamp", "level", "message", "error", "type", "yes"]);
    }
}
