//! Text for people: trees of styled lines, as wide as a terminal is. Pure.
//!
//! Words may come from containers and plugins, so nothing in them steers a terminal.
//! Colours are always written; whoever prints the text takes them out where they are
//! not wanted.

mod check;
mod decision;
mod explanation;
mod field;
mod fleet;
mod forecast;
mod monitored;
mod outcome;
mod wrap;

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use crate::text;

pub use decision::decision;
pub use explanation::explanation;
pub use field::{Part, fields, fields_of, flatten, lines};
pub use fleet::{Tally, difference};
pub use forecast::{Plan, Summary, forecast, held, monitored};
pub use monitored::WouldDo;
pub use outcome::{change, outcome, stage};

/// The look of a piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// The subject of a line.
    Strong,
    /// An explanation of the rest.
    Faint,
    /// Something new.
    Added,
    /// A difference.
    Changed,
    /// A removal, or a failure.
    Removed,
    /// Something that somebody should look at.
    Warning,
}

impl Tone {
    fn style(self) -> Style {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        match self {
            Tone::Plain => Style::new(),
            Tone::Strong => Style::new().bold(),
            Tone::Faint => Style::new().dimmed(),
            Tone::Added => colour(AnsiColor::Green),
            Tone::Changed => colour(AnsiColor::Yellow),
            Tone::Removed => colour(AnsiColor::Red),
            Tone::Warning => colour(AnsiColor::Magenta),
        }
    }
}

/// A text of pieces that look differently.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    pieces: Vec<(Tone, String)>,
    /// It is not broken, however narrow the terminal is.
    whole: bool,
}

impl Text {
    /// A text of one piece.
    pub fn of(tone: Tone, text: impl AsRef<str>) -> Self {
        Self::default().and(tone, text)
    }

    /// The text with a further piece, as [`text::shown`] shows it.
    pub fn and(mut self, tone: Tone, text: impl AsRef<str>) -> Self {
        self.pieces.push((tone, text::shown(text.as_ref()).into_owned()));
        self
    }

    /// The text with JSON behind it, all on one line, whatever its length, so that it can be
    /// copied.
    pub fn and_json(mut self, value: &serde_json::Value) -> Self {
        self.pieces.push((Tone::Plain, text::json(&value.to_string()).into_owned()));
        Self { whole: true, ..self }
    }

    /// A further piece after a space, in plain.
    pub fn then(self, text: impl AsRef<str>) -> Self {
        self.and(Tone::Plain, " ").and(Tone::Plain, text)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::of(Tone::Plain, text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::of(Tone::Plain, text)
    }
}

/// A line and what belongs to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    head: Text,
    children: Vec<Tree>,
}

impl Tree {
    /// A line.
    pub fn new(head: impl Into<Text>) -> Self {
        Self { head: head.into(), children: Vec::new() }
    }

    /// The same with these lines below it.
    pub fn with(mut self, children: impl IntoIterator<Item = Tree>) -> Self {
        self.children.extend(children);
        self
    }

    /// Add a line below it.
    pub fn push(&mut self, child: impl Into<Tree>) {
        self.children.push(child.into());
    }

    /// Whether there is nothing below it.
    pub fn is_leaf(&self) -> bool {
        self.children.is_empty()
    }

    /// The tree as lines of at most `width` columns, where words allow it, with
    /// styles as ANSI's escape sequences.
    pub fn render(&self, width: usize) -> String {
        let mut text = String::new();
        self.lines(&mut text, width, "", "");
        text
    }

    /// `first` stands before the first line, `rest` before all others.
    fn lines(&self, text: &mut String, width: usize, first: &str, rest: &str) {
        let below = format!("{rest}{}", if self.children.is_empty() { "" } else { "│  " });
        let room = match self.head.whole {
            true => usize::MAX,
            false => width.saturating_sub(first.chars().count()),
        };
        for (n, line) in wrap::wrap(&self.head.pieces, room).into_iter().enumerate() {
            let before = match n {
                0 => first.to_string(),
                // A line that goes on stands a little to the right.
                _ => format!("{below}{}", if self.children.is_empty() { "  " } else { "" }),
            };
            let faint = Tone::Faint.style();
            if before.is_empty() {
                text.push_str(&before);
            } else {
                let _ = write!(text, "{faint}{before}{faint:#}");
            }
            for (tone, piece) in line {
                let style = tone.style();
                let _ = write!(text, "{style}{piece}{style:#}");
            }
            text.push('\n');
        }
        let last = self.children.len().saturating_sub(1);
        for (n, child) in self.children.iter().enumerate() {
            let (corner, bar) = if n == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            child.lines(text, width, &format!("{rest}{corner}"), &format!("{rest}{bar}"));
        }
    }
}

impl<T: Into<Text>> From<T> for Tree {
    fn from(head: T) -> Self {
        Self::new(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_tree_is_drawn_with_its_branches() {
        let tree = Tree::new("a").with([Tree::new("b").with(["c".into(), "d".into()]), "e".into()]);
        let expected = "a\n├─ b\n│  ├─ c\n│  └─ d\n└─ e\n";
        assert_eq!(plain(&tree.render(80)), expected);
    }

    #[test]
    fn a_narrow_terminal_breaks_lines_below_their_beginning() {
        let tree = Tree::new("top").with([
            Tree::new("one two three four five six seven").with(["x".into()]),
            Tree::new("one two three four five six seven"),
        ]);
        let expected = "top\n├─ one two three four\n│  │  five six seven\n│  └─ x\n\
                        └─ one two three four\n     five six seven\n";
        assert_eq!(plain(&tree.render(24)), expected);
    }

    #[test]
    fn nothing_of_what_is_shown_can_steer_a_terminal() {
        let shown = plain(&Tree::new("a\u{1b}[31m\nb\u{9b}c").render(80));
        assert_eq!(shown, "a\\u{1b}[31m\\nb\\u{9b}c\n");
    }
}
