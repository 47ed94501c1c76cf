//! Breaking styled lines between words.

use unicode_width::UnicodeWidthStr as _;

use super::Tone;

/// However narrow the terminal is, so much stands on a line.
const LEAST: usize = 16;

type Line = Vec<(Tone, String)>;

/// The lines of a text of at most `room` columns; a longer word is broken.
pub(super) fn wrap(pieces: &[(Tone, String)], room: usize) -> Vec<Line> {
    let room = room.max(LEAST);
    let mut lines = vec![Line::new()];
    let mut used = 0;
    for (tone, piece) in pieces {
        for word in piece.split_inclusive(' ') {
            let width = word.trim_end_matches(' ').width();
            if used > 0 && used + width > room {
                trim(lines.last_mut().expect("there is a line"));
                lines.push(Line::new());
                used = 0;
            }
            if used == 0 && lines.len() > 1 && word.trim().is_empty() {
                continue;
            }
            for part in parts(word, room) {
                if used > 0 && used + part.trim_end_matches(' ').width() > room {
                    lines.push(Line::new());
                    used = 0;
                }
                used += part.width();
                let line = lines.last_mut().expect("there is a line");
                match line.last_mut() {
                    Some((last, text)) if last == tone => text.push_str(&part),
                    _ => line.push((*tone, part)),
                }
            }
        }
    }
    trim(lines.last_mut().expect("there is a line"));
    lines
}

/// A word, or the parts of one that no line has room for.
fn parts(word: &str, room: usize) -> Vec<String> {
    if word.trim_end_matches(' ').width() <= room {
        return vec![word.to_string()];
    }
    let mut parts = vec![String::new()];
    let mut used = 0;
    for c in word.chars() {
        let width = unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
        if used + width > room {
            parts.push(String::new());
            used = 0;
        }
        used += width;
        parts.last_mut().expect("there is a part").push(c);
    }
    parts
}

/// Take spaces from the end of a line.
fn trim(line: &mut Line) {
    while let Some((_, text)) = line.last_mut() {
        text.truncate(text.trim_end_matches(' ').len());
        if !text.is_empty() {
            return;
        }
        line.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, room: usize, expected: &[&str]) {
        let lines: Vec<String> = wrap(&[(Tone::Plain, text.to_string())], room)
            .into_iter()
            .map(|line| line.into_iter().map(|(_, text)| text).collect())
            .collect();
        assert_eq!(lines, expected, "{text:?} in {room}");
    }

    #[test]
    fn lines_are_broken_between_words_and_long_words_within() {
        check("", 20, &[""]);
        check("one two three four", 18, &["one two three four"]);
        check("one two three four", 17, &["one two three", "four"]);
        check("a 0123456789012345678901 b", 16, &["a", "0123456789012345", "678901 b"]);
        // Two columns each.
        check("日本語日本語日本語", 16, &["日本語日本語日本", "語"]);
    }
}
