//! The pipeline: candidates of a container, an ordered chain of stages, and an
//! outcome with a trace of what each stage did.
//!
//! The pipeline does no I/O of its own and knows nothing of WebAssembly: a
//! stage is whatever implements [`Stage`]. Its invariants: what a stage vetoed
//! no later stage sees, and it is in no outcome; what a monitored stage says is
//! in the trace and nowhere else.

mod address;
mod again;
mod blame;
mod bounds;
mod candidates;
mod diff;
mod labels;
mod digest;
mod figures;
mod gate;
mod health;
mod hush;
mod judge;
mod lint;
mod memory;
mod outcome;
mod remark;
mod run;
mod shown;
mod step;
mod survey;
mod unloaded;
mod validate;
mod wants;

use std::{fmt, ops::BitOr, sync::Arc, time::Duration};

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use crate::{
    model::{
        container::{Container, ContainerId},
        host::Host,
        layer::Layer,
        service::Service,
    },
    select::{SelectError, Selector},
};
use bounds::Tally;
use gate::Gate;
use memory::Memory;

pub use address::{AddressRules, Bound, Family};
pub use again::Unsettled;
pub use blame::Blame;
pub use bounds::Bounds;
pub(crate) use bounds::every_bound;
pub use candidates::{Candidates, candidates};
pub use diff::{FieldChange, diff};
pub use figures::{StageFigures, Stats, Times};
pub use health::{LastError, StageHealth};
pub use labels::LabelFault;
pub use lint::{Lint, lint};
pub use outcome::{Change, Failure, Outcome, Timing, Trace, Veto};
pub use remark::Remark;
pub(crate) use remark::veto_code;
pub use shown::Shown;
pub(crate) use step::REGISTRATOR;
pub use step::{Made, Mode, OnError, Rules, Selects, StageNote, Step};
pub use survey::{Finding, Survey};
pub use unloaded::Unloaded;
pub(crate) use validate::veto_reason;
pub use wants::Wants;

/// The name in the place of a stage's where a container asks for too much.
const LIMITS: &str = "limits";

/// One step of the pipeline: a pure function from a container and its proposed
/// services to a verdict on each.
#[async_trait::async_trait]
pub trait Stage: Send + Sync {
    /// The stage's name in the configuration.
    fn name(&self) -> &str;

    /// Whether the stage is part of the daemon. The answers of others are checked
    /// like a user's text.
    fn is_builtin(&self) -> bool {
        false
    }

    /// Whether equal input always gives equal output, so that an answer can be
    /// remembered. The contract demands it of a component.
    fn is_pure(&self) -> bool {
        true
    }

    /// Why it could not be loaded, if this only stands in its place.
    fn unloaded(&self) -> Option<&str> {
        None
    }

    /// The threads on which its calls are made, if it has some of its own: a run that has to call
    /// it goes on there, so that it changes threads once for all stages of the same threads.
    fn threads(&self) -> Option<&Handle> {
        None
    }

    /// The facts that it is shown beyond the container itself. It must not look at others: they may
    /// be there for another stage, and are no part of what its answers are remembered by.
    fn wants(&self) -> Wants {
        Wants::default()
    }

    /// The figures of its calls, if they are measured.
    fn stats(&self) -> Option<Stats> {
        None
    }

    /// Decide on `services`. Cancelling the call has no effect but that there
    /// is no answer.
    async fn process(&self, container: &Container, host: &Host, services: &[Service]) -> Called;

    /// Decide on `services` in a run through several stages: the same, but that a form in which the container and
    /// the host are shown may be taken from `shown`, or left there for the stages after this one.
    async fn process_in_run(
        &self,
        container: &Container,
        host: &Host,
        services: &[Service],
        _shown: &Shown,
    ) -> Called {
        self.process(container, host, services).await
    }
}

/// The answer of a stage, and what it wrote to the log meanwhile.
#[derive(Debug)]
pub struct Called {
    /// The stage's decision.
    pub result: Result<Decision, StageError>,
    /// Its messages in order.
    pub messages: Vec<Message>,
}

/// A message of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// How much it matters.
    pub level: Level,
    /// The text.
    pub text: String,
}

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// A stage's verdict on one proposed service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Verdict {
    /// It stays as it is.
    Keep,
    /// This service takes its place.
    Replace(Box<Service>),
    /// It must not be registered, for this reason.
    Veto(String),
}

/// A stage's decision on all proposed services.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// One verdict for each proposed service, in the same order.
    pub verdicts: Vec<Verdict>,
    /// Services that the stage adds.
    pub added: Vec<Service>,
    /// Remarks on its verdicts: one for each, or none at all.
    pub remarks: Vec<Remark>,
}

