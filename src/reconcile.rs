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
mod compare;
mod dry_run;
mod execute;
mod explain;
mod forecast;
mod guard;
mod jobs;
mod lifecycle;
mod listen;
mod look;
mod neighbours;
mod original;
mod plan;
mod provenance;
mod queue;
mod report;
mod sharing;
mod sync;
mod verify;

use std::{sync::Arc, time::Duration};

use backon::ExponentialBuilder;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, interval_at, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    container::ContainerId, docker::Source, host::Host, pipeline::Pipeline, registry::Registry,
};
use jobs::Jobs;
use listen::{News, listen};
use look::{Shared, lock};

#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;

pub use explain::{Absence, AbsenceKind, Explained, Explainer, Explanation, Standing};
pub use forecast::{
    Brief, Forecast, ForecastContainer, ForecastError, ForecastWrite, Rehearsal, WriteKind,
};
pub use guard::{GuardLimits, Held};
pub use lifecycle::{DrainBy, Healthcheck, Lifecycle, OnExit, Rename};
pub use plan::{Action, Conflict, Heir, Plan, Reason, Removal};
pub use provenance::{
    META_CONTAINER, META_DIGEST, META_ENGINE, META_HOST, META_RETIRE, Provenance,
};

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
    /// How long running work may take to finish after the signal to stop, and
    /// as long again what is then to be done with all services.
    pub grace: Duration,
    /// The time between two looks whether the registry still has what it was
    /// told.
    pub watch: Duration,
    /// How a container's life shows in its services.
    pub lifecycle: Lifecycle,
    /// How much a change may take out at once.
    pub guard: GuardLimits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            deregister: Deregister::Always,
            resync: None,
            cleanup: false,
            concurrency: 16,
            provenance: true,
            grace: Duration::from_secs(4),
            watch: Duration::from_secs(2),
            lifecycle: Lifecycle::default(),
            guard: GuardLimits::default(),
        }
    }
}

/// What is to be done, by what it concerns: equal jobs are one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Job {
    /// Read what is registered and which containers run, and look at all.
    Sync,
    /// See whether the registry still has what it was told.
    Watch,
    /// See whether other daemons' services have come or gone.
    Neighbours,
    /// See whether those containers run that are known to.
    Compare,
    /// Look at one container.
    Look(ContainerId),
    /// Report to the TTL checks of a container's services.
    Beat(ContainerId),
    /// Remove what is left of containers that are gone.
    CleanUp,
}

/// What others want of the loop.
enum Order {
    ReplacePipeline(Pipeline),
    Pipeline(oneshot::Sender<Pipeline>),
    Held(oneshot::Sender<Option<Held>>),
    Confirm(oneshot::Sender<Option<Held>>),
    Explainer(oneshot::Sender<Explainer>),
}

/// A handle on a running loop, for those who change it or ask it. Cheap to
/// clone.
#[derive(Debug, Clone)]
pub struct Handle(mpsc::Sender<Order>);

/// The loop has ended, so that it can be asked nothing.
#[derive(Debug, thiserror::Error)]
#[error("the daemon is stopping")]
pub struct Stopped;

impl Handle {
    /// Use another pipeline from now on, and look at every container. What it
    /// would take out goes through the bulk guard.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn replace_pipeline(&self, pipeline: Pipeline) -> Result<(), Stopped> {
        self.0.send(Order::ReplacePipeline(pipeline)).await.map_err(|_| Stopped)
    }

    /// The pipeline in force, which knows how its stages have fared.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn pipeline(&self) -> Result<Pipeline, Stopped> {
        self.ask(Order::Pipeline).await
    }

    /// What the bulk guard holds.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn held(&self) -> Result<Option<Held>, Stopped> {
        self.ask(Order::Held).await
    }

    /// Carry out what the bulk guard holds, and say what that was.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn confirm(&self) -> Result<Option<Held>, Stopped> {
        self.ask(Order::Confirm).await
    }

    /// What can say of a container why its services are what they are.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn explainer(&self) -> Result<Explainer, Stopped> {
        self.ask(Order::Explainer).await
    }

    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, Stopped> {
        let (sender, answer) = oneshot::channel();
        self.0.send(order(sender)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }
}

