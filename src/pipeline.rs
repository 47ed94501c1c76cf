//! The pipeline: candidates of a container, an ordered chain of stages, and an
//! outcome with a trace of what each stage did.
//!
//! The pipeline does no I/O of its own and knows nothing of WebAssembly: a
//! stage is whatever implements [`Stage`]. Its invariant: what a stage vetoed
//! no later stage sees, and it is in no outcome.

mod address;
mod builtin;
mod candidates;
mod diff;
mod labels;
mod validate;

use std::{fmt, sync::Arc, time::Duration};

use bytesize::ByteSize;
use serde::Serialize;

use crate::{
    container::{Container, ContainerId},
    host::Host,
    select::{SelectError, Selector},
    service::Service,
};

pub use address::{AddressRules, Family};
pub use builtin::{Builtin, UnknownBuiltin};
pub use candidates::{Candidates, candidates};
pub use diff::{FieldChange, diff};
pub use labels::LabelFault;

/// One step of the pipeline: a pure function from a container and its proposed
/// services to a verdict on each.
#[async_trait::async_trait]
pub trait Stage: Send + Sync {
    /// The stage's name in the configuration.
    fn name(&self) -> &str;

    /// Whether the stage is part of the daemon. What others return is checked
    /// like a user's text.
    fn is_builtin(&self) -> bool {
        false
    }

    /// Decide on `services`. Cancelling the call has no effect but that there
    /// is no answer.
    async fn process(&self, container: &Container, host: &Host, services: &[Service]) -> Called;
}

/// The answer of a stage, and what it wrote to the log meanwhile.
#[derive(Debug)]
pub struct Called {
    /// What the stage decided.
    pub result: Result<Decision, StageError>,
    /// Its messages in order.
    pub messages: Vec<Message>,
}

/// A message of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// How much it matters.
    pub level: Level,
    /// The text.
    pub text: String,
}

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// What a stage says of one proposed service.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It stays as it is.
    Keep,
    /// This service takes its place.
    Replace(Box<Service>),
    /// It must not be registered, for this reason.
    Veto(String),
}

/// What a stage says of all proposed services.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// One verdict for each proposed service, in the same order.
    pub verdicts: Vec<Verdict>,
    /// Services that the stage adds.
    pub added: Vec<Service>,
}

/// Why a stage gave no usable answer. Whatever it is, the container keeps the
/// registrations it has, and the stage is asked again later.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The guest's code stopped itself: a panic, an unreachable instruction, an
    /// access out of bounds.
    #[error("trapped: {0}")]
    Trap(String),
    /// The call took longer than the stage may.
    #[error("exceeded its deadline of {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// The call wanted more memory than the stage may have.
    #[error("exceeded its memory limit of {0}")]
    Memory(ByteSize),
    /// The stage says that it could not decide.
    #[error("could not decide: {0}")]
    Guest(String),
    /// The answer breaks the contract.
    #[error("returned an invalid result: {0}")]
    Invalid(String),
    /// The host could not make the call.
    #[error("could not be called: {0}")]
    Host(String),
    /// What the daemon itself does before the stages: it cannot tell whether
    /// the container is selected.
    #[error("could not decide")]
    Select(#[source] SelectError),
    /// Likewise: it cannot tell what the container offers.
    #[error("could not decide")]
    Label(#[source] LabelFault),
}

/// A stage that failed on a container.
#[derive(Debug, thiserror::Error)]
#[error("stage {stage} failed on container {} ({name})", .container.short())]
pub struct PipelineError {
    /// The stage's name.
    pub stage: String,
    /// The container.
    pub container: ContainerId,
    /// The container's name.
    pub name: String,
    /// What happened.
    #[source]
    pub source: StageError,
    /// What the stages up to the failure wrote to the log.
    pub messages: Vec<(String, Message)>,
}

/// A service that a stage vetoed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Veto {
    /// The stage.
    pub stage: String,
    /// The service as the stage saw it.
    pub service: Service,
    /// The stage's reason.
    pub reason: String,
}

/// What became of a container in the pipeline.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Outcome {
    /// What is to be registered.
    pub services: Vec<Service>,
    /// What a stage vetoed.
    pub vetoed: Vec<Veto>,
    /// Why something was no candidate, a phrase each.
    pub ignored: Vec<String>,
    /// What was mended on the way to the candidates, a sentence each.
    pub warnings: Vec<String>,
    /// What each stage did, in order.
    pub trace: Vec<Trace>,
}

/// What one stage did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trace {
    /// The stage's name.
    pub stage: String,
    /// What it changed, by the IDs that the services had before.
    pub changes: Vec<(String, Change)>,
    /// What it wrote to the log.
    pub messages: Vec<Message>,
}

