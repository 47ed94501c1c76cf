//! The jobs that wait and those that run: each at most once at a time, each
//! tried again until it succeeds, and none held up by another one's failures.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::{
    task::{AbortHandle, Id, JoinError, JoinSet},
    time::{Instant, timeout},
};
use tracing::{debug, warn};

use super::{
    FAST_CAP, Job, Options,
    explain::Fault,
    fast,
    look::{LookError, Next, Shared, lock},
    queue::Queue,
    slow, slowest,
};
use crate::{container::ContainerId, error::error_chain};

/// What has run for less may be answered all the same.
const HANGING: Duration = Duration::from_secs(3);

pub(super) type JobResult = Result<Next, LookError>;
pub(super) type Finished = Result<(Id, JobResult), JoinError>;

pub(super) struct Jobs {
    shared: Arc<Shared>,
    queue: Queue<Job>,
    pub(super) running: JoinSet<JobResult>,
    names: HashMap<Id, Running>,
    failing: HashMap<Job, Failing>,
    limit: usize,
    /// The time between two looks whether the registry still has what it was
    /// told; none for one that does not forget.
    watch: Option<Duration>,
    /// Nothing can be planned before the registry was read once.
    synced: bool,
    /// The containers that the trial of a change has still to see; none if it
    /// does not know them yet.
    unseen: Option<HashSet<ContainerId>>,
}

struct Running {
    job: Job,
    since: Instant,
    handle: AbortHandle,
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
    /// How it failed then.
    fault: Option<Fault>,
}

impl Failing {
    fn new(transient: bool, delays: ExponentialBuilder) -> Self {
        let delays = delays.build();
        Self { delays, transient, blind: false, attempts: 0, at: Instant::now(), fault: None }
    }
}

impl Jobs {
    pub(super) fn new(shared: Arc<Shared>, options: &Options) -> Self {
        let watch = shared.registry.may_forget().then_some(options.watch);
        let mut jobs = Self {
            shared,
            queue: Queue::new(),
            running: JoinSet::new(),
            names: HashMap::new(),
            failing: HashMap::new(),
            limit: options.concurrency.max(1),
            watch,
            synced: false,
            unseen: None,
        };
        jobs.add(Job::Sync, Duration::ZERO);
        if let Some(watch) = watch {
            jobs.add(Job::Watch, watch);
        }
        // Without marks there is nothing to be known by, and registrator read nothing.
        let known = options.provenance && !jobs.shared.is_original();
        if known && jobs.shared.registry.tells_neighbours() {
            jobs.add(Job::Neighbours, Duration::ZERO);
        }
        jobs
    }

    /// Do a job after a while, or earlier if it is wanted earlier.
    pub(super) fn add(&mut self, job: Job, after: Duration) {
        self.queue.add(job, Instant::now() + after);
    }

    pub(super) fn add_all(&mut self, next: Next) {
        for (job, after) in next {
            self.add(job, after);
        }
    }

    /// Begin the trial of a change: everything is looked at.
    pub(super) fn begin_trial(&mut self) {
        self.unseen = None;
        self.add(Job::Sync, Duration::ZERO);
    }

    pub(super) fn start_due(&mut self) {
        while self.running.len() < self.limit {
            let ready = self.ready();
            let Some(job) = self.queue.pop(Instant::now(), |job| may_start(job, ready)) else {
                return;
            };
            let (shared, name) = (self.shared.clone(), job.clone());
            let handle = self.running.spawn(async move {
                match name {
                    Job::Sync => shared.sync().await,
                    Job::Look(id) => shared.look_at(&id).await,
                    Job::Beat(id) => shared.beat(&id).await,
                    Job::Watch => shared.watch().await,
                    Job::Neighbours => shared.neighbours().await,
                    Job::Compare => shared.compare().await,
                    Job::CleanUp => shared.clean_up().await,
                }
            });
            self.names.insert(handle.id(), Running { job, since: Instant::now(), handle });
        }
    }

    /// When the next job can be started; none if none can before something else
    /// happens.
    pub(super) fn next_due(&self) -> Option<Instant> {
        if self.running.len() < self.limit {
            let ready = self.ready();
            self.queue.next_due(|job| may_start(job, ready))
        } else {
            None
        }
    }

    pub(super) fn finish(&mut self, done: Finished) {
        let (id, result) = match done {
            Ok((id, result)) => (id, result),
            Err(error) => (error.id(), Err(LookError::Panicked(error))),
        };
        let Running { job, .. } =
            self.names.remove(&id).expect("every task was named when it was spawned");
        self.queue.done(&job);
        match result {
            Ok(next) => self.succeeded(&job, next),
            Err(LookError::Panicked(error)) if error.is_cancelled() => {
                self.add(job.clone(), Duration::ZERO);
            }
            Err(error) => self.retry(job.clone(), &error),
        }
        self.nudge();
        if let Job::Look(id) = &job {
            self.saw(id);
        }
    }

    /// Look at the containers that others' looks have left something for. One that
    /// waits to be tried again is looked at then.
    fn nudge(&mut self) {
        for id in self.shared.take_nudged() {
            let job = Job::Look(id);
            if self.queue.is_active(&job) || !self.failing.contains_key(&job) {
                self.add(job, Duration::ZERO);
            }
        }
    }

    fn ready(&self) -> Ready {
        let engine = self.shared.knows_engine();
        Ready { synced: self.synced, engine, calm: self.is_calm() }
    }

    /// Whether it is known of every container what it offers. One that is to be
    /// looked at again in a while was looked at.
    fn is_calm(&self) -> bool {
        let tells = |job: &Job| matches!(job, Job::Look(_) | Job::Sync);
        let now = Instant::now();
        !self.names.values().any(|running| tells(&running.job))
            && !self.failing.iter().any(|(job, failing)| tells(job) && failing.blind)
            && !self.queue.waits(|job, due| tells(job) && due <= now)
    }

