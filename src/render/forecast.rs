//! A forecast, container by container.

use std::fmt;

use serde_json::{Value, json};

use super::{
    Text, Tone, Tree, fields_of, flatten, lines,
    monitored::{WouldDo, monitored_line},
};
use crate::{
    model::marks::META_DIGEST,
    pipeline::{Blame, Change, FieldChange, Level, Outcome, StageNote},
    reconcile::{Brief, Conflict, Forecast, ForecastContainer, ForecastWrite, Reason, WriteKind},
};

/// The marks' keys begin so.
const MARK: &str = "meta.wharfinger-";

/// The counts of a forecast.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// Services to be registered that are new.
    pub register: usize,
    /// Services to be registered in another form.
    pub change: usize,
    /// Services to be taken over.
    pub adopt: usize,
    /// Services to be deregistered.
    pub deregister: usize,
    /// Services to be put into maintenance or taken out of it.
    pub maintenance: usize,
    /// Writes that the bulk guard would hold.
    pub held: usize,
    /// Services that a stage vetoes.
    pub vetoed: usize,
    /// Changes and vetoes of monitored stages, which have no effect.
    pub monitored: usize,
    /// Services of which the ID is somebody else's.
    pub conflicts: usize,
    /// Services that Consul's ACL will not let the token write.
    pub forbidden: usize,
    /// Containers that could not be judged and keep what they have.
    pub failed: usize,
    /// Containers with nothing to do.
    pub unchanged: usize,
}

impl Summary {
    /// The summary of a forecast. `stages` says which stage is which plugin.
    pub fn of(forecast: &Forecast, stages: &[StageNote]) -> Self {
        let mut summary = Self::default();
        for one in &forecast.containers {
            for write in &one.writes {
                summary.count(write);
            }
            let outcome = one.outcome.as_ref().filter(|_| one.failure.is_none());
            summary.vetoed += outcome.map_or(0, |outcome| vetoes(outcome, stages).count());
            let traces = outcome.into_iter().flat_map(|outcome| &outcome.trace);
            summary.monitored += traces.map(|trace| trace.would_be.len()).sum::<usize>();
            summary.conflicts += one.conflicts.len();
            summary.forbidden += one.forbidden.len();
            summary.failed += usize::from(one.failure.is_some());
            summary.unchanged += usize::from(!one.changes() && one.failure.is_none());
        }
        for write in &forecast.dangling {
            summary.count(write);
        }
        summary
    }

    fn count(&mut self, write: &ForecastWrite) {
        let place = match &write.kind {
            _ if write.held => &mut self.held,
            WriteKind::Register { reason: Reason::New, .. } => &mut self.register,
            WriteKind::Register { reason: Reason::Adopted, .. } => &mut self.adopt,
            WriteKind::Register { .. } => &mut self.change,
            WriteKind::Deregister => &mut self.deregister,
            WriteKind::Maintenance { .. } => &mut self.maintenance,
        };
        *place += 1;
    }

    /// Whether anything would be written, now or when somebody confirms it.
    pub fn changes(&self) -> bool {
        let Self { register, change, adopt, deregister, maintenance, held, .. } = *self;
        register + change + adopt + deregister + maintenance + held > 0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [
            (self.register, "to register"),
            (self.change, "to change"),
            (self.adopt, "to adopt"),
            (self.deregister, "to deregister"),
            (self.maintenance, "into or out of maintenance"),
            (self.held, "held"),
            (self.vetoed, "vetoed"),
            (self.monitored, "would be otherwise by monitored stages"),
            (self.conflicts, "taken by others"),
            (self.forbidden, "forbidden by the ACL"),
            (self.failed, "failed"),
        ];
        let some = words.iter().filter(|(count, _)| *count > 0);
        let some: Vec<_> = some.map(|(count, words)| format!("{count} {words}")).collect();
        if !self.changes() {
            f.write_str("Nothing to do")?;
            return match some.is_empty() {
                true => f.write_str("."),
                false => write!(f, ": {}.", some.join(", ")),
            };
        }
        let unchanged = match self.unchanged {
            0 => String::new(),
            1 => "; 1 container stays as it is".into(),
            n => format!("; {n} containers stay as they are"),
        };
        write!(f, "Plan: {}{unchanged}.", some.join(", "))
    }
}

