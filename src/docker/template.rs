//! The `-tags` flag as registrator reads it: a Go template over the inspected
//! container.
//!
//! Docker's answer goes in as JSON and one line of text comes out; the pipeline
//! splits it at commas, as it does with tags from any other place. A template is
//! checked as far as it can be without a container by [`Template::parse`], so that
//! a wrong flag stops the start and not the first container.
//!
//! gtmpl-ng evaluates the template. It differs from Go's engine in a few
//! places, and those that a tag can run into are evened out here:
//!
//! - it reads escapes in raw strings (`` `\d` ``) and misreads some in quoted
//!   ones, so the literals are rewritten before it sees them;
//! - its `index` has no zero value for a missing key, its `printf` no bytes;
//! - its messages quote the values they fail on, that is, a container's
//!   environment. An error here names the place in the template instead.
//!
//! Differences that stay: a struct that is printed whole reads `map[a:1]`, not
//! `{1}`; a null pointer prints `<no value>`, not `<nil>`; a duration prints as
//! nanoseconds; Go's methods (`.State.StateString`, a port's `.Proto`) are not
//! there; comparisons, `index` and `range` take types that Go refuses. Regular
//! expressions are those of the `regex` crate, where `\d`, `\w` and `\s` know
//! Unicode and `\Q` is not known.

mod functions;
mod http;
mod literals;
mod structs;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gtmpl_ng::{Context, ErrorContext, ExecError, Limits, ParseError};

pub use functions::Fault;

/// The effect of `httpGet` in a template.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HttpGet {
    /// A template that calls it is wrong.
    #[default]
    Forbidden,
    /// A request that fails, or is answered with an error, is a fault.
    Checked,
    /// As in registrator: a failed request has an empty body, and the body of an
    /// error's page is as good as any.
    Original,
}

/// The template cannot be used, or failed on a container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It is not a template, or it calls a function that there is not.
    #[error("the template does not parse at {at}: {problem}")]
    Syntax {
        /// Line and column, if they are known.
        at: String,
        /// The parser's words.
        problem: String,
    },
    /// It calls `httpGet`, which is off.
    #[error("httpGet is not allowed; start with --allow-http-get")]
    HttpGetNotAllowed,
    /// A regular expression that is written out in the template is none.
    #[error("{function} is given no regular expression: {problem}")]
    Regex {
        /// The function that is given it.
        function: String,
        /// The fault of the expression.
        problem: String,
    },
    /// An expression has no value for this container: a field that there is
    /// not, an index out of range, a failed `httpGet`.
    #[error("the template cannot be evaluated at <{expression}>")]
    Evaluate {
        /// The part of the template that failed.
        expression: String,
        /// Why, if one of registrator's functions said so.
        #[source]
        fault: Option<Fault>,
    },
    /// There is too much that Docker says of the container: as values it takes many
    /// times the memory of its text.
    #[error("Docker's answer on the container is longer than {MAX_ANSWER} bytes")]
    TooLarge,
    /// No values can be made of what Docker says of the container: it is nested too deeply, or
    /// no JSON as a whole.
    #[error("Docker's answer on the container cannot be read: {0}")]
    Unreadable(String),
}

/// The longest answer of Docker's that a template is rendered over.
const MAX_ANSWER: usize = 2 << 20;

/// Docker's answer as what a template is rendered over.
///
/// # Errors
///
/// It is longer than may be, which is said before values are made of it, or it cannot be read.
pub(super) fn values(answer: &str) -> Result<serde_json::Value, TemplateError> {
    if answer.len() > MAX_ANSWER {
        return Err(TemplateError::TooLarge);
    }
    // The error names a place and quotes nothing.
    serde_json::from_str(answer).map_err(|error| TemplateError::Unreadable(error.to_string()))
}

/// A parsed template. The default is the empty text.
#[derive(Clone, Default)]
pub(super) struct Template {
    text: String,
    /// Nothing for plain text.
    engine: Option<Arc<gtmpl_ng::Template>>,
}

