//! The differences of a new pipeline from the one before, as the log tells them.

use tracing::{debug, info};

use crate::{
    pipeline::{Pipeline, Step},
    telemetry::event,
};

/// Say of each stage what it was and what it is.
pub(super) fn say_differences(old: &Pipeline, new: &Pipeline) {
    let find = |pipeline: &Pipeline, name: &str| -> Option<Step> {
        pipeline.steps().iter().find(|step| step.name() == name).cloned()
    };
    for step in new.steps() {
        let (stage, to) = (step.name(), version(step));
        let mode = step.rules().mode;
        match find(old, stage) {
            None => info!(event = event::STAGE_NEW, stage, new = to, %mode, "a new stage"),
            Some(old) if is_same_step(&old, step) => {
                debug!(stage, version = to, %mode, "an unchanged stage");
            }
            Some(old) if old.unloaded().is_some() && step.unloaded().is_none() => {
                info!(
                    event = event::STAGE_WHOLE,
                    stage,
                    new = to,
                    %mode,
                    "the stage is whole again: it is loaded"
                );
            }
            Some(old) => {
                let former = old.rules().mode;
                if former != mode {
                    info!(
                        event = event::STAGE_MODE,
                        stage,
                        old = %former,
                        new = %mode,
                        "the mode of stage {stage} has changed from {former} to {mode}"
                    );
                }
                let old = version(&old);
                info!(event = event::STAGE_CHANGED, stage, old, new = to, %mode, "a changed stage");
            }
        }
    }
    for step in old.steps().iter().filter(|step| find(new, step.name()).is_none()) {
        let (stage, old) = (step.name(), version(step));
        info!(event = event::STAGE_GONE, stage, old, "a stage is gone");
    }
}

fn is_same_step(old: &Step, new: &Step) -> bool {
    let rules = |step: &Step| format!("{:?}", step.rules());
    old.made() == new.made() && old.unloaded() == new.unloaded() && rules(old) == rules(new)
}

/// The plugin with its version and its digest, for people.
fn version(step: &Step) -> String {
    step.made().map_or_else(String::new, |made| {
        format!("{} {} {}", made.plugin, made.version, made.short_digest())
    })
}
