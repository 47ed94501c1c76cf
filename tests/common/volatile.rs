//! What differs between two runs of the same: identifiers, the addresses of
//! containers, and ports that Docker picks. Each is replaced by a name that says
//! whose it is, on both sides of a comparison.

use serde_json::Value;

/// Docker picks ports from here on.
const PICKED: u64 = 32_768;

/// Texts and what stands for them.
#[derive(Debug, Clone, Default)]
pub struct Volatile {
    names: Vec<(String, String)>,
}

impl Volatile {
    /// From now on, `name` stands for a text.
    pub fn add(&mut self, text: &str, name: String) {
        if text.is_empty() || self.names.iter().any(|(known, _)| known == text) {
            return;
        }
        self.names.push((text.into(), name));
        // An identifier begins with its short form.
        self.names.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
    }

    /// An image's or a container's identifier, long and short.
    pub fn identifier(&mut self, identifier: &str, of: &str) {
        let hex = identifier.strip_prefix("sha256:").unwrap_or(identifier);
        self.add(hex, format!("<id of {of}>"));
        if let Some(short) = hex.get(..12) {
            self.add(short, format!("<short id of {of}>"));
        }
    }

    /// What is volatile of a container, by what `docker inspect` prints.
    pub fn container(&mut self, name: &str, inspected: &Value) {
        if let Some(id) = inspected["Id"].as_str() {
            self.identifier(id, name);
        }
        let settings = &inspected["NetworkSettings"];
        for (network, endpoint) in settings["Networks"].as_object().into_iter().flatten() {
            let address = endpoint["IPAddress"].as_str().unwrap_or_default();
            self.add(address, format!("<address of {name} in {network}>"));
        }
        for (port, bindings) in settings["Ports"].as_object().into_iter().flatten() {
            for binding in bindings.as_array().into_iter().flatten() {
                let at = binding["HostPort"].as_str().unwrap_or_default();
                if at.parse().is_ok_and(|at: u64| at >= PICKED) {
                    self.add(at, format!("<port of {name} {port}>"));
                }
            }
        }
    }

    /// The value with names in the place of what is volatile.
    pub fn replace(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::from(self.replace_in(text)),
            Value::Array(list) => list.iter().map(|value| self.replace(value)).collect(),
            Value::Object(map) => {
                let entry =
                    |(key, value): (&String, _)| (self.replace_in(key), self.replace(value));
                map.iter().map(entry).collect()
            }
            Value::Number(number) => {
                let text = number.to_string();
                let name = self.names.iter().find(|(volatile, _)| *volatile == text);
                name.map_or_else(|| value.clone(), |(_, name)| Value::from(name.as_str()))
            }
            other => other.clone(),
        }
    }

    fn replace_in(&self, text: &str) -> String {
        let mut text = text.to_string();
        for (volatile, name) in &self.names {
            text = replace_word(&text, volatile, name);
        }
        text
    }
}

/// Replaces `word` where no letter or digit stands beside it.
fn replace_word(text: &str, word: &str, by: &str) -> String {
    let (mut replaced, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(word) {
        let (before, after) = (&rest[..at], &rest[at + word.len()..]);
        let inside = |c: char| c.is_ascii_alphanumeric();
        let alone = !before.ends_with(inside) && !after.starts_with(inside);
        replaced.push_str(before);
        replaced.push_str(if alone { by } else { word });
        rest = after;
    }
    replaced + rest
}
