//! `wharfinger replay`: what another pipeline would make of recorded containers,
//! line by line, so that a file may be of any length.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use clap::Args;
use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tokio::sync::mpsc;

use super::output::{CHANGES, ColorArgs, progress, stdout, width};
use crate::{
    config::Config,
    daemon::app::{BadConfig, Stages},
    files,
    fleet::{Difference, Line},
    pipeline::Pipeline,
    render::{self, Tally},
    secrets, text,
};

/// Lines that are read ahead.
const AHEAD: usize = 64;
/// The longest line, and so the largest container.
const LONGEST: u64 = 16 * 1024 * 1024;

/// The flags of `replay`.
#[derive(Debug, Clone, Args)]
pub struct ReplayArgs {
    /// What `wharfinger record` wrote.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// The configuration file with the pipeline to try. Of the file only
    /// [[pipeline]], [limits], [containers], [address] and [cache] count.
    #[arg(long, value_name = "FILE")]
    pub pipeline: PathBuf,

    /// The folder for compiled components; an empty one for none.
    #[arg(long, value_name = "FOLDER", env = "WHARFINGER_CACHE_DIR", value_parser = super::flags::folder)]
    pub cache_dir: Option<PathBuf>,

    /// text: a tree for people. json: a line for each container that differs, and
    /// one with the summary.
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub output: ReplayOutput,

    /// Print the summary only.
    #[arg(long)]
    pub summary: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub color: ColorArgs,
}

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[allow(missing_docs)]
pub enum ReplayOutput {
    Text,
    Json,
}

/// Print the difference for each container, in the order of the file, with what monitored
/// stages would do, and a summary. The exit code is 0 if there is none, 2 if there is one, and 1 if the
/// pipeline fails on a container.
///
/// # Errors
///
/// A line cannot be read; what stands before it has been printed. Or the
/// configuration cannot be used.
pub async fn replay(args: &ReplayArgs) -> anyhow::Result<u8> {
    let mut config = Config::read(&args.pipeline).map_err(|error| BadConfig(error.into()))?;
    config.cache = config.cache.or_flag(args.cache_dir.as_deref());
    let pipeline = Stages::default().compiled_by_children().load(&config).await?.forgetful();
    let at_once = config.limits.concurrency.max(2) * 2;
    let file =
        files::open(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
    let bar = progress(file.metadata().map_or(0, |data| data.len()), "bytes");
    let mut lines = read(file);
    let lines = stream::poll_fn(move |context| lines.poll_recv(context));
    let mut differences = lines
        .map(|line| {
            let (pipeline, file) = (pipeline.clone(), args.file.clone());
            // A task each, so that all processors work on them.
            let task = tokio::spawn(judge(pipeline, file, line));
            async move { task.await.context("the work on a line panicked")? }
        })
        .buffered(at_once);
    let (mut tally, width) = (Tally::default(), width());
    let mut out = stdout(args.color.color);
    while let Some(judged) = differences.next().await {
        let (difference, bytes) = match judged {
            Ok(judged) => judged,
            Err(error) => {
                bar.abandon();
                return Err(error);
            }
        };
        bar.inc(bytes);
        tally.note(&difference);
        let nothing = difference.changes.is_empty() && difference.would_be.is_empty();
        if nothing || args.summary {
            continue;
        }
        let shown = match args.output {
            ReplayOutput::Text => render::difference(&difference).render(width),
            ReplayOutput::Json => {
                let mut all = serde_json::to_value(&difference)?;
                secrets::json(&mut all);
                text::json(&(all.to_string() + "\n")).into_owned()
            }
        };
        bar.suspend(|| out.write_all(shown.as_bytes())).context("cannot print")?;
    }
    bar.finish_and_clear();
    let text = match args.output {
        ReplayOutput::Text => format!("{tally}\n"),
        ReplayOutput::Json => json!({ "summary": tally }).to_string() + "\n",
    };
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot print")?;
    Ok(match tally {
        _ if tally.fails > 0 => 1,
        _ if tally.differ > 0 => CHANGES,
        _ => 0,
    })
}

/// A line of the file by its number, or why it could not be read.
type Read = (usize, std::io::Result<String>);

/// Read a file line by line, on a thread of its own and never far ahead.
fn read(file: File) -> mpsc::Receiver<Read> {
    let (sender, lines) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut reader = BufReader::with_capacity(1 << 16, file);
        for number in 1.. {
            let mut text = String::new();
            let line = match reader.by_ref().take(LONGEST).read_line(&mut text) {
                Ok(0) => return,
                Ok(_) if text.len() as u64 == LONGEST => {
                    let fault = format!("it is longer than {LONGEST} bytes");
                    Err(std::io::Error::other(fault))
                }
                Ok(_) => Ok(text),
                Err(error) => Err(error),
            };
            let last = line.is_err();
            if sender.blocking_send((number, line)).is_err() || last {
                return;
            }
        }
    });
    lines
}

/// The difference for a line, and the line's length.
async fn judge(
    pipeline: Pipeline,
    file: PathBuf,
    (number, line): Read,
) -> anyhow::Result<(Difference, u64)> {
    let place = |file: &Path| format!("{}, line {number}", file.display());
    let text = line.with_context(|| place(&file))?;
    let line = Line::parse(text.trim_end())
        .map_err(|words| anyhow!(words))
        .with_context(|| place(&file))?;
    Ok((line.replay(&pipeline).await, text.len() as u64))
}
