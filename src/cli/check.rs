//! `wharfinger check`: whether a configuration can be used, without Docker and
//! without Consul.

mod junit;
mod report;
mod warnings;

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::Args;
use tracing::{error, warn};

use super::{Printed, RunArgs};
use crate::{
    config::Config,
    daemon::{
        app::{self, BadConfig, Stages},
        hosting::Hosting,
        policy,
    },
    docker::Recorded,
    error::error_chain,
    pipeline::{Lint, Pipeline, Survey, lint},
    policy::layer::Layered,
    secrets,
    text::{self, counted},
};

use report::{Finding, Report};

/// The flags of `check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub target: RunArgs,

    /// Print what was found as JSON.
    #[arg(long)]
    pub json: bool,

    /// Write what was found to this file as JUnit's XML, too.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// Load everything, and say what each stage is, as text for the standard output;
/// and what the recorded containers show to be wrong, with the exit code 1.
///
/// # Errors
///
/// Every fault is in the log, and [`BadConfig`] says how many there are. With `--json` they
/// are part of what is printed, and the exit code is the same.
pub async fn check(args: &CheckArgs) -> anyhow::Result<Printed> {
    let report = examine(args).await?;
    if let Some(file) = &args.junit {
        let document = junit::document(&report.cases());
        std::fs::write(file, document)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let code = report.code();
    if args.json {
        let mut all = report.json();
        secrets::json(&mut all);
        let json = serde_json::to_string_pretty(&all)? + "\n";
        return Ok(Printed { text: text::json(&json).into_owned(), code });
    }
    report.warnings.iter().for_each(|words| warn!("{words}"));
    if report.faults.is_empty() {
        return Ok(Printed { text: report.text(), code });
    }
    report.faults.iter().for_each(|fault| error!("{fault}"));
    let count = counted(report.faults.len(), "fault", "faults");
    Err(BadConfig(anyhow!("{}: {count}", report.file)).into())
}

async fn examine(args: &CheckArgs) -> anyhow::Result<Report> {
    let file = args.target.offer.config.as_deref();
    let mut report = Report::of(file);
    let read = file.map(Config::read_with_faults).transpose();
    let (mut config, faults) = match read {
        Ok(read) => read.unwrap_or_default(),
        Err(error) if args.json || args.junit.is_some() => {
            report.faults.push(error_chain(&error));
            return Ok(report);
        }
        Err(error) => return Err(BadConfig(error.into()).into()),
    };
    report.faults = faults;
    let flags = args.target.clone().filled(&config);
    if report.faults.is_empty() {
        report.faults.extend(flags.check().err());
    }
    config.cache.dir.clone_from(&flags.offer.cache_dir);
    report.faults.extend(app::start_faults(&flags, &config));
    // A stage is loaded also where the file has a fault elsewhere, so that one
    // run tells all of them.
    let config = if report.faults.is_empty() { config } else { config.loadable() };
    let uri = flags.uri.as_ref().or(config.registry.uri.as_ref());
    let stages = uri.map_or_else(Stages::default, |uri| Stages::with_registry(uri));
    let compat = flags.offer.compat.unwrap_or_default();
    // The folder is there for as long as its components are loaded from it.
    let (hosting, _folder) = policy::at_hand(&config, compat).unwrap_or_else(|error| {
        report.faults.push(format!("{error:#}"));
        (Hosting::Own, None)
    });
    let (hosting, unknown) = match hosting {
        Hosting::Awaited | Hosting::Optional => (Hosting::Optional, true),
        known => (known, false),
    };
    if config.policy.read_source().is_none() && file.is_some() {
        report.faults.extend(policy::left(&config));
    }
    let Layered { config, stages: layers, overruled } = hosting.over(&config);
    report.faults.extend(overruled);
    report.stage_names = config.pipeline.iter().map(|stage| stage.name.clone()).collect();
    let (steps, more) = stages.compiled_by_children().try_load(&config).await;
    report.faults.extend(more);
    report.faults.dedup();
    let pipeline = Pipeline::of(steps).layered(|stage| layers.get(stage).copied());
    report.describe(&pipeline);
    // What is refused need not be warned of.
    if report.faults.is_empty() {
        report.warnings = warnings::of(&flags, &config, &pipeline);
        if unknown {
            let words = "policy: no bundle is on this machine yet; the file was looked at alone";
            report.warnings.push(words.into());
        }
    }
    if report.faults.is_empty() && !flags.containers.is_empty() {
        tried(&flags, &config, pipeline, &mut report).await?;
    }
    Ok(report)
}

/// What running the recorded containers through the pipeline shows to be wrong.
async fn tried(
    flags: &RunArgs,
    config: &Config,
    pipeline: Pipeline,
    report: &mut Report,
) -> anyhow::Result<()> {
    let host = app::host(&flags.offer).await?;
    let tags = app::tags(&flags.offer, host.compat)?;
    let recorded = Recorded::read(&flags.containers, &tags)?;
    let pipeline = app::choosing(config, pipeline)?;
    let facts = Lint { heartbeat: config.lifecycle.heartbeat };
    let (mut survey, mut idle) = (Survey::default(), warnings::Idle::of(config, &pipeline));
    for container in recorded.containers().filter(|container| container.state.is_running()) {
        let name = &container.name;
        let mut found = |words: String| {
            report.findings.push(Finding { container: Some(name.clone()), words });
        };
        let outcome = match pipeline.evaluate(container, &host).await {
            Ok(outcome) => outcome,
            Err(error) => {
                // The words name the container.
                report.findings.push(Finding { container: None, words: error_chain(&error) });
                continue;
            }
        };
        idle.note(&outcome);
        for unsettled in pipeline.run_again(container, &host, &outcome).await {
            found(unsettled.to_string());
        }
        for service in &outcome.services {
            let warnings = lint(service, facts).into_iter();
            warnings.for_each(|words| found(format!("{}: {words}", service.id)));
        }
        survey.note(container, &outcome.services);
    }
    let whole = |words: String| Finding { container: None, words };
    report.findings.extend(recorded.faults().map(|fault| whole(error_chain(&fault))));
    report.findings.extend(survey.findings().iter().map(|one| whole(one.to_string())));
    report.warnings.extend(idle.words());
    report.containers = Some(recorded.containers().count() + recorded.faults().count());
    report.names = recorded.containers().map(|container| container.name.clone()).collect();
    Ok(())
}
