//! The command line: registrator's, and ours beside it.
//!
//! registrator is written in Go, whose flags have one dash, stand before the
//! registry's URI and may be written `-flag=value`. They are turned into the
//! same flags with two dashes before anything else looks at them.

mod apply;
mod check;
mod completions;
mod config;
mod decisions;
mod dispatch;
mod explain;
mod fleet;
pub(crate) mod flags;
mod go_flags;
mod health;
mod meant;
mod oci;
mod output;
mod plan;
mod plugin;
mod policy;
mod rollout;
mod status;
mod record;
mod replay;
mod socket;
mod usage;
mod whole;

use std::ffi::OsString;

use clap::{CommandFactory as _, Parser, Subcommand};

pub use apply::{ApplyArgs, apply};
pub use check::{CheckArgs, check};
pub use completions::{CompletionsArgs, completions};
pub use config::{ConfigArgs, ConfigCommand, ShowArgs, config};
pub use decisions::{DecisionsArgs, decisions};
pub use dispatch::run;
pub use explain::{ExplainArgs, ExplainOutput, explain};
pub use flags::{BadUsage, OfferArgs, RunArgs};
pub use fleet::{FleetArgs, fleet};
pub use health::{HealthArgs, health};
pub use output::{CHANGES, Color, ColorArgs, Printed, print, stdout, width};
pub use plan::{PlanArgs, PlanOutput, plan};
pub use plugin::{Done, PluginArgs, plugin};
pub use policy::{PolicyArgs, policy};
pub use record::{RecordArgs, record};
pub use replay::{ReplayArgs, ReplayOutput, replay};
pub use rollout::{RolloutArgs, rollout};
pub use socket::SocketArgs;
pub use status::{StatusArgs, status};
pub use usage::UsageError;

/// Keeps Consul's catalog true to the containers that run on a host.
#[derive(Debug, Parser)]
#[command(
    name = "wharfinger",
    disable_version_flag = true,
    args_conflicts_with_subcommands = true,
    override_usage = "wharfinger [options] <registry URI>\n       wharfinger <command> [options]"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Invocation>,

    #[command(flatten)]
    run: RunArgs,

    /// Print the version and end.
    #[arg(long)]
    version: bool,
}

/// What to do: the commands, which are told apart here and carried out in [`run`].
#[derive(Debug, Subcommand)]
pub enum Invocation {
    /// Print the version.
    #[command(skip)]
    Version,
    /// Run with a configuration file; what the plain command does otherwise.
    Run(Box<RunArgs>),
    /// Show what the daemon would do, without doing it.
    Plan(Box<PlanArgs>),
    /// Say why a container's services are what they are, or why there are none.
    Explain(Box<ExplainArgs>),
    /// Write the running containers with what becomes of them to a file.
    Record(Box<RecordArgs>),
    /// Show what another pipeline would make of recorded containers.
    Replay(ReplayArgs),
    /// Show what the bulk guard of the running daemon holds, or carry it out.
    Apply(ApplyArgs),
    /// Show how the stages of the running daemon fare.
    Status(StatusArgs),
    /// Say whether the running daemon has looked at every container, for supervisors.
    Health(HealthArgs),
    /// Show what was decided of containers, and why, from a decision log.
    Decisions(DecisionsArgs),
    /// Load a configuration and say what is wrong with it.
    Check(Box<CheckArgs>),
    /// Show the configuration that holds, or the schema of its file.
    Config(ConfigArgs),
    /// Make, look at, test, measure, push and pull plugins.
    Plugin(Box<PluginArgs>),
    /// Make, look at, compare, sign, verify, push and pull bundles of a policy.
    Policy(PolicyArgs),
    /// Bring a policy to all hosts of a fleet, wave by wave.
    Rollout(Box<RolloutArgs>),
    /// Show the daemons of a datacenter, and what they say of a service.
    Fleet(Box<FleetArgs>),
    /// Print a script by which a shell completes the words of this program.
    Completions(CompletionsArgs),
    /// Compile a component from the standard input to the standard output; the
    /// daemon's own.
    #[command(name = crate::stages::plugin::COMPILE_COMMAND, hide = true)]
    Compile,
}

impl Invocation {
    /// Whether it opens Docker's socket.
    pub fn needs_docker(&self) -> bool {
        matches!(self, Self::Run(_) | Self::Plan(_) | Self::Explain(_) | Self::Record(_))
    }

    /// The daemon's flags of a command that takes them.
    pub fn flags(&self) -> Option<&RunArgs> {
        match self {
            Self::Run(args) => Some(args),
            Self::Plan(args) => Some(&args.target),
            Self::Explain(args) => Some(&args.target),
            Self::Record(args) => Some(&args.target),
            Self::Check(args) => Some(&args.target),
            Self::Config(args) => args.flags(),
            _ => None,
        }
    }
}

/// Read a command line, whose first word is the program's name.
///
/// # Errors
///
/// It cannot be used, or help is asked for.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Invocation, UsageError> {
    let words =
        go_flags::to_long(words.into_iter().collect(), &Cli::command()).map_err(|fault| {
            UsageError::new(fault.message, usage::code_of(fault.command.as_deref()))
        })?;
    let cli = Cli::try_parse_from(&words).map_err(|error| UsageError::of(&words, &error))?;
    if cli.version {
        return Ok(Invocation::Version);
    }
    let invocation = match cli.command {
        None => Invocation::Run(Box::new(cli.run)),
        Some(other) => other,
    };
    if let Invocation::Run(args) = &invocation
        && args.uri.is_none()
        && args.offer.config.is_none()
    {
        let usage = Cli::command().render_help();
        let message = format!("Missing required argument for registry URI.\n\n{usage}");
        return Err(UsageError::new(message, 2));
    }
    // registrator's own exit code for such a fault is 1.
    let code = match &invocation {
        Invocation::Run(_) => 1,
        other => other.usage_code(),
    };
    let args = invocation.flags();
    args.map_or(Ok(()), checked).map_err(|message| UsageError::new(message, code))?;
    Ok(invocation)
}

/// What of the flags alone can be judged before the file is read.
fn checked(args: &RunArgs) -> Result<(), String> {
    match &args.offer.config {
        None => args.check(),
        Some(_) => args.check_each(),
    }
}

#[cfg(test)]
mod man;
#[cfg(test)]
mod tests;
