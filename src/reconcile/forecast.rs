//! What the daemon would do if it ran now: its own loop's steps, one after the
//! other, on a registry that only notes what would be written.
//!
//! Nothing is decided here. Containers are looked at, plans made and held, and
//! what is left of gone containers cleaned up by the code that the daemon runs.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use serde_json::Value;
use tracing::{instrument::WithSubscriber as _, subscriber::NoSubscriber};

use super::{
    Action, Conflict, Explainer, Held, Job, Options, Reason,
    dry_run::{DryRun, Write},
    explain::Fault,
    look::{LookError, Offer, Planned, Shared, lock},
};
use crate::{
    container::{Container, ContainerId},
    docker::Source,
    error::error_chain,
    host::Host,
    pipeline::{FieldChange, Finding, Lint, Outcome, Pipeline, Survey, Unsettled, lint},
    registry::{Registry, body},
    service::Service,
};

/// Containers that are read at once.
const AT_ONCE: usize = 16;
/// How often containers are looked at again that had to wait for others.
const PASSES: usize = 4;

/// Nothing could be foreseen; the words say what was attempted.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ForecastError(String);

/// What would be done.
#[derive(Debug, Default, Serialize)]
pub struct Forecast {
    /// The containers in the order of their identifiers: those that run, and
    /// those that something is registered for.
    pub containers: Vec<ForecastContainer>,
    /// What is left of containers that are gone and would go.
    pub dangling: Vec<ForecastWrite>,
    /// What the bulk guard would hold.
    pub held: Option<Held>,
    /// What is wrong with all of it together.
    pub findings: Vec<Finding>,
}

/// What is shown of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Brief {
    /// The full identifier.
    pub id: String,
    /// The name; empty if there is no such container any more.
    pub name: String,
    /// The image as it was given.
    pub image: String,
}

/// What would become of a container.
#[derive(Debug, Default, Serialize)]
pub struct ForecastContainer {
    /// Which it is.
    pub container: Brief,
    /// What would be written for it.
    pub writes: Vec<ForecastWrite>,
    /// Whether the bulk guard holds these writes.
    pub held: bool,
    /// What cannot be registered because the ID is somebody else's.
    pub conflicts: Vec<Conflict>,
    /// IDs and names of services that Consul's ACL will not let the token write.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forbidden: Vec<(String, String)>,
    /// Why it has no services at the moment although the pipeline lets them pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<String>,
    /// Why it keeps what it has, if it could not be judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What became of it in the pipeline, if it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// What will not work although it can be registered.
    pub warnings: Vec<String>,
    /// Why something is written, or held, that has nothing to do with the pipeline.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What changes each time the pipeline runs on its own result.
    pub unsettled: Vec<Unsettled>,
}

/// A write that would be made.
#[derive(Debug, Clone, Serialize)]
pub struct ForecastWrite {
    /// The service's ID.
    pub id: String,
    /// The service's name.
    pub name: String,
    /// What would be done.
    #[serde(flatten)]
    pub kind: WriteKind,
}

/// What would be done with a service.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case", tag = "action")]
pub enum WriteKind {
    /// It is registered.
    Register {
        /// Why.
        reason: Reason,
        /// What differs from what is registered.
        changes: Vec<FieldChange>,
        /// The body that Consul's agent would be sent.
        body: Value,
        /// The service.
        #[serde(skip)]
        service: Box<Service>,
    },
    /// It is deregistered.
    Deregister,
    /// It is put into maintenance, or taken out of it.
    Maintenance {
        /// Whether it is put into it.
        enable: bool,
    },
}

/// The loop's steps on a registry that is not written to.
pub struct Rehearsal {
    shared: Arc<Shared>,
    dry: Arc<DryRun>,
    lint: Lint,
}

/// A container that was read and run through the pipeline.
struct Seen {
    id: ContainerId,
    container: Option<Container>,
    outcome: Option<Outcome>,
    failure: Option<LookError>,
    unsettled: Vec<Unsettled>,
}

