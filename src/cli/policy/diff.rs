//! `wharfinger policy diff`: what differs between two bundles.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::title;
use crate::{
    cli::{CHANGES, Printed, output::width},
    policy::{self, Bundle, archive, diff::Change},
    render::{Text, Tone, Tree},
    secrets, text,
};

/// The flags of `policy diff`.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = "\
Keys of --json: old and new (name, sequence, digest), changes (place, key, old, new; what is null is
not there, and a place alone is a stage that came, went or moved).")]
pub(super) struct DiffArgs {
    /// The bundle that is in force.
    old: PathBuf,

    /// The one that would take its place.
    new: PathBuf,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn diff(args: &DiffArgs) -> anyhow::Result<Printed> {
    let (old, new) = (archive::read(&args.old)?, archive::read(&args.new)?);
    let mut changes = policy::diff::diff(&old, &new);
    changes.iter_mut().for_each(hide);
    let code = if changes.is_empty() { 0 } else { CHANGES };
    if args.json {
        let of = |one: &Bundle| json!({ "name": one.name, "sequence": one.sequence, "digest": one.digest });
        let all = json!({ "old": of(&old), "new": of(&new), "changes": changes });
        return Ok(Printed { text: text::json(&format!("{all:#}\n")).into_owned(), code });
    }
    let mut tree = Tree::new(Text::of(Tone::Strong, title(&new)));
    tree.push(Text::of(Tone::Faint, "was").then(title(&old)));
    let mut at = 0;
    while let Some(first) = changes.get(at) {
        let end = changes[at..].iter().take_while(|one| one.place == first.place).count() + at;
        tree.push(place(&changes[at..end]));
        at = end;
    }
    if changes.is_empty() {
        tree.push("they do the same");
    }
    Ok(Printed { text: tree.render(width()), code })
}

/// What differs in one place.
fn place(changes: &[Change]) -> Tree {
    let name = changes.first().map(|one| one.place.clone()).unwrap_or_default();
    let (whole, keys): (Vec<_>, Vec<_>) = changes.iter().partition(|one| one.key.is_none());
    let head = match whole.first() {
        Some(Change { old: None, .. }) => Text::of(Tone::Added, format!("+ {name}")),
        Some(Change { new: None, .. }) => Text::of(Tone::Removed, format!("- {name}")),
        Some(change) => values(Text::of(Tone::Changed, format!("~ {name}")), change),
        None => Text::of(Tone::Changed, format!("~ {name}")),
    };
    let key = |change: &Change| change.key.clone().unwrap_or_default();
    let lines = keys.into_iter().map(|one| Tree::new(values(Text::of(Tone::Faint, key(one)), one)));
    Tree::new(head).with(lines)
}

/// Hide values that are secret, which the last part of the key says, or a part of the value.
fn hide(change: &mut Change) {
    let name = change.key.as_deref().unwrap_or_default().rsplit('.').next().unwrap_or_default();
    for value in change.old.iter_mut().chain(&mut change.new) {
        let mut one = json!({ (name): value.take() });
        secrets::json(&mut one);
        *value = one[name].take();
    }
}

/// The value before and the one now.
fn values(text: Text, change: &Change) -> Text {
    let value = |value: &Option<Value>| match value {
        Some(Value::String(words)) if change.key.is_none() => words.clone(),
        Some(value) => value.to_string(),
        None => "(none)".into(),
    };
    let (old, new) = (value(&change.old), value(&change.new));
    text.then("").and(Tone::Removed, old).then("→").then("").and(Tone::Added, new)
}
