//! From the text of a template to its parts.

use super::{Fact, Function, Part};

/// The parts of a template's text.
pub(super) fn parts(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        plain += &rest[..at];
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("{{") {
            plain.push('{');
            rest = after;
        } else if let Some(after) = rest.strip_prefix("}}") {
            plain.push('}');
            rest = after;
        } else if rest.starts_with('}') {
            return Err(format!("{text:?}: a }} without its {{; }}}} is a brace"));
        } else {
            let end = rest.find('}').ok_or_else(|| format!("{text:?}: a {{ without its }}"))?;
            if rest[1..end].contains('{') {
                // Else it would be a fact with a brace in its name, which nothing ever has.
                return Err(format!("{text:?}: a {{ without its }}"));
            }
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(expression(&rest[1..end]).map_err(|fault| format!("{text:?}: {fault}"))?);
            rest = &rest[end + 1..];
        }
    }
    plain += rest;
    if !plain.is_empty() {
        parts.push(Part::Text(plain));
    }
    Ok(parts)
}

/// What stands between braces: a fact and the functions it goes through.
fn expression(text: &str) -> Result<Part, String> {
    let mut pieces = text.split('|');
    let fact = Fact::parse(pieces.next().unwrap_or_default().trim())?;
    let functions = pieces.map(|piece| Function::parse(piece.trim())).collect::<Result<_, _>>()?;
    Ok(Part::Fact(fact, functions))
}
