//! The differences between two versions of a service.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::service::{Field, FieldValue, Service};

/// A field of a service that differs.
#[derive(Debug, Clone, PartialEq, Hash, Serialize, Deserialize)]
pub struct FieldChange {
    /// The field's name.
    pub field: Cow<'static, str>,
    /// Its value before.
    pub from: Value,
    /// Its value now.
    pub to: Value,
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.field, self.from, self.to)
    }
}

/// The fields that differ, in the order of the record.
pub fn diff(before: &Service, after: &Service) -> Vec<FieldChange> {
    let pairs = before.fields().into_iter().zip(after.fields());
    let differ = pairs.filter(|((_, from), (_, to))| from != to);
    let change = |((field, from), (_, to)): ((Field, FieldValue<'_>), (Field, FieldValue<'_>))| {
        FieldChange { field: field.name().into(), from: value(from), to: value(to) }
    };
    differ.map(change).collect()
}

fn value(field: FieldValue<'_>) -> Value {
    serde_json::to_value(field).expect("a service has only string keys")
}
