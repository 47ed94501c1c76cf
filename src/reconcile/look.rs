//! Looking at one container, and at all of them.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use tracing::{debug, error, info};

use super::{
    Deregister, Job, Options, Plan, Provenance,
    catalog::Catalog,
    compare::Alive,
    guard::{Cause, Guard, Verdict},
    lifecycle::{Beat, DrainBy, Ending, Lifecycle, MAINTENANCE, Rename},
    plan::plan,
    report::Reports,
};
use crate::{
    container::{Container, ContainerId, State},
    docker::{Source, SourceError},
    host::{Compat, Host},
    pipeline::{Outcome, Pipeline, PipelineError},
    registry::{Registry, RegistryError},
    service::Service,
};

/// Why a container could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Pipeline(#[from] Box<PipelineError>),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("the registry refused the service {0} a short while ago")]
    Refused(String),
    #[error("{id} stays until {heir} is registered, which takes its place")]
    Held { id: String, heir: String },
    #[error("the work on it ended badly")]
    Panicked(#[source] tokio::task::JoinError),
}

impl LookError {
    /// Whether trying again soon may help without anyone doing anything.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Source(SourceError::Docker { .. } | SourceError::Silent { .. }) => true,
            Self::Registry(error) => error.is_transient(),
            Self::Source(SourceError::Inspect(..))
            | Self::Pipeline(_)
            | Self::Refused(_)
            | Self::Held { .. }
            | Self::Panicked(_) => false,
        }
    }

    /// Whether the look ended before it was known what the container offers.
    pub(super) fn is_blind(&self) -> bool {
        matches!(self, Self::Source(_) | Self::Pipeline(_) | Self::Panicked(_))
    }
}

/// How often a container is looked at again for ports that are not shown yet, with
/// pauses that double: for about six seconds.
const LATE_LOOKS: u32 = 6;
const LATE_PAUSE: Duration = Duration::from_millis(50);

/// What is to be done after a job, and how soon.
pub(super) type Next = Vec<(Job, Duration)>;

/// What all jobs share.
pub(super) struct Shared {
    pub(super) source: Arc<dyn Source>,
    pub(super) registry: Arc<dyn Registry>,
    pipeline: RwLock<Pipeline>,
    pub(super) host: Host,
    pub(super) deregister: Deregister,
    pub(super) lifecycle: Lifecycle,
    /// Whether what registrator left behind is removed.
    pub(super) cleanup: bool,
    pub(super) catalog: Mutex<Catalog>,
    pub(super) guard: Mutex<Guard>,
    /// One write at a time for a service ID.
    pub(super) turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    reports: Reports,
    pub(super) alive: Alive,
    /// Containers that were told to end.
    ending: Mutex<HashMap<ContainerId, Ending>>,
    /// How often containers were looked at for ports that are not shown yet.
    late: Mutex<HashMap<ContainerId, u32>>,
    /// What is reported to the TTL checks of containers' services.
    pub(super) beats: Mutex<HashMap<ContainerId, Beat>>,
    /// The container engine is to be asked who it is; and who it was.
    pub(super) engine_unknown: AtomicBool,
    pub(super) engine: Mutex<Option<String>>,
    /// It is known what a former daemon left in maintenance.
    pub(super) maintained_known: AtomicBool,
    /// A lookup said that a service was gone which a read then had.
    pub(super) lookups_lie: AtomicBool,
}

/// The plan for a container.
pub(super) struct Planned {
    pub(super) plan: Plan,
    /// It keeps services because it cannot have others.
    pub(super) rival: bool,
    /// It has to wait for the bulk guard.
    pub(super) waits: bool,
}

/// What a container offers.
#[derive(Default)]
pub(super) struct Offer {
    services: Vec<Service>,
    /// It is not the pipeline that decided that there are no services.
    by_life: bool,
    /// The container is ending, for so much longer.
    ending: Option<Duration>,
    /// A stage failed and did not hold the container: it may say otherwise when
    /// it is asked again.
    makeshift: bool,
}