impl Rehearsal {
    /// The daemon of these parts. Without a registry, nothing counts as
    /// registered.
    pub fn new(
        source: Arc<dyn Source>,
        registry: Option<Arc<dyn Registry>>,
        pipeline: Pipeline,
        host: Host,
        options: &Options,
    ) -> Self {
        let dry = Arc::new(DryRun::of(registry));
        let shared = Shared::new(source, dry.clone(), pipeline, host, options);
        let lint = Lint { heartbeat: options.lifecycle.heartbeat, scripts: None };
        Self { shared: Arc::new(shared), dry, lint }
    }

    /// Use another pipeline from now on; what it does is compared with what the
    /// last forecast said.
    pub fn replace_pipeline(&self, pipeline: Pipeline) {
        self.shared.replace_pipeline(pipeline);
    }

    /// What would be done now, after what was said before. The log is silent
    /// meanwhile: what the loop says of its deeds would not be true.
    ///
    /// # Errors
    ///
    /// The registry, or the list of containers, cannot be read.
    pub async fn forecast(&self) -> Result<Forecast, ForecastError> {
        let forecast = self.run().with_subscriber(NoSubscriber::default()).await;
        forecast.map(|(forecast, _)| forecast)
    }

    /// What can say why services are what they would be.
    ///
    /// # Errors
    ///
    /// As for [`Rehearsal::forecast`].
    pub async fn explainer(&self) -> Result<Explainer, ForecastError> {
        let (_, faults) = self.run().with_subscriber(NoSubscriber::default()).await?;
        Ok(Explainer::new(self.shared.clone(), faults).against(self.dry.real()))
    }

    async fn run(&self) -> Result<(Forecast, BTreeMap<ContainerId, Fault>), ForecastError> {
        self.dry.take();
        let failed = |error: LookError| ForecastError(error_chain(&error));
        let next = self.shared.sync().await.map_err(failed)?;
        let ids = next.into_iter().filter_map(|(job, _)| match job {
            Job::Look(id) => Some(id),
            _ => None,
        });
        let seen: Vec<Seen> =
            stream::iter(ids.map(|id| self.see(id))).buffered(AT_ONCE).collect().await;
        let mut all: Vec<ForecastContainer> = Vec::with_capacity(seen.len());
        let mut waiting = Vec::new();
        for (n, one) in seen.iter().enumerate() {
            all.push(ForecastContainer::of(one));
            if self.carry_out(one, &mut all[n]).await {
                waiting.push(n);
            }
        }
        self.add_nudged(&seen, &mut waiting);
        self.shared.decide();
        // What waited for the guard's decision, or for another container's ID, is
        // done now, if it may be.
        for _ in 0..PASSES {
            if waiting.is_empty() {
                break;
            }
            for n in std::mem::take(&mut waiting) {
                if self.carry_out(&seen[n], &mut all[n]).await && !all[n].held {
                    waiting.push(n);
                }
            }
            self.add_nudged(&seen, &mut waiting);
        }
        let mut forecast =
            Forecast { held: lock(&self.shared.guard).held(), ..Forecast::default() };
        // As long as something could not be looked at, nothing is cleaned up.
        if seen.iter().all(|one| one.failure.is_none()) {
            self.shared.clean_up().await.map_err(failed)?;
            forecast.dangling =
                self.dry.take().into_iter().map(|write| written(write, &[])).collect();
        }
        forecast.findings = survey(&seen);
        self.forbidden(&mut all).await;
        forecast.containers = all;
        let faults = seen.into_iter().filter_map(|one| Some((one.id, Fault::of(&one.failure?, 1))));
        Ok((forecast, faults.collect()))
    }

    /// Add the containers that others' looks have left something for.
    fn add_nudged(&self, seen: &[Seen], waiting: &mut Vec<usize>) {
        let nudged = self.shared.take_nudged();
        let places = (0..seen.len()).filter(|n| nudged.contains(&seen[*n].id));
        let places: Vec<_> = places.filter(|n| !waiting.contains(n)).collect();
        waiting.extend(places);
    }

