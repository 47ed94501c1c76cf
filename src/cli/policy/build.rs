//! `wharfinger policy build`: the components fetched, every stage loaded as the daemon would, and
//! the bundle written.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;

use super::{good, text, title, write};
use crate::{
    cli::Printed,
    config::Config,
    daemon::app::{BadConfig, Stages},
    files,
    policy::{
        Bundle, Digest, archive,
        build::{Draft, Wanted},
    },
};

/// The most that a component may have.
const COMPONENT: u64 = 256 << 20;

/// The flags of `policy build`.
#[derive(Debug, Clone, Args)]
pub(super) struct BuildArgs {
    /// The configuration file of the policy.
    file: PathBuf,

    /// Where the bundle is written.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,

    /// The policy's name, the same for all of its versions.
    #[arg(long, value_name = "NAME", default_value = "policy")]
    name: String,

    /// The number of this version, larger than those of all before it.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    sequence: u64,
}

pub(super) async fn build(args: &BuildArgs) -> anyhow::Result<Printed> {
    let shown = args.file.display().to_string();
    let bad = |error: anyhow::Error| BadConfig(error);
    let source = text(&args.file).map_err(bad)?;
    let draft = Draft::parse(&source, &shown).map_err(|error| bad(error.into()))?;
    let folder = args.file.parent().unwrap_or(Path::new(""));
    let mut contents = Vec::new();
    for wanted in &draft.components {
        let found = content(wanted, folder);
        contents.push(
            found.map_err(|error| bad(anyhow!("{shown}: stage {:?}: {error:#}", wanted.stage)))?,
        );
    }
    let bundle = draft
        .finish(&args.name, args.sequence, &contents)
        .map_err(|reason| bad(anyhow!("{shown}: {reason}")))?;
    loads(&bundle, &args.file).await?;
    write(&args.output, &archive::write(&bundle))?;
    Ok(good(format!("{}\n", title(&bundle))))
}

/// The bytes of a component.
fn content(wanted: &Wanted, folder: &Path) -> anyhow::Result<Arc<[u8]>> {
    let source = &wanted.source;
    if source.contains("://") {
        bail!(
            "{source} is not fetched by this version; fetch it, and name the file with its sha256"
        );
    }
    let path = folder.join(source);
    let bytes: Arc<[u8]> = files::read(&path, COMPONENT)
        .with_context(|| format!("cannot read {}", path.display()))?
        .into();
    let found = Digest::of(&bytes);
    match wanted.digest.filter(|digest| *digest != found) {
        None => Ok(bytes),
        Some(wanted) => bail!("{} has the digest {found}, not {wanted}", path.display()),
    }
}

/// Whether every stage of a bundle loads, from a folder in which its components are called as the
/// document calls them.
async fn loads(bundle: &Bundle, file: &Path) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("cannot make a folder for the components")?;
    for (digest, bytes) in &bundle.components {
        let path = folder.path().join(digest.to_string());
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let config = Config::parse(&bundle.document, file, folder.path())
        .map_err(|error| BadConfig(error.into()))?;
    Stages::default().compiled_by_children().load(&config).await?;
    Ok(())
}