impl Template {
    /// Read a template. Text without `{{` is plain and stands for itself.
    ///
    /// # Errors
    ///
    /// The syntax is wrong, a function is not known, `httpGet` is called and not
    /// allowed, or a regular expression that is written as a literal is wrong.
    /// One that is computed is only seen by [`Template::render`].
    pub(super) fn parse(text: &str, http_get: HttpGet) -> Result<Self, TemplateError> {
        if !text.contains("{{") {
            return Ok(Self { text: text.to_string(), engine: None });
        }
        let text = literals::rewrite(text)?;
        let forbidden = http_get == HttpGet::Forbidden;
        let engine = match engine(&text, http_get) {
            Ok(engine) => engine,
            // The call is what is wrong with it if allowing the call cures it.
            Err(_) if forbidden && engine(&text, HttpGet::Checked).is_ok() => {
                return Err(TemplateError::HttpGetNotAllowed);
            }
            Err(error) => return Err(syntax(&error)),
        };
        Ok(Self { text, engine: Some(Arc::new(engine)) })
    }

    /// Render the template over what `docker inspect` says of a container.
    ///
    /// A template with `httpGet` blocks the calling thread, up to ten seconds a
    /// call. The fields are those of the struct that registrator had, in Go's or
    /// in Docker's spelling, and whatever else is in the JSON; a field of the
    /// struct that is missing in the JSON has Go's zero value. A missing key of
    /// a map prints `<no value>`.
    ///
    /// # Errors
    ///
    /// An expression has no value for this container.
    pub(super) fn render(&self, container: &serde_json::Value) -> Result<String, TemplateError> {
        let Some(engine) = &self.engine else { return Ok(self.text.clone()) };
        let context = Context::from(structs::container(container));
        functions::take_fault();
        engine.render(&context).map_err(|error| TemplateError::Evaluate {
            expression: self.quote(&error),
            fault: functions::take_fault(),
        })
    }

    /// The text, if it is no template.
    pub(super) fn plain(&self) -> Option<&str> {
        self.engine.is_none().then_some(self.text.as_str())
    }

    /// The part of the template that an error is about.
    fn quote(&self, error: &ExecError) -> String {
        let place = error.as_structured().map(|error| &error.context);
        let quoted = place.and_then(|place| {
            let line = self.text.lines().nth(place.line.checked_sub(1)?)?;
            let start = place.col.checked_sub(1)?;
            line.get(start..(start + place.len).min(line.len()))
        });
        quoted.unwrap_or(&self.text).trim_start_matches('{').trim_end_matches('}').to_string()
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Template").field(&self.text).finish()
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Template {}

/// The limits of one rendering. A tag is short, so they are there for mistakes, and for
/// containers with many labels; a response of `httpGet` counts twice its bytes, and is
/// waited for.
fn limits(http_get: HttpGet) -> Limits {
    let deadline = match http_get {
        HttpGet::Forbidden => Duration::from_secs(2),
        HttpGet::Checked | HttpGet::Original => Duration::from_secs(60),
    };
    Limits::default()
        .with_iterations(1_000)
        .with_total_iterations(10_000)
        .with_output_bytes(1 << 20)
        .with_function_output(4 << 20)
        .with_deadline(deadline)
}

fn engine(text: &str, http_get: HttpGet) -> Result<gtmpl_ng::Template, ParseError> {
    let mut template = gtmpl_ng::Template::with_limits(limits(http_get));
    template.add_funcs(functions::FUNCTIONS);
    match http_get {
        HttpGet::Forbidden => {}
        HttpGet::Checked => template.add_func("httpGet", functions::http_get),
        HttpGet::Original => template.add_func("httpGet", functions::http_get_anyway),
    }
    template.parse(text)?;
    Ok(template)
}

fn syntax(error: &ParseError) -> TemplateError {
    match error {
        ParseError::WithContext(ErrorContext { line, col, .. }, problem) => TemplateError::Syntax {
            at: format!("line {line}, column {col}"),
            problem: problem.clone(),
        },
        other => {
            TemplateError::Syntax { at: "an unknown place".into(), problem: other.to_string() }
        }
    }
}
