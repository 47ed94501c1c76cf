//! `wharfinger check`: whether a configuration can be used, without Docker and
//! without Consul.

use std::{fmt::Write as _, path::PathBuf};

use anyhow::anyhow;
use clap::Args;
use tracing::{error, warn};

use super::{OfferArgs, Printed};
use crate::{
    app::{self, Asked, BadConfig, Stages},
    config::Config,
    docker::Recorded,
    error::error_chain,
    pipeline::{Lint, Pipeline, Step, Survey, lint},
    reconcile::Options,
    registry::Place,
    text,
};

/// The flags of `check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub offer: OfferArgs,

    /// Containers that docker inspect recorded: they are run through the pipeline,
    /// and what is wrong with the result is said. Can be given several times.
    #[arg(long, value_name = "FILE")]
    pub containers: Vec<PathBuf>,
}

/// Load everything, and say what each stage is, as text for the standard output;
/// and what the recorded containers show to be wrong, with the exit code 1.
///
/// # Errors
///
/// Every fault is in the log, and [`BadConfig`] says how many there are.
pub async fn check(args: &CheckArgs) -> anyhow::Result<Printed> {
    let (mut config, mut faults) = match &args.offer.config {
        Some(path) => Config::read_with_faults(path).map_err(|error| BadConfig(error.into()))?,
        None => (Config::default(), Vec::new()),
    };
    if let Some(folder) = &args.offer.cache_dir {
        config.cache.dir = Some(folder.clone());
    }
    faults.extend(of_registry(args, &config));
    // A stage is loaded also where the file has a fault elsewhere, so that one
    // run tells all of them.
    let config = if faults.is_empty() { config } else { config.loadable() };
    let (steps, more) = Stages::default().compiled_by_children().try_load(&config).await;
    faults.extend(more);
    if faults.is_empty() {
        let pipeline = Pipeline::of(steps);
        let printed = lines(&pipeline);
        return tried(args, &config, pipeline, printed).await;
    }
    for fault in &faults {
        error!("{fault}");
    }
    let file =
        args.offer.config.as_deref().unwrap_or("the defaults".as_ref()).display().to_string();
    let count = match faults.len() {
        1 => "a fault".into(),
        n => format!("{n} faults"),
    };
    Err(BadConfig(anyhow!("{file}: {count}")).into())
}

/// What the file asks of its registry that this one cannot do, without a word with it.
fn of_registry(args: &CheckArgs, config: &Config) -> Vec<String> {
    let Some(uri) = &config.registry.uri else { return Vec::new() };
    let place = match Place::parse(uri) {
        Ok(place) => place,
        Err(fault) => return vec![format!("registry.uri: {}", error_chain(&fault))],
    };
    let options = Options {
        lifecycle: config.lifecycle.clone(),
        provenance: !args.offer.no_provenance,
        ..Options::default()
    };
    let compat = args.offer.compat.or(config.compat).unwrap_or_default();
    let asked = Asked::of(&options, config, compat);
    for remark in asked.remarks(place.adapter(), place.capabilities()) {
        warn!("{remark}");
    }
    asked.faults(place.adapter(), place.capabilities())
}

/// What running the recorded containers through the pipeline shows to be wrong.
async fn tried(
    args: &CheckArgs,
    config: &Config,
    pipeline: Pipeline,
    mut printed: String,
) -> anyhow::Result<Printed> {
    if args.containers.is_empty() {
        return Ok(Printed { text: printed, code: 0 });
    }
    let host = app::host(&args.offer, config.compat).await?;
    let tags = app::tags(&args.offer, host.compat)?;
    let recorded = Recorded::read(&args.containers, &tags)?;
    let pipeline = app::choosing(config, pipeline)?;
    let facts = Lint { heartbeat: config.lifecycle.heartbeat };
    let (mut survey, mut found) = (Survey::default(), Vec::new());
    for container in recorded.containers().filter(|container| container.state.is_running()) {
        let name = &container.name;
        let outcome = match pipeline.evaluate(container, &host).await {
            Ok(outcome) => outcome,
            Err(error) => {
                found.push(error_chain(&error));
                continue;
            }
        };
        for unsettled in pipeline.run_again(container, &host, &outcome).await {
            found.push(format!("{name}: {unsettled}"));
        }
        for service in &outcome.services {
            let warnings = lint(service, facts).into_iter();
            found.extend(warnings.map(|words| format!("{name}: {}: {words}", service.id)));
        }
        survey.note(container, &outcome.services);
    }
    found.extend(recorded.faults().map(|fault| error_chain(&fault)));
    found.extend(survey.findings().iter().map(ToString::to_string));
    let count = recorded.containers().count() + recorded.faults().count();
    let _ = match found.len() {
        0 => writeln!(printed, "\n{count} recorded containers: nothing is wrong."),
        n => writeln!(printed, "\n{count} recorded containers: {n} findings"),
    };
    for finding in &found {
        let _ = writeln!(printed, "  - {}", text::shown(finding));
    }
    Ok(Printed { text: printed, code: u8::from(!found.is_empty()) })
}

/// A line for each stage: its name, mode, plugin, version and digest.
fn lines(pipeline: &Pipeline) -> String {
    let cells = |step: &Step| {
        let made = step.made().cloned().unwrap_or_default();
        let digest = if made.digest.is_empty() { "built-in".into() } else { made.digest };
        let mode = step.rules().mode.to_string();
        [step.name().into(), mode, made.plugin, made.version, digest]
            .map(|cell| text::shown(&cell).into_owned())
    };
    let rows: Vec<_> = pipeline.steps().iter().map(cells).collect();
    let width = |n: usize| rows.iter().map(|row| row[n].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    rows.iter().fold(String::new(), |mut text, row| {
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(text, "{cell:width$}  ");
        }
        text + &row[4] + "\n"
    })
}
