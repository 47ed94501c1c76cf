//! `wharfinger policy push`: a bundle and its signatures to a registry.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::{good, title};
use crate::{
    cli::{Printed, oci::OciArgs},
    policy::{
        archive,
        oci::{self, Reference},
    },
};

/// The flags of `policy push`.
#[derive(Debug, Clone, Args)]
pub(super) struct PushArgs {
    /// The bundle.
    file: PathBuf,

    /// Where to: oci://HOST/REPOSITORY[:TAG]; the tag is `latest` if none is said.
    place: Reference,

    #[command(flatten)]
    registry: OciArgs,
}

pub(super) async fn push(args: &PushArgs) -> anyhow::Result<Printed> {
    let bundle = archive::read(&args.file)?;
    let pushed = oci::push(&bundle, &args.place, &args.registry.options()).await;
    let pushed = pushed.with_context(|| format!("cannot push to {}", args.place))?;
    Ok(good(format!("pushed {} to {}\n{pushed}\n", title(&bundle), args.place)))
}
