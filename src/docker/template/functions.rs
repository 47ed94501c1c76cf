//! registrator's template functions, with its order of arguments, so that the
//! last one can come from a pipe, and with Go's types: a string where a list is
//! due is an error.
//!
//! gtmpl-ng calls a function with nothing but its arguments and keeps only the
//! text of an error. So the [`Fault`] itself waits in a thread-local until the
//! rendering, which runs on one thread, has ended.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use gtmpl_ng::{Func, FuncError, Value, funcs, limits};
use regex::Regex;
use serde_json::value::RawValue;
use tracing::warn;

use super::http::{self, Page};
use crate::telemetry::event;

/// Why a function of the template has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Too few or too many arguments.
    #[error("{function} got {got} arguments")]
    Arity {
        /// The function.
        function: &'static str,
        /// The number that it got.
        got: usize,
    },
    /// An argument is of another type.
    #[error("argument {position} of {function} is not {want}")]
    Type {
        /// The function.
        function: &'static str,
        /// The argument, counted from 1.
        position: usize,
        /// The type that is due, with its article.
        want: &'static str,
    },
    /// There is no such element.
    #[error("{0}: index out of range")]
    OutOfRange(&'static str),
    /// A regular expression is wrong.
    #[error("{0}")]
    Regex(String),
    /// The result would be larger than a rendering may be.
    #[error("the result of {0} is too large")]
    TooLarge(&'static str),
    /// The request of `httpGet` failed.
    #[error("httpGet: {0}")]
    Http(String),
}

thread_local! {
    static FAULT: RefCell<Option<Fault>> = const { RefCell::new(None) };
}

/// The fault of the last call on this thread that failed.
pub(super) fn take_fault() -> Option<Fault> {
    FAULT.take()
}

/// The functions that every template has.
pub(super) const FUNCTIONS: &[(&str, Func)] = &[
    ("strSlice", str_slice),
    ("sIndex", s_index),
    ("mIndex", m_index),
    ("toUpper", to_upper),
    ("toLower", to_lower),
    ("replace", replace),
    ("join", join),
    ("split", split),
    ("splitIndex", split_index),
    ("matchFirstElement", match_first_element),
    ("matchAllElements", match_all_elements),
    ("jsonParse", json_parse),
    ("index", index),
    ("printf", printf),
];

/// Compile a regular expression.
pub(super) fn regex(pattern: &str) -> Result<Regex, Fault> {
    // The last line says what is wrong; those before it show the place.
    Regex::new(pattern).map_err(|error| {
        let text = error.to_string();
        Fault::Regex(text.lines().last().unwrap_or_default().to_string())
    })
}

/// `strSlice v [start [end]]`: bytes, as Go has it. Bounds beyond the end leave
/// the text as it is, and an end before the start is as none.
fn str_slice(values: &[Value]) -> Result<Value, FuncError> {
    call("strSlice", 1..=usize::MAX, values, |args| {
        let text = args.text(0)?;
        let bounds: Vec<i64> =
            (1..values.len()).map(|position| args.int(position)).collect::<Result<_, _>>()?;
        let length = text.len() as i64;
        let (start, end) = match bounds[..] {
            [start] if start <= length => (start, length),
            [start, end] if start <= length && end <= length => {
                (start, if end < start && start != 0 { length } else { end })
            }
            _ => (0, length),
        };
        let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        let bytes = range.and_then(|(start, end)| text.as_bytes().get(start..end));
        Ok(Value::from(replace_invalid(bytes.ok_or(Fault::OutOfRange("strSlice"))?)))
    })
}

/// `sIndex i list`
fn s_index(values: &[Value]) -> Result<Value, FuncError> {
    call("sIndex", 2..=2, values, |args| pick("sIndex", args.int(0)?, &args.list(1)?))
}

/// `mIndex key map`: nothing for a missing key.
fn m_index(values: &[Value]) -> Result<Value, FuncError> {
    call("mIndex", 2..=2, values, |args| {
        let (key, map) = (args.text(0)?, args.map(1)?);
        Ok(map.and_then(|map| map.get(key)).cloned().unwrap_or_else(|| Value::from("")))
    })
}

/// `toUpper text`: letter by letter, so that a text keeps its length.
fn to_upper(values: &[Value]) -> Result<Value, FuncError> {
    call("toUpper", 1..=1, values, |args| {
        let upper = |c: char| {
            let mut upper = c.to_uppercase();
            upper.next().filter(|_| upper.len() == 0).unwrap_or(c)
        };
        Ok(Value::from(args.text(0)?.chars().map(upper).collect::<String>()))
    })
}

/// `toLower text`
fn to_lower(values: &[Value]) -> Result<Value, FuncError> {
    call("toLower", 1..=1, values, |args| {
        let lower = |c: char| c.to_lowercase().next().unwrap_or(c);
        Ok(Value::from(args.text(0)?.chars().map(lower).collect::<String>()))
    })
}

/// `replace n old new text`: the first `n`, or all if `n` is negative.
fn replace(values: &[Value]) -> Result<Value, FuncError> {
    call("replace", 4..=4, values, |args| {
        let (old, new, text) = (args.text(1)?, args.text(2)?, args.text(3)?);
        let found = text.matches(old).count();
        let count = usize::try_from(args.int(0)?).map_or(found, |count| count.min(found));
        bounded("replace", text.len().saturating_add(count.saturating_mul(new.len())))?;
        Ok(Value::from(text.replacen(old, new, count)))
    })
}

/// `join separator list`
fn join(values: &[Value]) -> Result<Value, FuncError> {
    call("join", 2..=2, values, |args| {
        let (separator, list) = (args.text(0)?, args.list(1)?);
        bounded("join", list.len().saturating_mul(separator.len()))?;
        Ok(Value::from(list.join(separator)))
    })
}

/// `split separator text`
fn split(values: &[Value]) -> Result<Value, FuncError> {
    call("split", 2..=2, values, |args| Ok(strings(pieces(args.text(0)?, args.text(1)?))))
}

/// `splitIndex i separator text`
fn split_index(values: &[Value]) -> Result<Value, FuncError> {
    call("splitIndex", 3..=3, values, |args| {
        pick("splitIndex", args.int(0)?, &pieces(args.text(1)?, args.text(2)?))
    })
}

/// `matchFirstElement pattern list`: nothing if none matches.
fn match_first_element(values: &[Value]) -> Result<Value, FuncError> {
    call("matchFirstElement", 2..=2, values, |args| {
        let (pattern, list) = (regex(args.text(0)?)?, args.list(1)?);
        let first = list.into_iter().find(|element| pattern.is_match(element));
        Ok(Value::from(first.unwrap_or_default()))
    })
}

/// `matchAllElements pattern list`
fn match_all_elements(values: &[Value]) -> Result<Value, FuncError> {
    call("matchAllElements", 2..=2, values, |args| {
        let (pattern, list) = (regex(args.text(0)?)?, args.list(1)?);
        Ok(strings(list.into_iter().filter(|element| pattern.is_match(element))))
    })
}

/// `jsonParse bytes path`: the JSON text at a path of keys (`a::b`) and indexes
/// (`a::[0]`), of a string what stands between its quotes. Nothing if there is
/// no such value.
fn json_parse(values: &[Value]) -> Result<Value, FuncError> {
    call("jsonParse", 2..=2, values, |args| {
        let want = Fault::Type { function: "jsonParse", position: 1, want: "bytes" };
        let body = bytes(&values[0]).ok_or(want)?;
        let body = String::from_utf8_lossy(&body);
        let found = args.text(1)?.split("::").try_fold(&*body, |json, key| member(json, key));
        let found = found.unwrap_or_default();
        let inner = found.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        Ok(Value::from(inner.unwrap_or(found)))
    })
}

/// `index`, where a missing key of a map gives the zero value of the map's
/// elements, as in Go. Their type is read off another element; strings if there
/// is none.
fn index(values: &[Value]) -> Result<Value, FuncError> {
    let Some((collection, keys)) = values.split_first() else { return funcs::index(values) };
    keys.iter().try_fold(collection.clone(), |collection, key| match (&collection, key) {
        (Value::Map(map), Value::String(key)) if !map.contains_key(key) => {
            Ok(map.values().next().map_or_else(|| Value::from(""), zero))
        }
        _ => funcs::index(&[collection, key.clone()]),
    })
}

/// `printf`, where `%s` and its kind take bytes as text.
fn printf(values: &[Value]) -> Result<Value, FuncError> {
    static VERB: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"%[-+# 0-9.]*([a-zA-Z%])").expect("a constant expression compiles")
    });
    let mut values = values.to_vec();
    if let Some((Value::String(format), arguments)) = values.split_first_mut() {
        let verbs = VERB.captures_iter(format).map(|verb| verb.extract::<1>().1[0]);
        for (verb, argument) in verbs.filter(|verb| *verb != "%").zip(arguments) {
            let text = bytes(argument).filter(|text| "sqxX".contains(verb) && !text.is_empty());
            if let Some(text) = text {
                *argument = Value::from(replace_invalid(&text));
            }
        }
    }
    funcs::printf(&values)
}

