//! The schema as the types give it, and what is said in it of times and sizes.

use std::{borrow::Cow, time::Duration};

use bytesize::ByteSize;
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::config::Config;

/// A number of bytes: a number, or a text with a unit.
pub(in crate::config) struct Size;

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "x-unit": "size" })
    }
}

/// A value of a type that says by itself what it is measured in.
pub(in crate::config) struct Measured<T>(pub(in crate::config) T);

/// What is measured.
pub(in crate::config) trait Measure {
    fn schema(generator: &mut SchemaGenerator) -> Schema;
    fn value(&self) -> Value;
}

impl Measure for Duration {
    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "x-unit": "time" })
    }

    fn value(&self) -> Value {
        humantime::format_duration(*self).to_string().into()
    }
}

impl Measure for ByteSize {
    fn schema(generator: &mut SchemaGenerator) -> Schema {
        Size::json_schema(generator)
    }

    fn value(&self) -> Value {
        self.to_string().into()
    }
}

impl Measure for u32 {
    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0 })
    }

    fn value(&self) -> Value {
        (*self).into()
    }
}

impl Measure for usize {
    fn schema(generator: &mut SchemaGenerator) -> Schema {
        <u32 as Measure>::schema(generator)
    }

    fn value(&self) -> Value {
        (*self).into()
    }
}

impl<T: Measure> JsonSchema for Measured<T> {
    fn schema_name() -> Cow<'static, str> {
        std::any::type_name::<T>().into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::schema(generator)
    }
}

impl<T: Measure> Serialize for Measured<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.value().serialize(serializer)
    }
}

/// The schema that the types give.
pub(super) fn derived() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Config>().to_value();
    settle(&mut schema);
    let root = schema.as_object_mut().expect("the schema of a table");
    root.insert("title".into(), "The configuration of Wharfinger".into());
    // The flag's own spelling, which the key has as another name.
    let registrator = &mut root["properties"]["registrator"]["properties"];
    registrator["useIpFromLabel"] = registrator["use-ip-from-label"].clone();
    registrator["useIpFromLabel"]["description"] = "Another name of `use-ip-from-label`.".into();
    schema
}

/// TOML knows no null, and an editor no unit.
fn settle(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(settle);
            settle_object(fields);
        }
        Value::Array(all) => all.iter_mut().for_each(settle),
        _ => {}
    }
}

fn settle_object(fields: &mut Map<String, Value>) {
    for key in ["anyOf", "oneOf"] {
        let Some(Value::Array(all)) = fields.get_mut(key) else { continue };
        all.retain(|one| *one != json!({ "type": "null" }));
        if let [Value::Object(one)] = &all[..] {
            let one = one.clone();
            fields.remove(key);
            // What is said of the key goes before what is said of its type.
            for (key, value) in one {
                fields.entry(key).or_insert(value);
            }
        }
    }
    if let Some(Value::Array(types)) = fields.get_mut("type") {
        types.retain(|one| one != "null");
        if let [one] = &types[..] {
            let one = one.clone();
            fields.insert("type".into(), one);
        }
    }
    // A table's values have their own.
    let empty = |value: &Value| match value {
        Value::Array(all) => all.iter().any(Value::is_object),
        value => value.is_null() || value.is_object(),
    };
    if fields.get("default").is_some_and(empty) {
        fields.remove("default");
    }
    // The others are Rust's names of numbers.
    if fields.get("format").is_some_and(|name| name != "ipv4" && name != "ipv6") {
        fields.remove("format");
    }
    if let Some(Value::String(text)) = fields.get("description") {
        let text = text.split('\n').map(str::trim).collect::<Vec<_>>().join(" ");
        fields.insert("description".into(), text.trim().into());
    }
    let pattern = match fields.get("x-unit").and_then(Value::as_str) {
        Some("time" | "seconds" | "milliseconds") => TIME,
        Some("size") => SIZE,
        _ => return,
    };
    fields.insert("pattern".into(), pattern.into());
}

/// Such as `1m 30s`.
const TIME: &str = r"^\s*0\s*$|^(\s*[0-9]+\s*[A-Za-zµ]+)+\s*$";
/// Such as `64MiB`.
const SIZE: &str = r"^\s*[0-9.]+\s*([KkMmGgTtPpEe][Ii]?)?[Bb]?\s*$";