    /// Note what Consul's ACL will not let pass.
    async fn forbidden(&self, all: &mut [ForecastContainer]) {
        let is_write =
            |write: &&ForecastWrite| !matches!(write.kind, WriteKind::Maintenance { .. });
        let writes = all.iter().flat_map(|one| &one.writes).filter(is_write);
        let names = writes.map(|write| write.name.clone()).collect();
        let denied = self.dry.not_writable(&names).await;
        for one in all {
            let writes = one.writes.iter().filter(|write| denied.contains(&write.name));
            one.forbidden = writes.map(|write| (write.id.clone(), write.name.clone())).collect();
        }
    }

    async fn see(&self, id: ContainerId) -> Seen {
        let mut seen =
            Seen { id, container: None, outcome: None, failure: None, unsettled: Vec::new() };
        match self.shared.source.inspect(&seen.id).await {
            Ok(container) => seen.container = container,
            Err(error) => seen.failure = Some(error.into()),
        }
        let running = seen.container.as_ref().filter(|container| container.state.is_running());
        let Some(container) = running else { return seen };
        let (pipeline, host) = (self.shared.pipeline(), &self.shared.host);
        match pipeline.evaluate(container, host).await {
            Ok(outcome) => {
                seen.unsettled = pipeline.run_again(container, host, &outcome).await;
                seen.outcome = Some(outcome);
            }
            Err(error) => {
                seen.outcome = Some(*error.so_far.clone());
                seen.failure = Some(Box::new(error).into());
            }
        }
        seen
    }

    /// Plan for a container and carry that out, as the loop does. Whether it has to
    /// be looked at again.
    async fn carry_out(&self, seen: &Seen, forecast: &mut ForecastContainer) -> bool {
        if seen.failure.is_some() {
            lock(&self.shared.guard).not_judged(&seen.id);
            return false;
        }
        let offer = match (&seen.container, &seen.outcome) {
            (Some(container), Some(outcome)) => {
                forecast.gate = self.shared.lifecycle.gate(container);
                self.shared.offer_of(container, &self.shared.pipeline(), outcome.clone())
            }
            (Some(container), None) if self.shared.keeps(container) => return false,
            _ => Offer::of_nothing(),
        };
        let Planned { plan, rival, waits } =
            self.shared.plan(&seen.id, seen.container.as_ref(), offer);
        forecast.conflicts.clone_from(&plan.conflicts);
        let actions = plan.actions.clone();
        forecast.held = waits;
        let cut_off = seen.container.as_ref().and_then(Container::cut_off);
        let notes = self.notes(&seen.id, &actions, waits).into_iter();
        // Why it offers nothing any more.
        for note in notes.chain(cut_off.filter(|_| !actions.is_empty())) {
            if !forecast.notes.contains(&note) {
                forecast.notes.push(note);
            }
        }
        let executed = if waits {
            // Only to say what is held: a copy of the registry would be written to.
            forecast.writes = self.imagine(&actions).await;
            Ok(())
        } else {
            let executed = self.shared.execute(&seen.id, plan).await;
            if seen.outcome.is_some() {
                // A read that fails was said of the registry as a whole.
                let _ = self.shared.maintain(&seen.id, false).await;
            }
            let writes = self.dry.take().into_iter();
            let writes: Vec<_> = writes.map(|write| written(write, &actions)).collect();
            // What was only imagined is now done.
            if !actions.is_empty() {
                forecast.writes.retain(|old| !actions.iter().any(|new| new.id() == old.id));
            }
            forecast.writes.extend(writes);
            executed
        };
        self.warn(forecast).await;
        forecast.rivals(&self.shared, &seen.id);
        waits || rival || executed.is_err()
    }

