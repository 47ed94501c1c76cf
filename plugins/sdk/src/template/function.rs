//! The functions that a fact can be passed through.

use std::fmt;

use crate::dns;

/// A function from a text to a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Function {
    /// `lower`: in lower case.
    Lower,
    /// `upper`: in upper case.
    Upper,
    /// `dns`: as a DNS label, see [`dns::label`].
    Dns,
    /// `reverse`: the parts between dots in the other order, so that
    /// `shop.example.com` becomes `com.example.shop`.
    Reverse,
    /// `default(TEXT)`: this text where the fact is missing.
    Default(String),
    /// `replace(TEXT,TEXT)`: the second text wherever the first one stands.
    Replace(String, String),
    /// `before(TEXT)`: what stands before the first such text, or everything
    /// if there is none.
    Before(String),
    /// `after(TEXT)`: what stands after the first such text, or everything if
    /// there is none.
    After(String),
}

impl Function {
    /// Read a function, such as `lower` or `replace(_,-)`.
    ///
    /// # Errors
    ///
    /// There is no such function, or its arguments are not those it takes.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, arguments) = match text.split_once('(') {
            None => (text, Vec::new()),
            Some((name, rest)) => {
                let inner = rest.strip_suffix(')');
                let inner = inner.ok_or_else(|| format!("{text}: a ( without its )"))?;
                (name, inner.split(',').collect())
            }
        };
        match (name, &arguments[..]) {
            ("lower", []) => Ok(Self::Lower),
            ("upper", []) => Ok(Self::Upper),
            ("dns", []) => Ok(Self::Dns),
            ("reverse", []) => Ok(Self::Reverse),
            ("default", [text]) => Ok(Self::Default(text.to_string())),
            ("replace", [from, to]) if !from.is_empty() => {
                Ok(Self::Replace(from.to_string(), to.to_string()))
            }
            ("before", [text]) if !text.is_empty() => Ok(Self::Before(text.to_string())),
            ("after", [text]) if !text.is_empty() => Ok(Self::After(text.to_string())),
            _ => Err(format!(
                "there is no function {text}; there are lower, upper, dns, reverse, \
                 default(TEXT), replace(TEXT,TEXT), before(TEXT) and after(TEXT)"
            )),
        }
    }

    /// The function's text for a text, or for a fact that is missing.
    pub(super) fn apply(&self, value: Option<String>) -> Option<String> {
        let text = match (self, value) {
            (Self::Default(text), None) => return Some(text.clone()),
            (_, None) => return None,
            (_, Some(text)) => text,
        };
        Some(match self {
            Self::Lower => text.to_lowercase(),
            Self::Upper => text.to_uppercase(),
            Self::Dns => dns::label(&text),
            Self::Reverse => text.rsplit('.').collect::<Vec<_>>().join("."),
            Self::Default(_) => text,
            Self::Replace(from, to) => text.replace(from, to),
            Self::Before(mark) => match text.split_once(mark.as_str()) {
                Some((before, _)) => before.into(),
                None => text,
            },
            Self::After(mark) => match text.split_once(mark.as_str()) {
                Some((_, after)) => after.into(),
                None => text,
            },
        })
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lower => f.write_str("lower"),
            Self::Upper => f.write_str("upper"),
            Self::Dns => f.write_str("dns"),
            Self::Reverse => f.write_str("reverse"),
            Self::Default(text) => write!(f, "default({text})"),
            Self::Replace(from, to) => write!(f, "replace({from},{to})"),
            Self::Before(mark) => write!(f, "before({mark})"),
            Self::After(mark) => write!(f, "after({mark})"),
        }
    }
}
