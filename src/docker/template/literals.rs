//! The string literals of a template, before gtmpl-ng sees them.
//!
//! gtmpl-ng misreads escapes: it reads them in raw strings too, takes the quote
//! after `\\` for an escaped one and fails at `\x41` in the middle of a string.
//! So each literal is read here as Go reads it, and written again in a form that
//! has one meaning for both. On the way the regular expressions among them are
//! checked; gtmpl-ng does not let one look at the parsed template.

use std::str::Chars;
use std::sync::LazyLock;

use regex::Regex;

use super::TemplateError;
use super::functions;

/// Rewrite the string and character literals of a template.
///
/// # Errors
///
/// A literal has an escape that there is not, or is a wrong regular expression.
/// All other mistakes are left to the parser.
pub(super) fn rewrite(text: &str) -> Result<String, TemplateError> {
    static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"(?s)^(?:\}\}|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)+'|`[^`]*`|\w+|\s+|.)"#)
            .expect("a constant expression compiles")
    });
    let mut rewritten = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let (before, action) = rest.split_at(start + 2);
        let (comment, action) = action.split_at(comment(action));
        rewritten.push_str(before);
        rewritten.push_str(comment);
        rest = action;
        let mut word = "";
        while let Some(token) = TOKEN.find(rest).map(|token| token.as_str()) {
            if token.len() > 1 && token.starts_with(['"', '\'', '`']) {
                let at = text.len() - rest.len();
                let value = unquote(token).ok_or_else(|| TemplateError::Syntax {
                    at: place(text, at),
                    problem: format!("{token} is no literal"),
                })?;
                check(word, &value)?;
                rewritten.push_str(&literal(token, &value));
            } else {
                rewritten.push_str(token);
            }
            rest = &rest[token.len()..];
            if token == "}}" {
                break;
            }
            if !token.trim().is_empty() {
                word = token;
            }
        }
    }
    rewritten.push_str(rest);
    Ok(rewritten)
}

/// The length of the comment that an action begins with.
fn comment(action: &str) -> usize {
    let body = action.strip_prefix('-').unwrap_or(action).trim_start();
    let end = body.starts_with("/*").then(|| body.find("*/")).flatten();
    end.map_or(0, |end| action.len() - body.len() + end + 2)
}

/// Check a literal if the word before it is a function that takes a regular
/// expression there.
fn check(word: &str, value: &str) -> Result<(), TemplateError> {
    if !matches!(word, "matchFirstElement" | "matchAllElements") {
        return Ok(());
    }
    functions::regex(value).map(drop).map_err(|fault| TemplateError::Regex {
        function: word.to_string(),
        problem: fault.to_string(),
    })
}

fn place(text: &str, at: usize) -> String {
    let before = &text[..at];
    let line = before.rsplit('\n').next().unwrap_or_default();
    format!("line {}, column {}", before.matches('\n').count() + 1, line.len() + 1)
}

/// A literal as gtmpl-ng reads it: between backquotes, where it takes `\\` for a
/// backslash and all else for itself. A character is a number.
fn literal(token: &str, value: &str) -> String {
    let escaped = value.replace('\\', r"\\");
    if token.starts_with('\'') {
        value.chars().next().map_or(0, u32::from).to_string()
    } else if !token.contains('\\') {
        // So that an error quotes the template as it was given.
        token.to_string()
    } else if value.contains('`') {
        format!("\"{}\"", escaped.replace('"', r#"\""#).replace('\n', r"\n"))
    } else {
        format!("`{escaped}`")
    }
}

/// The value of a literal in Go's syntax.
fn unquote(token: &str) -> Option<String> {
    let quote = token.chars().next()?;
    let body = token.strip_prefix(quote)?.strip_suffix(quote)?;
    if quote == '`' {
        return Some(body.replace('\r', ""));
    }
    let mut bytes = Vec::with_capacity(body.len());
    let mut chars = body.chars();
    while let Some(c) = chars.next() {
        let c = if c == '\\' { escape(quote, &mut chars)? } else { Unit::Char(c) };
        match c {
            Unit::Byte(byte) => bytes.push(byte),
            Unit::Char(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    let value = functions::replace_invalid(&bytes);
    (quote == '"' || value.chars().count() == 1).then_some(value)
}

/// The meaning of an escape: `\xff` is a byte, `\u00ff` a character.
enum Unit {
    Byte(u8),
    Char(char),
}

fn escape(quote: char, chars: &mut Chars<'_>) -> Option<Unit> {
    let kind = chars.next()?;
    Some(match kind {
        'a' => Unit::Byte(0x07),
        'b' => Unit::Byte(0x08),
        'f' => Unit::Byte(0x0c),
        'v' => Unit::Byte(0x0b),
        'n' => Unit::Char('\n'),
        'r' => Unit::Char('\r'),
        't' => Unit::Char('\t'),
        '\\' => Unit::Char('\\'),
        _ if kind == quote => Unit::Char(quote),
        'x' => Unit::Byte(number(chars, 2, 16, 0)?.try_into().ok()?),
        'u' => Unit::Char(char::from_u32(number(chars, 4, 16, 0)?)?),
        'U' => Unit::Char(char::from_u32(number(chars, 8, 16, 0)?)?),
        _ => Unit::Byte(number(chars, 2, 8, kind.to_digit(8)?)?.try_into().ok()?),
    })
}

/// A number of so many digits, after the digits that were read before.
fn number(chars: &mut Chars<'_>, digits: usize, radix: u32, read: u32) -> Option<u32> {
    (0..digits).try_fold(read, |number, _| {
        number.checked_mul(radix)?.checked_add(chars.next()?.to_digit(radix)?)
    })
}
