//! A line of the decision log.

use super::{Text, Tone, Tree, change, outcome::monitored};
use crate::reconcile::{Answered, Decision, EffectKind, Operation, StageDecision, WriteTold};

/// A decision as a tree: when, of which container, what became of it, and what each stage and each
/// write had to do with that.
pub fn decision(decision: &Decision) -> Tree {
    let subject = &decision.container;
    let tone = match decision.outcome.as_str() {
        "registered" => Tone::Added,
        "failed" | "vetoed" => Tone::Removed,
        "held" => Tone::Warning,
        _ => Tone::Faint,
    };
    let at = humantime::format_rfc3339_seconds(decision.at).to_string();
    let name = if subject.name.is_empty() { subject.id.short() } else { &subject.name };
    let head = Text::of(Tone::Faint, at).and(Tone::Plain, "  ").and(Tone::Strong, name);
    let facts = format!(" {} {} on {}", subject.id.short(), subject.image, decision.host);
    let head = head.and(Tone::Faint, facts).and(Tone::Plain, ": ").and(tone, &decision.outcome);
    let mut tree = Tree::new(head);
    if let Some(error) = &decision.error {
        tree.push(Text::of(Tone::Removed, error));
    }
    let by_stage = decision.stages.iter().any(|stage| !stage.changes.is_empty());
    if let Some(reason) = decision.reason.as_ref().filter(|_| !by_stage) {
        tree.push(Text::of(Tone::Plain, reason));
    }
    decision.stages.iter().filter_map(stage).for_each(|stage| tree.push(stage));
    decision.notes.iter().for_each(|note| tree.push(Text::of(Tone::Warning, note)));
    decision.writes.iter().for_each(|one| tree.push(write(one)));
    tree
}

/// The decision of a stage; none if it left all as it was.
fn stage(stage: &StageDecision) -> Option<Tree> {
    let mut tree = Tree::new(Text::of(Tone::Plain, "stage ").and(Tone::Strong, &stage.stage));
    for effect in &stage.changes {
        tree.push(match (effect.kind, &effect.reason) {
            (EffectKind::Ignored, Some(reason)) => {
                let head = Text::of(Tone::Faint, "– ").and(Tone::Strong, &effect.service);
                Tree::new(head.and(Tone::Plain, format!(" ignored: {reason}")))
            }
            _ => change(&effect.service, &effect.change()),
        });
    }
    for effect in &stage.would_be {
        tree.push(monitored(&effect.service, &effect.change()));
    }
    if let Some(failure) = &stage.failure {
        tree.push(Text::of(Tone::Removed, format!("failed: {failure}")));
    }
    (!tree.is_leaf()).then_some(tree)
}

fn write(write: &WriteTold) -> Text {
    let (tone, sign, word) = match write.operation {
        Operation::Register => (Tone::Added, "+ ", "registered"),
        Operation::Deregister => (Tone::Removed, "- ", "deregistered"),
        Operation::Maintenance => (Tone::Changed, "~ ", "maintenance"),
    };
    let head = Text::of(tone, sign).and(Tone::Strong, &write.service);
    match write.answered {
        Answered::Ok => head.and(Tone::Plain, format!(" {word}: {}", write.reason)),
        answered => {
            let what = if answered == Answered::Refused { "refused" } else { "not answered" };
            let error = write.error.as_deref().unwrap_or_default();
            head.and(Tone::Removed, format!(" not {word}, {what}: {error}"))
        }
    }
}
