//! The outcome of a container in the pipeline, stage by stage.

use super::{Text, Tone, Tree, fields, fields_of};
use crate::pipeline::{Change, Level, Message, Outcome, Remark, StageNote, Trace};

/// The candidates, and what each stage did to them. `stages` says what the stages
/// are made of; one that it does not know is shown by its name.
pub fn outcome(outcome: &Outcome, stages: &[StageNote]) -> Vec<Tree> {
    let mut trees = vec![candidates(outcome)];
    for trace in &outcome.trace {
        let note = stages.iter().find(|note| note.name == trace.stage);
        trees.push(stage(trace, note));
    }
    trees
}

fn candidates(outcome: &Outcome) -> Tree {
    let mut tree = Tree::new(Text::of(Tone::Strong, "candidates"));
    for service in &outcome.candidates {
        let head = Text::of(Tone::Strong, &service.id);
        tree.push(Tree::new(head).with(fields_of(service, |_| None)));
    }
    for reason in &outcome.ignored {
        tree.push(Text::of(Tone::Warning, reason));
    }
    for warning in &outcome.warnings {
        tree.push(Text::of(Tone::Warning, warning));
    }
    tree
}

/// The effects of one stage, with its words.
pub fn stage(trace: &Trace, note: Option<&StageNote>) -> Tree {
    let mut head = Text::of(Tone::Plain, "stage ").and(Tone::Strong, &trace.stage);
    if let Some(note) = note {
        head = head.and(Tone::Faint, format!("  {}", note.made()));
    }
    let mut tree = Tree::new(head);
    if trace.skipped {
        tree.push(Text::of(Tone::Faint, "not called: its select leaves this container out"));
    }
    for (service, one) in &trace.changes {
        tree.push(change(service, one));
    }
    for (service, one) in &trace.would_be {
        tree.push(monitored(service, one));
    }
    for (service, remark) in &trace.remarks {
        remark_lines(service, remark).into_iter().for_each(|line| tree.push(line));
    }
    if let Some(failure) = &trace.failure {
        tree.push(Text::of(Tone::Removed, format!("failed: {}", failure.error)));
    }
    if tree.is_leaf() {
        tree.push(Text::of(Tone::Faint, "changes nothing"));
    }
    for message in &trace.messages {
        tree.push(said(message));
    }
    tree
}

/// A stage's change to one service, which had this ID before.
pub fn change(service: &str, change: &Change) -> Tree {
    let head = |tone, sign: &str| Text::of(tone, sign).and(Tone::Strong, service);
    match change {
        Change::Changed(changes) => {
            Tree::new(head(Tone::Changed, "~ ")).with(fields(changes, |_| None))
        }
        Change::Vetoed(reason) => {
            Tree::new(head(Tone::Removed, "✗ ").and(Tone::Plain, format!(" vetoed: {reason}")))
        }
        Change::Added => Tree::new(head(Tone::Added, "+ ").and(Tone::Plain, " added")),
    }
}

/// The change that a monitored stage would make to one service if it were enforced.
pub(super) fn monitored(service: &str, change: &Change) -> Tree {
    let head = |tone, sign: &str, words: String| {
        let head = Text::of(tone, sign).and(Tone::Strong, service);
        Tree::new(head.and(Tone::Plain, words).and(Tone::Faint, " (monitored)"))
    };
    match change {
        Change::Changed(changes) => {
            head(Tone::Changed, "~ ", " would change".into()).with(fields(changes, |_| None))
        }
        Change::Vetoed(reason) => head(Tone::Removed, "✗ ", format!(" would be vetoed: {reason}")),
        Change::Added => head(Tone::Added, "+ ", " would be added".into()),
    }
}

/// A stage's remark on its verdict on one service, a line for each part.
fn remark_lines(service: &str, remark: &Remark) -> Vec<Text> {
    let line = |word: &str, words: &str| {
        let head = Text::of(Tone::Faint, format!("{word} on "));
        head.and(Tone::Strong, service).and(Tone::Plain, format!(": {words}"))
    };
    let code = remark.code.iter().map(|code| line("code", code));
    code.chain(remark.notes.iter().map(|note| line("note", note))).collect()
}

fn said(message: &Message) -> Text {
    let (tone, word) = match message.level {
        Level::Error => (Tone::Removed, "error"),
        Level::Warn => (Tone::Warning, "warning"),
        Level::Info => (Tone::Plain, "says"),
        Level::Debug | Level::Trace => (Tone::Faint, "says"),
    };
    Text::of(tone, word).and(Tone::Plain, format!(": {}", message.text))
}
