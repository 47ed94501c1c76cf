//! What somebody may have meant who mistyped a command or a flag.

use clap::Command;

use crate::text::nearest;

/// The command that somebody may have meant by a word that is none and no URI either.
pub(super) fn meant_command<'a>(word: &str, command: &'a Command) -> Option<&'a str> {
    if word.contains(['/', ':', '.']) {
        return None;
    }
    let commands = command.get_subcommands().filter(|one| !one.is_hide_set());
    nearest(word, commands.map(Command::get_name))
}

/// The flag that somebody may have meant by a name.
pub(super) fn meant_flag(name: &str, command: &Command) -> Option<String> {
    let flags = command.get_arguments().filter_map(|arg| arg.get_long());
    let flags: Vec<_> = flags.chain(["help"]).collect();
    let begun = |flag: &&&str| name.len() > 2 && flag.starts_with(name);
    let nearest = nearest(name, flags.iter().copied());
    nearest.or_else(|| flags.iter().find(begun).copied()).map(String::from)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn a_slip_is_told_from_another_word() {
        let command = Cli::command();
        for (word, meant) in [
            ("pln", Some("plan")),
            ("plna", Some("plan")),
            ("statsu", Some("status")),
            ("explian", Some("explain")),
            ("Plan", Some("plan")),
            ("recrod", Some("record")),
            ("x", None),
            ("frobnicate", None),
            ("10.0.0.1:8500", None),
            ("consul://plan", None),
            ("memory", None),
        ] {
            assert_eq!(meant_command(word, &command), meant, "{word}");
        }
        for (flag, meant) in [
            ("resinc", Some("resync")),
            ("useipfromlabel", Some("useIpFromLabel")),
            ("host", Some("hostname")),
            ("nosuch", None),
        ] {
            assert_eq!(meant_flag(flag, &command).as_deref(), meant, "{flag}");
        }
    }
}
