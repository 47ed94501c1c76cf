//! `wharfinger policy build`: the components fetched, every stage loaded as the daemon would, and
//! the bundle written, with the lock file beside the policy.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;

use super::{good, text, title, write};
use crate::{
    cli::{Printed, oci::OciArgs},
    config::{CacheConfig, Config},
    daemon::app::{BadConfig, Stages},
    files,
    policy::{
        Bundle, Digest, archive,
        build::{Draft, Wanted},
        layer::Document,
        lock::{self, Lock},
        store::Contents,
        transport::{Tags, Transport},
    },
};

/// The most that a component may have.
const COMPONENT: u64 = 256 << 20;
/// The most that all components may have that are kept.
const KEPT: u64 = 1 << 30;

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

    /// Ask the registries again what the tags stand for, and pin that in wharfinger.lock.
    #[arg(long)]
    update: bool,

    /// Refuse tags that wharfinger.lock does not pin.
    #[arg(long, conflicts_with = "update")]
    locked: bool,

    /// The folder for compiled and for fetched components; an empty one for none.
    #[arg(long, value_name = "FOLDER", env = "WHARFINGER_CACHE_DIR", value_parser = crate::cli::flags::folder)]
    cache_dir: Option<PathBuf>,

    #[command(flatten)]
    registry: OciArgs,
}

pub(super) async fn build(args: &BuildArgs) -> anyhow::Result<Printed> {
    let shown = args.file.display().to_string();
    let bad = |error: anyhow::Error| BadConfig(error);
    let source = text(&args.file).map_err(bad)?;
    let draft = Draft::parse(&source, &shown).map_err(|error| bad(error.into()))?;
    let folder = args.file.parent().unwrap_or(Path::new(""));
    let lock_file = folder.join(lock::NAME);
    let pinned = pinned(&lock_file).map_err(bad)?;
    let mut transport = transport(args, pinned.clone())?;
    let mut contents = Vec::new();
    for wanted in &draft.components {
        let found = content(wanted, folder, &mut transport).await;
        contents.push(
            found.map_err(|error| bad(anyhow!("{shown}: stage {:?}: {error:#}", wanted.stage)))?,
        );
    }
    let bundle = draft
        .finish(&args.name, args.sequence, &contents)
        .map_err(|reason| bad(anyhow!("{shown}: {reason}")))?;
    loads(&bundle, args).await?;
    if transport.lock != pinned {
        write(&lock_file, transport.lock.text().as_bytes())?;
    }
    write(&args.output, &archive::write(&bundle))?;
    Ok(good(format!("{}\n", title(&bundle))))
}

/// The lock file beside the policy; an empty one if there is none.
fn pinned(file: &Path) -> anyhow::Result<Lock> {
    match file.exists() {
        true => Ok(Lock::parse(&text(file)?, &file.display().to_string())?),
        false => Ok(Lock::default()),
    }
}

fn transport(args: &BuildArgs, lock: Lock) -> anyhow::Result<Transport> {
    let config = CacheConfig { dir: args.cache_dir.clone(), ..CacheConfig::default() };
    let folder = config.folder(|name| std::env::var(name).ok());
    let contents = folder.map(|folder| Contents::open(&folder.join("components"), KEPT));
    let tags = match (args.update, args.locked) {
        (true, _) => Tags::All,
        (_, true) => Tags::None,
        _ => Tags::New,
    };
    let options = args.registry.options();
    Ok(Transport { options, contents: contents.transpose()?, lock, tags })
}

/// The bytes of a component.
async fn content(
    wanted: &Wanted,
    folder: &Path,
    transport: &mut Transport,
) -> anyhow::Result<Arc<[u8]>> {
    if wanted.source.contains("://") {
        return Ok(transport.fetch(&wanted.source.parse()?, wanted.digest).await?);
    }
    let path = folder.join(&wanted.source);
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
async fn loads(bundle: &Bundle, args: &BuildArgs) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("cannot make a folder for the components")?;
    for (digest, bytes) in &bundle.components {
        let path = folder.path().join(digest.to_string());
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let document = Document::parse(bundle, |digest| folder.path().join(digest.to_string()))
        .map_err(|error| BadConfig(anyhow!("{}: {error}", args.file.display())))?;
    let mut config = document.over(&Config::default()).config;
    config.cache.dir.clone_from(&args.cache_dir);
    Stages::default().compiled_by_children().load(&config).await?;
    Ok(())
}
