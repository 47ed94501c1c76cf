//! Figures and changes as people read them.

use std::{fmt::Write as _, time::Duration};

use bytesize::ByteSize;
use serde_json::Value;

use crate::{
    pipeline::{Change, Message},
    secrets, text,
};

/// A size, in bytes if it is small.
pub(super) fn size(bytes: u64) -> String {
    ByteSize(bytes).to_string()
}

/// A time with three digits.
pub(super) fn time(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    match micros {
        ..1_000.0 => format!("{micros:.0} µs"),
        ..1_000_000.0 => format!("{} ms", three_digits(micros / 1e3)),
        _ => format!("{} s", three_digits(micros / 1e6)),
    }
}

fn three_digits(value: f64) -> String {
    let decimals = match value {
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// A part of a whole in percent.
pub(super) fn share(part: f64) -> String {
    match part {
        ..0.001 => "under 0.1 %".into(),
        ..0.1 => format!("{:.1} %", part * 100.0),
        _ => format!("{:.0} %", part * 100.0),
    }
}

/// Keys and values in two columns.
pub(super) fn table(indent: &str, rows: &[(impl AsRef<str>, String)]) -> String {
    let rows: Vec<_> =
        rows.iter().map(|(key, value)| (text::shown(key.as_ref()), text::shown(value))).collect();
    let width = rows.iter().map(|(key, _)| key.chars().count()).max().unwrap_or_default();
    rows.iter().fold(String::new(), |mut text, (key, value)| {
        let _ = writeln!(text, "{}", format!("{indent}{key:width$}  {value}").trim_end());
        text
    })
}

/// The same text further to the right.
pub(super) fn indented(indent: &str, text: &str) -> String {
    text.lines().map(|line| format!("{indent}{line}\n")).collect()
}

/// A message as `warn: text`.
pub(super) fn message(message: &Message) -> String {
    let level = format!("{:?}", message.level).to_lowercase();
    format!("{level}: {}", text::shown(&message.text))
}

/// What became of one service, a line for each field.
pub(super) fn change(change: &Change) -> String {
    match change {
        Change::Changed(fields) => {
            let rows: Vec<_> = fields
                .iter()
                .map(|field| {
                    (&*field.field, format!("{} -> {}", short(&field.from), short(&field.to)))
                })
                .collect();
            table("    ", &rows)
        }
        Change::Vetoed(reason) => format!("    vetoed: {}\n", text::shown(reason)),
        Change::Added => "    added\n".into(),
    }
}

/// A value on one line, without what it has none of.
pub(super) fn short(value: &Value) -> String {
    let mut value = value.clone();
    secrets::json(&mut value);
    brief(&value)
}

fn brief(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| {
                (!is_nothing(value)).then(|| format!("{key}: {}", brief(value)))
            };
            format!("{{{}}}", fields.iter().filter_map(field).collect::<Vec<_>>().join(", "))
        }
        Value::Array(values) => {
            format!("[{}]", values.iter().map(brief).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pipeline::{FieldChange, Level};

    #[test]
    fn times_and_shares_have_three_digits_at_most() {
        for (micros, expected) in [
            (0, "0 µs"),
            (999, "999 µs"),
            (1_234, "1.23 ms"),
            (56_789, "56.8 ms"),
            (123_456, "123 ms"),
            (12_300_000, "12.3 s"),
        ] {
            assert_eq!(time(Duration::from_micros(micros)), expected);
        }
        for (part, expected) in
            [(0.0001, "under 0.1 %"), (0.0123, "1.2 %"), (0.5, "50 %"), (2.0, "200 %")]
        {
            assert_eq!(share(part), expected);
        }
    }

    #[test]
    fn a_message_has_its_level_first() {
        let text = "Warn: not a level".to_string();
        assert_eq!(message(&Message { level: Level::Warn, text }), "warn: Warn: not a level");
    }

    #[test]
    fn a_change_is_a_line_for_each_field() {
        let field = |field: &'static str, from, to| FieldChange { field: field.into(), from, to };
        let changed = Change::Changed(vec![
            field("name", json!("web"), json!("shop-web")),
            field("checks", json!([]), json!([{ "id": null, "kind": { "ttl": { "ttl": "9s" } } }])),
        ]);
        assert_eq!(
            change(&changed),
            "    name    \"web\" -> \"shop-web\"\n    \
             checks  [] -> [{kind: {ttl: {ttl: \"9s\"}}}]\n"
        );
        assert_eq!(change(&Change::Vetoed("no owner".into())), "    vetoed: no owner\n");
    }
}
