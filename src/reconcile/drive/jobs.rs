//! Does what is due, so many jobs at once.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    task::{AbortHandle, Id, JoinError, JoinSet},
    time::{Instant, timeout},
};
use tracing::warn;

use crate::{
    model::container::ContainerId,
    reconcile::{
        absence::Fault,
        cycle::{
            Shared,
            agenda::{Agenda, JobResult},
        },
        job::{Job, JobError, Next},
        options::Options,
        seen::Load,
    },
    telemetry::event,
};

pub(in crate::reconcile) type Finished = Result<(Id, JobResult), JoinError>;

pub(in crate::reconcile) struct Jobs {
    shared: Arc<Shared>,
    agenda: Agenda,
    pub(in crate::reconcile) running: JoinSet<JobResult>,
    names: HashMap<Id, (Job, AbortHandle)>,
    limit: usize,
}

impl Jobs {
    pub(in crate::reconcile) fn new(shared: Arc<Shared>, options: &Options) -> Self {
        Self {
            agenda: Agenda::new(shared.clone(), options, Instant::now()),
            shared,
            running: JoinSet::new(),
            names: HashMap::new(),
            limit: options.concurrency.max(1),
        }
    }

    /// Do a job after a while, or earlier if it is wanted earlier.
    pub(in crate::reconcile) fn add(&mut self, job: Job, after: Duration) {
        self.agenda.add(job, Instant::now() + after);
    }

    pub(in crate::reconcile) fn add_all(&mut self, next: Next) {
        self.agenda.add_all(next, Instant::now());
    }

    /// Begin the trial of a change: everything is looked at.
    pub(in crate::reconcile) fn begin_trial(&mut self) {
        self.agenda.begin_trial(Instant::now());
    }

    pub(in crate::reconcile) fn start_due(&mut self) {
        while self.running.len() < self.limit {
            let Some(job) = self.agenda.start(Instant::now()) else { return };
            let (shared, name) = (self.shared.clone(), job.clone());
            let handle = self.running.spawn(async move { shared.work(&name).await });
            self.names.insert(handle.id(), (job, handle));
        }
    }

    /// When the next job can be started; none if none can before something else
    /// happens.
    pub(in crate::reconcile) fn next_due(&self) -> Option<Instant> {
        let free = self.running.len() < self.limit;
        if free { self.agenda.next_due(Instant::now()) } else { None }
    }

    pub(in crate::reconcile) fn finish(&mut self, done: Finished) {
        let (id, result) = match done {
            Ok((id, result)) => (id, result),
            Err(error) => (error.id(), Err(JobError::Panicked(error))),
        };
        let (job, _) = self.names.remove(&id).expect("every task was named when it was spawned");
        let hanging = self.agenda.finish(&job, result, Instant::now());
        for (_, handle) in self.names.values().filter(|(job, _)| hanging.contains(job)) {
            handle.abort();
        }
    }

    /// How much there is to do.
    pub(in crate::reconcile) fn load(&self) -> Load {
        self.agenda.load(Instant::now())
    }

    /// How looking at containers failed the last time, of those that it failed of.
    pub(in crate::reconcile) fn faults(&self) -> HashMap<ContainerId, Fault> {
        self.agenda.faults()
    }

    /// Let what runs finish within `grace`, and say what does not.
    pub(in crate::reconcile) async fn drain(mut self, grace: Duration) {
        let finished = timeout(grace, async {
            while let Some(done) = self.running.join_next_with_id().await {
                if let Ok((id, _)) = done {
                    self.names.remove(&id);
                }
            }
        });
        if finished.await.is_err() {
            for (job, _) in self.names.values() {
                let container = job.container();
                warn!(
                    event = event::ABANDONED,
                    container.id = container.map(|id| &*id.0),
                    container.name = container.and_then(|id| self.shared.state().name_of(id)),
                    reason = ?job,
                    "abandoned; the next start brings it up to date"
                );
            }
            self.running.shutdown().await;
        }
    }
}
