//! Runs the loop: listens to the source's events and to orders, and works on what is due.

mod jobs;
mod listen;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, interval_at, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    cycle::Shared,
    decision::Decisions,
    job::Job,
    options::Options,
    rehearse::Rehearsal,
    seen::Seen,
    state::{
        guard::Held,
        history::Change,
        meters::Reloaded,
        overview::{Overview, TroubleKind},
    },
    view::Explainer,
    way::Ways,
};
use crate::telemetry::event;
use crate::{
    docker::Source,
    model::{container::ContainerId, host::Host},
    pipeline::Pipeline,
    registry::Registry,
};
use jobs::Jobs;
use listen::{News, listen};

/// An order to the loop, or a question.
enum Order {
    ReplacePipeline(Pipeline),
    Pipeline(oneshot::Sender<Pipeline>),
    Held(oneshot::Sender<Option<Held>>),
    Confirm(oneshot::Sender<Option<Held>>),
    Explainer(oneshot::Sender<Explainer>),
    Rehearsal(oneshot::Sender<Rehearsal>),
    Overview(oneshot::Sender<Overview>),
    History(oneshot::Sender<Vec<Change>>),
    Trouble(TroubleKind, Option<String>, oneshot::Sender<bool>),
    Seen(oneshot::Sender<(Seen, Pipeline)>),
    Reloaded(Reloaded),
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
    /// Use another pipeline from now on, and look at every container. Its
    /// removals go through the bulk guard.
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

    /// The changes that the bulk guard holds.
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

    /// An explainer of why a container's services are what they are.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn explainer(&self) -> Result<Explainer, Stopped> {
        self.ask(Order::Explainer).await
    }

    /// A rehearsal of the loop from now on, with this pipeline or another one.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn rehearsal(&self) -> Result<Rehearsal, Stopped> {
        self.ask(Order::Rehearsal).await
    }

    /// How the loop fares.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn overview(&self) -> Result<Overview, Stopped> {
        self.ask(Order::Overview).await
    }

    /// Note that there is this trouble, or none of its kind any more. Whether that is news.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn note_trouble(
        &self,
        kind: TroubleKind,
        words: Option<String>,
    ) -> Result<bool, Stopped> {
        self.ask(|answer| Order::Trouble(kind, words, answer)).await
    }

    /// All that is shown of the loop, as it is at one moment.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn seen(&self) -> Result<Seen, Stopped> {
        let (seen, pipeline) = self.ask(Order::Seen).await?;
        // What takes a moment is done here, and a pipeline that is replaced is not kept.
        Ok(Seen { stages: pipeline.health(), pipeline: pipeline.digest(), ..seen })
    }

    /// Count what became of a changed configuration.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn count_reload(&self, became: Reloaded) -> Result<(), Stopped> {
        self.0.send(Order::Reloaded(became)).await.map_err(|_| Stopped)
    }

    /// The last changes, the oldest first.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn history(&self) -> Result<Vec<Change>, Stopped> {
        self.ask(Order::History).await
    }

    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, Stopped> {
        let (sender, answer) = oneshot::channel();
        self.0.send(order(sender)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }
}

/// The control loop.
pub struct Reconciler {
    pub(super) shared: Arc<Shared>,
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

    /// The same, which tells its decisions there.
    pub fn telling(mut self, decisions: Option<Arc<Decisions>>) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.decisions = decisions;
        }
        self
    }

    /// The same, which tells the ways of containers there.
    pub fn tracing(mut self, ways: Option<Arc<Ways>>) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.ways = ways;
        }
        self
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
        let time = self.shared.time();
        self.shared.state().figures.note_start(time);
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
            let reason = error.to_string();
            error!(
                event = event::ENDED_BADLY,
                reason, "the listener to Docker's events has failed"
            );
        }
        let leave = self.shared.leave(self.options.lifecycle.on_exit);
        if timeout(self.options.grace, leave).await.is_err() {
            warn!(
                event = event::ABANDONED,
                reason = "lifecycle.on-exit",
                "not all services could be treated as lifecycle.on-exit says"
            );
        }
    }

    fn note(&self, jobs: &mut Jobs, news: News) {
        match news {
            News::Changed(id) => self.hear_of(jobs, id),
            News::Signalled(id, signal) => {
                // If the signal ends the container, another event says so.
                if self.shared.signalled(&id, signal) {
                    jobs.add(Job::Reconcile(id), Duration::ZERO);
                }
            }
            News::Started(id, at) => {
                self.shared.started(&id, at);
                self.hear_of(jobs, id);
            }
            News::Died(id, exit_code, at) => {
                self.shared.died(&id, exit_code, at);
                self.hear_of(jobs, id);
            }
            News::Unknown => jobs.add(Job::Sync, Duration::ZERO),
            News::Quiet => {
                if self.shared.state().life.wants_comparison(Instant::now()) {
                    jobs.add(Job::Compare, Duration::ZERO);
                }
            }
            News::Lost => {
                self.shared.lose_engine();
                // A stream that ends as soon as it is opened must not keep the engine unknown,
                // and with it every container from being looked at, until it is opened again.
                jobs.add(Job::Sync, ASK_ANEW);
            }
            News::Reconnected => jobs.add(Job::Sync, Duration::ZERO),
        }
    }

    /// Something happened to a container.
    fn hear_of(&self, jobs: &mut Jobs, id: ContainerId) {
        self.shared.state().meters.event(&id, Instant::now());
        if let Some(ways) = &self.shared.ways {
            ways.hear_of(&id);
        }
        jobs.add(Job::Reconcile(id), Duration::ZERO);
    }

    fn obey(&self, jobs: &mut Jobs, order: Order) {
        // Whoever asked may have gone; that does not matter.
        match order {
            Order::ReplacePipeline(pipeline) => {
                self.shared.replace_pipeline(pipeline);
                jobs.begin_trial();
            }
            Order::Pipeline(answer) => drop(answer.send(self.shared.pipeline())),
            Order::Held(answer) => drop(answer.send(self.shared.state().held())),
            Order::Explainer(answer) => {
                let explainer = Explainer::new(self.shared.clone(), jobs.faults());
                drop(answer.send(explainer));
            }
            Order::Overview(answer) => drop(answer.send(self.shared.state().overview())),
            Order::Trouble(kind, words, answer) => {
                let time = self.shared.time();
                let news = self.shared.state().figures.note_trouble(kind, words, time);
                let _ = answer.send(news);
            }
            Order::Seen(answer) => {
                let (pipeline, load) = (self.shared.pipeline(), jobs.load());
                let state = self.shared.state();
                let (containers, revision) = state.roster.rows();
                let seen = Seen {
                    overview: state.overview(),
                    held: state.held(),
                    stages: Vec::new(),
                    pipeline: String::new(),
                    counts: state.meters.counts.clone(),
                    load,
                    containers,
                    revision,
                };
                drop(state);
                drop(answer.send((seen, pipeline)));
            }
            Order::Reloaded(became) => {
                *self.shared.state().meters.counts.reloads.entry(became).or_default() += 1;
            }
            Order::History(answer) => drop(answer.send(self.shared.state().history.changes())),
            Order::Rehearsal(answer) => {
                let (source, registry) = (self.shared.source.clone(), self.shared.registry.clone());
                let rehearsal = Rehearsal::of(&self.shared, source, registry, &self.options);
                drop(answer.send(rehearsal));
            }
            Order::Confirm(answer) => {
                let held = self.shared.state().held();
                if let Some(held) = &held {
                    info!(event = event::CONFIRMED, reason = %held, "confirmed: {held}");
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
