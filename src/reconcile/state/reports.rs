//! The log's words on containers: each thing once, until it changes.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use tracing::{debug, error, info, trace, warn};

use crate::{
    model::container::{Container, ContainerId},
    pipeline::{Failure, Level, Message, Outcome, Pipeline},
    telemetry::event,
};

/// The record of what the log has said.
#[derive(Debug, Clone, Default)]
pub(in crate::reconcile) struct Reports {
    /// Digests of what was last said of each container: of all, and of each warning.
    containers: HashMap<ContainerId, (u64, Box<[u64]>)>,
    /// The other engines, other daemons and other names of this host that were told of.
    once: HashSet<String>,
}

impl Reports {
    /// Say what became of a container, and why it is not offered although the
    /// pipeline has let it pass. Whether that is news.
    pub(super) fn say(
        &mut self,
        container: &Container,
        pipeline: &Pipeline,
        outcome: &Outcome,
        gate: Option<&str>,
    ) -> bool {
        let digest = digest(outcome, gate);
        let before = self.containers.remove(&container.id);
        if before.as_ref().is_some_and(|(before, _)| *before == digest) {
            self.containers.extend(before.map(|before| (container.id.clone(), before)));
            return false;
        }
        let (before, mut warned) = (before.unwrap_or_default().1, HashSet::new());
        // A warning that stays is no news although something else has changed.
        let mut is_new = |stage: &str, warning: &str| {
            let mut hasher = DefaultHasher::new();
            (stage, warning).hash(&mut hasher);
            let digest = hasher.finish();
            warned.insert(digest) && !before.contains(&digest)
        };
        let (full, name, id) = (&*container.id.0, &container.name, container.id.short());
        for reason in &outcome.ignored {
            info!(
                event = event::IGNORED,
                container.id = full,
                container.name = name,
                reason,
                "ignored: {id} {reason}"
            );
        }
        for warning in outcome.warnings.iter().filter(|warning| is_new("", warning)) {
            warn!(
                event = event::LABEL,
                container.id = full,
                container.name = name,
                reason = warning,
                "{warning}"
            );
        }
        for trace in &outcome.trace {
            for message in &trace.messages {
                let warns = matches!(message.level, Level::Error | Level::Warn);
                if !warns || is_new(&trace.stage, &message.text) {
                    log(&container.id, &container.name, &trace.stage, message);
                }
            }
            for (service, change) in &trace.changes {
                debug!(
                    container.id = full,
                    container.name = name,
                    stage = trace.stage,
                    id = service,
                    "{change}"
                );
            }
            for (service, change) in &trace.would_be {
                let reason = change.if_enforced();
                info!(
                    event = event::MONITORED,
                    container.id = full,
                    container.name = name,
                    stage = trace.stage,
                    id = service,
                    reason,
                    "{reason} (monitored)"
                );
            }
            if let Some(Failure { error, matters }) = &trace.failure {
                let what = if *matters { "a stage" } else { "a monitored stage" };
                let reason = error.to_string();
                if !is_new(&trace.stage, &reason) {
                    continue;
                }
                warn!(
                    event = event::STAGE_FAILED,
                    container.id = full,
                    container.name = name,
                    stage = trace.stage,
                    reason,
                    "{what} {reason}"
                );
            }
        }
        for veto in &outcome.vetoed {
            // What the container says of itself is ignored; what others veto is news.
            let (stage, reason) = (&veto.stage, &veto.reason);
            let (service, service_id) = (&veto.service.name, &veto.service.id);
            if pipeline.is_registrator(stage) {
                info!(
                    event = event::IGNORED,
                    container.id = full,
                    container.name = name,
                    reason,
                    "ignored: {id} {reason}"
                );
            } else {
                info!(
                    event = event::VETOED,
                    container.id = full,
                    container.name = name,
                    service,
                    id = service_id,
                    stage,
                    reason,
                    "vetoed: {id} {service_id} by {stage}: {reason}"
                );
            }
        }
        if let Some(gate) = gate {
            info!(
                event = event::GATED,
                container.id = full,
                container.name = name,
                reason = gate,
                "not registered: {id} {gate}"
            );
        }
        self.containers.insert(container.id.clone(), (digest, warned.into_iter().collect()));
        true
    }

    /// A container is gone.
    pub(super) fn forget(&mut self, id: &ContainerId) {
        self.containers.remove(id);
    }

    /// Whether this was not said yet.
    pub(in crate::reconcile) fn is_news(&mut self, what: &str) -> bool {
        self.once.insert(what.to_string())
    }
}

fn digest(outcome: &Outcome, gate: Option<&str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&outcome.ignored, &outcome.warnings, &outcome.trace, gate).hash(&mut hasher);
    hasher.finish()
}

/// Write a stage's message to the log.
pub(in crate::reconcile) fn log(
    container: &ContainerId,
    name: &str,
    stage: &str,
    message: &Message,
) {
    let (id, text) = (&*container.0, &message.text);
    macro_rules! say {
        ($say:ident) => {
            $say!(
                event = event::MESSAGE,
                container.id = id,
                container.name = name,
                stage,
                reason = text,
                "{text}"
            )
        };
    }
    match message.level {
        Level::Error => say!(error),
        Level::Warn => say!(warn),
        Level::Info => say!(info),
        Level::Debug => say!(debug),
        Level::Trace => say!(trace),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        model::timed::Timer,
        pipeline::{Remark, Timing, Trace, tests::container},
    };

    fn outcome(message: &str) -> Outcome {
        let timing = Timing { timed: Some(Timer::start().stop()), remembered: false };
        let level = Level::Info;
        let trace = Trace {
            stage: "naming".into(),
            changes: Vec::new(),
            would_be: Vec::new(),
            remarks: Vec::new(),
            skipped: false,
            failure: None,
            messages: vec![Message { level, text: message.into() }],
            timing,
        };
        Outcome { trace: vec![trace], ..Outcome::default() }
    }

    #[test]
    fn a_container_of_which_nothing_is_new_is_not_told_of_again() {
        let (mut reports, pipeline, container) =
            (Reports::default(), Pipeline::new(Vec::new()), container());
        let mut say = |outcome: &Outcome| reports.say(&container, &pipeline, outcome, None);
        let first = outcome("a word");
        assert!(say(&first));
        // Asked at another time, for as long as it takes, or not at all, since the answer is remembered.
        std::thread::sleep(Duration::from_millis(1));
        let mut again = outcome("a word");
        assert!(!say(&again), "the time is no news");
        again.trace[0].timing.remembered = true;
        assert!(!say(&again));
        assert!(say(&outcome("another word")));
        again.trace[0].remarks.push(("id".into(), Remark::new(None, vec!["a note".into()])));
        assert!(say(&again));
        assert!(!say(&again));
    }
}
