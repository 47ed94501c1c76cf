//! The control loop: keeps the registry true to the running containers.
//!
//! It is level-triggered. An event, a resync and a retry all say the same: look
//! at this container again. Looking at a container means to inspect it, run it
//! through the pipeline, note what it offers, plan the difference to what is
//! registered, and carry the plan out. Looking twice changes nothing.
//!
//! What is guaranteed: only services that carry this host's mark, or that this
//! process registered, are deregistered, and only when their container has
//! ended, is gone, or no longer offers them by the pipeline's word; and, by the
//! operator's word, what registrator left behind on this host. While Docker or the registry cannot be
//! read, or a stage fails, a container keeps what it has. At any moment the
//! process may be killed; the next one finds its bearings by the marks.

mod catalog;
mod look;
mod plan;
mod provenance;
mod queue;

use std::{collections::HashMap, sync::Arc, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use futures_util::StreamExt as _;
use tokio::{
    sync::mpsc,
    task::{Id, JoinSet},
    time::{Instant, interval_at, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::{
    container::ContainerId, docker::Source, host::Host, pipeline::Pipeline, registry::Registry,
};
use look::{LookError, Shared};
use queue::Queue;

#[cfg(test)]
mod tests;

pub use plan::{Action, Conflict, Plan, Reason};
pub use provenance::{META_CONTAINER, META_DIGEST, META_HOST, Provenance};

/// When an exited container's services are deregistered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deregister {
    /// Whatever the exit code is.
    #[default]
    Always,
    /// If the process ended with 0 or by a signal; after a failure they stay
    /// until the container is removed or started again.
    OnSuccess,
}

/// How the loop is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// When an exited container's services are deregistered.
    pub deregister: Deregister,
    /// The time between two resyncs; none if there are no regular ones.
    pub resync: Option<Duration>,
    /// How many containers are looked at at once.
    pub concurrency: usize,
    /// Whether what registrator left behind is removed.
    pub cleanup: bool,
    /// Whether services are marked as the daemon's own.
    pub provenance: bool,
    /// How long running work may take to finish after the signal to stop.
    pub grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            deregister: Deregister::Always,
            resync: None,
            cleanup: false,
            concurrency: 16,
            provenance: true,
            grace: Duration::from_secs(5),
        }
    }
}

/// What is to be done, by what it concerns: equal jobs are one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Job {
    /// Read what is registered and which containers run, and look at all.
    Sync,
    /// Look at one container.
    Look(ContainerId),
    /// Remove what is left of containers that are gone.
    CleanUp,
}

/// The control loop.
pub struct Reconciler {
    shared: Arc<Shared>,
    options: Options,
}

type JobResult = Result<Vec<ContainerId>, LookError>;

impl Reconciler {
    /// A loop between these parts. Nothing is done before [`Reconciler::run`].
    pub fn new(
        source: Arc<dyn Source>,
        registry: Arc<dyn Registry>,
        pipeline: Pipeline,
        host: Host,
        options: Options,
    ) -> Self {
        let shared = Shared::new(source, registry, pipeline, host, &options);
        Self { shared: Arc::new(shared), options }
    }

    /// Run until `stop` is cancelled. Then nothing new is begun, what runs may
    /// finish within the grace period, and services stay registered.
    pub async fn run(&self, stop: CancellationToken) {
        // Docker's events are listened to before the first list, so that
        // nothing falls between.
        let (sender, mut inbox) = mpsc::channel(1024);
        let listener = tokio::spawn(listen(self.shared.source.clone(), sender, stop.clone()));

        let mut jobs = Jobs::new(self.shared.clone(), &self.options);
        jobs.queue.add(Job::Sync, Instant::now());
        let period = self.options.resync.unwrap_or(Duration::MAX / 4);
        let first = Instant::now().checked_add(period);
        let mut resync = first.map(|first| interval_at(first, period));
        loop {
            jobs.start_due();
            let next_due = jobs.next_due();
            tokio::select! {
                () = stop.cancelled() => break,
                Some(job) = inbox.recv() => jobs.queue.add(job, Instant::now()),
                Some(done) = jobs.running.join_next_with_id(), if !jobs.running.is_empty() => {
                    jobs.finish(done);
                }
                () = sleep_until(next_due.unwrap_or_else(Instant::now)), if next_due.is_some() => {}
                () = tick(&mut resync) => jobs.queue.add(Job::Sync, Instant::now()),
            }
        }
        drop(inbox);
        jobs.drain(self.options.grace).await;
        if let Err(error) = listener.await {
            error!(%error, "the listener to Docker's events ended badly");
        }
    }
}

async fn tick(interval: &mut Option<tokio::time::Interval>) {
    match interval {
        Some(interval) => drop(interval.tick().await),
        None => std::future::pending().await,
    }
}

/// Pass Docker's events on until `stop`, and ask for a sync whenever the
/// connection was lost: what happened meanwhile is not known.
async fn listen(source: Arc<dyn Source>, sender: mpsc::Sender<Job>, stop: CancellationToken) {
    let mut delays = fast().build();
    info!("Listening for Docker events ...");
    loop {
        let mut events = source.events();
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return,
                event = events.next() => event,
            };
            match event {
                Some(Ok(id)) => {
                    delays = fast().build();
                    if sender.send(Job::Look(id)).await.is_err() {
                        return;
                    }
                }
                Some(Err(error)) => {
                    warn!(error = error_chain(&error), "lost Docker's events; connecting again");
                    break;
                }
                None => {
                    warn!("Docker ended the stream of events; connecting again");
                    break;
                }
            }
        }
        let delay = delays.next().unwrap_or(FAST_CAP);
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(delay) => {}
        }
        if sender.send(Job::Sync).await.is_err() {
            return;
        }
    }
}

