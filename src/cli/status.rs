//! `wharfinger status`: how the stages of the running daemon fare, and what its
//! bulk guard holds.

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime},
};

use clap::Args;

use super::{SocketArgs, output::width};
use crate::{
    daemon::control::{self, Answer, ControlError, Request, Status},
    pipeline::StageHealth,
    policy::standing::{InForce, Standing},
    reconcile::{Became, Connection, Overview},
    text,
};

/// The flags of `status`.
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,

    /// Print what monitored stages would do on this host, container by container.
    #[arg(long, conflicts_with = "json")]
    pub monitor: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub socket: SocketArgs,
}

/// How the daemon fares, as text for the standard output; and whether somebody
/// should look at it: a stage is unhealthy, or something is held.
///
/// # Errors
///
/// No daemon listens, or it does not answer.
pub async fn status(args: &StatusArgs) -> Result<(String, bool), ControlError> {
    let place = args.socket.place();
    if args.monitor {
        let shown = control::ask(place.as_deref(), &Request::ShowMonitored(width())).await?;
        return match shown {
            Answer::Shown(text) => Ok((text, false)),
            other => Err(other.unexpected()),
        };
    }
    let status = match control::ask(place.as_deref(), &Request::Status).await? {
        Answer::Status(status) => status,
        other => return Err(other.unexpected()),
    };
    let Overview { docker, registry, troubles, .. } = &status.overview;
    let wanting = status.held.is_some()
        || status.stages.iter().any(|stage| !stage.healthy)
        || !troubles.is_empty()
        || docker.iter().chain(registry).any(|connection| !connection.up);
    let printed = match args.json {
        true => {
            let json = serde_json::to_string_pretty(&status).expect("it has only string keys");
            text::json(&json).into_owned() + "\n"
        }
        false => table(&status),
    };
    Ok((printed, wanting))
}

/// The column that says whose a stage is.
const LAYER: usize = 2;

