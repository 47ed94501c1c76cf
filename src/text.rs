//! Text for people. Names, messages and errors come from containers, components
//! and servers; whatever they say, it can neither forge a line, nor steer a
//! terminal, nor look like something else, nor fill the log; and what is secret in it is
//! hidden.
//!
//! Everything that people read passes [`shown`], or [`shown_within`]: the log in
//! both forms (`telemetry`), trees (`render`), and the answers of commands. JSON for programs
//! passes [`json`], which changes how it is written and not what it says.

mod words;

use std::{borrow::Cow, fmt::Write as _};

use unicode_width::UnicodeWidthChar as _;

use crate::secrets;

pub use words::{counted, nearest};

/// Bytes of one value that people are shown.
pub const MOST: usize = 8 * 1024;
/// More marks than this on one letter reach into the lines above and below.
const MARKS: usize = 4;

/// A text on one line that means to a terminal what it means to its reader, of at
/// most [`MOST`] bytes; of a longer one the beginning, and its length.
pub fn shown(text: &str) -> Cow<'_, str> {
    shown_within(text, MOST)
}

/// The same with another limit.
pub fn shown_within(text: &str, most: usize) -> Cow<'_, str> {
    match secrets::text(text) {
        Cow::Borrowed(text) => clean(text, most),
        Cow::Owned(text) => Cow::Owned(clean(&text, most).into_owned()),
    }
}

fn clean(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let head = &text[..text.floor_char_boundary(most)];
    let mut shown = escaped(head, |_| false);
    if head.len() < text.len() {
        let _ = write!(shown, "… ({} bytes)", text.len());
    }
    Cow::Owned(shown)
}

/// A text of several lines, made by this program of parts that were shown
/// already: the same but for its line breaks, and of any length.
pub fn lines(text: &str) -> String {
    escaped(text, |c| c == '\n')
}

fn escaped(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut marks = 0;
    for c in text.chars() {
        let is_mark = !c.is_ascii() && c.width() == Some(0);
        marks = if is_mark { marks + 1 } else { 0 };
        match c {
            _ if keep(c) => shown.push(c),
            '\n' | '\r' | '\t' | '\0' => shown.extend(c.escape_debug()),
            _ if deceives(c) || marks > MARKS => shown.extend(c.escape_unicode()),
            _ => shown.push(c),
        }
    }
    shown
}

/// JSON that a terminal may be shown: what deceives is written as `\u` and its
/// number, which says the same to a program. Outside of its texts JSON has no such
/// characters but line breaks, which stay.
pub fn json(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c == '\n' || !deceives(c);
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 64);
    let mut units = [0; 2];
    for c in text.chars() {
        if is_plain(c) {
            shown.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        }
    }
    Cow::Owned(shown)
}

/// Whether a character acts on what stands around it, or is not to be seen.
fn deceives(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Soft hyphen, grapheme joiner, fillers: nothing to see.
            '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}'
            // Direction: marks, embeddings, overrides, isolates.
            | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            // Line and paragraph separators.
            | '\u{2028}' | '\u{2029}'
            // Without width: spaces, joiners, invisible operators, the byte order mark.
            | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}'
            | '\u{feff}'
            // Annotations, and what is no character.
            | '\u{fff0}'..='\u{fffb}' | '\u{fdd0}'..='\u{fdef}' | '\u{fffe}' | '\u{ffff}'
            // Shorthand and musical controls.
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            // Tags and selectors of variants, in which a text can be hidden.
            | '\u{e0000}'..='\u{e0fff}'
            // For private use: every font shows something else.
            | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}')
}