/// The longest pause before what may succeed by itself is tried again.
const FAST_CAP: Duration = Duration::from_secs(2);

/// Pauses before what may succeed by itself is tried again.
fn fast() -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(FAST_CAP)
        .without_max_times()
        .with_jitter()
}

/// Pauses before what somebody must mend is tried again.
fn slow() -> ExponentialBuilder {
    fast().with_min_delay(Duration::from_secs(1)).with_max_delay(Duration::from_secs(30))
}

/// The jobs that wait and those that run.
struct Jobs {
    shared: Arc<Shared>,
    queue: Queue<Job>,
    running: JoinSet<JobResult>,
    names: HashMap<Id, Job>,
    failing: HashMap<Job, Failing>,
    limit: usize,
    /// All containers are being looked at, after which it is time to clean up.
    cleanup_due: bool,
    /// Nothing can be planned before the registry was read once.
    synced: bool,
}

/// A job that failed the last time.
struct Failing {
    delays: ExponentialBackoff,
    transient: bool,
    attempts: u64,
}

impl Jobs {
    fn new(shared: Arc<Shared>, options: &Options) -> Self {
        Self {
            shared,
            queue: Queue::new(),
            running: JoinSet::new(),
            names: HashMap::new(),
            failing: HashMap::new(),
            limit: options.concurrency.max(1),
            cleanup_due: false,
            synced: false,
        }
    }

    fn start_due(&mut self) {
        while self.running.len() < self.limit {
            let synced = self.synced;
            let Some(job) = self.queue.pop(Instant::now(), |job| synced || *job == Job::Sync)
            else {
                return;
            };
            let (shared, name) = (self.shared.clone(), job.clone());
            let handle = self.running.spawn(async move {
                match name {
                    Job::Sync => shared.sync().await,
                    Job::Look(id) => shared.look_at(&id).await.map(|()| Vec::new()),
                    Job::CleanUp => shared.clean_up().await.map(|()| Vec::new()),
                }
            });
            self.names.insert(handle.id(), job);
        }
    }

    fn next_due(&self) -> Option<Instant> {
        if self.running.len() < self.limit {
            let synced = self.synced;
            self.queue.next_due(|job| synced || *job == Job::Sync)
        } else {
            None
        }
    }

    fn finish(&mut self, done: Result<(Id, JobResult), tokio::task::JoinError>) {
        let (id, result) = match done {
            Ok((id, result)) => (id, result),
            Err(error) => (error.id(), Err(LookError::Panicked(error))),
        };
        let job = self.names.remove(&id).expect("every task was named when it was spawned");
        self.queue.done(&job);
        match result {
            Ok(containers) => {
                self.failing.remove(&job);
                self.synced |= job == Job::Sync;
                self.cleanup_due |= job == Job::Sync;
                let now = Instant::now();
                for id in containers {
                    self.queue.add(Job::Look(id), now);
                }
            }
            Err(error) => self.retry(job, &error),
        }
        // Only now is it known of every container what it offers.
        let idle = self.running.is_empty() && self.queue.is_empty() && self.failing.is_empty();
        if self.cleanup_due && idle {
            self.cleanup_due = false;
            self.queue.add(Job::CleanUp, Instant::now());
        }
    }

    fn retry(&mut self, job: Job, error: &LookError) {
        let transient = error.is_transient();
        let failing = self.failing.entry(job.clone()).or_insert_with(|| Failing {
            delays: backoff(transient),
            transient,
            attempts: 0,
        });
        if failing.transient != transient {
            *failing = Failing { delays: backoff(transient), transient, attempts: 0 };
        }
        failing.attempts += 1;
        let delay = failing.delays.next().unwrap_or(FAST_CAP);
        let attempts = failing.attempts;
        // A fault that lasts is not worth a line for each attempt.
        let worth_a_line = attempts.is_power_of_two();
        if worth_a_line {
            error.log_messages();
        }
        let error = error_chain(error);
        if worth_a_line {
            match &job {
                Job::Sync | Job::CleanUp => {
                    warn!(error, attempts, ?delay, "cannot synchronise; trying again")
                }
                Job::Look(id) => warn!(
                    container = id.short(),
                    error,
                    attempts,
                    ?delay,
                    "cannot bring a container up to date; it keeps what it has; trying again"
                ),
            }
        } else {
            debug!(?job, error, attempts, ?delay, "trying again");
        }
        self.queue.add(job, Instant::now() + delay);
    }

    /// Let what runs finish within `grace`, and say what does not.
    async fn drain(mut self, grace: Duration) {
        let finished = timeout(grace, async {
            while let Some(done) = self.running.join_next_with_id().await {
                if let Ok((id, _)) = done {
                    self.names.remove(&id);
                }
            }
        });
        if finished.await.is_err() {
            for job in self.names.values() {
                warn!(?job, "abandoned; the next start brings it up to date");
            }
            self.running.shutdown().await;
        }
    }
}

fn backoff(transient: bool) -> ExponentialBackoff {
    if transient { fast().build() } else { slow().build() }
}

/// An error with all its causes in one line.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
