//! The fields of a service, and what differs in them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Text, Tone, Tree, check};
use crate::{
    json,
    model::service::{Check, Field, FieldValue, NamedPort, Service, Weights},
    pipeline::FieldChange,
    secrets,
};

/// A part of a field that differs, for people: what stood there and what stands
/// there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The field, or `meta.<key>` and the like.
    pub key: String,
    /// None if there was nothing.
    pub from: Option<String>,
    /// None if there is nothing any more.
    pub to: Option<String>,
}

/// The parts of a change: metadata and the like key by key.
pub fn flatten(change: &FieldChange) -> Vec<Part> {
    let FieldChange { field, from, to } = change;
    if *field == "checks" {
        return vec![Part { key: "checks".into(), from: checks(from), to: checks(to) }];
    }
    let (Value::Object(old), Value::Object(new)) = (from, to) else {
        return vec![Part { key: field.to_string(), from: shown(from), to: shown(to) }];
    };
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let parts = keys.into_iter().filter(|key| old.get(*key) != new.get(*key));
    let safe = |key: &String, value: &Value| {
        secrets::value(key, &shown(value).unwrap_or_default()).into_owned()
    };
    let part = |key: &String| Part {
        key: format!("{field}.{key}"),
        from: old.get(key).map(|value| safe(key, value)),
        to: new.get(key).map(|value| safe(key, value)),
    };
    parts.map(part).collect()
}

/// A value for people; none for nothing.
fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => Some("\"\"".into()),
        Value::String(text) => Some(text.clone()),
        Value::Array(list) if list.is_empty() => None,
        Value::Array(list) => {
            let items: Vec<_> = list.iter().map(|item| shown(item).unwrap_or_default()).collect();
            Some(format!("[{}]", items.join(", ")))
        }
        Value::Object(map) if map.is_empty() => None,
        other => Some(other.to_string()),
    }
}

fn checks(value: &Value) -> Option<String> {
    match json::from_value::<Vec<Check>>(value) {
        Ok(all) if all.is_empty() => None,
        Ok(all) => Some(all.iter().map(check::check).collect::<Vec<_>>().join("; ")),
        Err(_) => shown(value),
    }
}

/// A line for each part that differs. `by` says of a part which stage made it so,
/// if that is to be said.
pub fn fields(changes: &[FieldChange], by: impl Fn(&str) -> Option<String>) -> Vec<Tree> {
    lines(&changes.iter().flat_map(flatten).collect::<Vec<_>>(), by)
}

/// A line for each of these parts.
pub fn lines(parts: &[Part], by: impl Fn(&str) -> Option<String>) -> Vec<Tree> {
    let width = parts.iter().map(|part| part.key.chars().count()).max().unwrap_or(0);
    let line = |part: &Part| {
        let text = Text::of(Tone::Plain, format!("{:width$}  ", part.key));
        let text = match (&part.from, &part.to) {
            (None, Some(to)) => text.and(Tone::Added, to),
            (Some(from), None) => text.and(Tone::Removed, format!("{from} → nothing")),
            (from, to) => text
                .and(Tone::Removed, from.as_deref().unwrap_or("nothing"))
                .and(Tone::Faint, " → ")
                .and(Tone::Added, to.as_deref().unwrap_or("nothing")),
        };
        Tree::new(signed(text, by(&part.key)))
    };
    parts.iter().map(line).collect()
}

/// A line for each field of a service that has a value.
pub fn fields_of(service: &Service, by: impl Fn(&str) -> Option<String>) -> Vec<Tree> {
    let rows: Vec<_> = service
        .fields()
        .into_iter()
        .flat_map(|(field, value)| rows(service, field, value))
        .collect();
    let width = rows.iter().map(|(key, _)| key.chars().count()).max().unwrap_or(0);
    let line = |(key, value): (String, String)| {
        let text = Text::of(Tone::Plain, format!("{key:width$}  {value}"));
        Tree::new(signed(text, by(&key)))
    };
    rows.into_iter().map(line).collect()
}

