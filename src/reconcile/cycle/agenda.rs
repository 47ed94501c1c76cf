//! The jobs to be done, their order, and the jobs that follow from them: each job at most once at a
//! time, each tried again until it succeeds, and none held up by another one's failures.
//!
//! The time is an argument, and nothing is waited for: whoever has an agenda takes what is due,
//! does it, and says how it ended.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{
    Shared,
    failing::{say_recovered, warn_of},
    queue::Queue,
};
use crate::{
    error::error_chain,
    model::container::ContainerId,
    reconcile::{
        absence::Fault,
        job::{FAST_CAP, Job, JobError, Next, fast, looks, slow, slowest},
        options::Options,
        seen::Load,
    },
    telemetry::event,
    text::counted,
};

/// The result of a job: the jobs that follow, or the error.
pub(in crate::reconcile) type JobResult = Result<Next, JobError>;

/// The jobs that wait, that are being done, and that have failed.
pub(in crate::reconcile) struct Agenda {
    shared: Arc<Shared>,
    queue: Queue<Job>,
    /// Those that are being done, and since when.
    running: HashMap<Job, Instant>,
    failing: HashMap<Job, Failing>,
    /// The time between two looks whether the registry still has what it was
    /// told; none for one that does not forget.
    watch: Option<Duration>,
    /// Nothing can be planned before the registry was read once.
    synced: bool,
    /// The containers that the trial of a change has still to see; none if it
    /// does not know them yet.
    unseen: Option<HashSet<ContainerId>>,
}

/// A job that failed the last time.
struct Failing {
    delays: ExponentialBackoff,
    transient: bool,
    /// It is not known what the container offers.
    blind: bool,
    attempts: u64,
    /// The last time that it failed.
    at: Instant,
    /// The fault of that time.
    fault: Option<Fault>,
}

impl Failing {
    fn new(transient: bool, delays: ExponentialBuilder, now: Instant) -> Self {
        let delays = delays.build();
        Self { delays, transient, blind: false, attempts: 0, at: now, fault: None }
    }
}

impl Agenda {
    /// The agenda of a loop that begins now.
    pub(in crate::reconcile) fn new(shared: Arc<Shared>, options: &Options, now: Instant) -> Self {
        let can = shared.registry.capabilities();
        let watch = can.may_forget.then_some(options.watch);
        let mut agenda = Self {
            shared,
            queue: Queue::new(),
            running: HashMap::new(),
            failing: HashMap::new(),
            watch,
            synced: false,
            unseen: None,
        };
        agenda.add(Job::Sync, now);
        if let Some(watch) = watch {
            agenda.add(Job::Watch, now + watch);
        }
        // Without marks there is nothing to be known by, and registrator read nothing.
        let known = options.provenance && !agenda.shared.rules.is_original();
        if known && can.neighbours {
            agenda.add(Job::Neighbours, now);
        }
        agenda
    }

    /// Do a job then, or earlier if it is wanted earlier.
    pub(in crate::reconcile) fn add(&mut self, job: Job, due: Instant) {
        self.queue.add(job, due);
    }

    pub(in crate::reconcile) fn add_all(&mut self, next: Next, now: Instant) {
        for (job, after) in next {
            self.add(job, now + after);
        }
    }

    /// Begin the trial of a change: everything is looked at.
    pub(in crate::reconcile) fn begin_trial(&mut self, now: Instant) {
        self.unseen = None;
        self.add(Job::Sync, now);
    }

    /// Begin the job that has been due the longest and can be done.
    pub(in crate::reconcile) fn start(&mut self, now: Instant) -> Option<Job> {
        let ready = self.ready(now);
        let job = self.queue.pop(now, |job| may_start(job, ready))?;
        self.running.insert(job.clone(), now);
        Some(job)
    }

    /// When the next job can be done; none if none can before something else
    /// happens.
    pub(in crate::reconcile) fn next_due(&self, now: Instant) -> Option<Instant> {
        let ready = self.ready(now);
        self.queue.next_due(|job| may_start(job, ready))
    }

    /// Note that a job has ended. If the registry is back, return the jobs begun before then that
    /// may never be answered.
    pub(in crate::reconcile) fn finish(
        &mut self,
        job: &Job,
        result: JobResult,
        now: Instant,
    ) -> Vec<Job> {
        let began = self.running.remove(job);
        self.queue.done(job);
        if let (Job::Reconcile(id), Some(began), Ok(_)) = (job, began, &result) {
            self.shared.state().meters.settled(id, began, now);
        }
        self.note_connections(job, &result);
        let mut hanging = Vec::new();
        match result {
            Ok(next) => hanging = self.succeeded(job, next, now),
            Err(JobError::Panicked(error)) if error.is_cancelled() => self.add(job.clone(), now),
            Err(error) => self.retry(job.clone(), &error, now),
        }
        self.requeue(now);
        if let Job::Reconcile(id) = job {
            self.saw(id, now);
        }
        hanging
    }

