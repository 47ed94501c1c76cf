//! Errors as text.

/// An error with all its causes in one line.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// A fault of a text in TOML on one line: where it is, and what it is.
pub fn toml(text: &str, error: &toml::de::Error) -> String {
    // The table that is the fault's place may begin anywhere on its line.
    let at = error.span().map_or(0, |span| text.floor_char_boundary(span.start));
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("line {line}, column {column}: {}", error.message().trim().replace('\n', "; "))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_fault_of_toml_is_one_line() {
        let text = "a = 1\nb = [\n  2,\n  \"x\" }\n";
        let error = toml::from_str::<toml::Table>(text).expect_err("it is wrong");
        let fault = super::toml(text, &error);
        assert!(fault.starts_with("line 4, column ") && !fault.contains('\n'), "{fault}");
    }
}
