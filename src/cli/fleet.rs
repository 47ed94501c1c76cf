//! `wharfinger fleet`: the daemons of a datacenter, by what they tell of themselves in Consul,
//! what they say of a service, and what a policy would change. (Recorded fleets are another thing: `crate::fleet`.)

mod asker;
mod decisions;
mod diff;
mod explain;
mod host;
mod status;

use clap::{Args, Subcommand};

use super::Printed;

/// The flags of `fleet` and its commands.
#[derive(Debug, Clone, Args)]
pub struct FleetArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// Show the hosts with their bundles and waves; the exit code is 2 if one refuses, holds, is
    /// lost or has an unhealthy stage.
    Status(status::StatusArgs),
    /// Say of every instance of a service which host and container it is of, under which bundle,
    /// and, where the host listens, which stage made its name.
    Explain(explain::ExplainArgs),
    /// Say what a bundle would change on each host that listens, and on all of them together; the exit
    /// code is 2 if one would refuse it, if its guard would hold it, or if that is not known of one.
    Diff(diff::DiffArgs),
    /// Show the decisions of all hosts that listen, in the order of time; the exit code is 2 if
    /// those of a host are not known, or not all.
    Decisions(decisions::DecisionsArgs),
}

/// Carry out a command.
///
/// # Errors
///
/// Consul does not answer, or shows no daemon.
pub async fn fleet(args: &FleetArgs) -> anyhow::Result<Printed> {
    match &args.command {
        Command::Status(args) => status::status(args).await,
        Command::Explain(args) => explain::explain(args).await,
        Command::Diff(args) => diff::diff(args).await,
        Command::Decisions(args) => decisions::decisions(args).await,
    }
}