/// Vetoes that are news: what the container says of itself is none.
fn vetoes<'a>(
    outcome: &'a Outcome,
    stages: &'a [StageNote],
) -> impl Iterator<Item = &'a crate::pipeline::Veto> {
    outcome
        .vetoed
        .iter()
        .filter(|veto| !stages.iter().any(|note| note.name == veto.stage && note.is_registrator()))
}

/// Of which daemon a forecast is, and of what.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// The host's name.
    pub host: &'a str,
    /// The registry or pipeline that it is compared with, for people.
    pub against: &'a str,
    /// The stages of the pipeline.
    pub stages: &'a [StageNote],
}

impl Plan<'_> {
    /// The exit code: 0 if nothing would be done, 2 if something would, and 1 if a container could
    /// not be judged.
    pub fn code(&self, forecast: &Forecast) -> u8 {
        match Summary::of(forecast, self.stages) {
            summary if summary.failed > 0 => 1,
            summary if summary.changes() => 2,
            _ => 0,
        }
    }

    /// All of it for programs.
    ///
    /// # Errors
    ///
    /// It has no form in JSON.
    pub fn json(&self, forecast: &Forecast) -> serde_json::Result<Value> {
        let Self { host, against, stages } = self;
        let summary = Summary::of(forecast, stages);
        Ok(json!({
            "host": host, "against": against, "stages": stages, "summary": summary,
            "plan": serde_json::to_value(forecast)?,
        }))
    }

    /// The tree and its summary, of so many columns.
    pub fn text(&self, forecast: &Forecast, all: bool, width: usize) -> String {
        let Self { host, against, stages } = self;
        let names: Vec<_> = stages.iter().map(|note| note.name.as_str()).collect();
        let title = Text::of(Tone::Plain, "host ")
            .and(Tone::Strong, *host)
            .and(Tone::Faint, format!("  {}  against {against}", names.join(" → ")));
        let tree = self::forecast(title, forecast, stages, all).render(width);
        format!("{tree}\n{}\n", Summary::of(forecast, stages))
    }
}

/// A forecast as a tree. With `all`, containers with nothing to do are in it, too.
pub fn forecast(title: Text, forecast: &Forecast, stages: &[StageNote], all: bool) -> Tree {
    let mut tree = Tree::new(title);
    for one in &forecast.containers {
        let tell = container(one, stages, all);
        if all || !tell.is_leaf() {
            tree.push(tell);
        }
    }
    if !forecast.dangling.is_empty() {
        let head = Text::of(Tone::Plain, "left behind by containers that are gone");
        tree.push(Tree::new(head).with(forecast.dangling.iter().map(|one| write(one, None))));
    }
    if let Some(held) = &forecast.held {
        tree.push(Text::of(
            Tone::Warning,
            format!("the bulk guard would hold this: {held}; to carry it out, run `wharfinger apply --confirm`"),
        ));
    }
    if !forecast.hints.is_empty() {
        let hints = forecast.hints.iter().map(|one| Tree::new(one.to_string()));
        tree.push(Tree::new(Text::of(Tone::Warning, "found in the registry")).with(hints));
    }
    if !forecast.findings.is_empty() {
        let head = Text::of(Tone::Warning, "found across all containers");
        let findings = forecast.findings.iter().map(|one| Tree::new(one.to_string()));
        tree.push(Tree::new(head).with(findings));
    }
    tree
}

/// The changes that the bulk guard holds, as a tree.
pub fn held(forecast: &Forecast) -> Tree {
    let words = match &forecast.held {
        Some(held) => format!("Held: {held}"),
        None => "Nothing is held".into(),
    };
    let mut tree = Tree::new(Text::of(Tone::Strong, words));
    for one in forecast.containers.iter().filter(|one| one.held) {
        tree.push(container(one, &[], false));
    }
    tree
}