impl Offer {
    /// What a container offers that does not run, or not yet.
    pub(super) fn of_nothing() -> Self {
        Self { by_life: true, ..Self::default() }
    }
}

/// When a container is looked at again of which the services are not what they
/// should be, although nothing failed.
const AGAIN: Duration = Duration::from_secs(15);

impl Shared {
    pub(super) fn new(
        source: Arc<dyn Source>,
        registry: Arc<dyn Registry>,
        pipeline: Pipeline,
        host: Host,
        options: &Options,
    ) -> Self {
        let provenance = Provenance::new(&host.hostname, options.provenance);
        let compat = host.compat;
        Self {
            source,
            registry,
            pipeline: RwLock::new(pipeline),
            host,
            deregister: options.deregister,
            lifecycle: options.lifecycle.clone(),
            cleanup: options.cleanup,
            catalog: Mutex::new(match compat {
                Compat::Registrator => Catalog::new(provenance).mimicking(),
                Compat::None => Catalog::new(provenance),
            }),
            guard: Mutex::new(Guard::new(options.guard)),
            turns: Mutex::default(),
            reports: Reports::default(),
            alive: Alive::default(),
            ending: Mutex::default(),
            late: Mutex::default(),
            beats: Mutex::default(),
            engine_unknown: AtomicBool::new(true),
            engine: Mutex::default(),
            maintained_known: AtomicBool::new(false),
            lookups_lie: AtomicBool::new(false),
        }
    }

    /// The connection to the source was lost: it may be another one now.
    pub(super) fn engine_is_unknown(&self) {
        self.engine_unknown.store(true, Ordering::Relaxed);
    }

    /// A signal was sent to a container. Whether that is a reason to look at it.
    pub(super) fn signalled(&self, container: &ContainerId, signal: i64) -> bool {
        let drained = self.lifecycle.drain.is_some();
        if drained {
            let ending = Ending { signal, since: Instant::now() };
            lock(&self.ending).insert(container.clone(), ending);
        }
        drained
    }

    /// Whether everything is done as registrator does it.
    pub(super) fn is_original(&self) -> bool {
        self.host.compat == Compat::Registrator
    }

    /// Use another pipeline from now on. What it would take out goes through the
    /// bulk guard.
    pub(super) fn replace_pipeline(&self, pipeline: Pipeline) {
        lock(&self.guard).begin();
        *self.pipeline.write().unwrap_or_else(PoisonError::into_inner) = pipeline;
    }

