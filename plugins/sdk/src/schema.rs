//! The JSON schema of a stage's settings.

use schemars::{JsonSchema, generate::SchemaSettings};

/// What a schema says of itself and not of the settings.
const FRAME: [&str; 3] = ["$schema", "title", "description"];

/// The schema of `T`, or none if it admits everything.
pub(crate) fn of<T: JsonSchema>() -> Option<String> {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    let says = schema.as_object()?.keys().any(|key| !FRAME.contains(&key.as_str()));
    says.then(|| schema.as_value().to_string())
}
