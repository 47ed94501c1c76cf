//! `wharfinger plan`: what the daemon would do, without doing it.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};
use tracing::{error, info, warn};

use super::{
    RunArgs,
    output::{CHANGES, ColorArgs, Printed, width},
};
use crate::{
    app::{BadConfig, Parts},
    config::Config,
    pipeline::{Level, Outcome, StageNote},
    reconcile::{Brief, Forecast, WriteKind},
    render::{self, Summary, Text, Tone},
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
    let summary = Summary::of(&forecast, &stages);
    let code = match summary {
        _ if summary.failed > 0 => 1,
        _ if summary.changes() => CHANGES,
        _ => 0,
    };
    let printed = match args.output {
        PlanOutput::ConsulJson => return consul_json(&forecast),
        PlanOutput::Json => {
            let host = &parts.host.hostname;
            let mut all = json!({
                "host": host, "against": against, "stages": stages, "summary": summary,
                "plan": forecast,
            });
            secrets::json(&mut all);
            text::json(&(serde_json::to_string_pretty(&all)? + "\n")).into_owned()
        }
        PlanOutput::Text => {
            let title = title(&parts.host.hostname, &stages, &against);
            let tree = render::forecast(title, &forecast, &stages, args.all);
            format!("{}\n{summary}\n", tree.render(width()))
        }
    };
    Ok(Printed { text: printed, code })
}

fn title(host: &str, stages: &[StageNote], against: &str) -> Text {
    let names: Vec<_> = stages.iter().map(|note| note.name.as_str()).collect();
    Text::of(Tone::Plain, "host ")
        .and(Tone::Strong, host)
        .and(Tone::Faint, format!("  {}  against {against}", names.join(" → ")))
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
            error!(container = name, "it could not be judged: {failure}");
            code = 1;
            continue;
        }
        one.outcome.iter().for_each(|outcome| warn_of(name, outcome));
        if one.held {
            warn!(container = name, "its change would be held by the bulk guard");
            continue;
        }
        for write in &one.writes {
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
        warn!(container, "{warning}");
    }
    for trace in &outcome.trace {
        for message in &trace.messages {
            match message.level >= Level::Warn {
                true => warn!(container, stage = trace.stage, "{}", message.text),
                false => info!(container, stage = trace.stage, "{}", message.text),
            }
        }
    }
}
