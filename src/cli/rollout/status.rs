//! `wharfinger rollout status`: how far a rollout has come.

use anyhow::anyhow;
use clap::Args;
use serde_json::json;

use super::{
    fleet,
    place::{PlaceArgs, read_document},
};
use crate::{
    cli::{CHANGES, Printed, output::width},
    policy::rollout::{
        Document, Rollout, State,
        progress::{Progress, Stand, WaveProgress},
    },
    render::{Text, Tone, Tree},
    text,
};

/// The flags of `rollout status`.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
Keys of --json: document (as in Consul), fleet (null if it cannot be read; figures, halts, waves),
hosts (host, wave, stand: done, refused, lost or waiting), unread (why there is no fleet).")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    place: PlaceArgs,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn status(args: &StatusArgs) -> anyhow::Result<Printed> {
    let consul = args.place.consul.open()?;
    let key = args.place.key();
    let (document, _) =
        read_document(&consul, key).await?.ok_or_else(|| anyhow!("{key}: there is no rollout"))?;
    let fleet = fleet(&consul, args.place.consul.service()).await;
    let progress = fleet.map(|fleet| Progress::of(&document, &fleet));
    let wanting = progress.as_ref().map_or(true, |progress| progress.wants_a_look(&document));
    let text = match args.json {
        true => printed(&document, &progress)?,
        false => tree(key, &document, &progress).render(width()),
    };
    Ok(Printed { text, code: if wanting { CHANGES } else { 0 } })
}

fn printed(document: &Document, progress: &Result<Progress, String>) -> anyhow::Result<String> {
    let fleet = progress.as_ref().ok();
    let hosts = fleet.into_iter().flat_map(|fleet| &fleet.hosts);
    let hosts: Vec<_> = hosts
        .map(|(host, wave, stand)| json!({ "host": host, "wave": wave, "stand": stand }))
        .collect();
    let unread = progress.as_ref().err();
    let all = json!({ "document": document, "fleet": fleet, "hosts": hosts, "unread": unread });
    Ok(text::json(&serde_json::to_string_pretty(&all)?).into_owned() + "\n")
}

fn tree(key: &str, document: &Document, progress: &Result<Progress, String>) -> Tree {
    let Rollout { waves: _, pause, halt_when, monitor, state, started, by, wave, .. } =
        &document.rollout;
    let halts = progress.as_ref().is_ok_and(|progress| progress.halts);
    let (tone, state) = match (state, halts) {
        (State::Running, false) => (Tone::Added, "running"),
        (State::Running, true) => (Tone::Warning, "stopped by itself"),
        (State::Halted, _) => (Tone::Warning, "halted"),
        (State::Aborted, _) => (Tone::Warning, "aborted"),
    };
    let mut tree = Tree::new(Text::of(Tone::Strong, key).and(Tone::Plain, ": ").and(tone, state));
    tree.push(format!("bundle {} from {}", document.bundle.digest, shown(&document.bundle.from)));
    if let Some(before) = &document.before {
        tree.push(format!("before {} from {}", before.digest, shown(&before.from)));
    }
    tree.push(format!("started by {by} at {started}"));
    if let Some(last) = &document.rollout.last {
        tree.push(format!("{} by {} at {}", last.what, last.by, last.at));
    }
    let pause = humantime::format_duration(*pause);
    tree.push(format!("{pause} between waves; it stops while {halt_when}"));
    if *monitor {
        tree.push("its stages are monitored only in the first pass");
    }
    match progress {
        Ok(progress) => tree.push(fleet_tree(progress, *wave)),
        Err(reason) => {
            tree.push(Text::of(Tone::Removed, "the fleet cannot be seen: ").then(reason))
        }
    }
    tree
}

fn shown(uri: &str) -> String {
    text::without_secrets(uri)
}

fn fleet_tree(progress: &Progress, promoted: usize) -> Tree {
    let figures = progress.figures;
    let head = format!(
        "{} of {} hosts have it; {} refused, {} held, {} unhealthy, {} lost",
        figures.done, figures.hosts, figures.refused, figures.held, figures.unhealthy, figures.lost
    );
    let waves = progress.waves.iter().map(|one| {
        let WaveProgress { wave, hosts, done, .. } = one;
        let promoted = if promoted > 0 && *wave <= promoted { ", promoted" } else { "" };
        let mut tree = Tree::new(format!("wave {wave}: {done} of {hosts}{promoted}"));
        for (host, _, stand) in progress.hosts.iter().filter(|(_, of, _)| of == wave) {
            match stand {
                Stand::Refused => {
                    tree.push(Text::of(Tone::Removed, host).then("has refused it"));
                }
                Stand::Lost => tree.push(Text::of(Tone::Warning, host).then("is lost")),
                Stand::Done | Stand::Waiting => {}
            }
        }
        tree
    });
    Tree::new(head).with(waves)
}
