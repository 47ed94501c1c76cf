//! `wharfinger decisions`: the decision log for people, so that somebody can ask in the morning who
//! kept something out in the night, and why.

use std::{
    io::{self, BufRead, BufReader, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use clap::Args;
use tracing::warn;

use super::output::{ColorArgs, stdout, width};
use crate::{
    files,
    reconcile::{Decision, EffectKind, StageDecision},
    render, text,
};

/// The flags of `decisions`.
#[derive(Debug, Clone, Args)]
pub struct DecisionsArgs {
    /// What the daemon wrote (decisions.file), in the order of time; `-` is the standard input.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub filter: FilterArgs,

    /// Print the lines as they are, a line of JSON each.
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub color: ColorArgs,
}

/// Which decisions are meant.
#[derive(Debug, Clone, Args)]
pub struct FilterArgs {
    /// Only what was decided within this time, such as 8h.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub since: Option<Duration>,

    /// Only decisions in which a service was vetoed.
    #[arg(long)]
    pub vetoed: bool,

    /// Only decisions in which this stage did something, would have done something, or failed; with
    /// --vetoed, in which it vetoed.
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,

    /// Only decisions about this container: its name, or the beginning of its identifier.
    #[arg(long, value_name = "CONTAINER")]
    pub container: Option<String>,
}

/// The longest line that is read.
const LONGEST: u64 = 16 << 20;

/// Print the decisions that are asked for. The exit code is 0, also if there are none.
///
/// # Errors
///
/// A file cannot be read.
pub fn decisions(args: &DecisionsArgs) -> anyhow::Result<u8> {
    let since = args.filter.since();
    for file in &args.files {
        let named = || file.display().to_string();
        let printed = if file == Path::new("-") {
            print(args, since, BufReader::new(io::stdin()), "the standard input")
        } else {
            let open = files::open(file).with_context(|| format!("cannot read {}", named()))?;
            print(args, since, BufReader::new(open), &named())
        };
        match printed {
            // That nobody reads it to its end is no fault.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(0),
            printed => printed.with_context(|| format!("cannot read {}", named()))?,
        }
    }
    Ok(0)
}

fn print(
    args: &DecisionsArgs,
    since: Option<SystemTime>,
    mut from: impl BufRead,
    name: &str,
) -> io::Result<()> {
    let mut out = stdout(args.color.color);
    let (mut unread, mut bytes) = (0_u64, Vec::new());
    loop {
        bytes.clear();
        let read = io::Read::take(&mut from, LONGEST).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            break;
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let Ok(decision) = serde_json::from_slice::<Decision>(&bytes) else {
            unread += 1;
            continue;
        };
        if !args.filter.means(since, &decision) {
            continue;
        }
        if args.json {
            let line = String::from_utf8_lossy(&bytes);
            writeln!(out, "{}", text::json(line.trim()))?;
        } else {
            out.write_all(render::decision(&decision).render(width()).as_bytes())?;
        }
    }
    out.flush()?;
    if unread > 0 {
        warn!(file = name, lines = unread, "lines that are no decisions were left out");
    }
    Ok(())
}

impl FilterArgs {
    /// The time from which on decisions are meant.
    pub(super) fn since(&self) -> Option<SystemTime> {
        self.since.and_then(|since| SystemTime::now().checked_sub(since))
    }

    /// Whether a decision is meant, where what is older than `since` is not.
    pub(super) fn means(&self, since: Option<SystemTime>, decision: &Decision) -> bool {
        let vetoes = |stage: &StageDecision| {
            stage.changes.iter().any(|change| change.kind == EffectKind::Vetoed)
        };
        let acts = |stage: &StageDecision| {
            !stage.changes.is_empty() || !stage.would_be.is_empty() || stage.failure.is_some()
        };
        // A stage whose failure ended the run is in the error alone.
        let ended = |name: &str| {
            let error = decision.error.as_deref().unwrap_or_default();
            error
                .strip_prefix("stage ")
                .is_some_and(|rest| rest.starts_with(&format!("{name} failed")))
        };
        let by_stage = match (&self.stage, self.vetoed) {
            (None, false) => true,
            (None, true) => decision.stages.iter().any(vetoes),
            (Some(name), true) => {
                decision.stages.iter().any(|one| one.stage == *name && vetoes(one))
            }
            (Some(name), false) => {
                decision.stages.iter().any(|one| one.stage == *name && acts(one)) || ended(name)
            }
        };
        let subject = &decision.container;
        by_stage
            && since.is_none_or(|since| decision.at >= since)
            && self.container.as_ref().is_none_or(|what| {
                subject.name == *what
                    || (what.len() >= 6 && subject.id.0.starts_with(what.as_str()))
            })
    }
}
