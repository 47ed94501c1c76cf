//! A rehearsal of the daemon, as if it ran now: its own cycle, one step after the
//! other, on a registry that only notes what would be written.
//!
//! Nothing is decided here. The agenda says what is due, as it does to the daemon, and each job
//! is done by the code that the daemon runs. Here it is noted what came of it.

mod beyond;
mod dry_run;
mod forecast;
mod hints;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;
use tracing::{instrument::WithSubscriber as _, subscriber::NoSubscriber};

use super::{
    absence::Fault,
    cycle::{Observed, Record, Shared, agenda::Agenda},
    job::{Job, JobError},
    options::Options,
    state::plan::Action,
    view::Explainer,
};
use crate::{
    docker::Source,
    error::error_chain,
    model::{
        container::{Container, ContainerId},
        host::Host,
    },
    pipeline::{Lint, Pipeline, Survey, lint},
    registry::Registry,
};
pub use beyond::{Becomes, Beyond, What};
use dry_run::DryRun;
use forecast::written;
pub use forecast::{Brief, Forecast, ForecastContainer, ForecastWrite, WriteKind};
pub use hints::Hint;

/// Containers that are read at once.
const AT_ONCE: usize = 16;
/// How often containers are tried again that had to wait for others.
const PASSES: usize = 4;

/// Nothing could be foreseen; the words say what was attempted.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ForecastError(String);

/// The loop's steps on a registry that is not written to.
pub struct Rehearsal {
    shared: Arc<Shared>,
    dry: Arc<DryRun>,
    options: Options,
    lint: Lint,
}

/// A forecast that is being made.
struct Run<'a> {
    rehearsal: &'a Rehearsal,
    /// The containers as they were found. They stay so for as long as the forecast is made.
    observed: HashMap<ContainerId, Observed>,
    all: BTreeMap<ContainerId, ForecastContainer>,
    dangling: Vec<ForecastWrite>,
    faults: BTreeMap<ContainerId, Fault>,
    survey: Survey,
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
        Self::walking(Arc::new(shared), dry, options)
    }

    /// A rehearsal of a running loop from this moment on.
    pub(super) fn of(
        running: &Shared,
        source: Arc<dyn Source>,
        registry: Arc<dyn Registry>,
        options: &Options,
    ) -> Self {
        let dry = Arc::new(DryRun::of(Some(registry)));
        Self::walking(Arc::new(running.fork(source, dry.clone())), dry, options)
    }

    fn walking(shared: Arc<Shared>, dry: Arc<DryRun>, options: &Options) -> Self {
        let lint = Lint { heartbeat: options.lifecycle.heartbeat };
        Self { shared, dry, options: options.clone(), lint }
    }

    /// Use another pipeline from now on; what it does is compared with what the
    /// last forecast said.
    pub fn replace_pipeline(&self, pipeline: Pipeline) {
        self.shared.replace_pipeline(pipeline);
    }

    /// From now on the bulk guard holds by the share alone, however few services a host has.
    pub fn guard_each(&self) {
        self.shared.state().guard.count_each();
    }

    /// A forecast, which goes on from where the last one ended. The log is silent
    /// meanwhile: what the loop says of its deeds would not be true.
    ///
    /// # Errors
    ///
    /// The registry, or the list of containers, cannot be read.
    pub async fn forecast(&self) -> Result<Forecast, ForecastError> {
        let forecast = self.run().with_subscriber(NoSubscriber::default()).await;
        forecast.map(|(forecast, _)| forecast)
    }

    /// An explainer of why services are what they would be.
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
        let mut run = Run {
            rehearsal: self,
            observed: HashMap::new(),
            all: BTreeMap::new(),
            dangling: Vec::new(),
            faults: BTreeMap::new(),
            survey: Survey::default(),
        };
        run.walk().await.map_err(|error| ForecastError(error_chain(&error)))?;
        let Run { mut all, dangling, faults, survey, .. } = run;
        self.forbidden(&mut all).await;
        let forecast = Forecast {
            containers: all.into_values().collect(),
            dangling,
            held: self.shared.state().held(),
            findings: survey.findings(),
            hints: Vec::new(),
        };
        let hints = self.hints(&forecast);
        Ok((Forecast { hints, ..forecast }, faults))
    }

    /// Note what Consul's ACL will not let pass.
    async fn forbidden(&self, all: &mut BTreeMap<ContainerId, ForecastContainer>) {
        let is_write =
            |write: &&ForecastWrite| !matches!(write.kind, WriteKind::Maintenance { .. });
        let writes = all.values().flat_map(|one| &one.writes).filter(is_write);
        let names = writes.map(|write| write.name.clone()).collect();
        let denied = self.dry.not_writable(&names).await;
        for one in all.values_mut() {
            let writes = one.writes.iter().filter(|write| denied.contains(&write.name));
            one.forbidden = writes.map(|write| (write.id.clone(), write.name.clone())).collect();
        }
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
        let held = |write| ForecastWrite { held: true, ..written(write, actions) };
        imagined.take().into_iter().map(held).collect()
    }

    /// Note the faults of the services to be registered.
    async fn warn(&self, forecast: &mut ForecastContainer) {
        forecast.warnings.clear();
        for write in &forecast.writes {
            let WriteKind::Register { service, dropped, .. } = &write.kind else { continue };
            let found = dropped.iter().cloned().chain(lint(service, self.lint));
            forecast.warnings.extend(found.map(|words| format!("{}: {words}", write.id)));
        }
    }
}