fn table(status: &Status) -> String {
    let mut text = head(status);
    let head = [
        "stage",
        "mode",
        "layer",
        "plugin",
        "health",
        "calls",
        "remembered",
        "failed",
        "p50",
        "p99",
        "memory",
    ];
    let rows: Vec<_> =
        [head.map(String::from)].into_iter().chain(status.stages.iter().map(row)).collect();
    // Where there is no policy it is not asked whose stage it is.
    let layered = status.stages.iter().any(|stage| stage.layer.is_some());
    let columns: Vec<usize> =
        (0..head.len()).filter(|column| layered || *column != LAYER).collect();
    let widths: Vec<usize> = columns
        .iter()
        .copied()
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    for row in &rows {
        let cells = columns.iter().zip(&widths);
        let cells = cells.map(|(column, width)| format!("{:<width$}", row[*column]));
        let line = cells.collect::<Vec<_>>().join("  ");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    for stage in &status.stages {
        text.push_str(&told(stage));
    }
    if let Some(held) = &status.held {
        let _ = writeln!(text, "\nHeld: {}. See: wharfinger apply", text::shown(&held.to_string()));
    }
    text
}

/// What concerns all of the daemon.
fn head(status: &Status) -> String {
    let Overview { started, full_cycle, docker, registry, services, containers, troubles } =
        &status.overview;
    let mut text = format!(
        "wharfinger {}, process {}, running for {}\n",
        status.version,
        status.pid,
        started.map_or("no time yet".into(), ago)
    );
    let cycle = full_cycle.map_or("none yet".into(), |at| format!("{} ago", ago(at)));
    let _ = writeln!(text, "last full cycle: {cycle}");
    for (name, connection) in [("Docker", docker), ("registry", registry)] {
        let words = match connection {
            None => "not asked yet".into(),
            Some(Connection { up: true, since, .. }) => format!("answers, for {}", ago(*since)),
            Some(Connection { since, error, .. }) => {
                let error = error.as_deref().unwrap_or_default();
                format!("does not answer, for {}: {}", ago(*since), text::shown(error))
            }
        };
        let _ = writeln!(text, "{name}: {words}");
    }
    let count = |(became, count): (&Became, &usize)| {
        let word = match became {
            Became::Registered => "registered",
            Became::Ignored => "ignored",
            Became::Vetoed => "vetoed",
            Became::Unselected => "not selected",
            Became::Failed => "failed",
            Became::Held => "held",
            Became::Ended => "ended",
        };
        format!("{count} {word}")
    };
    let counts: Vec<_> = containers.iter().map(count).collect();
    let _ = writeln!(
        text,
        "services: {services}; containers: {}",
        match counts.is_empty() {
            true => "none".into(),
            false => counts.join(", "),
        }
    );
    if let Some(policy) = &status.policy {
        let _ = writeln!(text, "policy: {}", standing(policy));
    }
    for trouble in troubles.values() {
        let words = text::shown(&trouble.words);
        let since = humantime::format_rfc3339_seconds(trouble.since);
        let _ = writeln!(text, "since {since}, {} ago: {words}", ago(trouble.since));
    }
    text + "\n"
}

/// How the host stands to its policy.
fn standing(policy: &Standing) -> String {
    let mut words = match &policy.in_force {
        Some(InForce { digest, name, sequence, key }) => {
            format!("{name} {sequence} {digest} is in force, signed by {key}")
        }
        None => "none is in force".into(),
    };
    if policy.monitored {
        words += "; the one that is asked for was tried out and would do";
    }
    if let Some(waits) = &policy.waits {
        let _ = write!(words, "; {waits}");
    }
    text::shown(&words).into_owned()
}

fn ago(at: SystemTime) -> String {
    let ago = at.elapsed().unwrap_or_default();
    humantime::format_duration(Duration::from_secs(ago.as_secs())).to_string()
}

/// A stage's line of the table.
fn row(stage: &StageHealth) -> [String; 11] {
    let made = stage.made.as_ref();
    let plugin = made.map_or_else(String::new, |made| {
        format!("{} {} {}", made.plugin, made.version, made.short_digest())
    });
    // Times of no call at all are none.
    let stats = stage.stats.as_ref().filter(|_| stage.figures.calls > 0);
    let time = |time: Duration| format!("{} us", time.as_micros());
    let dash = || "-".to_string();
    [
        text::shown(&stage.stage).into_owned(),
        stage.mode.to_string(),
        stage.layer.map_or_else(dash, |layer| layer.to_string()),
        text::shown(&plugin).into_owned(),
        if stage.healthy { "healthy" } else { "unhealthy" }.into(),
        stage.figures.calls.to_string(),
        stage.figures.hits.to_string(),
        stage.figures.failures.values().sum::<u64>().to_string(),
        stats.map_or_else(dash, |stats| time(stats.time.p50)),
        stats.map_or_else(dash, |stats| time(stats.time.p99)),
        stats.map_or_else(dash, |stats| stats.peak_memory.to_string()),
    ]
}

/// What a line of the table has no room for.
fn told(stage: &StageHealth) -> String {
    let (name, figures) = (text::shown(&stage.stage), &stage.figures);
    let mut text = String::new();
    let counted = [
        ("changed", figures.changes),
        ("vetoed", figures.vetoes),
        ("added", figures.additions),
        ("would have changed", figures.would_be_changes),
        ("would have vetoed", figures.would_be_vetoes),
        ("would have added", figures.would_be_additions),
    ];
    let counted = counted.iter().filter(|(_, count)| *count > 0);
    let counted: Vec<_> = counted.map(|(what, count)| format!("{what} {count}")).collect();
    if !counted.is_empty() {
        let _ = writeln!(text, "\n{name}: {}", counted.join(", "));
    }
    if let Some(reason) = &stage.unloaded {
        let _ = writeln!(text, "\n{name}: could not be loaded: {}", text::shown(reason));
    }
    if let Some(last) = &stage.last_error {
        let _ = writeln!(
            text,
            "{name}: failed last {} ago on container {}: {}",
            ago(last.at),
            text::shown(last.container.short()),
            text::shown(&last.error)
        );
    }
    text
}
