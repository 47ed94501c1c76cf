//! `wharfinger completions`: scripts by which shells complete this program's
//! commands and flags.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;

/// The shell of `completions`.
#[derive(Debug, Clone, Copy, Args)]
#[command(after_help = "\
Bash:  wharfinger completions bash >/etc/bash_completion.d/wharfinger
Zsh:   wharfinger completions zsh >\"${fpath[1]}/_wharfinger\"
Fish:  wharfinger completions fish >~/.config/fish/completions/wharfinger.fish")]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// The script for a shell, to be read by it at its start.
pub fn completions(args: &CompletionsArgs) -> String {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "wharfinger", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_shell_knows_the_commands_and_their_flags() {
        for shell in Shell::value_variants() {
            let script = completions(&CompletionsArgs { shell: *shell });
            for word in ["plugin", "bench", "concurrency", "useIpFromLabel", "completions"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
