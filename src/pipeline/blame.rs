//! The stages that made the parts of a service: read from the trace of an outcome.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Change, FieldChange, Outcome};

/// The stages by the parts of a service that they made: a field's name, or
/// `meta.<key>`. A part that no stage touched is the candidate's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blame {
    parts: BTreeMap<String, String>,
    /// The stage that added the service.
    added: Option<String>,
}

impl Blame {
    /// The stage that a part is due to.
    pub fn of(&self, part: &str) -> Option<&str> {
        self.parts.get(part).or(self.added.as_ref()).map(String::as_str)
    }

    fn note(&mut self, stage: &str, change: &FieldChange) {
        let mut note = |part: String| self.parts.insert(part, stage.to_string());
        note(change.field.to_string());
        if let (Value::Object(from), Value::Object(to)) = (&change.from, &change.to) {
            for key in to.keys().filter(|key| from.get(*key) != to.get(*key)) {
                note(format!("{}.{key}", change.field));
            }
        }
    }
}

impl Outcome {
    /// The stages that made the parts of each service, by the services' final IDs.
    /// Of several with one ID, the last one's counts.
    pub fn blame(&self) -> BTreeMap<String, Blame> {
        let mut all: BTreeMap<String, Blame> =
            self.candidates.iter().map(|one| (one.id.clone(), Blame::default())).collect();
        for trace in &self.trace {
            // IDs may be swapped in one stage, so that none is looked up that this
            // very stage has given.
            let mut renamed = Vec::new();
            for (id, change) in &trace.changes {
                match change {
                    Change::Vetoed(_) => drop(all.remove(id)),
                    Change::Added => {
                        let added = Some(trace.stage.clone());
                        renamed.push((id.clone(), Blame { added, ..Blame::default() }));
                    }
                    Change::Changed(fields) => {
                        let mut blame = all.remove(id).unwrap_or_default();
                        fields.iter().for_each(|field| blame.note(&trace.stage, field));
                        let new = fields.iter().find(|field| field.field == "id");
                        let new = new.and_then(|field| field.to.as_str()).unwrap_or(id);
                        renamed.push((new.to_string(), blame));
                    }
                }
            }
            all.extend(renamed);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pipeline::Trace;

    fn trace(stage: &str, changes: Vec<(&str, Change)>) -> Trace {
        Trace {
            stage: stage.into(),
            changes: changes.into_iter().map(|(id, change)| (id.to_string(), change)).collect(),
            would_be: Vec::new(),
            remarks: Vec::new(),
            skipped: false,
            failure: None,
            messages: Vec::new(),
            timing: crate::pipeline::outcome::Timing::default(),
        }
    }

    fn changed(fields: &[(&'static str, Value, Value)]) -> Change {
        let field = |(field, from, to): &(&'static str, Value, Value)| FieldChange {
            field: (*field).into(),
            from: from.clone(),
            to: to.clone(),
        };
        Change::Changed(fields.iter().map(field).collect())
    }

    #[test]
    fn the_last_stage_that_changed_a_part_is_to_blame_across_new_ids() {
        let outcome = Outcome {
            trace: vec![
                trace(
                    "a",
                    vec![
                        (
                            "1",
                            changed(&[
                                ("id", json!("1"), json!("2")),
                                ("name", json!("x"), json!("y")),
                            ]),
                        ),
                        ("2", changed(&[("id", json!("2"), json!("1"))])),
                    ],
                ),
                trace(
                    "b",
                    vec![
                        (
                            "2",
                            changed(&[(
                                "meta",
                                json!({ "k": "1", "l": "2" }),
                                json!({ "k": "1", "l": "3" }),
                            )]),
                        ),
                        ("3", Change::Added),
                        ("1", Change::Vetoed("no".into())),
                    ],
                ),
            ],
            ..Outcome::default()
        };
        let blame = outcome.blame();
        let of = |id: &str, part: &str| blame.get(id).and_then(|blame| blame.of(part));
        assert_eq!((of("2", "id"), of("2", "name")), (Some("a"), Some("a")));
        assert_eq!(
            (of("2", "meta.l"), of("2", "meta.k"), of("2", "port")),
            (Some("b"), None, None)
        );
        assert_eq!((of("3", "name"), blame.contains_key("1")), (Some("b"), false));
    }
}
