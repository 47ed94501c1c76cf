//! Go's way of writing flags, turned into the usual one.

use std::ffi::OsString;

use clap::{ArgAction, Command};

use super::meant::{meant_command, meant_flag};

/// Commands that registrator has nothing like: their words stay as they are.
const OF_OUR_OWN: [&str; 3] = ["plugin", "completions", "help"];

/// Whether a command line is one of a command that registrator has nothing like.
pub(super) fn is_of_our_own(words: &[OsString]) -> bool {
    words.get(1).is_some_and(|word| OF_OUR_OWN.iter().any(|own| word == own))
}

/// What is wrong with a line, and the command that it is of; none for the daemon.
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) command: Option<String>,
}

/// Turn `-flag value` and `-flag=value` into `--flag=value`, for every flag of
/// the command, up to the first word that is no flag.
///
/// # Errors
///
/// A flag is not known, or words follow the registry's URI; with Go's words.
pub(super) fn to_long(words: Vec<OsString>, command: &Command) -> Result<Vec<OsString>, Fault> {
    let mut words = words.into_iter();
    let mut long: Vec<OsString> = words.next().into_iter().collect();
    let mut rest: Vec<OsString> = words.collect();
    rest.reverse();
    let mut current = command;
    let mut plain = true;
    let of_daemon = |message| Fault { message, command: None };
    while let Some(word) = rest.pop() {
        let text = word.to_string_lossy().into_owned();
        if text == "--" || text == "-" || !text.starts_with('-') {
            if plain && OF_OUR_OWN.contains(&text.as_str()) {
                long.push(word);
                long.extend(rest.into_iter().rev());
                return Ok(long);
            }
            if plain && let Some(subcommand) = command.find_subcommand(&text) {
                (current, plain) = (subcommand, false);
                long.push(word);
                continue;
            }
            if !plain && let Some(inner) = current.find_subcommand(&text) {
                current = inner;
                long.push(word);
                continue;
            }
            if plain && let Some(meant) = meant_command(&text, command) {
                let words: Vec<_> = rest.iter().rev().map(|word| word.to_string_lossy()).collect();
                let line = [&["wharfinger", meant], &*shown(&words)].concat().join(" ");
                let message = format!(
                    "there is neither a command nor a registry {text:?}; was {meant} meant?\nnext: {line}"
                );
                return Err(Fault { message, command: Some(meant.into()) });
            }
            long.push(word);
            if plain && !rest.is_empty() {
                rest.reverse();
                let rest: Vec<_> =
                    rest.iter().map(|word| word.to_string_lossy().into_owned()).collect();
                return Err(of_daemon(format!(
                    "Extra unparsed arguments:\n  {}\nOptions should come before the registry \
                     URI argument.\n\nnext: wharfinger --help",
                    rest.join(" "),
                )));
            }
            continue;
        }
        let name = text.trim_start_matches('-');
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (name, None),
        };
        if matches!(name, "h" | "help") {
            long.push("--help".into());
            continue;
        }
        let single = !text.starts_with("--");
        let known = current.get_arguments().find(|arg| {
            arg.get_long() == Some(name)
                || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
        });
        let Some(flag) = known.filter(|flag| !(single && flag.get_id() == "version")) else {
            let own = (!plain).then(|| current.get_name().to_string());
            let dashes = if text.starts_with("--") { "--" } else { "-" };
            let meant = meant_flag(name, current)
                .map(|meant| format!("; was {dashes}{meant} meant?"))
                .unwrap_or_default();
            let help = own
                .as_ref()
                .map_or("wharfinger --help".into(), |own| format!("wharfinger {own} --help"));
            return Err(Fault {
                message: format!("flag provided but not defined: {text}{meant}\nnext: {help}"),
                command: own,
            });
        };
        let optional = flag.get_num_args().is_some_and(|count| count.min_values() == 0);
        let takes = matches!(flag.get_action(), ArgAction::Set | ArgAction::Append) && !optional;
        match value {
            Some(value) => long.push(format!("--{name}={value}").into()),
            None if takes => {
                let Some(value) = rest.pop() else {
                    let own = (!plain).then(|| current.get_name().to_string());
                    let message = format!("flag needs an argument: {text}");
                    return Err(Fault { message, command: own });
                };
                let mut joined = OsString::from(format!("--{name}="));
                joined.push(value);
                long.push(joined);
            }
            None => long.push(format!("--{name}").into()),
        }
    }
    Ok(long)
}

/// Words as they were typed, for a line that can be typed again.
fn shown<'a>(words: &'a [std::borrow::Cow<'_, str>]) -> Vec<&'a str> {
    words.iter().map(|word| &**word).collect()
}
