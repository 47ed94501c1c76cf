//! Looking at one container, and at all of them.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::{
    Action, Deregister, Job, Options, Plan, Provenance, Reason,
    catalog::Catalog,
    compare::Alive,
    guard::{Cause, Guard, Verdict},
    lifecycle::{Beat, DrainBy, Ending, Lifecycle, MAINTENANCE, Rename},
    plan::plan as plan_for,
    provenance::Owner,
    report::Reports,
    sharing::Sharing,
    verify::Verified,
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
    #[error("{0} waits for the bulk guard, for the sake of another container")]
    Reserved(String),
    #[error("the work on it ended badly")]
    Panicked(#[source] tokio::task::JoinError),
}

impl LookError {
    /// Whether trying again soon may help without anyone doing anything.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Source(SourceError::Docker { .. } | SourceError::Silent { .. }) => true,
            Self::Registry(error) => error.is_transient(),
            Self::Source(
                SourceError::Inspect(..) | SourceError::TooLarge { .. } | SourceError::Event(_),
            )
            | Self::Pipeline(_)
            | Self::Refused(_)
            | Self::Held { .. }
            | Self::Reserved(_)
            | Self::Panicked(_) => false,
        }
    }

    /// Whether the look ended before it was known what the container offers.
    pub(super) fn is_blind(&self) -> bool {
        matches!(self, Self::Source(_) | Self::Pipeline(_) | Self::Panicked(_))
    }
}

/// For how long after its start a container is looked at again for ports that are not
/// shown yet; with pauses that are as long as this has gone on, but at least and at
/// most so long.
const LATE: Duration = Duration::from_secs(10);
const LATE_PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

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
    /// Who shares whose network.
    sharing: Sharing,
    /// What was said of other engines and of former names of this host.
    pub(super) said: Mutex<HashSet<String>>,
    /// The services of other daemons when they were last looked for.
    pub(super) strangers: Mutex<BTreeSet<String>>,
    /// Containers that were told to end.
    ending: Mutex<HashMap<ContainerId, Ending>>,
    /// Since when ports of containers have not been shown, and of which start.
    late: Mutex<HashMap<ContainerId, (Option<String>, Instant)>>,
    /// What is reported to the TTL checks of containers' services.
    pub(super) beats: Mutex<HashMap<ContainerId, Beat>>,
    /// Who the container engine is; how often the connection to it was begun anew, and
    /// up to which time it was asked since.
    pub(super) engine: Mutex<Option<String>>,
    pub(super) connections: AtomicU64,
    pub(super) identified: AtomicU64,
    pub(super) identifying: tokio::sync::Mutex<()>,
    /// It is known what a former daemon left in maintenance.
    pub(super) maintained_known: AtomicBool,
    /// Containers that another one's look has left something for.
    nudged: Mutex<BTreeSet<ContainerId>>,
    /// A lookup said that a service was gone which a read then had.
    pub(super) lookups_lie: AtomicBool,
    /// What is known of whether everything is still there.
    pub(super) verified: Mutex<Verified>,
}