/// Why a stage gave no usable answer. In each case the container keeps the
/// registrations it has, and the stage is asked again later.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The guest's code stopped itself: a panic, an unreachable instruction, an
    /// access out of bounds.
    #[error("trapped: {0}")]
    Trap(String),
    /// The call took longer than the stage may.
    #[error("exceeded its deadline of {} (timeout)", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// The call wanted more memory than the stage may have.
    #[error("exceeded its memory limit of {0} (memory)")]
    Memory(ByteSize),
    /// The call wanted more table elements than the stage may have.
    #[error("exceeded its limit of {0} table elements (limits.table-elements)")]
    Table(u32),
    /// The calls of the guest's functions within each other went too deep.
    #[error("exceeded its stack: {0}")]
    Stack(String),
    /// The call returned, or handed to the host, more than the stage may.
    #[error("exceeded its limit of {limit} {what} (limits.{key})")]
    Output {
        /// The words after the limit: the thing that it bounds.
        what: &'static str,
        /// The most that is allowed.
        limit: String,
        /// The limit's key in the configuration.
        key: &'static str,
    },
    /// An instance cannot be made.
    #[error("cannot be instantiated: {0}")]
    Instantiate(String),
    /// The stage says that it could not decide.
    #[error("could not decide: {0}")]
    Guest(String),
    /// The answer breaks the contract.
    #[error("returned an invalid result: {0}")]
    Invalid(String),
    /// The stage could not be loaded, so that there is nothing to call.
    #[error("is not loaded: {0}")]
    Unloaded(String),
    /// The host could not make the call.
    #[error("could not be called: {0}")]
    Host(String),
    /// The daemon itself failed before the stages: it cannot tell whether the
    /// container is selected.
    #[error("could not decide")]
    Select(#[source] SelectError),
    /// Likewise: it cannot tell what the container offers.
    #[error("could not decide")]
    Label(#[source] LabelFault),
    /// The container asks for more than one may, or more than is left for it.
    #[error("the container asks for {asked}; {most} are allowed (limits.{key})")]
    Bound {
        /// The amount that it asks for.
        asked: String,
        /// The most that is allowed.
        most: String,
        /// The limit's key in the configuration.
        key: &'static str,
    },
}

impl StageError {
    /// A word for the kind of the failure, for figures.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Trap(_) => "trap",
            Self::Timeout(_) => "timeout",
            Self::Memory(_) => "memory",
            Self::Table(_) => "table",
            Self::Stack(_) => "stack",
            Self::Output { .. } => "output",
            Self::Instantiate(_) => "instantiate",
            Self::Guest(_) => "guest",
            Self::Invalid(_) => "invalid",
            Self::Unloaded(_) => "unloaded",
            Self::Host(_) => "host",
            Self::Select(_) => "select",
            Self::Label(_) => "label",
            Self::Bound { .. } => "bound",
        }
    }
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
    /// The failure.
    #[source]
    pub source: StageError,
    /// The outcome up to the failure.
    pub so_far: Box<Outcome>,
}

impl PipelineError {
    /// The messages to the log up to the failure, each with its stage.
    pub fn messages(&self) -> impl Iterator<Item = (&str, &Message)> {
        self.so_far
            .trace
            .iter()
            .flat_map(|trace| trace.messages.iter().map(move |one| (trace.stage.as_str(), one)))
    }
}

/// Whether a text can be the address of a host that others reach: an IP address of one host,
/// or a name.
///
/// # Errors
///
/// It cannot; the words begin with the text.
pub fn host_address(text: &str) -> Result<(), String> {
    validate::address::address(text)
}

/// An ordered chain of stages. Cheap to clone.
#[derive(Clone)]
pub struct Pipeline {
    steps: Arc<[Step]>,
    select: Option<Selector>,
    address: Arc<AddressRules>,
    /// None if no answers are remembered.
    memory: Option<Arc<Memory>>,
    bounds: Bounds,
    /// The tally of all containers; none where no container comes twice.
    tally: Option<Arc<Tally>>,
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.steps.iter().map(Step::name)).finish()
    }
}

impl Pipeline {
    /// A pipeline of these stages in this order. All of them are enforced, and
    /// what they answer is not remembered.
    pub fn new(stages: Vec<Arc<dyn Stage>>) -> Self {
        Self::of(stages.into_iter().map(Step::new).collect())
    }