/// The control loop.
pub struct Reconciler {
    shared: Arc<Shared>,
    options: Options,
    handle: Handle,
    orders: tokio::sync::Mutex<mpsc::Receiver<Order>>,
}

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
        let (sender, orders) = mpsc::channel(16);
        Self { shared: Arc::new(shared), options, handle: Handle(sender), orders: orders.into() }
    }

    /// A handle on the loop.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Run until `stop` is cancelled. Then nothing new is begun, what runs may
    /// finish within the grace period, and services stay registered unless
    /// [`Lifecycle::on_exit`] says otherwise.
    pub async fn run(&self, stop: CancellationToken) {
        let mut orders = self.orders.lock().await;
        // Docker's events are listened to before the first list, so that
        // nothing falls between.
        let (sender, mut inbox) = mpsc::channel(1024);
        let listener = tokio::spawn(listen(self.shared.source.clone(), sender, stop.clone()));

        let mut jobs = Jobs::new(self.shared.clone(), &self.options);
        let period = self.options.resync.unwrap_or(Duration::MAX / 4);
        let first = Instant::now().checked_add(period);
        let mut resync = first.map(|first| interval_at(first, period));
        loop {
            jobs.start_due();
            let next_due = jobs.next_due();
            // In a fixed order, so that a simulated run can be repeated. Work that
            // has ended comes before new work, so that a flood of events cannot
            // keep its place taken.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = tick(&mut resync) => jobs.add(Job::Sync, Duration::ZERO),
                Some(order) = orders.recv() => self.obey(&mut jobs, order),
                Some(done) = jobs.running.join_next_with_id(), if !jobs.running.is_empty() => {
                    jobs.finish(done);
                }
                Some(news) = inbox.recv() => self.note(&mut jobs, news),
                () = sleep_until(next_due.unwrap_or_else(Instant::now)), if next_due.is_some() => {}
            }
        }
        drop(inbox);
        jobs.drain(self.options.grace).await;
        if let Err(error) = listener.await {
            error!(%error, "the listener to Docker's events ended badly");
        }
        let leave = self.shared.leave(self.options.lifecycle.on_exit);
        if timeout(self.options.grace, leave).await.is_err() {
            warn!("not all services could be treated as lifecycle.on-exit says");
        }
    }

    fn note(&self, jobs: &mut Jobs, news: News) {
        match news {
            News::Changed(id) => jobs.add(Job::Look(id), Duration::ZERO),
            News::Signalled(id, signal) => {
                // If the signal ends the container, another event says so.
                if self.shared.signalled(&id, signal) {
                    jobs.add(Job::Look(id), Duration::ZERO);
                }
            }
            News::Unknown => jobs.add(Job::Sync, Duration::ZERO),
            News::Quiet => jobs.add(Job::Compare, Duration::ZERO),
            News::Lost => {
                self.shared.engine_is_unknown();
                // A stream that ends as soon as it is opened must not keep the engine unknown,
                // and with it every container from being looked at, until it is opened again.
                jobs.add(Job::Sync, ASK_ANEW);
            }
            News::Reconnected => jobs.add(Job::Sync, Duration::ZERO),
        }
    }

    fn obey(&self, jobs: &mut Jobs, order: Order) {
        // Whoever asked may have gone; that does not matter.
        match order {
            Order::ReplacePipeline(pipeline) => {
                self.shared.replace_pipeline(pipeline);
                jobs.begin_trial();
            }
            Order::Pipeline(answer) => drop(answer.send(self.shared.pipeline())),
            Order::Held(answer) => drop(answer.send(lock(&self.shared.guard).held())),
            Order::Explainer(answer) => {
                let explainer = Explainer::new(self.shared.clone(), jobs.faults());
                drop(answer.send(explainer));
            }
            Order::Confirm(answer) => {
                let held = lock(&self.shared.guard).held();
                if let Some(held) = &held {
                    info!("confirmed: {held}");
                }
                jobs.add_all(self.shared.confirm());
                // What waited was not cleaned up after.
                jobs.add(Job::CleanUp, Duration::ZERO);
                drop(answer.send(held));
            }
        }
    }
}

async fn tick(interval: &mut Option<tokio::time::Interval>) {
    match interval {
        Some(interval) => drop(interval.tick().await),
        None => std::future::pending().await,
    }
}

/// The pause after the loss of a connection before the engine is asked who it is, if it is not
/// asked before for the next connection.
const ASK_ANEW: Duration = Duration::from_millis(200);

/// The longest pause before what may succeed by itself is tried again, without the
/// jitter, which at most doubles it.
const FAST_CAP: Duration = Duration::from_millis(500);

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

/// Pauses before what registrator would not try again, but for a resync.
fn slowest() -> ExponentialBuilder {
    fast().with_min_delay(Duration::from_secs(30)).with_max_delay(Duration::from_secs(300))
}
