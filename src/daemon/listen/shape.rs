//! The forms of answers.

use axum::{
    body::Bytes,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use serde_json::json;

use crate::{secrets, text};

/// The largest answer.
const LARGEST: usize = 16 << 20;

/// A value as commands print it.
pub(super) fn printed(value: &impl Serialize) -> Bytes {
    let mut value = serde_json::to_value(value).expect("it has only string keys");
    secrets::json(&mut value);
    let text = serde_json::to_string_pretty(&value).expect("it is JSON") + "\n";
    Bytes::from(text::json(&text).into_owned())
}

/// An answer of JSON, if it is not too large.
pub(super) fn json_answer(body: Bytes) -> Response {
    if body.len() > LARGEST {
        let words = format!("the answer is larger than {LARGEST} bytes; the command prints it");
        return fault(StatusCode::SERVICE_UNAVAILABLE, &words);
    }
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

/// An answer that says why there is no other one.
pub(super) fn fault(status: StatusCode, words: &str) -> Response {
    let body = printed(&json!({ "error": words }));
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

/// An answer of one line.
pub(super) fn plain(status: StatusCode, words: &str) -> Response {
    let words = format!("{}\n", text::shown(words));
    (status, [(CONTENT_TYPE, "text/plain; charset=utf-8")], words).into_response()
}