/// `httpGet url`: the body of the response, as bytes. registrator goes on with
/// an empty body if the request fails, and with the body of an error page;
/// either would be registered as a tag, so here both are faults.
pub(super) fn http_get(values: &[Value]) -> Result<Value, FuncError> {
    call("httpGet", 1..=1, values, |args| {
        let Page { success, status, body } = http::get(args.text(0)?.to_string())?;
        if success { Ok(numbers(body)) } else { Err(Fault::Http(status)) }
    })
}

/// [`http_get`] as registrator does it.
pub(super) fn http_get_anyway(values: &[Value]) -> Result<Value, FuncError> {
    call("httpGet", 1..=1, values, |args| match http::get(args.text(0)?.to_string()) {
        Ok(page) => Ok(numbers(page.body)),
        Err(Fault::Http(error)) => {
            warn!(
                event = event::TEMPLATE_FAILED,
                reason = error,
                "httpGet failed in the template of -tags; it goes on without a body"
            );
            Ok(Value::Array(Vec::new()))
        }
        Err(fault) => Err(fault),
    })
}

fn numbers(bytes: Vec<u8>) -> Value {
    Value::Array(bytes.into_iter().map(Value::from).collect())
}

/// The arguments of a call, by position, with Go's types.
struct Args<'a> {
    function: &'static str,
    values: &'a [Value],
}

