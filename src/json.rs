//! Values out of JSON.
//!
//! All JSON is read from bytes, by `serde_json::from_slice`: for each form that JSON comes in, text, bytes or a
//! value, the compiler writes the reading of a type anew, and there are hundreds of types. Values are made by
//! `serde_json::to_value`, and not by way of bytes: what is read may be 128 deep and no deeper, and a value that came
//! from elsewhere may stand in another one.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// How deep a value may be that comes from elsewhere and is to stand in others: each is read again, by this program and
/// by those who ask it.
const DEEPEST: usize = 64;

/// Whether a text is JSON that may stand in other JSON.
///
/// # Errors
///
/// It is none, has a number that is none here, or is more than 64 deep; the words say which.
pub(crate) fn check(text: &str) -> Result<(), String> {
    let value: Value =
        serde_json::from_slice(text.as_bytes()).map_err(|error| format!("is no JSON: {error}"))?;
    match depth(&value) {
        depth if depth > DEEPEST => Err(format!("is {depth} deep; {DEEPEST} is allowed")),
        _ => Ok(()),
    }
}

/// The lists and objects that are one in the other.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or_default(),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

/// What a value says.
///
/// # Errors
///
/// It has another form, or is more than 128 deep.
pub(crate) fn from_value<T: DeserializeOwned>(value: &Value) -> serde_json::Result<T> {
    serde_json::from_slice(&serde_json::to_vec(value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_to_stand_in_others_is_so_deep_and_no_deeper() {
        let lists = |deep: usize| "[".repeat(deep) + &"]".repeat(deep);
        let objects = |deep: usize| "{\"a\":".repeat(deep) + "1" + &"}".repeat(deep);
        for good in ["1", "\"a\"", "null", "[]", "{\"a\":[1,{}]}"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        assert_eq!((check(&lists(64)), check(&objects(64))), (Ok(()), Ok(())));
        // Beside one that is not as deep, too.
        let beside = format!("[[],{},1]", lists(64));
        for (bad, words) in [
            (lists(65), "is 65 deep; 64 is allowed"),
            (objects(65), "is 65 deep"),
            (beside, "is 65 deep"),
            (lists(200), "is no JSON: recursion limit exceeded"),
            ("1e999".into(), "is no JSON: number out of range"),
            ("{a}".into(), "is no JSON: key must be a string"),
            (String::new(), "is no JSON: EOF"),
            ("1 2".into(), "is no JSON: trailing characters"),
        ] {
            let said = check(&bad).expect_err(&bad);
            assert!(said.starts_with(words), "{bad}: {said}");
        }
    }
}
