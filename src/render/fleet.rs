//! The differences that another pipeline makes to recorded containers.

use std::{collections::BTreeMap, fmt};

use super::{
    Text, Tone, Tree, WouldDo, fields, fields_of, forecast::head, monitored::monitored_line,
};
use crate::{
    fleet::{Difference, Differs},
    reconcile::Brief,
    text::counted,
};

/// A container's differences as a tree.
pub fn difference(one: &Difference) -> Tree {
    let brief = Brief { id: one.id.clone(), name: one.name.clone(), image: one.image.clone() };
    let title = head(&brief).and(Tone::Faint, format!("  on {}", one.host));
    let would_be = one.would_be.iter().map(|one| {
        let line = monitored_line(&one.stage, &one.service, &one.change);
        Tree::new(line)
    });
    Tree::new(title).with(one.changes.iter().map(change).chain(would_be))
}

fn change(change: &Differs) -> Tree {
    let line = |tone, sign: &str, id: &str, words: &str| {
        let head = Text::of(tone, sign).and(Tone::Plain, " ").and(Tone::Strong, id);
        head.and(Tone::Plain, format!("  {words}"))
    };
    match change {
        Differs::Added { service } => {
            let head = line(Tone::Added, "+", &service.id, "is registered");
            Tree::new(head).with(fields_of(service, |_| None))
        }
        Differs::Removed { id, veto: Some(veto), .. } => {
            let words = format!("vetoed by {}: {}", veto.stage, veto.reason);
            Tree::new(line(Tone::Removed, "✗", id, &words))
        }
        Differs::Removed { id, .. } => {
            Tree::new(line(Tone::Removed, "-", id, "is not registered any more"))
        }
        Differs::Changed { id, fields: changes } => {
            Tree::new(line(Tone::Changed, "~", id, "changes")).with(fields(changes, |_| None))
        }
        Differs::Reason { id, was, now } => {
            let or = |words: &Option<String>| words.clone().unwrap_or("no candidate".into());
            let words = format!("is not registered: {}, was {}", or(now), or(was));
            Tree::new(line(Tone::Warning, "!", id, &words))
        }
        Differs::Fails { was, now: Some(now) } => {
            let before = if was.is_some() { " (it failed otherwise before)" } else { "" };
            Tree::new(Text::of(Tone::Removed, format!("! fails: {now}{before}")))
        }
        Differs::Fails { was, now: None } => {
            let was = was.as_deref().unwrap_or_default();
            Tree::new(Text::of(Tone::Added, format!("! fails no more; it failed: {was}")))
        }
    }
}

/// The counts of many containers' differences.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// Containers.
    pub containers: usize,
    /// Containers for which something differs.
    pub differ: usize,
    /// Containers on which the pipeline fails although it did not.
    pub fails: usize,
    /// Services that are new.
    pub added: usize,
    /// Services that are gone.
    pub removed: usize,
    /// Those of them that a stage vetoes, by stage.
    pub vetoed: BTreeMap<String, usize>,
    /// Services that are different.
    pub changed: usize,
    /// The fields that differ, with the number of services.
    pub fields: BTreeMap<String, usize>,
    /// The changes that monitored stages would make, by stage.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub monitored: BTreeMap<String, WouldDo>,
}

impl Tally {
    /// Count a container.
    pub fn note(&mut self, difference: &Difference) {
        self.containers += 1;
        self.differ += usize::from(!difference.changes.is_empty());
        self.fails += usize::from(difference.fails());
        let mut by_stage: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for one in &difference.would_be {
            by_stage.entry(&one.stage).or_default().push(&one.change);
        }
        for (stage, changes) in by_stage {
            self.monitored.entry(stage.to_string()).or_default().note(changes);
        }
        for change in &difference.changes {
            match change {
                Differs::Added { .. } => self.added += 1,
                Differs::Removed { veto, .. } => {
                    self.removed += 1;
                    if let Some(veto) = veto {
                        *self.vetoed.entry(veto.stage.clone()).or_default() += 1;
                    }
                }
                Differs::Changed { fields, .. } => {
                    self.changed += 1;
                    for field in fields {
                        *self.fields.entry(field.field.to_string()).or_default() += 1;
                    }
                }
                Differs::Reason { .. } | Differs::Fails { .. } => {}
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |all: &BTreeMap<String, usize>| {
            let all: Vec<_> = all.iter().map(|(name, count)| format!("{name} {count}")).collect();
            if all.is_empty() { String::new() } else { format!(" ({})", all.join(", ")) }
        };
        let Self { containers, differ, fails, added, removed, changed, .. } = self;
        let monitored: Vec<_> =
            self.monitored.iter().map(|(stage, counts)| format!("{stage}: {counts}")).collect();
        let monitored = match monitored.is_empty() {
            true => String::new(),
            false => format!("\nMonitored stages would: {}.", monitored.join("; ")),
        };
        if *differ == 0 {
            let containers = counted(*containers, "container", "containers");
            return write!(f, "{containers}: no difference.{monitored}");
        }
        let (vetoed, fields) = (list(&self.vetoed), list(&self.fields));
        let containers = counted(*containers, "container", "containers");
        let differ = counted(*differ, "differs", "differ");
        let added = counted(*added, "service", "services");
        write!(
            f,
            "{containers}, {differ}: {added} added, {changed} changed{fields}, {removed} gone"
        )?;
        if !vetoed.is_empty() {
            write!(f, ", vetoed{vetoed}")?;
        }
        if *fails > 0 {
            write!(f, "; the pipeline fails on {}", counted(*fails, "container", "containers"))?;
        }
        write!(f, ".{monitored}")
    }
}
