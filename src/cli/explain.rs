//! `wharfinger explain`: why a container's services are what they are, asked of the
//! running daemon or worked out afresh.

use std::time::{Duration, SystemTime};

use anyhow::{anyhow, bail};
use clap::Args;

use super::{
    BadUsage, RunArgs,
    output::{ColorArgs, Printed, width},
};
use crate::{
    daemon::{
        app::Parts,
        control::{self, Answer, Request},
    },
    reconcile::{Change, Explanation, Meant},
    render, secrets, text,
};

/// The flags of `explain`.
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// A container's name or identifier, or a service's ID or name.
    #[arg(value_name = "CONTAINER OR SERVICE", required_unless_present = "since")]
    pub what: Option<String>,

    /// Print what the running daemon has done within this time, such as 8h, and why: to the
    /// container or service, or to all. It remembers the last 1000 changes.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub since: Option<Duration>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub target: RunArgs,

    /// Work it out afresh. So it is done also if a registry or --containers is
    /// given; otherwise the running daemon is asked, which knows more: what Consul
    /// refused, and what is held.
    #[arg(long)]
    pub fresh: bool,

    /// text: a tree for people. json: all of it.
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub output: ExplainOutput,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub color: ColorArgs,
}

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[allow(missing_docs)]
pub enum ExplainOutput {
    Text,
    Json,
}

impl ExplainArgs {
    fn word(&self) -> &str {
        self.what.as_deref().unwrap_or_default()
    }
}

/// What the daemon remembers of the word, also of what is gone by now.
async fn history(args: &ExplainArgs) -> anyhow::Result<Printed> {
    let since = args.since.and_then(|since| SystemTime::now().checked_sub(since));
    let request = Request::History { what: args.what.clone(), since };
    let changes = match control::ask(args.target.socket().as_deref(), &request).await {
        Ok(Answer::History(changes)) => changes,
        Ok(other) => return Err(other.unexpected().into()),
        Err(error) => return Err(anyhow!(error).context("the running daemon cannot be asked")),
    };
    if changes.is_empty() && args.since.is_none() {
        bail!(
            "no container, service ID or service name begins with {:?}, nor is one remembered that \
             is gone",
            args.word()
        );
    }
    let printed = match args.output {
        ExplainOutput::Json => {
            text::json(&(serde_json::to_string_pretty(&changes)? + "\n")).into_owned()
        }
        ExplainOutput::Text if changes.is_empty() => "Nothing has happened.\n".into(),
        ExplainOutput::Text => changes.iter().map(line).collect(),
    };
    Ok(Printed { text: printed, code: 0 })
}

/// A change in one line.
fn line(change: &Change) -> String {
    let Change { at, container, name, service, kind, reason } = change;
    let at = humantime::format_rfc3339_seconds(*at);
    let service = service.as_ref().map(|service| format!(" {}", text::shown(service)));
    format!(
        "{at}  {} {}  {}{}: {}\n",
        text::shown(name),
        text::shown(container.short()),
        kind.word(),
        service.unwrap_or_default(),
        text::shown(reason)
    )
}

/// The explanation of every container that the word stands for.
///
/// # Errors
///
/// It stands for nothing, no daemon answers, or Docker or Consul cannot be read.
pub async fn explain(args: &ExplainArgs) -> anyhow::Result<Printed> {
    if args.since.is_some() {
        return history(args).await;
    }
    let fresh = args.fresh || args.target.uri.is_some() || !args.target.containers.is_empty();
    let all = if fresh { afresh(args).await? } else { asked(args).await? };
    if all.is_empty() && !fresh {
        // It may have been here.
        return history(args).await;
    }
    if all.is_empty() {
        bail!("no container, service ID or service name begins with {:?}", args.word());
    }
    let printed = match args.output {
        ExplainOutput::Json => {
            let mut all = serde_json::to_value(&all)?;
            secrets::json(&mut all);
            text::json(&(serde_json::to_string_pretty(&all)? + "\n")).into_owned()
        }
        ExplainOutput::Text => {
            let width = width();
            let trees = all.iter().map(|one| render::explanation(one).render(width));
            trees.collect::<Vec<_>>().join("\n")
        }
    };
    Ok(Printed { text: printed, code: 0 })
}

async fn asked(args: &ExplainArgs) -> anyhow::Result<Vec<Explanation>> {
    let request = Request::Explain(args.word().to_string());
    match control::ask(args.target.socket().as_deref(), &request).await {
        Ok(Answer::Explained(all)) => Ok(all),
        Ok(Answer::Several(words)) => Err(several(args, &words)),
        Ok(other) => Err(other.unexpected().into()),
        Err(error) => Err(anyhow!(error).context(
            "the running daemon cannot be asked; with a registry URI it is worked out afresh",
        )),
    }
}

async fn afresh(args: &ExplainArgs) -> anyhow::Result<Vec<Explanation>> {
    let parts = Parts::with_registry(&args.target).await?;
    let explainer = parts.rehearsal().explainer().await?;
    let all = explainer.explain(args.word()).await.map_err(|words| anyhow!(words))?;
    if !all.is_empty() {
        return Ok(all);
    }
    match explainer.beginning(args.word()).await.map_err(|words| anyhow!(words))? {
        Meant::Nothing => Ok(all),
        Meant::These(all) => Ok(all),
        Meant::Several(words) => Err(several(args, &words)),
    }
}

/// So many of what a word may mean are listed.
const MOST: usize = 20;

/// The error that a word may mean several things.
fn several(args: &ExplainArgs, words: &[String]) -> anyhow::Error {
    let mut lines = vec![format!("{:?} may be any of these:", args.word())];
    lines.extend(words.iter().take(MOST).map(|words| format!("  {words}")));
    if words.len() > MOST {
        lines.push(format!("  and {} more", words.len() - MOST));
    }
    lines.push("next: name one of them".into());
    BadUsage(lines.join("\n")).into()
}
