//! `wharfinger policy show`: what a bundle holds.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::title;
use crate::{
    cli::{Printed, output::width},
    policy::archive,
    render::{Text, Tone, Tree},
    secrets, tables, text,
};

/// The flags of `policy show`.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
Keys of --json: name, sequence, digest, signatures (how many), components (digest, size), document
(the policy as JSON).")]
pub(super) struct ShowArgs {
    /// The bundle.
    file: PathBuf,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn show(args: &ShowArgs) -> anyhow::Result<Printed> {
    let bundle = archive::read(&args.file)?;
    let document: toml::Table = tables::read(&bundle.document).map_err(anyhow::Error::msg)?;
    if args.json {
        let components: Vec<_> = bundle
            .components
            .iter()
            .map(|(digest, bytes)| json!({ "digest": digest, "size": bytes.len() }))
            .collect();
        let mut all = json!({
            "name": bundle.name,
            "sequence": bundle.sequence,
            "digest": bundle.digest,
            "signatures": bundle.signatures.len(),
            "components": components,
            "document": document,
        });
        secrets::json(&mut all);
        return Ok(Printed { text: text::json(&format!("{all:#}\n")).into_owned(), code: 0 });
    }
    let mut document = serde_json::to_value(document)?;
    secrets::json(&mut document);
    let mut tree = Tree::new(Text::of(Tone::Strong, title(&bundle)));
    tree.push(match bundle.signatures.len() {
        0 => Text::of(Tone::Warning, "not signed"),
        count => text::counted(count, "signature", "signatures").into(),
    });
    let stages = document["pipeline"].as_array().cloned().unwrap_or_default();
    let stages = stages.iter().map(|stage| {
        let name = stage["name"].as_str().or(stage["slot"].as_str()).unwrap_or_default();
        let keys = stage.as_object().into_iter().flatten().filter(|(key, _)| *key != "name");
        let keys = keys.map(|(key, value)| {
            Tree::new(Text::of(Tone::Faint, key).then("=").then("").and_json(value))
        });
        Tree::new(Text::of(Tone::Strong, name)).with(keys)
    });
    tree.push(Tree::new("pipeline").with(stages));
    for (table, value) in document.as_object().into_iter().flatten() {
        if table != "pipeline" {
            tree.push(Tree::new(Text::of(Tone::Plain, table).then("").and_json(value)));
        }
    }
    let components = bundle.components.iter().map(|(digest, bytes)| {
        Tree::new(Text::of(Tone::Plain, digest.to_string()).then(format!("{} bytes", bytes.len())))
    });
    tree.push(Tree::new("components").with(components));
    Ok(Printed { text: tree.render(width()), code: 0 })
}