    /// What other daemons, or other names of this host, have to do with these actions.
    fn notes(&self, container: &ContainerId, actions: &[Action], waits: bool) -> Vec<String> {
        let catalog = lock(&self.shared.catalog);
        let former = actions.iter().filter_map(|action| {
            let (id, name) = (action.id(), catalog.former_name(action.id())?);
            Some(format!("{id}: this host was called {name} when it was registered"))
        });
        let elsewhere = catalog.elsewhere(container).filter(|_| waits).map(|(engine, _)| {
            format!(
                "it was registered under this host's name for another container engine ({engine}); \
                 it stays until somebody confirms that this engine is no more"
            )
        });
        former.chain(elsewhere).collect()
    }

    /// The writes of actions that are held.
    async fn imagine(&self, actions: &[Action]) -> Vec<ForecastWrite> {
        let imagined = DryRun::of(Some(self.dry.clone()));
        // The copy cannot fail: it is in memory.
        let _ = imagined.read().await;
        for action in actions {
            let _ = match action {
                Action::Register { service, .. } => imagined.replace(service).await,
                Action::Deregister { id, .. } => imagined.deregister(id).await,
            };
        }
        imagined.take().into_iter().map(|write| written(write, actions)).collect()
    }

    /// What of the services to be registered will not work.
    async fn warn(&self, forecast: &mut ForecastContainer) {
        forecast.warnings.clear();
        for write in &forecast.writes {
            let WriteKind::Register { service, body: sent, .. } = &write.kind else { continue };
            // The body lacks what the agent is known to refuse.
            let scripts = (*sent != body::register(service)).then_some(false);
            let found = lint(service, Lint { scripts, ..self.lint });
            forecast
                .warnings
                .extend(found.into_iter().map(|words| format!("{}: {words}", write.id)));
        }
    }
}

impl ForecastContainer {
    fn of(seen: &Seen) -> Self {
        let container = seen.container.as_ref();
        let brief = Brief {
            id: seen.id.0.clone(),
            name: container.map(|container| container.name.clone()).unwrap_or_default(),
            image: container.map(|container| container.image.clone()).unwrap_or_default(),
        };
        Self {
            container: brief,
            failure: seen.failure.as_ref().map(|error| error_chain(error)),
            outcome: seen.outcome.clone(),
            unsettled: seen.unsettled.clone(),
            ..Self::default()
        }
    }

    /// Note the IDs that another container has.
    fn rivals(&mut self, shared: &Shared, own: &ContainerId) {
        let catalog = lock(&shared.catalog);
        let ids = catalog.wanted_by(own).into_iter().map(|service| service.id.clone());
        let lost = ids.filter(|id| catalog.rivals(id).contains(&own));
        let conflict = |id| Conflict { id, taken_by: "another container".into() };
        self.conflicts.extend(lost.map(conflict));
    }

    /// Whether something would be done.
    pub fn changes(&self) -> bool {
        !self.writes.is_empty()
    }
}

/// A write with the reason that the plan gave.
fn written(write: Write, actions: &[Action]) -> ForecastWrite {
    match write {
        Write::Register { service, sent, changes } => {
            let reason = actions.iter().find_map(|action| match action {
                Action::Register { service: planned, reason, .. } if planned.id == service.id => {
                    Some(reason.clone())
                }
                _ => None,
            });
            ForecastWrite {
                id: service.id.clone(),
                name: service.name.clone(),
                kind: WriteKind::Register {
                    reason: reason.unwrap_or(Reason::New),
                    changes,
                    body: body::register(&sent),
                    service,
                },
            }
        }
        Write::Deregister { was } => {
            ForecastWrite { id: was.id, name: was.name, kind: WriteKind::Deregister }
        }
        Write::Maintenance { id, enable } => {
            ForecastWrite { id, name: String::new(), kind: WriteKind::Maintenance { enable } }
        }
    }
}

fn survey(seen: &[Seen]) -> Vec<Finding> {
    let mut survey = Survey::default();
    for one in seen.iter().filter(|one| one.failure.is_none()) {
        if let (Some(container), Some(outcome)) = (&one.container, &one.outcome) {
            survey.note(container, &outcome.services);
        }
    }
    survey.findings()
}
