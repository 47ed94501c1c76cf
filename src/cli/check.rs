//! `wharfinger check`: whether a configuration can be used, without Docker and
//! without Consul.

use std::{fmt::Write as _, path::PathBuf};

use anyhow::anyhow;
use clap::Args;
use tracing::error;

use crate::{
    app::{BadConfig, Stages},
    config::Config,
    pipeline::{Pipeline, Step},
};

/// The flags of `check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// The configuration file; without one, what holds without one.
    #[arg(long, value_name = "FILE", env = "WHARFINGER_CONFIG")]
    pub config: Option<PathBuf>,
}

/// Load everything, and say what each stage is, as text for the standard output.
///
/// # Errors
///
/// Every fault is in the log, and [`BadConfig`] says how many there are.
pub async fn check(args: &CheckArgs) -> anyhow::Result<String> {
    let (config, mut faults) = match &args.config {
        Some(path) => Config::read_with_faults(path).map_err(|error| BadConfig(error.into()))?,
        None => (Config::default(), Vec::new()),
    };
    // A stage is loaded also where the file has a fault elsewhere, so that one
    // run tells all of them.
    let config = if faults.is_empty() { config } else { config.loadable() };
    let (steps, more) = Stages::default().compiled_by_children().try_load(&config).await?;
    faults.extend(more);
    if faults.is_empty() {
        return Ok(lines(&Pipeline::of(steps)));
    }
    for fault in &faults {
        error!("{fault}");
    }
    let file = args.config.as_deref().unwrap_or("the defaults".as_ref()).display().to_string();
    let count = match faults.len() {
        1 => "a fault".into(),
        n => format!("{n} faults"),
    };
    Err(BadConfig(anyhow!("{file}: {count}")).into())
}

/// A line for each stage: its name, mode, plugin, version and digest.
fn lines(pipeline: &Pipeline) -> String {
    let cells = |step: &Step| {
        let made = step.made().cloned().unwrap_or_default();
        let digest = if made.digest.is_empty() { "built-in".into() } else { made.digest };
        [step.name().into(), step.rules().mode.to_string(), made.plugin, made.version, digest]
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
