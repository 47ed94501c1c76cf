//! What differs between two versions of a service.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::service::Service;

/// A field of a service that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    let mut changes = Vec::new();
    macro_rules! compare {
        ($($field:ident),*) => {$(
            if before.$field != after.$field {
                changes.push(FieldChange {
                    field: stringify!($field).into(),
                    from: value(&before.$field),
                    to: value(&after.$field),
                });
            }
        )*};
    }
    compare!(
        id,
        name,
        address,
        port,
        protocol,
        tags,
        meta,
        checks,
        weights,
        enable_tag_override,
        tagged_addresses,
        attributes
    );
    changes
}

fn value(field: &impl Serialize) -> Value {
    serde_json::to_value(field).expect("a service has only string keys")
}
