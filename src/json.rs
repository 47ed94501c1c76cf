//! Values out of JSON.
//!
//! All JSON is read from bytes, by `serde_json::from_slice`: for each form that JSON comes in, text, bytes or a
//! value, the compiler writes the reading of a type anew, and there are hundreds of types. Values are made by
//! `serde_json::to_value`, and not by way of bytes: what is read may be 128 deep and no deeper, and a value that came
//! from elsewhere may stand in another one.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// What a value says.
///
/// # Errors
///
/// It has another form, or is more than 128 deep.
pub(crate) fn from_value<T: DeserializeOwned>(value: &Value) -> serde_json::Result<T> {
    serde_json::from_slice(&serde_json::to_vec(value)?)
}