/// The lines of a field, each by its key.
fn rows(service: &Service, field: Field, value: FieldValue<'_>) -> Vec<(String, String)> {
    let name = field.name();
    let row = |value: String| vec![(name.to_string(), value)];
    match (field, value) {
        // Its head names the service, and notes from stage to stage are not registered.
        (Field::Id | Field::Protocol | Field::Attributes, _) => Vec::new(),
        // The port stands behind the address.
        (Field::Port, _) => Vec::new(),
        (Field::Address, _) => row(at(service)),
        (_, FieldValue::Text("")) if field == Field::Kind => Vec::new(),
        (_, FieldValue::Text(text)) => row(text.to_string()),
        (_, FieldValue::Port(port)) => row(port.to_string()),
        (_, FieldValue::Protocol(protocol)) => row(format!("{protocol:?}").to_lowercase()),
        (_, FieldValue::List([])) => Vec::new(),
        (_, FieldValue::List(list)) => row(format!("[{}]", list.join(", "))),
        (_, FieldValue::Pairs(pairs)) => {
            let own = pairs.iter().filter(|(key, _)| !key.starts_with("wharfinger-"));
            let shown = |(key, value): (&String, &String)| {
                (format!("{name}.{key}"), secrets::value(key, value).into_owned())
            };
            own.map(shown).collect()
        }
        (_, FieldValue::Checks(checks)) => {
            checks.iter().map(|one| (name.to_string(), check::check(one))).collect()
        }
        (_, FieldValue::Weights(None) | FieldValue::Flag(false)) => Vec::new(),
        (_, FieldValue::Weights(Some(Weights { passing, warning }))) => {
            row(format!("{passing} passing, {warning} warning"))
        }
        (_, FieldValue::Flag(true)) => row("true".into()),
        (_, FieldValue::Ports(ports)) => {
            let line = |NamedPort { name: port, port: number, default }: &NamedPort| {
                let end = if *default { ", the default" } else { "" };
                (format!("{name}.{port}"), format!("{number}{end}"))
            };
            ports.iter().map(line).collect()
        }
        (_, FieldValue::Maybe(text)) => {
            text.map(|text| (name.into(), text.into())).into_iter().collect()
        }
        (_, FieldValue::Locality(None) | FieldValue::Proxy(None)) => Vec::new(),
        (_, FieldValue::Locality(Some(place))) => row(match &place.zone {
            Some(zone) => format!("{}, zone {zone}", place.region),
            None => place.region.clone(),
        }),
        (_, FieldValue::Proxy(Some(proxy))) => {
            let mut all = serde_json::to_value(proxy).unwrap_or_default();
            secrets::json(&mut all);
            row(all.to_string())
        }
        (_, FieldValue::Addresses(all)) => {
            let line = |(tag, (address, port)): (&String, &(String, u16))| {
                (format!("{name}.{tag}"), format!("{address}, port {port}"))
            };
            all.iter().map(line).collect()
        }
    }
}

fn at(service: &Service) -> String {
    match service.port {
        0 => service.address.clone(),
        port if service.address.contains(':') => format!("[{}]:{port}", service.address),
        port if service.address.is_empty() => format!("the node's address, port {port}"),
        port => format!("{}:{port}", service.address),
    }
}

fn signed(text: Text, stage: Option<String>) -> Text {
    match stage {
        Some(stage) => text.and(Tone::Faint, format!("  by {stage}")),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(field: &'static str, from: Value, to: Value, expected: &[(&str, &str, &str)]) {
        let change = FieldChange { field: field.into(), from, to };
        let parts = flatten(&change)
            .into_iter()
            .map(|part| (part.key, part.from.unwrap_or("-".into()), part.to.unwrap_or("-".into())));
        let expected =
            expected.iter().map(|(a, b, c)| (a.to_string(), b.to_string(), c.to_string()));
        assert_eq!(parts.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }

    #[test]
    fn a_change_is_shown_part_by_part() {
        check("name", json!("a"), json!("b"), &[("name", "a", "b")]);
        check("tags", json!([]), json!(["x", "y"]), &[("tags", "-", "[x, y]")]);
        check(
            "meta",
            json!({ "a": "1", "b": "2", "c": "3" }),
            json!({ "a": "1", "b": "", "d": "4" }),
            &[("meta.b", "2", "\"\""), ("meta.c", "3", "-"), ("meta.d", "-", "4")],
        );
    }
}
