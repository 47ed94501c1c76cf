//! The one cycle: what is found out about a container, what follows from that, and what is done.
//!
//! The daemon walks its steps for many containers at once and for ever; a forecast walks the same
//! steps one after the other, on a registry that is not written to. The plan is what happens,
//! because nothing else could happen.

pub(super) mod agenda;
mod compare;
mod execute;
mod failing;
mod maintain;
mod neighbours;
mod observe;
mod queue;
mod sync;
mod tell;
mod trace;
mod verify;

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;
use tracing::debug;

use super::{
    decision::Decisions,
    job::{Job, JobError, Next, looks},
    options::{Options, Rules},
    state::{Offer, Planned, State, Wanted, history::ChangeKind, overview::Became, plan::Plan},
    surroundings::{Unknown, surroundings},
    way::Ways,
};
use crate::{
    docker::{Moment, Source},
    error::error_chain,
    model::{
        container::{Container, ContainerId},
        host::Host,
    },
    pipeline::Pipeline,
    registry::Registry,
};

pub(super) use observe::Observed;

/// The parts and the state that all jobs share.
pub(super) struct Shared {
    pub(super) source: Arc<dyn Source>,
    pub(super) registry: Arc<dyn Registry>,
    pipeline: RwLock<Pipeline>,
    pub(super) rules: Rules,
    state: Mutex<State>,
    /// One write at a time for a service ID.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// One answer after the other to the question who the engine is.
    identifying: tokio::sync::Mutex<()>,
    /// Where decisions are told, if they are.
    pub(super) decisions: Option<Arc<Decisions>>,
    /// Where the ways of containers are told, if they are.
    pub(super) ways: Option<Arc<Ways>>,
}