impl<'a> Args<'a> {
    fn text(&self, position: usize) -> Result<&'a str, Fault> {
        match &self.values[position] {
            Value::String(text) => Ok(text),
            _ => Err(self.fault(position, "a string")),
        }
    }

    fn int(&self, position: usize) -> Result<i64, Fault> {
        let number = match &self.values[position] {
            Value::Number(number) => number.as_i64(),
            _ => None,
        };
        number.ok_or_else(|| self.fault(position, "an integer"))
    }

    /// A list of strings; a missing value is an empty one.
    fn list(&self, position: usize) -> Result<Vec<&'a str>, Fault> {
        let list = match &self.values[position] {
            Value::Array(list) => list.iter().map(text).collect(),
            Value::Nil | Value::NoValue => Some(Vec::new()),
            _ => None,
        };
        list.ok_or_else(|| self.fault(position, "a list of strings"))
    }

    /// A map of strings; there is none for a missing value.
    fn map(&self, position: usize) -> Result<Option<&'a HashMap<String, Value>>, Fault> {
        match &self.values[position] {
            Value::Map(map) if map.values().all(|value| text(value).is_some()) => Ok(Some(map)),
            Value::Nil | Value::NoValue => Ok(None),
            _ => Err(self.fault(position, "a map of strings")),
        }
    }

    fn fault(&self, position: usize, want: &'static str) -> Fault {
        Fault::Type { function: self.function, position: position + 1, want }
    }
}

