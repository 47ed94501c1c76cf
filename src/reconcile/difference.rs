//! In what something that is registered differs from what is wanted.

use crate::model::{
    registered::Registered,
    service::{Field, Service},
};

/// The fields in which an entry differs from what is wanted.
pub(super) fn differences(service: &Service, registered: &Registered) -> Vec<&'static str> {
    registered.differences(service).into_iter().map(Field::key).collect()
}