/// The changes that monitored stages would make, as a tree: a branch for each stage, with its counts.
pub fn monitored(forecast: &Forecast) -> Tree {
    let mut stages: Vec<(&str, Vec<Tree>, WouldDo)> = Vec::new();
    for one in &forecast.containers {
        for trace in one.outcome.iter().flat_map(|outcome| &outcome.trace) {
            if trace.would_be.is_empty() {
                continue;
            }
            let at = stages.iter().position(|(name, ..)| *name == trace.stage);
            let at = at.unwrap_or_else(|| {
                stages.push((&trace.stage, Vec::new(), WouldDo::default()));
                stages.len() - 1
            });
            let (_, branches, counts) = &mut stages[at];
            counts.note(trace.would_be.iter().map(|(_, change)| change));
            let lines = trace.would_be.iter().map(would_be);
            branches.push(Tree::new(head(&one.container)).with(lines));
        }
    }
    let none = stages.is_empty();
    let words =
        if none { "monitored stages would change nothing" } else { "monitored stages would" };
    let mut tree = Tree::new(Text::of(Tone::Strong, words));
    for (stage, branches, counts) in stages {
        let line = format!("{stage}: {counts}");
        tree.push(Tree::new(Text::of(Tone::Changed, line)).with(branches));
    }
    tree
}

fn would_be((service, change): &(String, Change)) -> Tree {
    Tree::new(
        Text::of(Tone::Strong, service).and(Tone::Plain, format!("  {}", change.if_enforced())),
    )
}

/// A container's name, identifier and image.
pub(super) fn head(brief: &Brief) -> Text {
    let short = brief.id.get(..12).unwrap_or(&brief.id);
    if brief.name.is_empty() {
        return Text::of(Tone::Plain, "a container that is gone ").and(Tone::Faint, short);
    }
    Text::of(Tone::Strong, &brief.name).and(Tone::Faint, format!("  {short}  {}", brief.image))
}

fn container(one: &ForecastContainer, stages: &[StageNote], all: bool) -> Tree {
    let mut tree = Tree::new(head(&one.container));
    let blame = one.outcome.as_ref().map(Outcome::blame).unwrap_or_default();
    for each in &one.writes {
        tree.push(write(each, blame.get(&each.id)));
    }
    for Conflict { id, taken_by } in &one.conflicts {
        let words = format!("! {id}  is not registered: the ID is that of {taken_by}");
        tree.push(Text::of(Tone::Warning, words));
    }
    for (id, name) in &one.forbidden {
        let words = format!(
            "! {id}  will be refused by Consul's ACL: the token lacks service {name:?} {{ policy = \
             \"write\" }}"
        );
        tree.push(Text::of(Tone::Warning, words));
    }
    for words in &one.notes {
        tree.push(Text::of(Tone::Warning, format!("! {words}")));
    }
    if let Some(failure) = &one.failure {
        tree.push(Text::of(Tone::Removed, format!("! it keeps what it has: {failure}")));
    }
    if let Some(gate) = &one.gate {
        tree.push(Text::of(Tone::Warning, format!("! not registered: {gate}")));
    }
    if let Some(outcome) = one.outcome.as_ref().filter(|_| one.failure.is_none()) {
        for veto in vetoes(outcome, stages) {
            let words = format!("  vetoed by {}: {}", veto.stage, veto.reason);
            tree.push(
                Text::of(Tone::Removed, "✗ ")
                    .and(Tone::Strong, &veto.service.id)
                    .and(Tone::Plain, words),
            );
        }
        for trace in &outcome.trace {
            for (service, change) in &trace.would_be {
                tree.push(monitored_line(&trace.stage, service, change));
            }
        }
        if all {
            let ignored = outcome
                .vetoed
                .iter()
                .filter(|veto| !vetoes(outcome, stages).any(|news| std::ptr::eq(news, *veto)));
            let ignored = ignored.map(|veto| &veto.reason).chain(&outcome.ignored);
            for reason in ignored {
                tree.push(Text::of(Tone::Faint, format!("· ignored: {reason}")));
            }
        }
        if all || one.changes() {
            for words in said(outcome) {
                tree.push(Text::of(Tone::Warning, format!("! {words}")));
            }
            for words in told(outcome) {
                tree.push(Text::of(Tone::Faint, format!("· {words}")));
            }
        }
    }
    let unsettled = one.unsettled.iter().map(ToString::to_string);
    for words in one.warnings.iter().cloned().chain(unsettled) {
        tree.push(Text::of(Tone::Warning, format!("! {words}")));
    }
    if all && tree.is_leaf() {
        tree.push(Text::of(Tone::Faint, "stays as it is"));
    }
    tree
}