/// The decisions of a look, for those who show them.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) plan: Plan,
    /// The plan waits for the bulk guard.
    pub(super) waits: bool,
    /// Notes on other daemons, or other names of this host, that it concerns.
    pub(super) notes: Vec<String>,
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
        let rules = Rules::new(host, options);
        let state = State::new(&rules, options).into();
        Self {
            source,
            registry,
            pipeline: RwLock::new(pipeline),
            rules,
            state,
            turns: Mutex::default(),
            identifying: tokio::sync::Mutex::default(),
            decisions: None,
            ways: None,
        }
    }

    /// The same loop at this moment, between other parts. Nothing that it does bears on this one.
    pub(super) fn fork(&self, source: Arc<dyn Source>, registry: Arc<dyn Registry>) -> Self {
        let mut state = self.state().clone();
        // What is said of the containers takes a look at each.
        state.life.unsettle();
        Self {
            source,
            registry,
            pipeline: RwLock::new(self.pipeline()),
            rules: self.rules.clone(),
            state: state.into(),
            turns: Mutex::default(),
            identifying: tokio::sync::Mutex::default(),
            decisions: None,
            ways: None,
        }
    }

    /// The state, and the parts of what is kept beside it.
    #[cfg(test)]
    pub(super) fn dismantled(self) -> (State, Vec<super::kept::Part>) {
        let Self { pipeline, state, turns, .. } = self;
        let pipeline = pipeline.into_inner().unwrap_or_else(PoisonError::into_inner);
        let state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
        (state, vec![("turns of writes", Box::new(turns)), ("pipeline", Box::new(pipeline))])
    }

    /// The state, for as long as something is asked of it or noted in it: never across a wait.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The connection to the source was lost: it may be another one now.
    pub(super) fn lose_engine(&self) {
        let time = self.time();
        let mut state = self.state();
        state.engine.lose();
        state.figures.note_docker(Some("the stream of events has ended".into()), time);
    }

    /// The time by the source's clock.
    pub(super) fn time(&self) -> SystemTime {
        UNIX_EPOCH + self.source.now().0
    }

    /// Use another pipeline from now on. The bulk guard decides on what it would take out.
    pub(super) fn replace_pipeline(&self, pipeline: Pipeline) {
        self.state().guard.begin();
        *self.pipeline.write().unwrap_or_else(PoisonError::into_inner) = pipeline;
    }

    pub(super) fn pipeline(&self) -> Pipeline {
        self.pipeline.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An event tells that a container was started at this time.
    pub(super) fn started(&self, container: &ContainerId, at: Moment) {
        let now = self.source.now();
        self.state().life.note_start(container, at.0, now.0);
    }

    /// An event tells that a container has ended with this code at this time.
    pub(super) fn died(&self, container: &ContainerId, exit_code: i64, at: Moment) {
        let now = self.source.now();
        self.state().life.note_death(container, exit_code, at.0, now.0);
    }

    /// A signal was sent to a container. Whether that is a reason to look at it.
    pub(super) fn signalled(&self, container: &ContainerId, signal: i64) -> bool {
        let mut state = self.state();
        state.life.note_signal(&self.rules.lifecycle, container, signal, Instant::now())
    }

    /// For how much longer a container counts as ending, if it was told to end.
    pub(super) fn ending(&self, container: &Container) -> Option<Duration> {
        self.state().life.ending(&self.rules.lifecycle, container, Instant::now())
    }

    /// The trial of a change has seen every container.
    pub(super) fn decide(&self) -> Next {
        let time = self.time();
        looks(self.state().decide(&self.rules, time))
    }

    /// Somebody confirms what is held.
    pub(super) fn confirm(&self) -> Next {
        looks(self.state().confirm())
    }

    /// Do a job.
    pub(super) async fn work(&self, job: &Job) -> Result<Next, JobError> {
        match job {
            Job::Sync => self.sync().await,
            Job::Reconcile(id) => self.look(id).await,
            Job::Heartbeat(id) => self.report_heartbeat(id).await,
            Job::Watch => self.watch().await,
            Job::Neighbours => self.neighbours().await,
            Job::Compare => self.compare().await,
            Job::CleanUp => self.clean_up().await,
        }
    }

    /// Bring what is registered for a container up to date.
    pub(super) async fn look(&self, id: &ContainerId) -> Result<Next, JobError> {
        let way = self.begin_way(id);
        let (mut observed, mut record) = (self.observe(id).await, Record::default());
        let concluded = self.conclude(&mut observed, &mut record).await;
        self.tell_way(way, &observed, &concluded);
        self.tell_decision(&observed, &record, &concluded);
        let mut next = concluded?;
        // What the event did not tell, such as what those learn who share its network.
        if observed.told {
            next.extend(looks([id.clone()]));
        }
        let settled = observed.running().filter(|_| next.is_empty() && !record.waits);
        if let Some(container) = settled {
            self.state().note_settled(container, observed.asked);
        }
        Ok(next)
    }

    /// The host's facts for a container, and in the container those of its image, as far as the
    /// pipeline's stages are shown them.
    pub(super) async fn surroundings(
        &self,
        pipeline: &Pipeline,
        container: &mut Container,
    ) -> Result<Cow<'_, Host>, Unknown> {
        let (source, registry) = (&*self.source, &*self.registry);
        surroundings(source, Some(registry), pipeline, &self.rules.host, container).await
    }

    /// Do what follows from what was found out about a container.
    pub(super) async fn conclude(
        &self,
        observed: &mut Observed,
        record: &mut Record,
    ) -> Result<Next, JobError> {
        let concluded = match observed.failure.take() {
            // What it keeps it keeps in use.
            Some(failure) => match observed.running() {
                Some(container) => {
                    let ending = self.ending(container).is_some();
                    self.maintain(&observed.id, ending).await.and(Err(failure))
                }
                None => Err(failure),
            },
            None => self.settle(observed, record).await,
        };
        if let Err(error) = &concluded {
            let mut state = self.state();
            state.guard.not_judged(&observed.id);
            state.figures.note(&observed.id, Some(Became::Failed));
            let reason = error_chain(error);
            state.roster.note_failure(&observed.id, observed.container.as_ref(), &reason);
            state.note_change(&observed.id, None, ChangeKind::Failed, reason, self.time());
        }
        concluded
    }

    /// Make what is registered for a container what it offers.
    async fn settle(&self, observed: &Observed, record: &mut Record) -> Result<Next, JobError> {
        let (id, container) = (&observed.id, observed.container.as_ref());
        let mut offer = match (observed.running(), &observed.outcome) {
            (Some(container), Some(outcome)) => {
                let (pipeline, now) = (&observed.pipeline, Instant::now());
                self.state().offer(&self.rules, container, pipeline, outcome, now)
            }
            _ if container.is_some_and(|container| self.rules.keeps(container)) => {
                debug!(container = id.short(), "ended with a failure; it keeps its services");
                self.forget(id);
                let nothing = Offer::of_nothing();
                self.state().note_outcome(id, container, None, &nothing, false, self.time());
                let plan = self.state().plan_to_keep(id);
                record.plan = plan.clone();
                self.execute(id, plan, &|_| String::new()).await?;
                self.maintain(id, false).await?;
                return Ok(Next::new());
            }
            _ => {
                self.forget(id);
                Offer::of_nothing()
            }
        };
        let Planned { plan, rival, waits } = self.plan(id, container, &mut offer);
        (record.plan, record.waits) = (plan.clone(), waits);
        record.notes = self.state().notes(id, &plan.actions, waits);
        let (outcome, time) = (observed.outcome.as_ref(), self.time());
        if let Some(container) = container {
            self.state().note_outcome(id, Some(container), outcome, &offer, waits, time);
        }
        let why = |removed: &str| observed.why_removed(removed, &offer, &record.plan);
        let executed = if waits { Ok(()) } else { self.execute(id, plan, &why).await };
        if container.is_none() {
            self.state().note_outcome(id, None, None, &offer, waits, time);
        }
        // Whatever could not be done.
        let maintained = match observed.running() {
            Some(_) => self.maintain(id, offer.ending.is_some()).await,
            None => Ok(()),
        };
        executed.and(maintained)?;
        if let Some(service) = self.state().catalog.refused(id).filter(|_| !waits) {
            return Err(JobError::Refused(service));
        }
        let Some(container) = observed.running() else { return Ok(Next::new()) };
        Ok(self.again(container, &offer, observed.asked, rival, waits))
    }

    /// The plan for a container that offers this. The marks, which take a digest of each service, are
    /// made while others may use the state.
    fn plan(&self, id: &ContainerId, container: Option<&Container>, offer: &mut Offer) -> Planned {
        let time = self.source.now().0;
        let (marks, kept) = self.state().keep(&self.rules, id, container, offer, time);
        let wanted = Wanted::new(marks, id, std::mem::take(&mut offer.services), kept);
        self.state().plan(&self.rules, id, container, offer, wanted)
    }

    /// The jobs for a running container that follow although nothing happens to it.
    fn again(
        &self,
        container: &Container,
        offer: &Offer,
        asked: Instant,
        rival: bool,
        waits: bool,
    ) -> Next {
        let (id, time) = (&container.id, self.source.now().0);
        let mut state = self.state();
        // What waits for the guard is looked at when it has decided.
        let until = state.catalog.next_retirement(id).filter(|_| !waits);
        let at_its_end = until.map(|until| until.saturating_sub(time));
        let again = (offer.degraded || rival).then_some(AGAIN);
        let late = state.life.late_ports(container, asked, Instant::now());
        let pauses = offer.ending.into_iter().chain(late).chain(at_its_end).chain(again);
        let mut next: Next = pauses.map(|pause| (Job::Reconcile(id.clone()), pause)).collect();
        let is_news = if waits {
            state.life.keep_heartbeat(container)
        } else {
            let mut services = state.catalog.offered(id);
            if !self.registry.capabilities().checks {
                services.clear();
            }
            state.life.note_heartbeat(&self.rules.lifecycle, container, &services)
        };
        next.extend(is_news.then(|| (Job::Heartbeat(id.clone()), Duration::ZERO)));
        next
    }

    fn forget(&self, id: &ContainerId) {
        self.pipeline().forget(id);
        self.state().life.forget(id);
    }
}

/// The state is whole whenever the lock is free; a panic elsewhere does not
/// spoil it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