    /// A pipeline of these steps in this order.
    pub fn of(steps: Vec<Step>) -> Self {
        Self {
            steps: steps.into(),
            select: None,
            address: Arc::default(),
            memory: Some(Arc::default()),
            bounds: Bounds::DEFAULT,
            tally: Some(Arc::default()),
        }
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

    /// The same with these bounds for what containers ask for.
    pub fn bounded(self, bounds: Bounds) -> Self {
        Self { bounds, ..self }
    }

    /// A container offers nothing any more, so that there is more left for the others.
    pub fn forget(&self, container: &ContainerId) {
        self.tally.iter().for_each(|tally| tally.forget(container));
    }

    /// The pipeline as the successor of another: it remembers the answers that
    /// the other got, what containers have asked for, and the figures of stages of the
    /// same name go on.
    pub fn succeeding(self, old: &Self) -> Self {
        let step = |step: &Step| match old.steps.iter().find(|old| old.name() == step.name()) {
            Some(old) => step.clone().succeeding(old),
            None => step.clone(),
        };
        let steps = self.steps.iter().map(step).collect();
        Self { steps, memory: old.memory.clone(), tally: old.tally.clone(), ..self }
    }

    /// The same, of whose stages it is known whose they are.
    pub fn layered(self, layer: impl Fn(&str) -> Option<Layer>) -> Self {
        let of = |step: &Step| step.clone().of_layer(layer(step.name()));
        Self { steps: self.steps.iter().map(of).collect(), ..self }
    }

    /// The same without a memory of answers and containers, where none comes twice.
    pub fn forgetful(self) -> Self {
        Self { memory: None, tally: None, ..self }
    }

    /// A note on each stage, in their order, for people.
    pub fn notes(&self) -> Vec<StageNote> {
        self.steps.iter().map(Step::note).collect()
    }

    /// The steps in their order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether a stage is the one that says what containers say of themselves; see
    /// [`StageNote::is_registrator`].
    pub fn is_registrator(&self, stage: &str) -> bool {
        self.steps.iter().any(|step| step.name() == stage && step.is_registrator())
    }

    /// A digest of what the stages are made of and of what the operator says of them: two
    /// pipelines of one digest decide alike, but for what lies outside of their stages.
    pub fn digest(&self) -> String {
        digest::of_steps(&self.steps)
    }

    /// The facts that some stage is shown; see [`Stage::wants`].
    pub fn wants(&self) -> Wants {
        self.steps.iter().map(|step| step.stage().wants()).fold(Wants::default(), BitOr::bitor)
    }

    /// The health of each stage, in their order.
    pub fn health(&self) -> Vec<StageHealth> {
        self.steps.iter().map(Step::health).collect()
    }

    /// Run a container through the pipeline.
    ///
    /// # Errors
    ///
    /// The first stage that fails and holds ([`OnError::Hold`]) ends the run:
    /// what it would have changed or vetoed is not known, so nothing may be
    /// registered on the strength of the others. So does the expression that selects containers, a label
    /// by which a container says its address, and a container that asks for too much.
    pub async fn evaluate(
        &self,
        container: &Container,
        host: &Host,
    ) -> Result<Outcome, PipelineError> {
        let before = |stage: &str, source| failed(stage, container, source, Outcome::default());
        let selected = match &self.select {
            Some(select) => select.decide(container).await,
            None => Ok(true),
        };
        if !selected.map_err(|error| before("containers.select", StageError::Select(error)))? {
            self.forget(&container.id);
            let ignored = vec!["not selected by containers.select".to_string()];
            return Ok(Outcome { ignored, unselected: true, ..Outcome::default() });
        }
        let bounded = |source| before(LIMITS, source);
        self.bounds.said(container, host, &self.address).map_err(bounded)?;
        let Candidates { services, ignored, mut warnings } =
            candidates(container, host, &self.address)
                .map_err(|fault| before("address", StageError::Label(fault)))?;
        // The stage `registrator` puts what the container says into each of them.
        if self.steps.iter().any(Step::is_registrator) {
            self.bounds.product(container, host, services.len()).map_err(bounded)?;
        }
        let services = Gate::of(container, host).candidates(services, &mut warnings);
        hush::Hush::of(container).all(&mut warnings);
        let candidates = services.clone();
        let outcome = Outcome { candidates, services, ignored, warnings, ..Outcome::default() };
        let outcome = self.run(container, host, outcome, |_| true).await?;
        let size = self.bounds.made(&outcome.services);
        let granted = size.and_then(|size| match &self.tally {
            Some(tally) => tally.grant(&self.bounds, &container.id, size),
            None => Ok(()),
        });
        match granted {
            Ok(()) => Ok(outcome),
            // What it would have is as large as what was refused.
            Err(source) => Err(failed(LIMITS, container, source, Outcome::default())),
        }
    }
}

fn failed(
    stage: &str,
    container: &Container,
    source: StageError,
    so_far: Outcome,
) -> PipelineError {
    PipelineError {
        stage: stage.to_string(),
        container: container.id.clone(),
        name: container.name.clone(),
        source,
        so_far: Box::new(so_far),
    }
}

#[cfg(test)]
pub(crate) mod tests;
