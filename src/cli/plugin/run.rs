//! `wharfinger plugin run`: one container in, and what the stage changes about
//! its services.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use serde_json::{Value, json};

use super::{
    Report,
    failure::Failure,
    input::{ContainerArgs, StageArgs},
    render,
    trial::{Judged, Start, Trial},
    workbench::Workbench,
};
use crate::{
    model::{container::Container, service::Service},
    pipeline::{Change, Stage},
    secrets,
    stages::plugin::{Limits, Stats},
    text::shown,
};

/// Hand one container to a plugin, and show what it changes about the container's
/// services.
///
///   docker inspect web | wharfinger plugin run dist/naming.wasm --container -
#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
Exit code: 1 if the plugin gives no usable answer.

Keys of --json: file, container, proposed (IDs), notes (why nothing else is proposed), changes (id,
fields (field, from, to), vetoed, added), services (as sent to Consul), vetoes (service, reason),
messages (level: text), error (kind, message), time_us, peak_memory.")]
pub(super) struct RunArgs {
    /// The component.
    file: PathBuf,

    #[command(flatten)]
    container: ContainerArgs,

    /// What the stage is handed.
    #[arg(long, value_name = "WHAT", default_value = "registrator")]
    start: Start,

    #[command(flatten)]
    stage: StageArgs,
}

pub(super) async fn run(args: &RunArgs, cache: Option<&Path>) -> Result<Report, Failure> {
    let told = args.stage.told()?;
    let limits = args.stage.limits.limits(Limits::DEFAULT.timeout)?;
    let container = args.container.host.container(&args.container.container)?;
    let bench = Workbench::new(cache, 1, limits, args.stage.registry.as_deref())?;
    let stage = bench.load_told(&args.file, &told).await?;
    let called = Arc::clone(&stage) as Arc<dyn Stage>;
    let trial = Trial::of(called, &container, &args.container.host.host(), args.start).await?;
    let stats = stage.stats();
    Ok(Report {
        text: text(&container, &trial, &stats),
        json: as_json(args, &container, &trial, &stats),
        code: u8::from(trial.result.is_err()),
    })
}

fn text(container: &Container, trial: &Trial, stats: &Stats) -> String {
    let mut text = format!(
        "{} ({}), {}\n",
        shown(&container.name),
        shown(container.id.short()),
        shown(&container.image)
    );
    if !container.state.is_running() {
        text += "  it does not run: the daemon would not ask any stage about it\n";
    }
    for note in &trial.notes {
        text += &format!("  not proposed: {}\n", shown(note));
    }
    text += &match &trial.result {
        Ok(judged) => changes(&trial.proposed, judged),
        Err(error) => format!("\n  the plugin {}\n", shown(&error.to_string())),
    };
    if !trial.messages.is_empty() {
        text += "\nmessages\n";
        trial.messages.iter().for_each(|one| text += &format!("  {}\n", render::message(one)));
    }
    let used = format!("{}, {}", render::time(stats.time.max), stats.peak_memory);
    text += &match &trial.result {
        Ok(judged) => format!(
            "\n{} to register, {} vetoed; {used}\n",
            judged.services.len(),
            judged.vetoes.len()
        ),
        Err(_) => format!("\nthe container would keep what it has; {used}\n"),
    };
    text
}

/// What became of each service: those that were proposed, and those that were
/// added.
fn changes(proposed: &[Service], judged: &Judged) -> String {
    let mut text = String::new();
    if proposed.is_empty() {
        text += "\n  no service is proposed\n";
    }
    for service in proposed {
        text += &format!("\n  {}\n", shown(&service.id));
        let change = judged
            .changes
            .iter()
            .find(|(id, change)| *id == service.id && !matches!(change, Change::Added));
        text += &match change {
            Some((_, change)) => render::change(change),
            None => "    unchanged\n".into(),
        };
    }
    let added = judged.changes.iter().filter(|(_, change)| matches!(change, Change::Added));
    for (id, change) in added {
        text += &format!("\n  {}\n{}", shown(id), render::change(change));
        let service = judged.services.iter().find(|service| service.id == *id);
        let value = service.and_then(|service| serde_json::to_value(service).ok());
        value.iter().for_each(|value| text += &format!("    {}\n", shown(&render::short(value))));
    }
    text
}

fn as_json(args: &RunArgs, container: &Container, trial: &Trial, stats: &Stats) -> Value {
    let ids: Vec<_> = trial.proposed.iter().map(|service| service.id.as_str()).collect();
    let mut value = json!({
        "file": args.file.display().to_string(),
        "container": { "id": container.id.to_string(), "name": container.name },
        "proposed": ids,
        "notes": trial.notes,
        "changes": [],
    });
    if let Ok(judged) = &trial.result {
        value["changes"] = judged.changes.iter().map(change_json).collect();
    }
    let record = trial.record();
    for key in ["services", "vetoes"] {
        value[key] = record[key].clone();
    }
    value["messages"] = trial.messages.iter().map(render::message).collect();
    value["error"] = match &trial.result {
        Ok(_) => Value::Null,
        Err(error) => json!({ "kind": error.kind(), "message": error.to_string() }),
    };
    value["time_us"] = (stats.time.max.as_micros() as u64).into();
    value["peak_memory"] = stats.peak_memory.as_u64().into();
    secrets::json(&mut value);
    value
}

fn change_json((id, change): &(String, Change)) -> Value {
    match change {
        Change::Changed(fields) => json!({ "id": id, "fields": fields }),
        Change::Vetoed(reason) => json!({ "id": id, "vetoed": reason }),
        Change::Added => json!({ "id": id, "added": true }),
    }
}