/// The plan for a container.
pub(super) struct Planned {
    pub(super) plan: Plan,
    /// It cannot have all that it wants: another container has it, or waits for the
    /// bulk guard with it.
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
            sharing: Sharing::default(),
            said: Mutex::default(),
            strangers: Mutex::default(),
            ending: Mutex::default(),
            late: Mutex::default(),
            beats: Mutex::default(),
            engine: Mutex::default(),
            connections: AtomicU64::new(1),
            identified: AtomicU64::new(0),
            identifying: tokio::sync::Mutex::default(),
            maintained_known: AtomicBool::new(false),
            nudged: Mutex::default(),
            lookups_lie: AtomicBool::new(false),
            verified: Mutex::default(),
        }
    }

    /// The connection to the source was lost: it may be another one now.
    pub(super) fn engine_is_unknown(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it is known which container engine this is.
    pub(super) fn knows_engine(&self) -> bool {
        self.identified.load(Ordering::Relaxed) == self.connections.load(Ordering::Relaxed)
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
        let mut catalog = lock(&self.catalog);
        let mut guard = lock(&self.guard);
        let engines = guard.engines();
        if guard.is_trial() && guard.is_confirmed() {
            catalog.give_up(engines.clone());
        }
        let verdict = guard.decide(catalog.services(), |engine| catalog.is_elsewhere(engine));
        drop(guard);
        let (next, held) = match verdict {
            None => return Next::new(),
            Some(Verdict::Go(containers)) => return looks(containers),
            Some(Verdict::Hold(held)) => (Next::new(), held),
            Some(Verdict::Part(containers, held)) => (looks(containers), held),
        };
        error!(
            services = ?held.services.iter().take(10).collect::<Vec<_>>(),
            "held: {held}; to carry it out, run `wharfinger apply --confirm`"
        );
        for engine in engines {
            self.say_other_engine(&engine);
        }
        next
    }

    /// Somebody confirms what is held.
    pub(super) fn confirm(&self) -> Next {
        let mut catalog = lock(&self.catalog);
        let mut guard = lock(&self.guard);
        catalog.give_up(guard.engines());
        looks(guard.confirm())
    }

    /// Say once of another engine that it has services under this host's name.
    fn say_other_engine(&self, engine: &str) {
        if lock(&self.said).insert(engine.to_string()) {
            error!(
                host = self.host.hostname,
                engine,
                "services are registered under this host's name for another container engine; \
                 they stay as they are: give one of the two daemons another --hostname, or, if \
                 that engine is no more, run `wharfinger apply --confirm`"
            );
        }
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
        let asked = Instant::now();
        let began = self.sharing.begin();
        let container = self.source.inspect(id).await?;
        self.alive.note(id, container.as_ref());
        // registrator heard of no other container's events.
        if !self.is_original() {
            let mut again = self.sharing.note(id, container.as_ref(), began);
            lock(&self.nudged).append(&mut again);
        }
        let offer = match &container {
            Some(container) if container.state.is_running() => {
                match self.offer(container).await {
                    Ok(offer) => offer,
                    Err(error) => {
                        // What it keeps it keeps in use.
                        self.maintain(id, self.ending(container).is_some()).await?;
                        return Err(error);
                    }
                }
            }
            Some(container) if self.keeps(container) => {
                debug!(container = id.short(), "ended with a failure; it keeps its services");
                self.forget(id);
                let plan = self.plan_to_keep(id);
                self.execute(id, plan).await?;
                self.maintain(id, false).await?;
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
        self.settle(id, container, offer, asked).await
    }

    /// Make what is registered for a container what it offers, by what Docker said
    /// when it was asked.
    async fn settle(
        &self,
        id: &ContainerId,
        container: Option<Container>,
        offer: Offer,
        asked: Instant,
    ) -> Result<Next, LookError> {
        let (ending, makeshift) = (offer.ending, offer.makeshift);
        let Planned { plan, rival, waits } = self.plan(id, container.as_ref(), offer);
        let executed = if waits { Ok(()) } else { self.execute(id, plan).await };
        let running = container.filter(|container| container.state.is_running());
        // Whatever could not be done.
        let maintained = match &running {
            Some(_) => self.maintain(id, ending.is_some()).await,
            None => Ok(()),
        };
        executed.and(maintained)?;
        if let Some(service) = lock(&self.catalog).refused(id).filter(|_| !waits) {
            return Err(LookError::Refused(service));
        }
        let Some(container) = running else { return Ok(Next::new()) };
        // What waits for the guard is looked at when it has decided.
        let at_its_end = self.retirement(id).filter(|_| !waits);
        let again = (makeshift || rival).then_some(AGAIN);
        let late = self.late_ports(&container, asked);
        let pauses = ending.into_iter().chain(late).chain(at_its_end).chain(again);
        let mut next: Next = pauses.map(|pause| (Job::Look(id.clone()), pause)).collect();
        next.extend(if waits { self.keep_beat(&container) } else { self.note_beat(&container) });
        Ok(next)
    }

    /// When a container is to be looked at again for ports that the engine did not
    /// show yet when it was asked. Some it never shows.
    fn late_ports(&self, container: &Container, asked: Instant) -> Option<Duration> {
        let mut late = lock(&self.late);
        if container.pending_ports.is_empty() {
            late.remove(&container.id);
            return None;
        }
        let begun = (container.started_at.clone(), Instant::now());
        let since = late.entry(container.id.clone()).or_insert_with(|| begun.clone());
        if since.0 != begun.0 {
            *since = begun;
        }
        let elapsed = asked.saturating_duration_since(since.1);
        let (least, most) = LATE_PAUSES;
        (elapsed < LATE).then(|| elapsed.clamp(least, most))
    }

    /// How long it takes until something of a container has been kept for long
    /// enough beside what has taken its place.
    fn retirement(&self, id: &ContainerId) -> Option<Duration> {
        let until = lock(&self.catalog).next_retirement(id)?;
        Some(until.saturating_sub(self.source.now().0))
    }

    fn forget(&self, id: &ContainerId) {
        self.pipeline().forget(id);
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
        catalog.note_waiting(id, false);
        if container.is_some() {
            lock(&self.nudged).append(&mut catalog.meet(id));
        }
        let concerned = catalog.claim_with(id, name, offer.services, kept);
        let mut plan = plan_for(&catalog, id, &concerned);
        lock(&self.nudged).append(&mut plan.others);
        self.mind_other_engines(&catalog, id, &plan);
        let planned = plan.actions.len();
        plan.actions.retain(|action| !lock(&self.guard).reserves(action.id(), id));
        let mut rival = plan.actions.len() < planned;
        if rival {
            lock(&self.guard).put_off(id);
        }
        for service in concerned.iter().filter(|service| catalog.rivals(service).contains(&id)) {
            error!(container = id.short(), service, "the service ID is another container's");
            rival = true;
        }
        let taken = plan.taken().filter(|taken| !catalog.is_renamed_host(id, taken));
        let taken: Vec<_> = taken.map(ToString::to_string).collect();
        let (cause, counted) = match (container, catalog.elsewhere(id)) {
            (Some(_), _) if runs && !offer.by_life => (Cause::Pipeline, taken),
            (None, Some((engine, ids))) => (Cause::Engine(engine), ids),
            _ => (Cause::Pipeline, Vec::new()),
        };
        let other = match &cause {
            Cause::Engine(engine) if !lock(&self.guard).is_trial() => Some(engine.clone()),
            _ => None,
        };
        let waits = lock(&self.guard).waits(id, cause, counted);
        other.iter().for_each(|engine| self.say_other_engine(engine));
        if waits {
            catalog.note_waiting(id, true);
            lock(&self.nudged).append(&mut plan_for(&catalog, id, &concerned).others);
        }
        Planned { plan, rival, waits }
    }

    /// What stands in the place of another engine's service waits for nothing, and what
    /// is in the way of one is looked at again when somebody gives that engine up.
    fn mind_other_engines(&self, catalog: &Catalog, container: &ContainerId, plan: &Plan) {
        let theirs = |id: &str| {
            let registered = catalog.registered(id);
            registered.is_some_and(|old| matches!(catalog.owner(old), Owner::OtherEngine(_)))
        };
        for service in plan.actions.iter().filter_map(Action::service) {
            if theirs(&service.id) {
                lock(&self.guard).let_go(&service.id);
            }
        }
        if plan.conflicts.iter().any(|conflict| theirs(&conflict.id)) {
            lock(&self.guard).put_off(container);
        }
        for action in &plan.actions {
            let Some(name) = catalog.former_name(action.id()) else { continue };
            if lock(&self.said).insert(format!("host {name}")) {
                warn!(
                    former = name,
                    now = self.host.hostname,
                    "this host had another name: what was registered under it is renamed"
                );
            }
        }
    }

    /// The plan for a container that has ended and keeps what it has: that is written
    /// again where it is not known what is there. What it does not have it does not
    /// get, and others may.
    fn plan_to_keep(&self, id: &ContainerId) -> Plan {
        let mut catalog = lock(&self.catalog);
        catalog.note_life(id, false);
        let concerned = catalog.keep(id);
        catalog.note_waiting(id, false);
        let mut plan = plan_for(&catalog, id, &concerned);
        lock(&self.nudged).append(&mut plan.others);
        lock(&self.guard).forget(id);
        plan.conflicts.clear();
        plan.actions
            .retain(|action| matches!(action, Action::Register { reason: Reason::Uncertain, .. }));
        plan
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
        // That the owner of its network has ended is no change of the pipeline.
        let reached = outcome.unselected || !outcome.candidates.is_empty();
        let by_life = !reached && container.cut_off().is_some();
        let mut services = outcome.services;
        self.lifecycle.add_checks(container, &mut services);
        Offer { services, by_life, ending, makeshift }
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
            let ids = catalog.had(container).into_iter();
            ids.filter(|id| catalog.maintenance_differs(id, wanted)).collect()
        };
        let mut first = Ok(());
        for id in differing {
            let reason = wanted.then_some(reason.as_str());
            let before = lock(&self.catalog).begin_maintenance(&id);
            let result = self.registry.set_maintenance(&id, reason).await;
            match &result {
                Ok(()) => lock(&self.catalog).note_maintenance(&id, wanted.then_some(true)),
                Err(error) if error.is_transient() => {}
                Err(_) => lock(&self.catalog).note_maintenance(&id, before),
            }
            if let Err(error) = result {
                first = first.and(Err(error.into()));
                continue;
            }
            let words = if wanted { "in maintenance" } else { "out of maintenance" };
            info!("{words}: {} {id}", container.short());
        }
        first
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

    /// Report from now on how a container is, to the checks to which something is
    /// reported for it.
    fn keep_beat(&self, container: &Container) -> Next {
        let mut beats = lock(&self.beats);
        let now = beats.get(&container.id).map(|beat| beat.now(container));
        match now.filter(|now| beats.get(&container.id) != Some(now)) {
            Some(now) => {
                beats.insert(container.id.clone(), now);
                vec![(Job::Beat(container.id.clone()), Duration::ZERO)]
            }
            None => Next::new(),
        }
    }

    /// Whether an ended container keeps its services by the rule of
    /// `-deregister on-success`. A code above 128 is that of a signal.
    pub(super) fn keeps(&self, container: &Container) -> bool {
        let ended = matches!(container.state, State::Exited | State::Dead);
        let failed = container.exit_code != 0 && container.exit_code & 128 == 0;
        self.deregister == Deregister::OnSuccess && ended && failed
    }

    /// The containers that another one's look has left something for since this was
    /// asked last.
    pub(super) fn take_nudged(&self) -> BTreeSet<ContainerId> {
        std::mem::take(&mut lock(&self.nudged))
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
