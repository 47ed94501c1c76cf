//! `wharfinger plan`: what the daemon would do, without doing it.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::Value;
use tracing::{error, info, warn};

use super::{
    RunArgs,
    output::{ColorArgs, Printed, width},
};
use crate::{
    config::Config,
    daemon::{
        app::{BadConfig, Parts},
        control::{self, Answer, ControlError, Request},
    },
    error::error_chain,
    pipeline::{Level, Outcome},
    reconcile::{Brief, Forecast, WriteKind},
    render::Plan,
    secrets, text,
};

/// The flags of `plan`.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub target: RunArgs,

    /// A configuration file with another pipeline: what it would change if it took
    /// the place of the one in force. Of the file only [[pipeline]], [limits],
    /// [containers] and [address] count.
    #[arg(long, value_name = "FILE")]
    pub pipeline: Option<PathBuf>,

    /// Work it out afresh, by the command line alone. Otherwise the running daemon is asked, which
    /// knows its flags and its pipeline, unless a flag, a file or recorded containers are given.
    #[arg(long)]
    pub fresh: bool,

    /// text: a tree for people. json: all of it. consul-json: the bodies that
    /// would be sent to Consul, sorted by ID; a container that could not be judged is
    /// left out and named on the standard error, and the exit code is 1.
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub output: PlanOutput,

    /// Show containers with nothing to do, too.
    #[arg(long)]
    pub all: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub color: ColorArgs,
}

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PlanOutput {
    /// A tree for people.
    Text,
    /// All that is known of each container.
    Json,
    /// A JSON array of bodies of `PUT /v1/agent/service/register`.
    ConsulJson,
}

/// What would be done. The exit code is 0 if that is nothing, 2 if it is something,
/// and 1 if a container could not be judged; for consul-json it is 0 or 1.
///
/// # Errors
///
/// Docker, Consul or a file cannot be read, or the configuration cannot be used.
pub async fn plan(args: &PlanArgs) -> anyhow::Result<Printed> {
    let asks = !args.fresh
        && args.pipeline.is_none()
        && args.output != PlanOutput::ConsulJson
        && args.target.is_bare();
    if asks && let Some(printed) = asked(args).await? {
        return Ok(printed);
    }
    let mut parts = Parts::with_registry(&args.target).await?;
    let rehearsal = parts.rehearsal();
    let mut forecast = rehearsal.forecast().await?;
    let mut stages = parts.pipeline.notes();
    let against = match (&args.pipeline, &parts.uri) {
        (Some(file), _) => {
            let config = Config::read(file).map_err(|error| BadConfig(error.into()))?;
            let other = parts.stages.load(&config).await?;
            stages = other.notes();
            rehearsal.replace_pipeline(other);
            forecast = rehearsal.forecast().await?;
            "the running pipeline".to_string()
        }
        (None, Some(uri)) => text::without_secrets(uri),
        (None, None) => "an empty registry".into(),
    };
    if args.output == PlanOutput::ConsulJson {
        return consul_json(&forecast);
    }
    let plan = Plan { host: &parts.host.hostname, against: &against, stages: &stages };
    let code = plan.code(&forecast);
    let text = match args.output {
        PlanOutput::Text => plan.text(&forecast, args.all, width()),
        _ => json(plan.json(&forecast)?)?,
    };
    Ok(Printed { text, code })
}

/// What the running daemon says that it would do; none if there is none, or another one.
async fn asked(args: &PlanArgs) -> anyhow::Result<Option<Printed>> {
    let request = Request::Plan { uri: args.target.uri.clone(), all: args.all, width: width() };
    let (all, text, code) = match control::ask(args.target.socket().as_deref(), &request).await {
        Ok(Answer::Planned { json, text, code }) => (json, text, code),
        Ok(Answer::OtherRegistry(uri)) => {
            let uri = text::without_secrets(&uri);
            warn!("the daemon that runs here has the registry {uri}: this is worked out afresh");
            return Ok(None);
        }
        Ok(other) => return Err(other.unexpected().into()),
        // Without a registry's URI it is said that there is none.
        Err(ControlError::Nobody(_)) => return Ok(None),
        Err(error) if args.target.uri.is_some() => {
            let error = error_chain(&error);
            warn!(error, "the daemon that runs here cannot be asked: this is worked out afresh");
            return Ok(None);
        }
        Err(error) => return Err(anyhow!(error).context("the running daemon cannot be asked")),
    };
    let text = if args.output == PlanOutput::Json { json(all)? } else { text };
    Ok(Some(Printed { text, code }))
}

fn json(mut all: Value) -> anyhow::Result<String> {
    secrets::json(&mut all);
    Ok(text::json(&(serde_json::to_string_pretty(&all)? + "\n")).into_owned())
}

/// The bodies that would be sent to Consul, sorted by ID. A container that could not be
/// judged costs the others nothing: it is named in the log, and the exit code is 1.
fn consul_json(forecast: &Forecast) -> anyhow::Result<Printed> {
    let mut bodies: Vec<(&str, &Value)> = Vec::new();
    let mut code = 0;
    for one in &forecast.containers {
        let Brief { id, name, .. } = &one.container;
        let name = if name.is_empty() { id } else { name };
        if let Some(failure) = &one.failure {
            error!(container.name = name, "it could not be judged: {failure}");
            code = 1;
            continue;
        }
        one.outcome.iter().for_each(|outcome| warn_of(name, outcome));
        if one.held {
            warn!(container.name = name, "its change would be held by the bulk guard");
        }
        for write in one.writes.iter().filter(|write| !write.held) {
            if let WriteKind::Register { body, .. } = &write.kind {
                bodies.push((&write.id, body));
            }
        }
    }
    if bodies.is_empty() && code != 0 {
        return Ok(Printed { text: String::new(), code });
    }
    bodies.sort_by_key(|(id, _)| *id);
    let bodies: Vec<_> = bodies.into_iter().map(|(_, body)| body).collect();
    let text = serde_json::to_string_pretty(&bodies).context("the bodies as JSON")? + "\n";
    Ok(Printed { text: text::json(&text).into_owned(), code })
}

fn warn_of(container: &str, outcome: &Outcome) {
    for warning in &outcome.warnings {
        warn!(container.name = container, "{warning}");
    }
    for trace in &outcome.trace {
        for message in &trace.messages {
            match message.level >= Level::Warn {
                true => warn!(container.name = container, stage = trace.stage, "{}", message.text),
                false => info!(container.name = container, stage = trace.stage, "{}", message.text),
            }
        }
    }
}
