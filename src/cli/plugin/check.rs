//! `wharfinger plugin check`: whether a component takes these settings.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::{Report, failure::Failure, input::StageArgs, inspect, workbench::Workbench};
use crate::stages::plugin::Limits;

/// Load a component with settings and grants as the daemon would, and let it
/// validate the settings.
///
/// The settings are judged by the component itself, as when the daemon starts.
/// Its JSON schema, if it has one, is for people and editors: it is read, and
/// the settings are not held against it.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
Keys of --json: file, plugin (name, version, summary), settings, schema (whether it has one),
capabilities. Of settings that are refused: error with message, hint and faults.")]
pub(super) struct CheckArgs {
    /// The component.
    file: PathBuf,

    #[command(flatten)]
    stage: StageArgs,
}

pub(super) async fn check(args: &CheckArgs, cache: Option<&Path>) -> Result<Report, Failure> {
    let told = args.stage.told()?;
    let limits = args.stage.limits.limits(Limits::DEFAULT.timeout)?;
    let bench = Workbench::new(cache, 1, limits, args.stage.registry.as_deref())?;
    let stage = bench.load_told(&args.file, &told).await?;
    let identity = stage.identity();
    let schema = inspect::schema(identity)?;
    let capabilities: Vec<_> =
        stage.capabilities().iter().map(|one| format!("{one:?}").to_lowercase()).collect();
    let granted = match &capabilities[..] {
        [] => String::new(),
        some => format!("; it uses {}", some.join(", ")),
    };
    let text = format!("{} {} takes these settings{granted}\n", identity.name, identity.version);
    let settings: Value = serde_json::from_slice(told.settings.as_bytes()).unwrap_or_default();
    let json = json!({
        "file": args.file.display().to_string(),
        "plugin": {
            "name": identity.name,
            "version": identity.version,
            "summary": identity.summary,
        },
        "settings": settings,
        "schema": schema.is_some(),
        "capabilities": capabilities,
    });
    Ok(Report::good(text, json))
}
