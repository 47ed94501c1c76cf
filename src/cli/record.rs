//! `wharfinger record`: the running containers with what becomes of them, for
//! `wharfinger replay`.

use std::{
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use globset::{Glob, GlobSet, GlobSetBuilder};
use tracing::{info, warn};

use super::{TargetArgs, output::progress};
use crate::{app::Parts, config::Config, fleet::Line};

/// Containers that are read at once.
const AT_ONCE: usize = 16;

/// The flags of `record`.
#[derive(Debug, Clone, Args)]
pub struct RecordArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub target: TargetArgs,

    /// The file to write, a line of JSON for each container; `-` for the standard
    /// output.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,

    /// Keep all variables of containers, also those that no stage is granted: they
    /// may be secrets.
    #[arg(long)]
    pub unredacted: bool,
}

/// Record every running container.
///
/// # Errors
///
/// Docker cannot be read, the configuration cannot be used, or the file cannot be
/// written. Then no file is left behind, and one that was there is as it was.
pub async fn record(args: &RecordArgs) -> anyhow::Result<()> {
    let daemon = args.target.daemon().map_err(|words| anyhow!(words))?;
    let parts = Parts::of(&daemon).await?;
    let granted = if args.unredacted {
        warn!("the file will hold all variables of all containers, secrets among them");
        None
    } else {
        Some(granted(&parts.config)?)
    };
    let ids = parts.source.list().await?;
    let bar = progress(ids.len() as u64, "containers");
    let (source, pipeline, host) = (&parts.source, &parts.pipeline, &parts.host);
    let granted = granted.as_ref();
    let lines = stream::iter(ids).map(|id| async move {
        let Some(container) = source.inspect(&id).await? else { return Ok(None) };
        if !container.state.is_running() {
            return Ok(None);
        }
        anyhow::Ok(Some(Line::record(pipeline, host, container, granted).await))
    });
    let mut lines = lines.buffered(AT_ONCE);
    let mut out = Out::create(&args.out)?;
    let (mut count, mut failed) = (0_usize, 0_usize);
    while let Some(line) = lines.try_next().await? {
        bar.inc(1);
        let Some(line) = line else { continue };
        if let Some(error) = &line.result.error {
            warn!(container = line.container.name, "recorded as failed: {error}");
            failed += 1;
        }
        serde_json::to_writer(&mut out.writer, &line)?;
        out.writer.write_all(b"\n").with_context(|| out.what.clone())?;
        count += 1;
    }
    bar.finish_and_clear();
    out.finish()?;
    info!("recorded {count} containers, {failed} of which failed: {}", args.out.display());
    Ok(())
}

/// The variables that some stage is granted.
fn granted(config: &Config) -> anyhow::Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for pattern in config.pipeline.iter().flat_map(|stage| &stage.grant.env) {
        set.add(Glob::new(pattern)?);
    }
    // What the expression that selects containers sees.
    set.add(Glob::new("SERVICE_*")?);
    Ok(set.build()?)
}

/// A file that takes its place when it is whole.
struct Out {
    writer: BufWriter<Box<dyn std::io::Write + Send>>,
    /// The file that is written, and the one that it is to be.
    files: Option<(tempfile::TempPath, PathBuf)>,
    what: String,
}

impl Out {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let what = format!("cannot write {}", path.display());
        if path == Path::new("-") {
            let writer: Box<dyn std::io::Write + Send> = Box::new(std::io::stdout());
            return Ok(Self { writer: BufWriter::new(writer), files: None, what });
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        // Closed to everybody else, for what containers are told is nobody's business.
        let file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))
            .with_context(|| what.clone())?;
        let (file, written) = file.into_parts();
        let writer: Box<dyn std::io::Write + Send> = Box::new(file);
        Ok(Self {
            writer: BufWriter::new(writer),
            files: Some((written, path.to_path_buf())),
            what,
        })
    }

    fn finish(mut self) -> anyhow::Result<()> {
        self.writer.flush().with_context(|| self.what.clone())?;
        if let Some((written, path)) = self.files {
            written.persist(&path).with_context(|| self.what)?;
        }
        Ok(())
    }
}
