//! `wharfinger policy pull`: a bundle and what was signed of it, from a registry into a file.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::{good, title, write};
use crate::{
    cli::{Printed, oci::OciArgs},
    policy::{
        archive,
        oci::{self, Limits, Reference},
    },
    text::counted,
};

/// The flags of `policy pull`.
#[derive(Debug, Clone, Args)]
pub(super) struct PullArgs {
    /// Where from: oci://HOST/REPOSITORY[:TAG|@sha256:…].
    place: Reference,

    /// Where the bundle is written.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,

    #[command(flatten)]
    registry: OciArgs,
}

pub(super) async fn pull(args: &PullArgs) -> anyhow::Result<Printed> {
    let pulled = oci::pull(&args.place, &args.registry.options(), Limits::default()).await;
    let bundle = pulled.with_context(|| format!("cannot pull {}", args.place))?;
    write(&args.output, &archive::write(&bundle))?;
    let signed = counted(bundle.signatures.len(), "signature", "signatures");
    Ok(good(format!("pulled {} with {signed}\n", title(&bundle))))
}