/// A registry's URI without what only the agent should know: a user, a password, or
/// a token in its query.
pub fn without_secrets(uri: &str) -> String {
    const HIDDEN: &str = "***";
    let Some((scheme, rest)) = uri.split_once("://") else {
        let clean = uri.rsplit_once('@').map(|(_, rest)| format!("{HIDDEN}@{rest}"));
        return clean.unwrap_or_else(|| uri.into());
    };
    let parses = url::Url::parse(uri).is_ok();
    let authority = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    // What cannot be read may have a password with a slash in it.
    let user = if parses { rest[..authority].rfind('@') } else { rest.rfind('@') };
    let rest = user.map_or(rest, |at| &rest[at + 1..]);
    let mut clean = format!("{scheme}://");
    if user.is_some() {
        clean += HIDDEN;
        clean.push('@');
    }
    let Some((before, after)) = rest.split_once('?') else { return clean + rest };
    clean += before;
    let (query, _) = after.split_once('#').unwrap_or((after, ""));
    for (n, pair) in query.split('&').enumerate() {
        clean.push(if n == 0 { '?' } else { '&' });
        match pair.split_once('=') {
            Some((key, _)) => {
                clean += key;
                clean.push('=');
                clean += HIDDEN;
            }
            None => clean += HIDDEN,
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_its_surroundings_is_shown_as_what_it_is() {
        for (text, expected) in [
            ("plain: a=\"b\" \\n", "plain: a=\"b\" \\n"),
            ("Grüße, 日本 🎉 é", "Grüße, 日本 🎉 é"),
            ("a\n2026-01-01T00:00:00Z  INFO b", "a\\n2026-01-01T00:00:00Z  INFO b"),
            ("a\r\tb\0", "a\\r\\tb\\0"),
            ("\u{1b}[31mred\u{9b}m\u{7f}", "\\u{1b}[31mred\\u{9b}m\\u{7f}"),
            ("a\u{85}b\u{2028}c\u{2029}d\u{b}\u{c}", "a\\u{85}b\\u{2028}c\\u{2029}d\\u{b}\\u{c}"),
            ("\u{202e}gnp.\u{2066}x\u{2069}\u{61c}", "\\u{202e}gnp.\\u{2066}x\\u{2069}\\u{61c}"),
            (
                "pay\u{200b}pal\u{feff}\u{2060}\u{200d}",
                "pay\\u{200b}pal\\u{feff}\\u{2060}\\u{200d}",
            ),
            ("\u{e0041}\u{e0100}\u{3164}\u{ad}", "\\u{e0041}\\u{e0100}\\u{3164}\\u{ad}"),
        ] {
            assert_eq!(shown(text), expected);
            assert_eq!(shown(&shown(text)), expected, "once more");
        }
        let marks = format!("a{}", "\u{301}".repeat(20));
        assert_eq!(shown(&marks).matches("\\u{301}").count(), 20 - MARKS);
    }

    #[test]
    fn every_character_that_unicode_calls_a_control_or_a_format_is_escaped() {
        // General categories Cc, Cf, Zl and Zp of Unicode 16, but for marks that are seen.
        let listed = [
            0x00..=0x1f,
            0x7f..=0x9f,
            0xad..=0xad,
            0x61c..=0x61c,
            0x180e..=0x180e,
            0x200b..=0x200f,
            0x2028..=0x202e,
            0x2060..=0x2064,
            0x2066..=0x206f,
            0xfeff..=0xfeff,
            0xfff9..=0xfffb,
            0x1bca0..=0x1bca3,
            0x1d173..=0x1d17a,
            0xe0001..=0xe0001,
            0xe0020..=0xe007f,
        ];
        for c in listed.into_iter().flatten().filter_map(char::from_u32) {
            assert!(!shown(&c.to_string()).contains(c), "{:x}", u32::from(c));
            assert!(c == '\n' || !json(&c.to_string()).contains(c), "{:x}", u32::from(c));
        }
    }

    #[test]
    fn a_long_text_is_cut_with_its_length_said() {
        let long = "ä".repeat(MOST);
        let text = shown(&long);
        assert!(text.ends_with(&format!("ä… ({} bytes)", 2 * MOST)), "{}", text.len());
        assert!(text.len() < MOST + 50);
        assert_eq!(shown_within("abcdef", 3), "abc… (6 bytes)");
        assert_eq!(lines("a\nb\u{1b}c\n"), "a\nb\\u{1b}c\n");
    }

    #[test]
    fn json_says_the_same_to_a_program() {
        let value = serde_json::json!({ "a\u{202e}": "b\n\u{9b}\u{85}\u{e0041}\u{10ffff}ü" });
        let text = serde_json::to_string_pretty(&value).expect("JSON");
        let shown = json(&text);
        assert!(
            shown.contains("\\u202e") && shown.contains("\\udb40\\udc41") && shown.contains('ü')
        );
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("JSON"), value);
    }

    #[test]
    fn a_uri_is_shown_without_its_secrets() {
        for (uri, expected) in [
            ("consul://127.0.0.1:8500", "consul://127.0.0.1:8500"),
            ("consulkv://h:1/a@b", "consulkv://h:1/a@b"),
            ("consul://user:pw@h:1/", "consul://***@h:1/"),
            ("consul://token@h", "consul://***@h"),
            ("consul://u:p@ss@h", "consul://***@h"),
            ("consul://u:p/ss@h", "consul://***@h"),
            ("consul://h?token=abc&dc=x", "consul://h?token=***&dc=***"),
            ("consul://h/p?abc", "consul://h/p?***"),
            ("consul://u:p?ss@h:8500", "consul://***@h:8500"),
            ("consul://h:8500/?a=secret&secret#secret", "consul://h:8500/?a=***&***"),
            ("consulkv://h/a@b", "consulkv://h/a@b"),
            ("memory://", "memory://"),
            ("no uri", "no uri"),
            ("consul:u:pw@h", "***@h"),
        ] {
            assert_eq!(without_secrets(uri), expected);
        }
    }
}
