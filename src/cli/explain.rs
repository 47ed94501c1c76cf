//! `wharfinger explain`: why a container's services are what they are, asked of the
//! running daemon or worked out afresh.

use anyhow::{anyhow, bail};
use clap::Args;

use super::{
    RunArgs,
    output::{ColorArgs, Printed, width},
};
use crate::{
    app::Parts,
    control::{self, Answer, Request},
    reconcile::Explanation,
    render, secrets, text,
};

/// The flags of `explain`.
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// A container's name or identifier, or a service's ID or name.
    #[arg(value_name = "CONTAINER OR SERVICE")]
    pub what: String,

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

/// The explanation of every container that the word stands for.
///
/// # Errors
///
/// It stands for nothing, no daemon answers, or Docker or Consul cannot be read.
pub async fn explain(args: &ExplainArgs) -> anyhow::Result<Printed> {
    let fresh = args.fresh || args.target.uri.is_some() || !args.target.containers.is_empty();
    let all = if fresh { afresh(args).await? } else { asked(args).await? };
    if all.is_empty() {
        bail!("no container, service ID or service name is {:?}", args.what);
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
    let request = Request::Explain(args.what.clone());
    match control::ask(args.target.control.as_deref(), &request).await {
        Ok(Answer::Explained(all)) => Ok(all),
        Ok(_) => bail!("the daemon gave another answer than was asked for"),
        Err(error) => Err(anyhow!(error).context(
            "the running daemon cannot be asked; with a registry URI it is worked out afresh",
        )),
    }
}

async fn afresh(args: &ExplainArgs) -> anyhow::Result<Vec<Explanation>> {
    let parts = Parts::with_registry(&args.target).await?;
    let explainer = parts.rehearsal().explainer().await?;
    explainer.explain(&args.what).await.map_err(|words| anyhow!(words))
}
