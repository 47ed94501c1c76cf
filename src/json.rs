//! Types as JSON, and out of it.
//!
//! All JSON is read from bytes, by `serde_json::from_slice`, and what takes no time that matters is written as bytes
//! first: for each form of JSON, bytes, text, text for people or a value, the compiler writes the reading and writing
//! of a type anew, and there are hundreds of types.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// What a value says.
///
/// # Errors
///
/// It has another form.
pub(crate) fn from_value<T: DeserializeOwned>(value: &Value) -> serde_json::Result<T> {
    serde_json::from_slice(&serde_json::to_vec(value)?)
}

/// A value of what can be written as JSON.
///
/// # Errors
///
/// It cannot: it has keys that are no text.
pub(crate) fn to_value<T: Serialize + ?Sized>(of: &T) -> serde_json::Result<Value> {
    serde_json::from_slice(&serde_json::to_vec(of)?)
}

/// Its text for people.
///
/// # Errors
///
/// See [`to_value`].
pub(crate) fn pretty<T: Serialize + ?Sized>(of: &T) -> serde_json::Result<String> {
    serde_json::to_string_pretty(&to_value(of)?)
}