/// Warnings of what was mended, and those of stages.
fn said(outcome: &Outcome) -> Vec<String> {
    let mut words = outcome.warnings.clone();
    for trace in &outcome.trace {
        let loud = trace.messages.iter().filter(|message| message.level >= Level::Warn);
        words.extend(loud.map(|message| format!("{} says: {}", trace.stage, message.text)));
        if let Some(failure) = &trace.failure {
            words.push(format!("stage {} {}", trace.stage, failure.error));
        }
    }
    words
}

/// The words of stages on their decisions, such as which key of a container counts.
fn told(outcome: &Outcome) -> impl Iterator<Item = String> {
    outcome.trace.iter().flat_map(|trace| {
        let quiet = trace.messages.iter().filter(|message| message.level < Level::Warn);
        quiet.map(|message| format!("{} says: {}", trace.stage, message.text))
    })
}

fn write(write: &ForecastWrite, blame: Option<&Blame>) -> Tree {
    let by = |part: &str| blame.and_then(|blame| blame.of(part)).map(ToString::to_string);
    let (tone, sign, words, below) = match &write.kind {
        WriteKind::Register { reason: Reason::New, service, .. } => {
            (Tone::Added, "+", "is registered", fields_of(service, by))
        }
        WriteKind::Register { reason: Reason::Adopted, changes, .. } => {
            (Tone::Changed, "↻", "is adopted", changed(changes, true, by))
        }
        WriteKind::Register { changes, .. } => {
            (Tone::Changed, "~", "changes", changed(changes, false, by))
        }
        WriteKind::Deregister => (Tone::Removed, "-", "is deregistered", Vec::new()),
        WriteKind::Maintenance { enable: true } => {
            (Tone::Changed, "~", "is put into maintenance", Vec::new())
        }
        WriteKind::Maintenance { enable: false } => {
            (Tone::Changed, "~", "is taken out of maintenance", Vec::new())
        }
    };
    let head = Text::of(tone, format!("{sign} "))
        .and(Tone::Strong, &write.id)
        .and(Tone::Plain, format!("  {words}"));
    let head = if write.held { head.and(Tone::Warning, "  (held)") } else { head };
    Tree::new(head).with(below)
}

/// The parts that differ, but for marks that mean nothing to people.
fn changed(
    changes: &[FieldChange],
    adopted: bool,
    by: impl Fn(&str) -> Option<String>,
) -> Vec<Tree> {
    let digest = format!("meta.{META_DIGEST}");
    let (marks, mut parts): (Vec<_>, Vec<_>) =
        changes.iter().flat_map(flatten).partition(|part| part.key.starts_with(MARK));
    let (digests, marks): (Vec<_>, Vec<_>) = marks.into_iter().partition(|part| part.key == digest);
    if !adopted {
        parts.extend(marks);
    }
    let mut trees = lines(&parts, by);
    if trees.is_empty() && !digests.is_empty() && !adopted {
        trees.push(Tree::new("its checks, or what else Consul does not show, differ"));
    }
    trees
}
