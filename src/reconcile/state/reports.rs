//! What the log says of containers: each thing once, until it changes.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use tracing::{debug, error, info, warn};

use crate::{
    model::container::{Container, ContainerId},
    pipeline::{Failure, Level, Message, Outcome, Pipeline},
};

/// What was said.
#[derive(Debug, Clone, Default)]
pub(in crate::reconcile) struct Reports {
    /// A digest of what was last said of each container.
    containers: HashMap<ContainerId, u64>,
    /// What was said of other engines and of other names of this host.
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
        if self.containers.insert(container.id.clone(), digest) == Some(digest) {
            return false;
        }
        let id = container.id.short();
        for reason in &outcome.ignored {
            info!("ignored: {id} {reason}");
        }
        for warning in &outcome.warnings {
            warn!(container = id, name = container.name, "{warning}");
        }
        for trace in &outcome.trace {
            for message in &trace.messages {
                log(&container.id, &container.name, &trace.stage, message);
            }
            for (service, change) in &trace.changes {
                debug!(container = id, stage = trace.stage, service, "{change}");
            }
            for (service, change) in &trace.would_be {
                info!(
                    container = id,
                    stage = trace.stage,
                    service,
                    "{} (monitored)",
                    change.if_enforced()
                );
            }
            if let Some(Failure { error, matters }) = &trace.failure {
                let what = if *matters { "a stage" } else { "a monitored stage" };
                warn!(container = id, name = container.name, stage = trace.stage, "{what} {error}");
            }
        }
        for veto in &outcome.vetoed {
            // What the container says of itself is ignored; what others veto is news.
            let (stage, reason) = (&veto.stage, &veto.reason);
            let mut steps = pipeline.steps().iter();
            if steps.any(|step| step.name() == stage && step.is_registrator()) {
                info!("ignored: {id} {reason}");
            } else {
                info!("vetoed: {id} {} by {stage}: {reason}", veto.service.id);
            }
        }
        if let Some(gate) = gate {
            info!("not registered: {id} {gate}");
        }
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
    (&outcome.ignored, &outcome.warnings, gate).hash(&mut hasher);
    format!("{:?}", outcome.trace).hash(&mut hasher);
    hasher.finish()
}

/// Write a stage's message to the log.
pub(in crate::reconcile) fn log(
    container: &ContainerId,
    name: &str,
    stage: &str,
    message: &Message,
) {
    let (id, text) = (container.short(), &message.text);
    match message.level {
        Level::Error => error!(container = id, name, stage, "{text}"),
        Level::Warn => warn!(container = id, name, stage, "{text}"),
        Level::Info => info!(container = id, name, stage, "{text}"),
        Level::Debug => debug!(container = id, name, stage, "{text}"),
        Level::Trace => tracing::trace!(container = id, name, stage, "{text}"),
    }
}