fn call<'a>(
    function: &'static str,
    arity: RangeInclusive<usize>,
    values: &'a [Value],
    body: impl FnOnce(Args<'a>) -> Result<Value, Fault>,
) -> Result<Value, FuncError> {
    let result = if arity.contains(&values.len()) {
        body(Args { function, values })
    } else {
        Err(Fault::Arity { function, got: values.len() })
    };
    result.map_err(|fault| {
        let text = fault.to_string();
        FAULT.set(Some(fault));
        FuncError::Generic(text)
    })
}

/// The element at an index, from the end if it is negative; an index beyond
/// either end gives the element there.
fn pick(function: &'static str, index: i64, list: &[&str]) -> Result<Value, Fault> {
    let distance = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
    let index = if index < 0 { list.len().saturating_sub(distance) } else { distance };
    let last = list.len().checked_sub(1).ok_or(Fault::OutOfRange(function))?;
    Ok(Value::from(list[index.min(last)]))
}

/// The pieces between separators; without a separator the characters.
fn pieces<'a>(separator: &str, text: &'a str) -> Vec<&'a str> {
    match separator {
        "" => text.char_indices().map(|(at, c)| &text[at..at + c.len_utf8()]).collect(),
        separator => text.split(separator).collect(),
    }
}

fn strings<'a>(list: impl IntoIterator<Item = &'a str>) -> Value {
    Value::Array(list.into_iter().map(Value::from).collect())
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// Bytes are a list of small numbers, which is how Go prints them.
fn bytes(value: &Value) -> Option<Vec<u8>> {
    let byte = |value: &Value| match value {
        Value::Number(number) => number.as_u64().and_then(|number| u8::try_from(number).ok()),
        _ => None,
    };
    match value {
        Value::Array(list) => list.iter().map(byte).collect(),
        _ => None,
    }
}

/// Bytes as text, with a replacement character for each byte that is part of
/// none, as Go writes them into JSON.
pub(super) fn replace_invalid(bytes: &[u8]) -> String {
    let chunk = |chunk: std::str::Utf8Chunk<'_>| {
        chunk.valid().to_string() + &"\u{fffd}".repeat(chunk.invalid().len())
    };
    bytes.utf8_chunks().map(chunk).collect()
}

fn bounded(function: &'static str, length: usize) -> Result<(), Fault> {
    let limit = limits::active().function_output.unwrap_or(usize::MAX);
    if length > limit { Err(Fault::TooLarge(function)) } else { Ok(()) }
}

/// The JSON text of a member of an object, or of an element (`[0]`) of a list.
fn member<'a>(json: &'a str, key: &str) -> Option<&'a str> {
    let found: &RawValue = if json.trim_start().starts_with('[') {
        let index: usize = key.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?;
        serde_json::from_slice::<Vec<&RawValue>>(json.as_bytes()).ok()?.get(index)?
    } else {
        serde_json::from_slice::<HashMap<String, &RawValue>>(json.as_bytes()).ok()?.remove(key)?
    };
    Some(found.get())
}

/// A value's type with nothing in it.
fn zero(value: &Value) -> Value {
    match value {
        Value::Bool(_) => Value::from(false),
        Value::String(_) => Value::from(""),
        Value::Number(_) => Value::from(0),
        Value::Array(_) => Value::Array(Vec::new()),
        Value::Map(_) => Value::Map(HashMap::new()),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, field)| (name.clone(), zero(field))).collect())
        }
        _ => Value::Nil,
    }
}
