//! `wharfinger rollout status`: how far a rollout has come.

use std::collections::BTreeMap;

use anyhow::anyhow;
use clap::Args;
use serde_json::json;

use super::place::{PlaceArgs, SCHEME, read_document};
use crate::{
    cli::{CHANGES, Printed, output::width},
    error::error_chain,
    policy::rollout::{
        Document, Rollout, State,
        progress::{Progress, Stand, WaveProgress},
    },
    registry::consul::members::{self, Instance},
    render::{Text, Tone, Tree},
    text,
};

/// Of how many hosts of a wave it is shown why they have not taken the bundle yet.
const SHOWN: usize = 20;

/// The flags of `rollout status`.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
Keys of --json: document (as in Consul), fleet (null if it cannot be read; figures, halts, waves),
hosts (host, wave, stand: done, refused, lost or waiting; why: what a host says that could have taken
it by now, or that it follows another source, or null), unread (why there is no fleet).")]
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
    let daemons = members::daemons(&consul, args.place.consul.service()).await;
    let seen = daemons.map_err(|error| error_chain(&error)).map(|daemons| {
        let progress = Progress::of(&document, &members::fleet(&daemons));
        let late = late(&document.rollout, &progress, &daemons, &format!("{SCHEME}{key}"));
        Seen { progress, late }
    });
    let wanting = seen.as_ref().map_or(true, |seen| seen.wants_a_look(&document));
    let text = match args.json {
        true => printed(&document, &seen)?,
        false => tree(key, &document, &seen).render(width()),
    };
    Ok(Printed { text, code: if wanting { CHANGES } else { 0 } })
}

/// What is to be seen of the fleet.
struct Seen {
    progress: Progress,
    late: BTreeMap<String, Late>,
}

/// Why a host has not taken the bundle that could have by now, or never will.
#[derive(Debug, PartialEq, Eq)]
struct Late {
    words: String,
    /// Whether it looks for its policy elsewhere.
    elsewhere: bool,
}

impl Seen {
    fn wants_a_look(&self, document: &Document) -> bool {
        let stuck = self.late.values().any(|late| late.elsewhere);
        stuck || self.progress.wants_a_look(document)
    }
}

/// The hosts that keep the rollout waiting, by what they tell: those of waves that have begun, and those
/// of any wave that follow another source. Nobody waits for anybody in one that is aborted.
fn late(
    rollout: &Rollout,
    progress: &Progress,
    daemons: &[Instance],
    source: &str,
) -> BTreeMap<String, Late> {
    if rollout.state == State::Aborted {
        return BTreeMap::new();
    }
    let undone = |stand: &Stand| matches!(stand, Stand::Waiting | Stand::Lost);
    let waits = progress.hosts.iter().filter(|(_, _, stand)| undone(stand));
    let under_way = waits.map(|(_, wave, _)| *wave).min().unwrap_or_default().max(rollout.wave);
    let waiting = progress.hosts.iter().filter(|(_, _, stand)| *stand == Stand::Waiting);
    let told = waiting.filter_map(|(host, wave, _)| {
        let daemon = daemons.iter().find(|one| one.host() == Some(host))?;
        let text = |key: &str| daemon.meta.get(key).map(String::as_str);
        let late = match text("source") {
            Some(other) if other != source => {
                Some(Late { words: format!("follows {other}"), elsewhere: true })
            }
            None if text("bundle").is_none() => {
                Some(Late { words: "takes no policy".into(), elsewhere: true })
            }
            _ if *wave > under_way => None,
            _ => {
                let failing = text("source-failing");
                let words = match (failing, text("waits")) {
                    (Some(reason), _) => format!("cannot read its policy's source: {reason}"),
                    (None, Some(waits)) => format!("waits: {waits}"),
                    (None, None) if text("monitored").is_some() => "only monitors it".into(),
                    (None, None) => "has not taken it yet".into(),
                };
                Some(Late { words, elsewhere: false })
            }
        };
        Some((host.clone(), late?))
    });
    told.collect()
}

fn printed(document: &Document, seen: &Result<Seen, String>) -> anyhow::Result<String> {
    let fleet = seen.as_ref().ok().map(|seen| &seen.progress);
    let why = |host: &String| {
        let late = seen.as_ref().ok()?.late.get(host)?;
        Some(late.words.as_str())
    };
    let hosts = fleet.into_iter().flat_map(|fleet| &fleet.hosts);
    let hosts: Vec<_> = hosts
        .map(|(host, wave, stand)| {
            json!({ "host": host, "wave": wave, "stand": stand, "why": why(host) })
        })
        .collect();
    let unread = seen.as_ref().err();
    let all = json!({ "document": document, "fleet": fleet, "hosts": hosts, "unread": unread });
    Ok(text::json(&serde_json::to_string_pretty(&all)?).into_owned() + "\n")
}

fn tree(key: &str, document: &Document, seen: &Result<Seen, String>) -> Tree {
    let Rollout { waves: _, pause, halt_when, monitor, state, started, by, wave, .. } =
        &document.rollout;
    let halts = seen.as_ref().is_ok_and(|seen| seen.progress.halts);
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
    match seen {
        Ok(seen) => tree.push(fleet_tree(seen, *wave)),
        Err(reason) => {
            tree.push(Text::of(Tone::Removed, "the fleet cannot be seen: ").then(reason))
        }
    }
    tree
}

fn shown(uri: &str) -> String {
    text::without_secrets(uri)
}

fn fleet_tree(Seen { progress, late }: &Seen, promoted: usize) -> Tree {
    let figures = progress.figures;
    let head = format!(
        "{} of {} hosts have it; {} refused, {} held, {} unhealthy, {} lost",
        figures.done, figures.hosts, figures.refused, figures.held, figures.unhealthy, figures.lost
    );
    let waves = progress.waves.iter().map(|one| {
        let WaveProgress { wave, hosts, done, .. } = one;
        let promoted = if promoted > 0 && *wave <= promoted { ", promoted" } else { "" };
        let mut tree = Tree::new(format!("wave {wave}: {done} of {hosts}{promoted}"));
        let mut waiting = 0;
        for (host, _, stand) in progress.hosts.iter().filter(|(_, of, _)| of == wave) {
            match stand {
                Stand::Refused => {
                    tree.push(Text::of(Tone::Removed, host).then("has refused it"));
                }
                Stand::Lost => tree.push(Text::of(Tone::Warning, host).then("is lost")),
                Stand::Done => {}
                Stand::Waiting => match late.get(host) {
                    Some(late) if late.elsewhere => {
                        let words = Text::of(Tone::Warning, host).then(&late.words);
                        tree.push(words.and(Tone::Plain, ", and so will never take it"));
                    }
                    Some(late) => {
                        waiting += 1;
                        if waiting <= SHOWN {
                            tree.push(Text::of(Tone::Plain, host).then(&late.words));
                        }
                    }
                    None => {}
                },
            }
        }
        if waiting > SHOWN {
            let more = format!("and {} more that have not taken it", waiting - SHOWN);
            tree.push(Text::of(Tone::Faint, more));
        }
        tree
    });
    Tree::new(head).with(waves)
}