impl Run<'_> {
    /// Do what is due, and what follows from that, until nothing is left that could be done now.
    async fn walk(&mut self) -> Result<(), JobError> {
        let shared = self.rehearsal.shared.clone();
        let mut now = Instant::now();
        let mut agenda = Agenda::new(shared.clone(), &self.rehearsal.options, now);
        let mut passes = PASSES;
        loop {
            while let Some(job) = agenda.start(now) {
                let result = match &job {
                    Job::Sync => {
                        let next = shared.work(&job).await?;
                        let looks = next.iter().filter_map(|(job, _)| match job {
                            Job::Reconcile(id) => Some(id.clone()),
                            _ => None,
                        });
                        self.observe(looks.collect()).await;
                        Ok(next)
                    }
                    Job::Reconcile(id) => self.look(id).await,
                    Job::CleanUp => {
                        let next = shared.work(&job).await?;
                        let writes = self.rehearsal.dry.take().into_iter();
                        self.dangling.extend(writes.map(|write| written(write, &[])));
                        Ok(next)
                    }
                    // What comes later is not foreseen, and to nobody is anything reported.
                    Job::Heartbeat(_) | Job::Watch | Job::Neighbours | Job::Compare => {
                        Ok(Vec::new())
                    }
                };
                agenda.finish(&job, result, now);
            }
            match agenda.next_retry().filter(|_| passes > 0) {
                Some(later) => now = later,
                None => break,
            }
            passes -= 1;
        }
        self.hold().await;
        Ok(())
    }

    /// Find out about containers, several at once.
    async fn observe(&mut self, ids: Vec<ContainerId>) {
        let shared = &self.rehearsal.shared;
        let observed = stream::iter(ids.into_iter().map(async |id| shared.observe(&id).await));
        let observed: Vec<_> = observed.buffered(AT_ONCE).collect().await;
        for one in observed {
            self.note(one).await;
        }
    }

    async fn note(&mut self, observed: Observed) {
        let mut forecast = ForecastContainer::of(&observed);
        let (shared, id) = (&self.rehearsal.shared, observed.id.clone());
        forecast.had = !shared.state().catalog.had(&id).is_empty();
        if let (Some(container), Some(outcome)) = (observed.running(), &observed.outcome) {
            let host = observed.host.as_ref().unwrap_or(&shared.rules.host);
            let pipeline = shared.pipeline();
            forecast.unsettled = pipeline.run_again(container, host, outcome).await;
            forecast.gate = shared.rules.lifecycle.gate(container);
            self.survey.note(container, &outcome.services);
        }
        if let Some(failure) = &observed.failure {
            self.faults.insert(id.clone(), Fault::of(failure, 1));
        }
        self.all.insert(id.clone(), forecast);
        self.observed.insert(id, observed);
    }

    /// Look at a container, as the loop does, and note what that does.
    async fn look(&mut self, id: &ContainerId) -> Result<Vec<(Job, Duration)>, JobError> {
        if !self.observed.contains_key(id) {
            self.observe(vec![id.clone()]).await;
        }
        let rehearsal = self.rehearsal;
        let (Some(mut observed), Some(forecast)) = (self.observed.remove(id), self.all.get_mut(id))
        else {
            return Ok(Vec::new());
        };
        let failed = observed.failure.is_some();
        let mut record = Record::default();
        let result = rehearsal.shared.conclude(&mut observed, &mut record).await;
        let Record { plan, waits, notes } = record;
        forecast.conflicts.clone_from(&plan.conflicts);
        forecast.held = waits;
        let cut_off = observed.container.as_ref().and_then(Container::cut_off);
        // Why it offers nothing any more.
        for note in notes.into_iter().chain(cut_off.filter(|_| !plan.actions.is_empty())) {
            if !forecast.notes.contains(&note) {
                forecast.notes.push(note);
            }
        }
        let writes = rehearsal.dry.take().into_iter();
        forecast.writes.extend(writes.map(|write| written(write, &plan.actions)));
        forecast.planned = plan.actions;
        forecast.rivals(&rehearsal.shared, id);
        // Of one that could not be judged it is asked again.
        if !failed {
            self.observed.insert(id.clone(), observed);
        }
        result
    }

    /// Say what is held, and what of all this will not work.
    async fn hold(&mut self) {
        for forecast in self.all.values_mut() {
            if forecast.held {
                // Only to say what is held: a copy of the registry would be written to.
                let imagined = self.rehearsal.imagine(&forecast.planned).await;
                forecast.writes.extend(imagined);
            }
            self.rehearsal.warn(forecast).await;
        }
    }
}
