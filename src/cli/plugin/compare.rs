//! What differs between an expected and a found value, place by place. Lists of
//! services are compared by the services' IDs and not by their places.

use std::{collections::BTreeSet, fmt};

use serde_json::{Map, Value, json};

use super::render;

/// Something that is not as expected.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Difference {
    /// Where, such as `services["host:web:80"].Name`.
    pub(super) path: String,
    /// None where nothing is expected.
    pub(super) expected: Option<Value>,
    /// None where there is nothing.
    pub(super) found: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value: &Option<Value>| match value {
            Some(value) => render::short(value),
            None => "nothing".into(),
        };
        writeln!(f, "{}", self.path)?;
        writeln!(f, "  expected  {}", value(&self.expected))?;
        write!(f, "  found     {}", value(&self.found))
    }
}

impl Difference {
    /// For a program.
    pub(super) fn json(&self) -> Value {
        json!({ "path": self.path, "expected": self.expected, "found": self.found })
    }
}

/// What differs, in the order of what is expected.
pub(super) fn differences(expected: &Value, found: &Value) -> Vec<Difference> {
    let mut all = Vec::new();
    compare("", Some(expected), Some(found), &mut all);
    all
}

fn compare(path: &str, expected: Option<&Value>, found: Option<&Value>, all: &mut Vec<Difference>) {
    if expected == found {
        return;
    }
    match (expected, found) {
        (Some(Value::Object(expected)), Some(Value::Object(found))) => {
            let named = |key: &str| match path {
                "" => key.to_string(),
                _ => format!("{path}.{key}"),
            };
            compare_all(expected, found, named, all);
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => match (by_key(a), by_key(b)) {
            (Some(a), Some(b)) => {
                let before = all.len();
                compare_all(&a, &b, |key| format!("{path}[{key:?}]"), all);
                if all.len() == before {
                    // The same entries in another order.
                    all.push(difference(path, expected, found));
                }
            }
            _ => all.push(difference(path, expected, found)),
        },
        _ => all.push(difference(path, expected, found)),
    }
}

fn difference(path: &str, expected: Option<&Value>, found: Option<&Value>) -> Difference {
    Difference { path: path.into(), expected: expected.cloned(), found: found.cloned() }
}

fn compare_all(
    expected: &Map<String, Value>,
    found: &Map<String, Value>,
    path: impl Fn(&str) -> String,
    all: &mut Vec<Difference>,
) {
    let mut seen = BTreeSet::new();
    for key in expected.keys().chain(found.keys()) {
        if seen.insert(key) {
            compare(&path(key), expected.get(key), found.get(key), all);
        }
    }
}

/// The entries of a list by what identifies them, if something does.
fn by_key(list: &[Value]) -> Option<Map<String, Value>> {
    let mut entries = Map::new();
    for entry in list {
        let key = ["ID", "service"].iter().find_map(|key| entry.get(key)?.as_str())?;
        if entries.insert(key.to_string(), entry.clone()).is_some() {
            return None;
        }
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expected: Value, found: Value, differing: &[&str]) {
        let all = differences(&expected, &found);
        let texts: Vec<_> = all.iter().map(|one| one.to_string().replace('\n', " ")).collect();
        assert_eq!(texts, differing, "{expected} {found}");
    }

    #[test]
    fn services_are_compared_by_their_ids_and_fields() {
        let service = |id: &str, name: &str| json!({ "ID": id, "Name": name, "Tags": ["a"] });
        let of = |services: &[Value]| json!({ "services": services, "vetoes": [] });
        check(of(&[service("a", "x")]), of(&[service("a", "x")]), &[]);
        check(
            of(&[service("a", "x"), service("b", "y")]),
            of(&[service("b", "z"), service("c", "w")]),
            &[
                r#"services["a"]   expected  {ID: "a", Name: "x", Tags: ["a"]}   found     nothing"#,
                r#"services["b"].Name   expected  "y"   found     "z""#,
                r#"services["c"]   expected  nothing   found     {ID: "c", Name: "w", Tags: ["a"]}"#,
            ],
        );
    }

    #[test]
    fn vetoes_are_compared_by_their_services() {
        let veto = |reason: &str| json!({ "vetoes": [{ "service": "a", "reason": reason }] });
        check(veto("x"), veto("y"), &[r#"vetoes["a"].reason   expected  "x"   found     "y""#]);
    }

    #[test]
    fn lists_of_texts_are_compared_as_a_whole() {
        check(
            json!({ "messages": ["warn: a"] }),
            json!({ "messages": ["warn: b", "warn: c"] }),
            &[r#"messages   expected  ["warn: a"]   found     ["warn: b", "warn: c"]"#],
        );
        check(
            json!({ "services": [] }),
            json!({ "services": [], "error": "x" }),
            &[r#"error   expected  nothing   found     "x""#],
        );
    }

    #[test]
    fn another_order_of_the_same_entries_is_a_difference() {
        let (a, b) = (json!([{ "ID": "a" }, { "ID": "b" }]), json!([{ "ID": "b" }, { "ID": "a" }]));
        assert_eq!(differences(&a, &b).len(), 1);
    }
}
