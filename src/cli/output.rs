//! How text for people reaches the terminal, or what is in its place.

use std::io::{self, IsTerminal as _, Write as _};

use anstream::{AutoStream, ColorChoice};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

/// How wide text is that nobody may be looking at.
const WIDTH: usize = 100;
/// Longer lines are hard to read.
const WIDEST: usize = 160;

/// The flags of commands that print text for people.
#[derive(Debug, Clone, Args)]
pub struct ColorArgs {
    /// Whether text has colours. `auto`: on a terminal, unless NO_COLOR is set.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
}

/// Whether text has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Color {
    Auto,
    Always,
    Never,
}

/// What a command prints, and its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    /// The text for the standard output.
    pub text: String,
    /// The exit code.
    pub code: u8,
}

/// The exit code of a command that found changes.
pub const CHANGES: u8 = 2;

/// How wide the text is to be: as the terminal, or as COLUMNS says.
pub fn width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let terminal = || {
        let (width, _) = terminal_size::terminal_size_of(io::stdout())?;
        Some(usize::from(width.0))
    };
    columns.or_else(terminal).unwrap_or(WIDTH).min(WIDEST)
}

/// A stream to the standard output that has colours where they are wanted.
pub fn stdout(color: Color) -> AutoStream<io::Stdout> {
    let choice = match color {
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
        Color::Auto if io::stdout().is_terminal() => AutoStream::choice(&io::stdout()),
        Color::Auto => ColorChoice::Never,
    };
    AutoStream::new(io::stdout(), choice)
}

/// Print a text. That nobody reads it to its end is no fault.
///
/// # Errors
///
/// It cannot be written.
pub fn print(text: &str, color: Color) -> io::Result<()> {
    let mut stream = stdout(color);
    match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// A bar that says how far long work has come; it shows on a terminal only.
pub(super) fn progress(length: u64, unit: &str) -> ProgressBar {
    let form = match unit {
        "bytes" => "{bar:40} {percent}% {bytes}/{total_bytes} {eta}",
        _ => "{bar:40} {percent}% {pos}/{len} {eta}",
    };
    let style = ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}
