//! `wharfinger plugin pull`: a component from a registry into a file.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Report, failure::Failure};
use crate::{
    cli::{oci::OciArgs, whole::write},
    policy::oci::{self, Reference},
};

/// Pull a component from a registry of images into a file.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
Keys of --json: file, place, pinned (the place by digest), component (the file's digest), size.")]
pub(super) struct PullArgs {
    /// Where from: oci://HOST/REPOSITORY[:TAG|@sha256:…].
    place: Reference,

    /// Where the component is written.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,

    #[command(flatten)]
    registry: OciArgs,
}

pub(super) async fn pull(args: &PullArgs) -> Result<Report, Failure> {
    let pulled = oci::pull_component(&args.place, &args.registry.options()).await;
    let oci::Pulled { found, bytes, .. } = pulled
        .map_err(|error| Failure::of_registry(format!("cannot pull {}", args.place), &error))?;
    write(&args.output, &bytes).map_err(|error| Failure::new(format!("{error:#}")))?;
    let (shown, pinned) = (args.output.display().to_string(), args.place.pinned(found.manifest));
    let text = format!("pulled {} of {pinned} into {shown}\n", found.component);
    let json = json!({
        "file": shown,
        "place": args.place.to_string(),
        "pinned": pinned.to_string(),
        "component": found.component,
        "size": found.size,
    });
    Ok(Report::good(text, json))
}