/// What a stage did to one service.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// These fields differ now.
    Changed(Vec<FieldChange>),
    /// It is vetoed, for this reason.
    Vetoed(String),
    /// The stage made it up.
    Added,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Changed(fields) => {
                let fields: Vec<_> = fields.iter().map(ToString::to_string).collect();
                f.write_str(&fields.join(", "))
            }
            Change::Vetoed(reason) => write!(f, "vetoed: {reason}"),
            Change::Added => f.write_str("added"),
        }
    }
}

/// An ordered chain of stages. Cheap to clone.
#[derive(Clone)]
pub struct Pipeline {
    stages: Arc<[Arc<dyn Stage>]>,
    select: Option<Selector>,
    address: Arc<AddressRules>,
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.stages.iter().map(|stage| stage.name())).finish()
    }
}

impl Pipeline {
    /// A pipeline of these stages in this order.
    pub fn new(stages: Vec<Arc<dyn Stage>>) -> Self {
        Self { stages: stages.into(), select: None, address: Arc::default() }
    }

    /// The same for those containers only of which the expression is true; all
    /// others offer nothing.
    pub fn selecting(self, select: Option<Selector>) -> Self {
        Self { select, ..self }
    }

    /// The same with these rules for the addresses of candidates.
    pub fn addressing(self, address: AddressRules) -> Self {
        Self { address: Arc::new(address), ..self }
    }

    /// Run a container through the pipeline.
    ///
    /// # Errors
    ///
    /// The first stage that fails ends the run: what it would have changed or
    /// vetoed is not known, so nothing may be registered on the strength of
    /// the others. So does the expression that selects containers, and a label
    /// by which a container says its address.
    pub async fn evaluate(
        &self,
        container: &Container,
        host: &Host,
    ) -> Result<Outcome, PipelineError> {
        let before = |stage: &str, source| PipelineError {
            stage: stage.to_string(),
            container: container.id.clone(),
            name: container.name.clone(),
            source,
            messages: Vec::new(),
        };
        let selected = self.select.as_ref().map_or(Ok(true), |select| select.matches(container));
        if !selected.map_err(|error| before("containers.select", StageError::Select(error)))? {
            let ignored = vec!["not selected by containers.select".to_string()];
            return Ok(Outcome { ignored, ..Outcome::default() });
        }
        let Candidates { services, ignored, warnings } = candidates(container, host, &self.address)
            .map_err(|fault| before("address", StageError::Label(fault)))?;
        let mut outcome = Outcome { services, ignored, warnings, ..Outcome::default() };
        for stage in self.stages.iter() {
            let Called { result, messages } =
                stage.process(container, host, &outcome.services).await;
            let mut trace =
                Trace { stage: stage.name().to_string(), changes: Vec::new(), messages };
            let applied = result
                .and_then(|decision| outcome.apply(&mut trace, decision, !stage.is_builtin()));
            outcome.trace.push(trace);
            if let Err(source) = applied {
                return Err(PipelineError {
                    stage: stage.name().to_string(),
                    container: container.id.clone(),
                    name: container.name.clone(),
                    source,
                    messages: outcome.into_messages(),
                });
            }
        }
        Ok(outcome)
    }
}

impl Outcome {
    /// The messages of all stages, with the stage's name each.
    pub fn into_messages(self) -> Vec<(String, Message)> {
        let of_stage = |trace: Trace| {
            let stage = trace.stage;
            trace.messages.into_iter().map(move |message| (stage.clone(), message))
        };
        self.trace.into_iter().flat_map(of_stage).collect()
    }

    fn apply(
        &mut self,
        trace: &mut Trace,
        decision: Decision,
        check: bool,
    ) -> Result<(), StageError> {
        let Decision { verdicts, added } = decision;
        if verdicts.len() != self.services.len() {
            return Err(StageError::Invalid(format!(
                "{} verdicts for {} services",
                verdicts.len(),
                self.services.len()
            )));
        }
        let mut services = Vec::with_capacity(verdicts.len() + added.len());
        for (before, verdict) in std::mem::take(&mut self.services).into_iter().zip(verdicts) {
            match verdict {
                Verdict::Keep => services.push(before),
                Verdict::Replace(after) => {
                    let after = Service { origin: before.origin.clone(), ..*after };
                    if check {
                        validate::replaced(&before, &after).map_err(StageError::Invalid)?;
                    }
                    let fields = diff(&before, &after);
                    if !fields.is_empty() {
                        trace.changes.push((before.id, Change::Changed(fields)));
                    }
                    services.push(after);
                }
                Verdict::Veto(reason) => {
                    trace.changes.push((before.id.clone(), Change::Vetoed(reason.clone())));
                    let stage = trace.stage.clone();
                    self.vetoed.push(Veto { stage, service: before, reason });
                }
            }
        }
        for service in added {
            let service = Service { origin: None, ..service };
            validate::added(&service).map_err(StageError::Invalid)?;
            trace.changes.push((service.id.clone(), Change::Added));
            services.push(service);
        }
        self.services = services;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
