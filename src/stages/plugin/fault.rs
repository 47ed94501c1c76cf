//! From what a guest wrote before it failed to what its author wants to know: the fault's type and
//! text, and the file and line of the author's own code. The forms are those of the languages that
//! plugins are written in; of any other it is what was said last.

/// Lines of a panic's own text.
const MAX_PANIC: usize = 5;

/// A guest's own account of its failure, by the lines that it wrote last.
pub(super) fn told(lines: &[String]) -> Option<String> {
    python(lines)
        .or_else(|| go(lines))
        .or_else(|| rust(lines))
        .or_else(|| javascript(lines))
        .or_else(|| lines.iter().rev().find(|line| !line.trim().is_empty()).cloned())
}

/// A traceback ends with the exception, after the frames, the innermost last.
fn python(lines: &[String]) -> Option<String> {
    let begin = lines.iter().rposition(|line| line.starts_with("Traceback (most recent call"))?;
    let after = &lines[begin + 1..];
    let end = after.iter().position(|line| !line.starts_with(' ') && !line.is_empty())?;
    let frame = after[..end].iter().rev().find_map(|line| {
        let (file, rest) = line.trim().strip_prefix("File \"")?.split_once("\", line ")?;
        let (line, function) = rest.split_once(", in ").unwrap_or((rest, ""));
        Some(format!("{file}:{line} in {function}"))
    });
    Some(at(&after[end], frame))
}

/// A panic is followed by the goroutine's calls, the innermost first, each with its place below it.
fn go(lines: &[String]) -> Option<String> {
    let says = |line: &String| line.starts_with("panic: ") || line.starts_with("fatal error: ");
    let begin = lines.iter().rposition(says)?;
    let place = lines[begin..].iter().find_map(|line| {
        let place = line.strip_prefix('\t')?.split(" +0x").next()?;
        let runtime = place.starts_with("runtime/") || place.contains("/src/runtime/");
        (place.contains(".go:") && !runtime).then(|| place.to_string())
    });
    Some(at(&lines[begin], place))
}

/// The place comes first, and what the panic says on lines of its own.
fn rust(lines: &[String]) -> Option<String> {
    let begin = lines.iter().rposition(|line| line.contains("panicked at "))?;
    let panic = &lines[begin][lines[begin].find("panicked at ")?..];
    let more = lines[begin + 1..]
        .iter()
        .take(MAX_PANIC)
        .take_while(|line| !line.trim().is_empty() && !line.starts_with("note: "));
    Some(more.fold(panic.to_string(), |text, line| text + " " + line.trim()))
}

/// The error is followed by its frames, the innermost first.
fn javascript(lines: &[String]) -> Option<String> {
    let is_frame = |line: &String| line.starts_with("    at ");
    let last = lines.iter().rposition(is_frame)?;
    let before = lines[..last].iter().rposition(|line| !is_frame(line))?;
    let frame = lines[before + 1].trim().trim_start_matches("at ").to_string();
    Some(at(&lines[before], Some(frame)))
}

fn at(text: &str, place: Option<String>) -> String {
    match place {
        Some(place) => format!("{text} ({place})"),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_text_file_and_line_are_found_in_what_each_language_writes() {
        for (written, expected) in [
            (
                "Traceback (most recent call last):\n  File \"/0/guard.py\", line 9, in call\n    \
                 return f()\n  File \"/0/naming.py\", line 27, in team\n    return x[0]\n           \
                 ~^^^\nIndexError: list index out of range",
                "IndexError: list index out of range (/0/naming.py:27 in team)",
            ),
            (
                "panic: runtime error: index out of range [3] with length 2\n\ngoroutine 6 \
                 [running]:\nruntime.panicIndex()\n\truntime/panic.go:1 +0x2\nmain.decide({0x1, \
                 0x2})\n\tteam-naming/naming.go:31 +0x1a\nmain.Process(...)\n\tteam-naming/plugin.go:20",
                "panic: runtime error: index out of range [3] with length 2 (team-naming/naming.go:31)",
            ),
            (
                "fatal error: all goroutines are asleep - deadlock!",
                "fatal error: all goroutines are asleep - deadlock!",
            ),
            (
                "thread '<unnamed>' panicked at src/lib.rs:10:5:\nno team\nat all\nnote: run with \
                 RUST_BACKTRACE=1",
                "panicked at src/lib.rs:10:5: no team at all",
            ),
            (
                "said before\nTypeError: cannot read property 'x' of undefined\n    at decide \
                 (naming.js:12:9)\n    at process (plugin.js:30:5)",
                "TypeError: cannot read property 'x' of undefined (decide (naming.js:12:9))",
            ),
            (
                "libc++abi: terminating due to uncaught exception of type std::out_of_range: map::at",
                "libc++abi: terminating due to uncaught exception of type std::out_of_range: map::at",
            ),
            ("one\ntwo\n", "two"),
        ] {
            let lines: Vec<_> = written.split('\n').map(String::from).collect();
            assert_eq!(told(&lines).as_deref(), Some(expected));
        }
        assert_eq!(told(&[]), None);
        assert_eq!(
            told(&["Traceback (most recent call last):".into()]).as_deref(),
            Some("Traceback (most recent call last):")
        );
    }
}
