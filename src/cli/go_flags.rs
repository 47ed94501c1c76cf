//! Go's way of writing flags, turned into the usual one.

use std::ffi::OsString;

use clap::{ArgAction, Command};

/// Commands that registrator has nothing like: their words stay as they are.
const OF_OUR_OWN: [&str; 3] = ["plugin", "completions", "help"];

/// Whether a command line is one of a command that registrator has nothing like.
pub(super) fn is_of_our_own(words: &[OsString]) -> bool {
    words.get(1).is_some_and(|word| OF_OUR_OWN.iter().any(|own| word == own))
}

/// Turn `-flag value` and `-flag=value` into `--flag=value`, for every flag of
/// the command, up to the first word that is no flag.
///
/// # Errors
///
/// A flag is not known, or words follow the registry's URI; with Go's words.
pub(super) fn to_long(words: Vec<OsString>, command: &Command) -> Result<Vec<OsString>, String> {
    let mut words = words.into_iter();
    let mut long: Vec<OsString> = words.next().into_iter().collect();
    let mut rest: Vec<OsString> = words.collect();
    rest.reverse();
    let mut current = command;
    let mut plain = true;
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
            long.push(word);
            if plain && !rest.is_empty() {
                rest.reverse();
                let rest: Vec<_> =
                    rest.iter().map(|word| word.to_string_lossy().into_owned()).collect();
                return Err(format!(
                    "Extra unparsed arguments:\n  {}\nOptions should come before the registry \
                     URI argument.\n\n{}",
                    rest.join(" "),
                    command.clone().render_help()
                ));
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
            return Err(format!(
                "flag provided but not defined: {text}\n\n{}",
                command.clone().render_help()
            ));
        };
        let optional = flag.get_num_args().is_some_and(|count| count.min_values() == 0);
        let takes = matches!(flag.get_action(), ArgAction::Set | ArgAction::Append) && !optional;
        match value {
            Some(value) => long.push(format!("--{name}={value}").into()),
            None if takes => {
                let Some(value) = rest.pop() else {
                    return Err(format!("flag needs an argument: {text}"));
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