    /// Note in the figures what a job's result tells of the connections, and the end of a full
    /// cycle.
    fn note_connections(&self, job: &Job, result: &JobResult) {
        let time = self.shared.time();
        let figures = &mut self.shared.state().figures;
        match (job, result) {
            (_, Err(JobError::Registry(error))) if error.is_transient() => {
                figures.note_registry(Some(error_chain(error)), time);
            }
            (_, Err(error @ JobError::Source(_))) if error.is_transient() => {
                figures.note_docker(Some(error_chain(error)), time);
            }
            (Job::Sync, Ok(_)) => {
                figures.note_registry(None, time);
                figures.note_docker(None, time);
            }
            (Job::Watch, Ok(_)) => figures.note_registry(None, time),
            (Job::Compare, Ok(_)) => figures.note_docker(None, time),
            (Job::CleanUp, Ok(_)) => figures.note_full_cycle(time),
            _ => {}
        }
    }

    /// Look at the containers that others' looks have left something for. One that
    /// waits to be tried again is looked at then.
    fn requeue(&mut self, now: Instant) {
        let requeued = self.shared.state().take_requeued();
        for id in requeued {
            let job = Job::Reconcile(id);
            if self.queue.is_active(&job) || !self.failing.contains_key(&job) {
                self.add(job, now);
            }
        }
    }

    fn ready(&self, now: Instant) -> Ready {
        let engine = self.shared.state().engine.is_known();
        Ready { synced: self.synced, engine, calm: self.is_calm(now) }
    }

    /// Whether it is known of every container what it offers. One that is to be
    /// looked at again in a while was looked at.
    fn is_calm(&self, now: Instant) -> bool {
        let tells = |job: &Job| matches!(job, Job::Reconcile(_) | Job::Sync);
        !self.running.keys().any(tells)
            && !self.failing.iter().any(|(job, failing)| tells(job) && failing.blind)
            && !self.queue.waits(|job, due| tells(job) && due <= now)
    }

    fn succeeded(&mut self, job: &Job, mut next: Next, now: Instant) -> Vec<Job> {
        let failing = self.failing.remove(job);
        if let Some(failing) = &failing {
            let name = job.container().and_then(|id| self.shared.state().name_of(id));
            say_recovered(job, name.as_deref(), failing.attempts);
        }
        let failed = failing.map(|failing| failing.at);
        let (mut hanging, mut again) = (Vec::new(), false);
        match job {
            Job::Sync => {
                self.synced = true;
                let looks = next.iter().filter_map(|(job, _)| match job {
                    Job::Reconcile(id) => Some(id.clone()),
                    _ => None,
                });
                // A trial that has begun goes on with what it has still to see.
                let seen = self.unseen.as_ref().is_none_or(HashSet::is_empty);
                let mut state = self.shared.state();
                let begins = seen && state.guard.is_trial();
                if begins && state.named_all {
                    self.unseen = Some(looks.collect());
                    state.begin_trial();
                } else if begins {
                    // The trial began while the list was being made.
                    again = true;
                }
            }
            Job::Watch => {
                if let Some(watch) = self.watch {
                    self.add(Job::Watch, now + watch);
                }
                if let Some(failed) = failed {
                    hanging = self.registry_is_back(failed, now);
                }
            }
            Job::Compare => {
                // What is to be looked at anyway is no news.
                next.retain(|(job, _)| !self.queue.has(job) && !self.failing.contains_key(job));
                let containers =
                    next.iter().filter(|(job, _)| matches!(job, Job::Reconcile(_))).count();
                if containers > 0 {
                    warn!(
                        event = event::UNHEARD,
                        count = containers,
                        "no event told of a change; looking at {}",
                        counted(containers, "container", "containers")
                    );
                }
            }
            Job::Reconcile(_) | Job::Heartbeat(_) | Job::CleanUp | Job::Neighbours => {}
        }
        self.add_all(next, now);
        if again {
            self.add(Job::Sync, now);
        }
        if *job == Job::Sync {
            self.decide_if_all_seen(now);
            self.add(Job::CleanUp, now);
        }
        hanging
    }