    fn succeeded(&mut self, job: &Job, mut next: Next) {
        let failed = self.failing.remove(job).map(|failing| failing.at);
        match job {
            Job::Sync => {
                self.synced = true;
                let looks = next.iter().filter_map(|(job, _)| match job {
                    Job::Look(id) => Some(id.clone()),
                    _ => None,
                });
                // A trial that has begun goes on with what it has still to see.
                let seen = self.unseen.as_ref().is_none_or(HashSet::is_empty);
                if seen && lock(&self.shared.guard).is_trial() {
                    self.unseen = Some(looks.collect());
                    self.shared.count();
                }
            }
            Job::Watch => {
                if let Some(watch) = self.watch {
                    self.add(Job::Watch, watch);
                }
                if let Some(failed) = failed {
                    self.registry_is_back(failed);
                }
            }
            Job::Compare => {
                // What is to be looked at anyway is no news.
                next.retain(|(job, _)| !self.queue.has(job) && !self.failing.contains_key(job));
                let containers = next.iter().filter(|(job, _)| matches!(job, Job::Look(_))).count();
                if containers > 0 {
                    warn!(containers, "no event told of a change; looking at these containers");
                }
            }
            Job::Look(_) | Job::Beat(_) | Job::CleanUp | Job::Neighbours => {}
        }
        self.add_all(next);
        if *job == Job::Sync {
            self.decide_if_all_seen();
            self.add(Job::CleanUp, Duration::ZERO);
        }
    }

    /// The registry answers again. What it was asked before then it may never
    /// answer, and it may have lost what it had.
    fn registry_is_back(&mut self, failed: Instant) {
        for running in self.names.values() {
            let hangs = running.since < failed && running.since.elapsed() >= HANGING;
            if hangs && matches!(running.job, Job::Look(_) | Job::Beat(_)) {
                running.handle.abort();
            }
        }
        self.add(Job::Sync, Duration::ZERO);
    }

    /// A container was looked at, and is not to be looked at again for something
    /// that happened meanwhile.
    fn saw(&mut self, id: &ContainerId) {
        if self.queue.is_due(&Job::Look(id.clone()), Instant::now()) {
            return;
        }
        if self.unseen.as_mut().is_some_and(|unseen| unseen.remove(id)) {
            self.decide_if_all_seen();
        }
    }

    fn decide_if_all_seen(&mut self) {
        if self.unseen.as_ref().is_some_and(HashSet::is_empty) {
            let next = self.shared.decide();
            self.add_all(next);
        }
    }

    /// How looking at containers failed the last time, of those that it failed of.
    pub(super) fn faults(&self) -> HashMap<ContainerId, Fault> {
        let fault = |(job, failing): (&Job, &Failing)| match job {
            Job::Look(id) => Some((id.clone(), failing.fault.clone()?)),
            _ => None,
        };
        self.failing.iter().filter_map(fault).collect()
    }

    fn retry(&mut self, job: Job, error: &LookError) {
        let transient = error.is_transient();
        let by_registry = matches!(error, LookError::Registry(_) | LookError::Refused(_));
        let delays = match transient {
            true => fast(),
            false if by_registry && self.shared.is_original() => slowest(),
            false => slow(),
        };
        let failing =
            self.failing.entry(job.clone()).or_insert_with(|| Failing::new(transient, delays));
        if failing.transient != transient {
            *failing = Failing::new(transient, delays);
        }
        failing.blind = error.is_blind();
        failing.attempts += 1;
        failing.at = Instant::now();
        let delay = failing.delays.next().unwrap_or(FAST_CAP);
        let attempts = failing.attempts;
        failing.fault = Some(Fault::of(error, attempts));
        // A fault that lasts is not worth a line for each attempt.
        let worth_a_line = attempts.is_power_of_two();
        if worth_a_line {
            error.log_messages();
        }
        let error = error_chain(error);
        if worth_a_line {
            warn_of(&job, &error, attempts, delay);
        } else {
            debug!(?job, error, attempts, ?delay, "trying again");
        }
        self.add(job, delay);
    }

    /// Let what runs finish within `grace`, and say what does not.
    pub(super) async fn drain(mut self, grace: Duration) {
        let finished = timeout(grace, async {
            while let Some(done) = self.running.join_next_with_id().await {
                if let Ok((id, _)) = done {
                    self.names.remove(&id);
                }
            }
        });
        if finished.await.is_err() {
            for running in self.names.values() {
                warn!(job = ?running.job, "abandoned; the next start brings it up to date");
            }
            self.running.shutdown().await;
        }
    }
}

/// What is known, and so what can be done.
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
        Job::Look(_) | Job::Compare | Job::Neighbours => ready.synced && ready.engine,
        Job::Beat(_) | Job::Watch => ready.synced,
    }
}

fn warn_of(job: &Job, error: &str, attempts: u64, delay: Duration) {
    match job {
        Job::Sync | Job::Compare | Job::CleanUp | Job::Neighbours => {
            warn!(error, attempts, ?delay, "cannot synchronise; trying again")
        }
        Job::Watch => warn!(
            error,
            attempts,
            ?delay,
            "the registry does not answer; nothing is lost, and all is done when it returns"
        ),
        Job::Beat(id) => {
            warn!(container = id.short(), error, attempts, ?delay, "cannot report to TTL checks");
        }
        Job::Look(id) => warn!(
            container = id.short(),
            error,
            attempts,
            ?delay,
            "cannot bring a container up to date; it keeps what it has; trying again"
        ),
    }
}
