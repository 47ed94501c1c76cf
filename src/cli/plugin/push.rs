//! `wharfinger plugin push`: a component to a registry, in the form that other tools read.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Report, failure::Failure};
use crate::{
    cli::oci::OciArgs,
    files,
    policy::{
        Digest,
        oci::{self, Component, Reference},
    },
    stages::plugin::Outline,
};

/// The most that a component may have.
const COMPONENT: u64 = 256 << 20;

/// Push a component to a registry of images: one layer of the type `application/wasm`, as other
/// tools read it.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
Keys of --json: file, place (by tag), pinned (the same by digest), component (the file's digest).")]
pub(super) struct PushArgs {
    /// The component.
    file: PathBuf,

    /// Where to: oci://HOST/REPOSITORY[:TAG]; the tag is `latest` if none is said.
    place: Reference,

    #[command(flatten)]
    registry: OciArgs,
}

pub(super) async fn push(args: &PushArgs) -> Result<Report, Failure> {
    let outline = Outline::of(&args.file)?;
    let shown = args.file.display().to_string();
    let bytes = files::read(&args.file, COMPONENT)
        .map_err(|error| Failure::new(format!("cannot read {shown}: {error}")))?;
    let digest = Digest::of(&bytes);
    let title = args.file.file_name().map(|name| name.to_string_lossy().into_owned());
    let component = Component {
        bytes: bytes.into(),
        title: title.unwrap_or_else(|| "plugin.wasm".into()),
        imports: outline.imports.iter().map(|import| import.name.clone()).collect(),
        exports: vec![format!("wharfinger:pipeline/stage@{}", outline.contract)],
    };
    let pushed = oci::push_component(&component, &args.place, &args.registry.options()).await;
    let pushed = pushed
        .map_err(|error| Failure::of_registry(format!("cannot push to {}", args.place), &error))?;
    let text = format!("pushed {shown} to {}\n{pushed}\n", args.place);
    let json = json!({
        "file": shown,
        "place": args.place.to_string(),
        "pinned": pushed.to_string(),
        "component": digest,
    });
    Ok(Report::good(text, json))
}
