//! `wharfinger rollout`: a bundle is brought to all hosts of a fleet, wave by wave, by a document
//! in Consul's KV store that every host follows by itself. These commands write that document,
//! each only if nobody else has written it meanwhile; nothing of them has to go on running.

mod place;
mod start;
mod status;

use std::time::SystemTime;

use anyhow::anyhow;
use clap::{Args, Subcommand};

use super::Printed;
use crate::{
    policy::rollout::{
        Document, Fleet, State,
        operate::{Deed, Unfit},
    },
    registry::consul::members,
};
use place::PlaceArgs;
pub(super) use place::{ConsulArgs, Key, key, read_document};

/// The flags of `rollout` and its commands.
#[derive(Debug, Clone, Args)]
pub struct RolloutArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// Begin to bring a bundle to all hosts, wave by wave.
    Start(Box<start::StartArgs>),
    /// Show how far it has come; the exit code is 2 if hosts refuse, hold or are lost, or if it
    /// does not go on.
    Status(status::StatusArgs),
    /// Begin the next wave, or all up to one, without waiting for those before.
    Promote(PromoteArgs),
    /// Let no further host take the bundle; those that have it keep it.
    Halt(ChangeArgs),
    /// Go on with one that is halted.
    Resume(ChangeArgs),
    /// Have every host go back to the bundle before.
    Abort(ChangeArgs),
}

/// The flags of `rollout promote`.
#[derive(Debug, Clone, Args)]
struct PromoteArgs {
    /// The wave up to which all begin, counted from 0.
    #[arg(long, value_name = "WAVE")]
    to: Option<usize>,

    #[command(flatten)]
    change: ChangeArgs,
}

/// The flags of whatever changes a rollout.
#[derive(Debug, Clone, Args)]
struct ChangeArgs {
    #[command(flatten)]
    place: PlaceArgs,

    #[command(flatten)]
    by: ByArgs,
}

/// Who says so.
#[derive(Debug, Clone, Args)]
struct ByArgs {
    /// Who does it, for others to read; without it, the user and the machine.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

impl ByArgs {
    fn name(&self) -> String {
        let user = || {
            let set = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
            let user = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(set);
            let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            let user = user.unwrap_or_else(|| "somebody".into());
            format!("{user}@{}", host.trim())
        };
        self.by.clone().unwrap_or_else(user)
    }

    fn deed(&self) -> Deed {
        Deed { what: String::new(), by: self.name(), at: now() }
    }
}

/// The time, for people.
fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// Carry out a command.
///
/// # Errors
///
/// It cannot be done, or somebody else was quicker; the words name the key.
pub async fn rollout(args: &RolloutArgs) -> anyhow::Result<Printed> {
    match &args.command {
        Command::Start(args) => start::start(args).await,
        Command::Status(args) => status::status(args).await,
        Command::Promote(PromoteArgs { to, change: args }) => {
            let consul = args.place.consul.open()?;
            let fleet = members::read(&consul, args.place.consul.service()).await?;
            change(args, |document, deed| document.promoted(&fleet, *to, deed)).await
        }
        Command::Halt(args) => turn(args, State::Halted).await,
        Command::Resume(args) => turn(args, State::Running).await,
        Command::Abort(args) => turn(args, State::Aborted).await,
    }
}

async fn turn(args: &ChangeArgs, to: State) -> anyhow::Result<Printed> {
    change(args, |document, deed| document.turned(to, deed)).await
}

/// Change the document, unless somebody else does at the same time.
async fn change(
    args: &ChangeArgs,
    to: impl FnOnce(&Document, Deed) -> Result<Document, Unfit>,
) -> anyhow::Result<Printed> {
    let consul = args.place.consul.open()?;
    let key = args.place.key();
    let (document, index) =
        read_document(&consul, key).await?.ok_or_else(|| anyhow!("{key}: there is no rollout"))?;
    let new = to(&document, args.by.deed()).map_err(|unfit| anyhow!("{key}: {unfit}"))?;
    place::write(&consul, key, &new, index).await?;
    let Deed { what, .. } = new.deed();
    let digest = new.bundle.digest;
    let mut text = format!("the rollout of {digest} is {what}\n");
    if new.rollout.state == State::Aborted {
        text.push_str(&match &new.before {
            Some(before) => format!("hosts go back to {}\n", before.digest),
            None => "there is no bundle before it: hosts keep what they have\n".into(),
        });
    }
    Ok(Printed { text: crate::text::lines(&text), code: 0 })
}

/// The fleet, or why it cannot be seen.
async fn fleet(consul: &crate::registry::Consul, service: &str) -> Result<Fleet, String> {
    let read = members::read(consul, service).await;
    read.map_err(|error| crate::error::error_chain(&error))
}