    /// The registry answers again. It may never answer earlier calls, and it may have lost what it
    /// had.
    fn registry_is_back(&mut self, failed: Instant, now: Instant) -> Vec<Job> {
        self.add(Job::Sync, now);
        let hangs = |(job, since): &(&Job, &Instant)| {
            let long = **since < failed && now.duration_since(**since) >= HANGING;
            long && matches!(job, Job::Reconcile(_) | Job::Heartbeat(_))
        };
        self.running.iter().filter(hangs).map(|(job, _)| job.clone()).collect()
    }

    /// A container was looked at, and is not to be looked at again for something
    /// that happened meanwhile.
    fn saw(&mut self, id: &ContainerId, now: Instant) {
        if self.queue.is_due(&Job::Reconcile(id.clone()), now) {
            return;
        }
        if self.unseen.as_mut().is_some_and(|unseen| unseen.remove(id)) {
            self.decide_if_all_seen(now);
        }
    }

    fn decide_if_all_seen(&mut self, now: Instant) {
        if self.unseen.as_ref().is_some_and(HashSet::is_empty) {
            let again = self.shared.state().take_partly_seen();
            if !again.is_empty() {
                self.unseen = Some(again.iter().cloned().collect());
                self.add_all(looks(again), now);
                return;
            }
            let next = self.shared.decide();
            self.add_all(next, now);
            self.requeue(now);
        }
    }

    /// The faults of the last looks at containers, where they failed.
    pub(in crate::reconcile) fn faults(&self) -> HashMap<ContainerId, Fault> {
        let fault = |(job, failing): (&Job, &Failing)| match job {
            Job::Reconcile(id) => Some((id.clone(), failing.fault.clone()?)),
            _ => None,
        };
        self.failing.iter().filter_map(fault).collect()
    }

    /// The job that is tried again next of those that failed with what may have been done
    /// meanwhile, and when.
    pub(in crate::reconcile) fn next_retry(&self) -> Option<Instant> {
        let retried = |job: &Job| self.failing.get(job).is_some_and(|failing| !failing.blind);
        self.queue.next_due(|job| matches!(job, Job::Reconcile(_)) && retried(job))
    }

    /// The number of jobs that are due, that wait, that run and that fail.
    pub(in crate::reconcile) fn load(&self, now: Instant) -> Load {
        let (due, later) = self.queue.depth(now);
        Load { due, later, running: self.running.len(), failing: self.failing.len() }
    }

    fn retry(&mut self, job: Job, error: &JobError, now: Instant) {
        self.shared.state().meters.counts.retries += 1;
        let transient = error.is_transient();
        let by_registry = matches!(error, JobError::Registry(_) | JobError::Refused(_));
        let delays = match transient {
            true => fast(),
            false if by_registry && self.shared.rules.is_original() => slowest(),
            false => slow(),
        };
        let new = || Failing::new(transient, delays, now);
        let failing = self.failing.entry(job.clone()).or_insert_with(new);
        if failing.transient != transient {
            *failing = new();
        }
        failing.blind = error.is_blind();
        failing.attempts += 1;
        failing.at = now;
        let delay = failing.delays.next().unwrap_or(FAST_CAP);
        let attempts = failing.attempts;
        failing.fault = Some(Fault::of(error, attempts));
        // What lasts is not worth a line for each attempt: the log counts such warnings.
        if attempts == 1 {
            error.log_messages();
        }
        let known = job.container().and_then(|id| self.shared.state().name_of(id));
        let name = known.as_deref().or(error.container_name());
        let error = error_chain(error);
        warn_of(&job, name, &error);
        debug!(?job, error, attempts, ?delay, "trying again");
        self.add(job, now + delay);
    }
}

/// Calls younger than this may still be answered.
const HANGING: Duration = Duration::from_secs(3);

/// The conditions by which jobs may start.
#[derive(Clone, Copy)]
struct Ready {
    /// The registry was read once.
    synced: bool,
    /// It is known which container engine this is.
    engine: bool,
    /// All containers were looked at.
    calm: bool,
}

/// Nothing can be planned before the registry was read once. That a container is not
/// there means nothing while the engine may be another one; and to clean up takes
/// that all containers were looked at.
fn may_start(job: &Job, ready: Ready) -> bool {
    match job {
        Job::Sync => true,
        Job::CleanUp => ready.synced && ready.engine && ready.calm,
        Job::Reconcile(_) | Job::Compare | Job::Neighbours => ready.synced && ready.engine,
        Job::Heartbeat(_) | Job::Watch => ready.synced,
    }
}
