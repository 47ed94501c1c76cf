//! The changes that monitored stages would make, counted and as lines.

use std::fmt;

use super::{Text, Tone};
use crate::{
    pipeline::{Change, FieldChange},
    text::counted,
};

/// The counts of the changes that a monitored stage would make.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct WouldDo {
    /// Containers.
    pub containers: usize,
    /// Services to which it would give another ID or name.
    pub rename: usize,
    /// Services that it would change otherwise.
    pub change: usize,
    /// Services that it would veto.
    pub veto: usize,
    /// Services that it would add.
    pub add: usize,
}

impl WouldDo {
    /// Count what it would do to one container.
    pub(super) fn note<'a>(&mut self, changes: impl IntoIterator<Item = &'a Change>) {
        self.containers += 1;
        for change in changes {
            *match change {
                Change::Changed(fields) if fields.iter().any(renames) => &mut self.rename,
                Change::Changed(_) => &mut self.change,
                Change::Vetoed(_) => &mut self.veto,
                Change::Added => &mut self.add,
            } += 1;
        }
    }
}

impl fmt::Display for WouldDo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.rename, "rename"),
            (self.change, "change"),
            (self.veto, "veto"),
            (self.add, "add"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<_> = counts.map(|(count, what)| format!("{what} {count}")).collect();
        let containers = counted(self.containers, "container", "containers");
        write!(f, "{} of {containers}", counts.join(", "))
    }
}

fn renames(change: &FieldChange) -> bool {
    matches!(&*change.field, "id" | "name")
}

/// A change that a monitored stage would make to a service, as a line among those that are made.
pub(super) fn monitored_line(stage: &str, service: &str, change: &Change) -> Text {
    let words = format!("  {}, by {stage} (monitored)", change.if_enforced());
    Text::of(Tone::Changed, "≈ ").and(Tone::Strong, service).and(Tone::Plain, words)
}
