//! In what something that is registered differs from what is wanted.

use crate::model::{
    registered::Registered,
    service::{Field, FieldValue, Service},
};

/// The fields in which an entry differs from what is wanted.
pub(super) fn differences(service: &Service, registered: &Registered) -> Vec<&'static str> {
    registered.differences(service).into_iter().map(Field::key).collect()
}

/// The fields that differ, as registered and as wanted, for people: `port 80, tags ["a"]`. Metadata
/// and checks are left out: nobody may have to read them.
pub(super) fn sides(service: &Service, registered: &Registered) -> (String, String) {
    let fields = registered.differences(service);
    let side = |values: &[(Field, FieldValue<'_>)]| {
        let told = values.iter().filter(|(field, _)| {
            fields.contains(field) && !matches!(field, Field::Meta | Field::Checks)
        });
        let told = told.map(|(field, value)| {
            let value = serde_json::to_string(value).unwrap_or_default();
            format!("{} {}", field.key(), value.trim_matches('"'))
        });
        told.collect::<Vec<_>>().join(", ")
    };
    (side(&registered.fields()), side(&service.fields()))
}