    pub(super) fn pipeline(&self) -> Pipeline {
        self.pipeline.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The trial of a change knows which containers it has to see.
    pub(super) fn count(&self) {
        let services = lock(&self.catalog).services();
        lock(&self.guard).count(services);
    }

    /// The trial of a change has seen every container.
    pub(super) fn decide(&self) -> Next {
        let catalog = lock(&self.catalog);
        let verdict =
            lock(&self.guard).decide(catalog.services(), |engine| catalog.is_absent(engine));
        match verdict {
            None => Next::new(),
            Some(Verdict::Go(containers)) => looks(containers),
            Some(Verdict::Hold(held)) => {
                error!(
                    services = ?held.services.iter().take(10).collect::<Vec<_>>(),
                    "held: {held}; to carry it out, run `wharfinger apply --confirm`"
                );
                Next::new()
            }
        }
    }

    /// Somebody confirms what is held.
    pub(super) fn confirm(&self) -> Next {
        looks(lock(&self.guard).confirm())
    }

    /// Bring what is registered for a container up to date.
    pub(super) async fn look_at(&self, id: &ContainerId) -> Result<Next, LookError> {
        let looked = self.look(id).await;
        if looked.is_err() {
            lock(&self.guard).not_judged(id);
        }
        looked
    }

    async fn look(&self, id: &ContainerId) -> Result<Next, LookError> {
        let container = self.source.inspect(id).await?;
        self.alive.note(id, container.as_ref());
        let offer = match &container {
            Some(container) if container.state.is_running() => self.offer(container).await?,
            Some(container) if self.keeps(container) => {
                debug!(container = id.short(), "ended with a failure; it keeps its services");
                self.forget(id);
                return Ok(Next::new());
            }
            _ => {
                self.forget(id);
                Offer::of_nothing()
            }
        };
        if container.is_none() {
            self.reports.forget(id);
        }
        let (ending, makeshift) = (offer.ending, offer.makeshift);
        let Planned { plan, rival, waits } = self.plan(id, container.as_ref(), offer);
        if waits {
            return Ok(Next::new());
        }
        self.execute(id, plan).await?;
        if let Some(service) = lock(&self.catalog).refused(id) {
            return Err(LookError::Refused(service));
        }
        let Some(container) = container.filter(|container| container.state.is_running()) else {
            return Ok(Next::new());
        };
        self.maintain(id, ending.is_some()).await?;
        let mut next = self.note_beat(&container);
        next.extend(ending.map(|left| (Job::Look(id.clone()), left)));
        next.extend(self.late_ports(&container).map(|pause| (Job::Look(id.clone()), pause)));
        next.extend(self.retirement(id).map(|pause| (Job::Look(id.clone()), pause)));
        next.extend((makeshift || rival).then(|| (Job::Look(id.clone()), AGAIN)));
        Ok(next)
    }

    /// When a container is to be looked at again for ports that the engine does
    /// not show yet. Some it never shows.
    fn late_ports(&self, container: &Container) -> Option<Duration> {
        let mut late = lock(&self.late);
        if container.pending_ports.is_empty() {
            late.remove(&container.id);
            return None;
        }
        let looks = late.entry(container.id.clone()).or_default();
        *looks += 1;
        (*looks <= LATE_LOOKS).then(|| LATE_PAUSE * 2_u32.pow(*looks))
    }

    /// How long it takes until something of a container has been kept for long
    /// enough beside what has taken its place.
    fn retirement(&self, id: &ContainerId) -> Option<Duration> {
        let until = lock(&self.catalog).next_retirement(id)?;
        Some(until.saturating_sub(self.source.now().0))
    }

    fn forget(&self, id: &ContainerId) {
        lock(&self.ending).remove(id);
        lock(&self.late).remove(id);
        lock(&self.beats).remove(id);
    }

    /// The plan for a container that offers this.
    pub(super) fn plan(
        &self,
        id: &ContainerId,
        container: Option<&Container>,
        offer: Offer,
    ) -> Planned {
        let mut catalog = lock(&self.catalog);
        let runs = container.is_some_and(|container| container.state.is_running());
        catalog.note_life(id, runs);
        let name = container.map_or("", |container| &container.name);
        let kept = match self.lifecycle.rename {
            Rename::Overlap(time) => {
                catalog.retirees(id, &offer.services, self.source.now().0, time)
            }
            Rename::Swap => Vec::new(),
        };
        let concerned = catalog.claim_with(id, name, offer.services, kept);
        let mut plan = plan(&catalog, &concerned);
        plan.actions.retain(|action| !lock(&self.guard).reserves(action.id(), id));
        let mut rival = false;
        for service in concerned.iter().filter(|service| catalog.rivals(service).contains(&id)) {
            error!(container = id.short(), service, "the service ID is another container's");
            rival = true;
        }
        let taken: Vec<_> = plan.taken().map(ToString::to_string).collect();
        let other = taken.iter().find_map(|id| catalog.other_engine(id)).map(ToString::to_string);
        let (cause, counted) = match (container, other) {
            (Some(_), _) if runs && !offer.by_life => (Cause::Pipeline, taken),
            (None, Some(engine)) => (Cause::Engine(engine), taken),
            _ => (Cause::Pipeline, Vec::new()),
        };
        let waits = lock(&self.guard).waits(id, cause, counted);
        Planned { plan, rival, waits }
    }

    /// What a running container offers.
    async fn offer(&self, container: &Container) -> Result<Offer, LookError> {
        let pipeline = self.pipeline();
        let outcome = pipeline.evaluate(container, &self.host).await.map_err(Box::new)?;
        Ok(self.offer_of(container, &pipeline, outcome))
    }

    /// What a running container offers of which this became in the pipeline.
    pub(super) fn offer_of(
        &self,
        container: &Container,
        pipeline: &Pipeline,
        outcome: Outcome,
    ) -> Offer {
        let gate = self.lifecycle.gate(container);
        self.reports.say(container, pipeline, &outcome, gate.as_deref());
        if gate.is_some() {
            return Offer::of_nothing();
        }
        let ending = self.ending(container);
        if ending.is_some() && self.lifecycle.drain_by == DrainBy::Deregister {
            return Offer { by_life: true, ending, ..Offer::default() };
        }
        let makeshift = outcome.makeshift().is_some();
        let mut services = outcome.services;
        self.lifecycle.add_checks(container, &mut services);
        Offer { services, by_life: false, ending, makeshift }
    }

    /// For how much longer a container counts as ending, if it was told to end.
    pub(super) fn ending(&self, container: &Container) -> Option<Duration> {
        let drain = self.lifecycle.drain?;
        let mut all = lock(&self.ending);
        let left = all.get(&container.id)?.left(container, drain);
        if left.is_none() {
            all.remove(&container.id);
        }
        left
    }

    /// Put the services of an ending container into maintenance, and those of
    /// one that lives on out of it.
    pub(super) async fn maintain(
        &self,
        container: &ContainerId,
        ending: bool,
    ) -> Result<(), LookError> {
        let wanted = ending && self.lifecycle.drain_by == DrainBy::Maintenance;
        let reason = format!("{MAINTENANCE}the container is ending");
        let differing: Vec<_> = {
            let catalog = lock(&self.catalog);
            let services = catalog.offered(container);
            let ids = services.iter().map(|service| service.id.clone());
            ids.filter(|id| catalog.maintenance_differs(id, wanted)).collect()
        };
        for id in differing {
            let reason = wanted.then_some(reason.as_str());
            self.registry.set_maintenance(&id, reason).await?;
            lock(&self.catalog).note_maintenance(&id, wanted);
            let words = if wanted { "in maintenance" } else { "out of maintenance" };
            info!("{words}: {} {id}", container.short());
        }
        Ok(())
    }

    /// Report from now on what is to be reported for a container.
    fn note_beat(&self, container: &Container) -> Next {
        let services = lock(&self.catalog).offered(&container.id);
        let mut beats = lock(&self.beats);
        let Some(beat) = self.lifecycle.beat(container, &services) else {
            beats.remove(&container.id);
            return Next::new();
        };
        if beats.get(&container.id) == Some(&beat) {
            return Next::new();
        }
        beats.insert(container.id.clone(), beat);
        vec![(Job::Beat(container.id.clone()), Duration::ZERO)]
    }

    /// Whether an ended container keeps its services by the rule of
    /// `-deregister on-success`. A code above 128 is that of a signal.
    pub(super) fn keeps(&self, container: &Container) -> bool {
        let ended = matches!(container.state, State::Exited | State::Dead);
        let failed = container.exit_code != 0 && container.exit_code & 128 == 0;
        self.deregister == Deregister::OnSuccess && ended && failed
    }

    /// The IDs of all services of this daemon.
    pub(super) fn all_services(&self) -> BTreeSet<String> {
        lock(&self.catalog).ours()
    }
}

fn looks(containers: Vec<ContainerId>) -> Next {
    containers.into_iter().map(|id| (Job::Look(id), Duration::ZERO)).collect()
}

/// The state is whole whenever the lock is free; a panic elsewhere does not
/// spoil it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
