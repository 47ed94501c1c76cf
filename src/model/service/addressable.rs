//! The IDs that can stand in the path of a URL, as an agent is asked for a service or
//! a check when it is looked up or removed.
//!
//! Everything can be registered, since that ID stands in a body. An agent's treatment of paths
//! (by Go's `net/http`, and the check of paths that Consul puts before it) was tried
//! out on Consul 1.8.7: one with a character that cannot be printed is refused, one
//! with an empty segment, `.` or `..` is answered with a redirect to another path, and any
//! other one that is percent-encoded arrives as it was.

/// The longest ID in bytes. Encoded it is up to three times as long, and HTTP clients,
/// servers and proxies bound the line of a request.
pub const LONGEST_ID: usize = 8 << 10;

/// Whether an agent can be asked for what has this ID: looked up, kept alive and
/// removed. The error says why not.
///
/// An ID with a `%` can be asked for where the agent decodes a path once; newer
/// ones do it twice, so that what is answered is to be compared with what was asked.
///
/// # Errors
///
/// It is empty or too long, or has a character or segment that does not survive a path.
pub fn addressable(id: &str) -> Result<(), &'static str> {
    match id {
        "" => Err("it is empty"),
        _ if id.len() > LONGEST_ID => Err("it has more than 8192 bytes"),
        _ => in_path(id),
    }
}

/// Whether a text, which may have slashes, is left as it is in the path of a URL. It may
/// end with a slash.
///
/// # Errors
///
/// As for [`addressable`].
pub fn in_path(text: &str) -> Result<(), &'static str> {
    if !text.chars().all(is_printable) {
        return Err("it has a character that cannot be printed, which agents refuse in a URL");
    }
    let body = text.strip_suffix('/').unwrap_or(text);
    if body.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Err("it has an empty part, . or .. between slashes, which gets lost in a URL");
    }
    Ok(())
}

/// Whether a character can be printed, as Go understands it: a letter, mark, number,
/// punctuation, symbol or the ASCII space. Go and Rust may know different versions of
/// Unicode.
fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, ' '..='~');
    }
    // Escapes what cannot be printed, and marks only at the beginning.
    let text: String = ['x', c].iter().collect();
    text.escape_debug().count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answers are those of Consul 1.8.7.
    #[test]
    fn an_id_is_addressable_if_an_agent_finds_it() {
        let long = "x".repeat(LONGEST_ID);
        for id in [
            "h:app:80",
            "a b",
            " a",
            "a ",
            "a/b",
            "a/",
            "...",
            ".a",
            "a/..b",
            "a?b#c",
            "%",
            "a%2Fb",
            "a\\b",
            "é",
            "e\u{301}",
            "\u{1F600}",
            "'\"<>`{}|^[];+&=@,",
            &long,
        ] {
            assert_eq!(addressable(id), Ok(()), "{id:?}");
        }
        let longer = "x".repeat(LONGEST_ID + 1);
        for id in [
            "",
            "/",
            "//",
            "/a",
            "a//b",
            "a//",
            ".",
            "..",
            "./a",
            "a/.",
            "a/../b",
            "../a",
            "a\tb",
            "a\nb",
            "a\rb",
            "\0",
            "\u{1}",
            "\u{7f}",
            "\u{85}",
            "\u{a0}",
            "\u{ad}",
            "\u{200b}",
            "\u{202e}",
            "\u{2028}",
            "\u{3000}",
            "\u{feff}",
            "\u{e000}",
            "\u{10ffff}",
            &longer,
        ] {
            assert!(addressable(id).is_err(), "{id:?}");
        }
    }
}
