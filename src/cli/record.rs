//! `wharfinger record`: the running containers with what becomes of them, for
//! `wharfinger replay`.

use std::{
    collections::BTreeSet,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use globset::{Glob, GlobSetBuilder};
use tracing::{info, warn};

use super::{RunArgs, output::progress};
use crate::{
    config::Config,
    daemon::app::Parts,
    fleet::{Line, Recordable},
    reconcile::surroundings,
    secrets,
    text::counted,
};

/// Containers that are read at once.
const AT_ONCE: usize = 16;

/// The flags of `record`.
#[derive(Debug, Clone, Args)]
pub struct RecordArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub target: RunArgs,

    /// The file to write, a line of JSON for each container; `-` for the standard
    /// output.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,

    /// Keep all variables and labels of containers as they are, secrets among them, and
    /// also those that no stage is granted.
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
    let parts = Parts::of(&args.target).await?;
    let granted = if args.unredacted {
        warn!("the file will hold all variables and labels of all containers, secrets among them");
        None
    } else {
        Some(recordable(&parts.config)?)
    };
    let ids = parts.source.list().await?;
    let bar = progress(ids.len() as u64, "containers");
    let (source, pipeline, host) = (&parts.source, &parts.pipeline, &parts.host);
    let registry = parts.registry.as_deref();
    let granted = granted.as_ref();
    let lines = stream::iter(ids).map(|id| async move {
        let Some(mut container) = source.inspect(&id).await? else { return Ok(None) };
        if !container.state.is_running() {
            return Ok(None);
        }
        let host = surroundings(&**source, registry, pipeline, host, &mut container).await?;
        anyhow::Ok(Some(Line::record(pipeline, &host, container, granted).await))
    });
    let mut lines = lines.buffered(AT_ONCE);
    let mut out = Out::create(&args.out)?;
    let (mut count, mut failed, mut hidden) = (0_usize, 0_usize, 0_usize);
    let mut kept = BTreeSet::new();
    while let Some(line) = lines.try_next().await? {
        bar.inc(1);
        let Some(line) = line else { continue };
        if let Some(error) = &line.result.error {
            warn!(container.name = line.container.name, "recorded as failed: {error}");
            failed += 1;
        }
        hidden += line.hidden;
        let still = line
            .container
            .env
            .iter()
            .filter(|(key, value)| granted.is_some() && secrets::value(key, value) != **value);
        kept.extend(still.map(|(key, _)| key.clone()));
        if line.inexact {
            warn!(
                container.name = line.container.name,
                "what a stage makes of it depends on a secret, which is hidden: it is recorded \
                 with what the stage makes of it so"
            );
        }
        serde_json::to_writer(&mut out.writer, &line)?;
        out.writer.write_all(b"\n").with_context(|| out.what.clone())?;
        count += 1;
    }
    bar.finish_and_clear();
    out.finish()?;
    if !kept.is_empty() {
        let names = kept.into_iter().collect::<Vec<_>>().join(", ");
        warn!("the file holds secrets that stages are granted by name (grant.env): {names}");
    }
    let containers = counted(count, "container", "containers");
    let failed = if failed > 0 { format!(", {failed} of which failed") } else { String::new() };
    let hidden = match hidden {
        0 => String::new(),
        n => format!("; {} hidden", counted(n, "secret value is", "secret values are")),
    };
    info!("recorded {containers}{failed}{hidden}: {}", args.out.display());
    Ok(())
}

/// The variables that may be recorded.
fn recordable(config: &Config) -> anyhow::Result<Recordable> {
    let (mut granted, mut named) = (GlobSetBuilder::new(), GlobSetBuilder::new());
    for pattern in config.pipeline.iter().flat_map(|stage| &stage.grant.env) {
        granted.add(Glob::new(pattern)?);
        // A pattern of everything names nothing.
        if pattern.chars().filter(char::is_ascii_alphanumeric).count() > 1 {
            named.add(Glob::new(pattern)?);
        }
    }
    // What the expression that selects containers sees.
    granted.add(Glob::new("SERVICE_*")?);
    Ok(Recordable { granted: granted.build()?, named: named.build()? })
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
