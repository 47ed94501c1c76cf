//! The daemon's log. It goes to the standard error; what a command prints goes
//! to the standard output.
//!
//! Its invariants: an entry is one line, whatever containers, components and servers
//! have said. All values, messages among them, pass [`text::shown`] here, so that no
//! place that logs has to think of it. And an entry of the level INFO or above has a kind
//! ([`event`]) and fields, in which stands all that its sentence says.

pub mod event;
pub mod metrics;
pub mod otlp;
mod repeats;

use std::{
    fmt::{self, Debug},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Instant,
};

use serde_json::{Map, Value};
use tracing::{
    Event, Level, Metadata, Subscriber, error,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        self as log, FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime as _, SystemTime},
    },
    registry::LookupSpan,
};

use crate::{config::LogFormat, error::error_chain, text};
use repeats::{Key, Repeats};

/// Write the daemon's log in this form from now on. `WHARFINGER_LOG` says how much, such
/// as `debug` or `info,wharfinger::reconcile=debug`; without it, `level` does.
pub fn start(form: LogFormat, level: Level) {
    let log = log::fmt().with_env_filter(filter(level)).with_writer(std::io::stderr);
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let colour = terminal && std::env::var_os("NO_COLOR").is_none();
    let colour = colour && form == LogFormat::Text;
    log.with_ansi(colour).event_format(Lines::new(form.into())).init();
    say_panics();
}

/// Write what a command has to say beside its output as programs do, without a date:
/// `error: …`, `warning: …`, and what is none of both as it is.
pub fn start_for_command(level: Level) {
    let log = log::fmt().with_env_filter(filter(level)).with_writer(std::io::stderr);
    log.with_ansi(false).event_format(Lines::new(Form::Said)).init();
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
        let reason = words;
        error!(
            event = event::PANIC,
            place, reason, "a panic, which is a fault of this program: {words}"
        );
    }));
}

/// The form of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A line with time, level, the sentence, and the fields that it does not tell.
    Text,
    /// A JSON object.
    Json,
    /// A line as a program says it that somebody has started.
    Said,
}

impl From<LogFormat> for Form {
    fn from(form: LogFormat) -> Self {
        match form {
            LogFormat::Text => Self::Text,
            LogFormat::Json => Self::Json,
        }
    }
}

/// Writes entries, a line each, and those that repeat now and then.
struct Lines {
    form: Form,
    repeats: Repeats,
}

impl Lines {
    fn new(form: Form) -> Self {
        Self { form, repeats: Repeats::default() }
    }
}

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
        let mut entry = Entry::default();
        event.record(&mut entry);
        entry.name_library(event.metadata());
        let level = *event.metadata().level();
        if self.form != Form::Said {
            match entry.repeats(level, &self.repeats) {
                None => return Ok(()),
                Some(Some(count)) => entry.put("count", count.into(), count.to_string()),
                Some(None) => {}
            }
        }
        match self.form {
            Form::Json => entry.write_json(level, &mut writer)?,
            Form::Text => {
                write_head(level, &mut writer)?;
                entry.write_text(&mut writer)?;
            }
            Form::Said => {
                writer.write_str(match level {
                    Level::ERROR => "error: ",
                    Level::WARN => "warning: ",
                    Level::INFO => "",
                    _ => "debug: ",
                })?;
                entry.write_text(&mut writer)?;
            }
        }
        writeln!(writer)
    }
}

fn now() -> Result<String, fmt::Error> {
    let mut time = String::new();
    SystemTime.format_time(&mut Writer::new(&mut time))?;
    Ok(time)
}

fn write_head(level: Level, writer: &mut Writer<'_>) -> fmt::Result {
    let time = now()?;
    if !writer.has_ansi_escapes() {
        return write!(writer, "{time} {level:>5} ");
    }
    let colour = match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    };
    write!(writer, "\u{1b}[2m{time}\u{1b}[0m \u{1b}[{colour}m{level:>5}\u{1b}[0m ")
}

/// These are told each time: they answer somebody's act, or whoever tells them knows what
/// was told.
const ALWAYS: [&str; 8] = [
    event::POLICY_REFUSED,
    event::NOT_RELOADED,
    event::RESTART_NEEDED,
    event::STAGE_BROKEN,
    event::HELD,
    event::LABEL,
    event::MESSAGE,
    event::STAGE_FAILED,
];

/// These are lists of texts.
const LISTS: [&str; 3] = ["ids", "names", "tags"];
/// The fields that name an entry's subject.
const SUBJECT: [&str; 3] = ["container.id", "id", "stage"];
/// The fields that name neither its subject nor its reason.
const ASIDE: [&str; 4] = ["event", "container.name", "count", "attempt"];

/// An entry, taken apart.
#[derive(Default)]
struct Entry {
    message: String,
    /// Name, value, and the value as text.
    fields: Vec<(&'static str, Value, String)>,
}

impl Entry {
    fn put(&mut self, name: &'static str, value: Value, text: String) {
        self.fields.retain(|(other, ..)| *other != name);
        self.fields.push((name, value, text));
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(other, ..)| *other == name).map(|(_, value, _)| value)
    }

