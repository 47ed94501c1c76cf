//! Ports in settings: numbers and ranges, `[80, "8000-8999"]`.

use std::{borrow::Cow, fmt, ops::RangeInclusive};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// One port, or all from one to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports(RangeInclusive<u16>);

impl Ports {
    /// Read a number, or two with a hyphen between them.
    ///
    /// # Errors
    ///
    /// It is neither, or the second number is the smaller one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |text: &str| text.trim().parse::<u16>();
        match (number(first), number(last)) {
            (Ok(first), Ok(last)) if first <= last => Ok(Self(first..=last)),
            _ => Err(format!("{text:?} is neither a port nor a range such as 8000-8999")),
        }
    }

    /// Whether the port is one of them.
    pub fn contains(&self, port: u16) -> bool {
        self.0.contains(&port)
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.0.start(), self.0.end());
        if first == last { write!(f, "{first}") } else { write!(f, "{first}-{last}") }
    }
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl de::Visitor<'_> for Reader {
            type Value = Ports;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port, or a range such as \"8000-8999\"")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Ports, E> {
                Ports::parse(&number.to_string()).map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Ports, E> {
                Ports::parse(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

impl Serialize for Ports {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Ports {
    fn schema_name() -> Cow<'static, str> {
        "Ports".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "integer", "minimum": 0, "maximum": 65535 },
                { "type": "string", "pattern": "^[0-9]+(-[0-9]+)?$" },
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_numbers_and_ranges() {
        let list: Vec<Ports> =
            serde_json::from_str(r#"[80, "443", "8000-8999"]"#).expect("ports and a range");
        let any = |port| list.iter().any(|ports| ports.contains(port));
        assert!(any(80) && any(443) && any(8000) && any(8999));
        assert!(!any(81) && !any(7999) && !any(9000));
        assert_eq!(
            list.iter().map(Ports::to_string).collect::<Vec<_>>(),
            ["80", "443", "8000-8999"]
        );
        for wrong in [r#""""#, r#""9-8""#, r#""a""#, "65536", "-1", r#""1-""#, "1.5"] {
            assert!(serde_json::from_str::<Ports>(wrong).is_err(), "{wrong}");
        }
    }
}
