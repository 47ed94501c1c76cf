//! A command line that cannot be used: what is said of it, and its exit code.

use std::ffi::OsString;

use clap::CommandFactory as _;

use super::{Cli, Invocation, go_flags, plugin};

/// The exit code of the daemon for a command line that cannot be used: registrator's.
const OF_THE_DAEMON: u8 = 2;
/// That of the commands of which 2 says that there are changes; the `EX_USAGE` of
/// sysexits(3).
const OF_COMMANDS: u8 = 64;
/// The commands that look at a daemon or what it would do.
const LOOKING: [&str; 13] = [
    "plan",
    "explain",
    "record",
    "replay",
    "apply",
    "status",
    "check",
    "health",
    "decisions",
    "config",
    "policy",
    "rollout",
    "fleet",
];

/// A command line that cannot be used.
#[derive(Debug)]
pub struct UsageError {
    /// What to print.
    pub message: String,
    /// The exit code: registrator's for the same fault, that of the command, or 0 where
    /// help was asked for.
    pub code: u8,
    /// Whether it belongs on the standard output: help of our own commands, and
    /// what a program has asked for with `--json`. registrator's help does not.
    pub to_stdout: bool,
}

impl UsageError {
    pub(super) fn new(message: String, code: u8) -> Self {
        Self { message, code, to_stdout: false }
    }

    /// The message as programs say it: registrator's own words stay as they are.
    pub fn shown(&self) -> String {
        let ours = self.code == OF_COMMANDS && !self.message.starts_with("error: ");
        format!("{}{}", if ours { "error: " } else { "" }, self.message)
    }

    pub(super) fn of(words: &[OsString], error: &clap::Error) -> Self {
        let code = u8::try_from(error.exit_code()).unwrap_or(OF_THE_DAEMON);
        if let Some(message) = plugin::usage_error(words, error) {
            return Self { message, code, to_stdout: true };
        }
        let command = command_of(words);
        let code = if code == 0 { 0 } else { code_of(command.as_deref()) };
        let ours = command.is_some() || go_flags::is_of_our_own(words);
        Self { message: error.to_string(), code, to_stdout: ours && !error.use_stderr() }
    }
}

impl Invocation {
    /// The exit code for [`BadUsage`](super::BadUsage).
    pub fn usage_code(&self) -> u8 {
        match self {
            Self::Plan(_) | Self::Explain(_) | Self::Record(_) | Self::Replay(_) => OF_COMMANDS,
            Self::Apply(_) | Self::Status(_) | Self::Check(_) => OF_COMMANDS,
            Self::Health(_) | Self::Decisions(_) | Self::Config(_) => OF_COMMANDS,
            Self::Policy(_) | Self::Rollout(_) | Self::Fleet(_) => OF_COMMANDS,
            _ => OF_THE_DAEMON,
        }
    }
}

/// The exit code for a command line of this command, or of the daemon.
pub(super) fn code_of(command: Option<&str>) -> u8 {
    match command {
        Some(command) if LOOKING.contains(&command) => OF_COMMANDS,
        _ => OF_THE_DAEMON,
    }
}

/// The command of a line whose flags and values are one word each.
fn command_of(words: &[OsString]) -> Option<String> {
    let mut plain = words.iter().skip(1).map(|word| word.to_string_lossy());
    let first = plain.find(|word| !word.starts_with('-'))?;
    Cli::command().find_subcommand(&*first).map(|command| command.get_name().to_string())
}
