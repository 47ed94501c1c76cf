//! The headers of a check: a JSON object of lists of strings, as Consul takes it. A string is as
//! good as a list of one.

use serde_json::Value;
use wharfinger_plugin::Attribute;

/// The headers in an object; none if it is something else. What it holds may be a credential and
/// is in no message.
pub(crate) fn read(value: Value) -> Option<Vec<Attribute>> {
    let Value::Object(headers) = value else { return None };
    let mut list = Vec::new();
    for (name, values) in headers {
        let values = match values {
            Value::Array(values) => values,
            one => vec![one],
        };
        for value in values {
            list.push(Attribute::new(name.as_str(), value.as_str()?));
        }
    }
    Some(list)
}