    /// Give a library's entry its event and the library's name.
    fn name_library(&mut self, metadata: &Metadata<'_>) {
        let own = metadata.target().starts_with("wharfinger");
        if own || *metadata.level() > Level::INFO || self.get("event").is_some() {
            return;
        }
        self.put("event", event::LIBRARY.into(), event::LIBRARY.into());
        let library = metadata.target().to_string();
        self.put("library", library.clone().into(), library);
    }

    /// Whether it is told now, as [`Repeats::note`] says. The warnings that it ends are over.
    fn repeats(&self, level: Level, repeats: &Repeats) -> Option<Option<u64>> {
        let Some(name) = self.get("event").and_then(Value::as_str) else { return Some(None) };
        let Some(kind) = event::find(name) else { return Some(None) };
        kind.ends.iter().for_each(|ended| repeats.end(self.about(ended)));
        if level > Level::WARN || ALWAYS.contains(&name) {
            return Some(None);
        }
        repeats.note(Key { about: self.about(name), reason: self.reason() }, Instant::now())
    }

    fn about(&self, event: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        event.hash(&mut hasher);
        for name in SUBJECT {
            self.get(name).and_then(Value::as_str).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Times, ports and counts make no other reason of it.
    fn reason(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let mut note = |text: &str| {
            text.split(|c: char| c.is_ascii_digit())
                .filter(|part| !part.is_empty())
                .for_each(|part| part.hash(&mut hasher));
        };
        note(&self.message);
        for (name, _, text) in &self.fields {
            if !SUBJECT.contains(name) && !ASIDE.contains(name) {
                note(name);
                note(text);
            }
        }
        hasher.finish()
    }

    fn write_json(&self, level: Level, writer: &mut Writer<'_>) -> fmt::Result {
        let mut object = Map::new();
        object.insert("timestamp".into(), now()?.into());
        object.insert("level".into(), level.to_string().into());
        let event = self.get("event").map(|event| ("event".to_string(), event.clone()));
        object.extend(event);
        if !self.message.is_empty() {
            object.insert("message".into(), text::shown(&self.message).into());
        }
        for (name, value, _) in self.fields.iter().filter(|(name, ..)| *name != "event") {
            let value = match value {
                Value::String(value) => text::shown(value).into(),
                Value::Array(list) => {
                    let texts = list.iter().filter_map(Value::as_str);
                    texts.map(|one| Value::from(text::shown(one))).collect()
                }
                value => value.clone(),
            };
            object.insert((*name).into(), value);
        }
        write!(writer, "{}", Value::Object(object))
    }

    /// The sentence, and `name=value` for what it does not tell.
    fn write_text(&self, writer: &mut Writer<'_>) -> fmt::Result {
        writer.write_str(&text::shown(&self.message))?;
        let mut first = self.message.is_empty();
        for (name, value, shown) in &self.fields {
            let short = value.as_str().and_then(|id| id.get(..12));
            let (told, shown) = match (*name, short) {
                ("event", _) => continue,
                ("container.id", Some(short)) => (self.tells(short), short),
                ("container.name" | "service", _) => (false, shown.as_str()),
                // Its name may be any word.
                ("stage", _) => {
                    let name = value.as_str().unwrap_or_default();
                    let told = [format!(" by {name}: "), format!("stage {name} ")];
                    (told.iter().any(|told| self.message.contains(told)), shown.as_str())
                }
                (_, _) => match value {
                    Value::String(value) => (self.tells(value), shown.as_str()),
                    value => (self.tells(&value.to_string()), shown.as_str()),
                },
            };
            if told {
                continue;
            }
            if !std::mem::take(&mut first) {
                writer.write_char(' ')?;
            }
            let shown = text::shown(shown);
            match writer.has_ansi_escapes() {
                true => {
                    write!(writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m{shown}")?;
                }
                false => write!(writer, "{name}={shown}")?,
            }
        }
        Ok(())
    }

    /// Whether the sentence has this value as a word of it, or as several.
    fn tells(&self, value: &str) -> bool {
        if value.contains(char::is_whitespace) {
            return self.message.contains(value);
        }
        let words = self.message.split_whitespace().map(|word| {
            // Of a version as people write it.
            word.strip_prefix('v').filter(|word| *word == value).unwrap_or(word)
        });
        let plain = |word: &str| {
            word == value
                || word.trim_matches(|c| matches!(c, ':' | ',' | ';' | '(' | ')')) == value
        };
        words.into_iter().any(plain)
    }
}

impl Visit for Entry {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.note(field, value.into(), value.to_string());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.note(field, value.into(), value.to_string());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.note(field, value.into(), value.to_string());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.note(field, value.into(), value.to_string());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.note(field, value.into(), format!("{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let value = error_chain(value);
        self.note(field, value.clone().into(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        // A list of plain texts looks alike in Rust and in JSON.
        let list =
            LISTS.contains(&field.name()).then(|| serde_json::from_slice(text.as_bytes()).ok());
        let value = list.flatten().filter(Value::is_array);
        self.note(field, value.unwrap_or_else(|| text.clone().into()), text);
    }
}

impl Entry {
    fn note(&mut self, field: &Field, value: Value, text: String) {
        // Those of the crate `log` say where in a library a line comes from.
        let name = field.name();
        if name.starts_with("log.") {
            return;
        }
        match name.strip_prefix("r#").unwrap_or(name) {
            "message" => self.message = value.as_str().map_or(text, String::from),
            name => self.fields.push((name, value, text)),
        }
    }
}

#[cfg(test)]
mod tests;
