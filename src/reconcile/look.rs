//! Looking at one container, and at all of them.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing::{debug, error, info, warn};

use super::{
    Action, Deregister, Options, Plan, Provenance, Reason,
    catalog::Catalog,
    plan::{cleanup, leftovers, plan},
};
use crate::{
    container::{Container, ContainerId, State},
    docker::{Source, SourceError},
    host::Host,
    pipeline::{Level, Message, Outcome, Pipeline, PipelineError},
    registry::{Registry, RegistryError},
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
    #[error("the work on it ended badly")]
    Panicked(#[source] tokio::task::JoinError),
}

impl LookError {
    /// Write what the stages said up to the failure to the log.
    pub(super) fn log_messages(&self) {
        if let Self::Pipeline(error) = self {
            for (stage, message) in &error.messages {
                log(&error.container, &error.name, stage, message);
            }
        }
    }

    /// Whether trying again soon may help without anyone doing anything.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Source(SourceError::Docker { .. }) => true,
            Self::Registry(error) => error.is_transient(),
            Self::Source(SourceError::Inspect(..)) | Self::Pipeline(_) | Self::Panicked(_) => false,
        }
    }
}

/// What all jobs share.
pub(super) struct Shared {
    pub(super) source: Arc<dyn Source>,
    registry: Arc<dyn Registry>,
    pipeline: Pipeline,
    host: Host,
    deregister: Deregister,
    /// Whether what registrator left behind is removed.
    cleanup: bool,
    catalog: Mutex<Catalog>,
    /// One write at a time for a service ID.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// A digest of what was last said of a container, so that it is said once.
    said: Mutex<HashMap<ContainerId, u64>>,
}

impl Shared {
    pub(super) fn new(
        source: Arc<dyn Source>,
        registry: Arc<dyn Registry>,
        pipeline: Pipeline,
        host: Host,
        options: &Options,
    ) -> Self {
        let provenance = Provenance { host: host.hostname.clone(), enabled: options.provenance };
        Self {
            source,
            registry,
            pipeline,
            host,
            deregister: options.deregister,
            cleanup: options.cleanup,
            catalog: Mutex::new(Catalog::new(provenance)),
            turns: Mutex::default(),
            said: Mutex::default(),
        }
    }

    /// Read what is registered and which containers run, and return all that
    /// are to be looked at: those that run, those that were known to, and those
    /// that something is registered for.
    pub(super) async fn sync(&self) -> Result<Vec<ContainerId>, LookError> {
        lock(&self.catalog).begin_read();
        let read = self.registry.read().await?;
        lock(&self.catalog).end_read(read);
        let running = self.source.list().await?;
        info!("Syncing services on {} containers", running.len());
        let mut all = lock(&self.catalog).containers();
        all.extend(running);
        Ok(all.into_iter().collect())
    }

    /// Remove what is left of containers that went while no daemon ran, where
    /// only all containers together can tell; what registrator left behind, only
    /// if that is wanted. All containers must have been looked at.
    pub(super) async fn clean_up(&self) -> Result<(), LookError> {
        let addresses: Vec<_> = [&self.host.forced_address, &self.host.resolved_address]
            .into_iter()
            .filter_map(|address| address.as_deref())
            .collect();
        let plan = {
            let catalog = lock(&self.catalog);
            let mut plan = leftovers(&catalog);
            if self.cleanup {
                plan.actions.extend(cleanup(&catalog, &addresses).actions);
            }
            plan
        };
        for action in &plan.actions {
            if let Action::Deregister { id, .. } = action {
                info!("dangling: {id}");
            }
        }
        self.execute(&ContainerId("dangling".into()), plan).await
    }

    /// Bring what is registered for a container up to date.
    pub(super) async fn look_at(&self, id: &ContainerId) -> Result<(), LookError> {
        let container = self.source.inspect(id).await?;
        let services = match &container {
            Some(container) if container.state.is_running() => {
                self.evaluate(container).await?.services
            }
            Some(container) if self.keeps(container) => {
                debug!(container = id.short(), "ended with a failure; it keeps its services");
                return Ok(());
            }
            _ => Vec::new(),
        };
        if container.is_none() {
            lock(&self.said).remove(id);
        }
        let (plan, rivals) = {
            let mut catalog = lock(&self.catalog);
            let name = container.as_ref().map_or("", |container| &container.name);
            let concerned = catalog.claim(id, name, services);
            let rivals: BTreeSet<_> = concerned
                .iter()
                .filter(|service| catalog.rivals(service).contains(&id))
                .cloned()
                .collect();
            (plan(&catalog, &concerned), rivals)
        };
        for service in rivals {
            error!(container = id.short(), service, "the service ID is another container's");
        }
        self.execute(id, plan).await
    }

    /// Whether an ended container keeps its services by the rule of
    /// `-deregister on-success`. A code above 128 is that of a signal.
    fn keeps(&self, container: &Container) -> bool {
        let ended = matches!(container.state, State::Exited | State::Dead);
        let failed = container.exit_code != 0 && container.exit_code & 128 == 0;
        self.deregister == Deregister::OnSuccess && ended && failed
    }

    async fn evaluate(&self, container: &Container) -> Result<Outcome, LookError> {
        let outcome = self.pipeline.evaluate(container, &self.host).await.map_err(Box::new)?;
        self.say(container, &outcome);
        Ok(outcome)
    }

    /// Log what became of a container, unless the same was said before.
    fn say(&self, container: &Container, outcome: &Outcome) {
        let mut hasher = DefaultHasher::new();
        format!("{:?}{:?}{:?}", outcome.ignored, outcome.warnings, outcome.trace).hash(&mut hasher);
        let digest = hasher.finish();
        if lock(&self.said).insert(container.id.clone(), digest) == Some(digest) {
            return;
        }
        let id = container.id.short();
        for reason in &outcome.ignored {
            info!("ignored: {id} {reason}");
        }
        for warning in &outcome.warnings {
            warn!(container = id, name = container.name, "{warning}");
        }
        for trace in &outcome.trace {
            for message in &trace.messages {
                log(&container.id, &container.name, &trace.stage, message);
            }
            for (service, change) in &trace.changes {
                debug!(container = id, stage = trace.stage, service, "{change}");
            }
        }
        for veto in &outcome.vetoed {
            // The built-in stage ignores; what others veto is news.
            let (stage, reason) = (&veto.stage, &veto.reason);
            if stage == "registrator" {
                info!("ignored: {id} {reason}");
            } else {
                info!("vetoed: {id} {} by {stage}: {reason}", veto.service.id);
            }
        }
    }

    /// Carry out a plan. An action that fails does not hold up the others.
    async fn execute(&self, container: &ContainerId, plan: Plan) -> Result<(), LookError> {
        for conflict in plan.conflicts {
            error!(
                container = container.short(),
                service = conflict.id,
                "not registered: the ID is taken by {}",
                conflict.taken_by
            );
        }
        let mut first = Ok(());
        for action in plan.actions {
            let id = match &action {
                Action::Register { service, .. } => service.id.clone(),
                Action::Deregister { id, .. } => id.clone(),
            };
            let turn = lock(&self.turns).entry(id.clone()).or_default().clone();
            let result = {
                let _turn = turn.lock().await;
                self.act(container, action).await
            };
            drop(turn);
            lock(&self.turns).retain(|other, turn| *other != id || Arc::strong_count(turn) > 1);
            if let Err(error) = result {
                first = first.and(Err(error.into()));
            }
        }
        first
    }

    async fn act(&self, container: &ContainerId, action: Action) -> Result<(), RegistryError> {
        let (id, generation, service) = match &action {
            Action::Register { service, generation, .. } => {
                (&service.id, *generation, Some(service.clone()))
            }
            Action::Deregister { id, generation } => (id, *generation, None),
        };
        {
            let mut catalog = lock(&self.catalog);
            if !catalog.is_current(id, generation) {
                debug!(service = id, "what is wanted has changed since the plan was made");
                return Ok(());
            }
            catalog.begin_write(id);
        }
        let result = match &action {
            Action::Register { service, reason: Reason::New, .. } => {
                self.registry.register(service).await
            }
            Action::Register { service, .. } => self.registry.replace(service).await,
            Action::Deregister { id, .. } => self.registry.deregister(id).await,
        };
        let mut catalog = lock(&self.catalog);
        match &result {
            Ok(()) => catalog.end_write(id, service),
            Err(error) if !error.is_transient() => catalog.refuse_write(id),
            // It may have been carried out, whatever was read meanwhile.
            Err(_) => catalog.begin_write(id),
        }
        drop(catalog);
        let short = container.short();
        match (&result, &action) {
            (Ok(()), Action::Register { reason: Reason::New, .. }) => info!("added: {short} {id}"),
            (Ok(()), Action::Register { reason, .. }) => info!("{reason}: {short} {id}"),
            (Ok(()), Action::Deregister { .. }) => info!("removed: {short} {id}"),
            (Err(_), _) => {}
        }
        result
    }
}

/// Write a stage's message to the log.
fn log(container: &ContainerId, name: &str, stage: &str, message: &Message) {
    let (id, text) = (container.short(), &message.text);
    match message.level {
        Level::Error => error!(container = id, name, stage, "{text}"),
        Level::Warn => warn!(container = id, name, stage, "{text}"),
        Level::Info => info!(container = id, name, stage, "{text}"),
        Level::Debug => debug!(container = id, name, stage, "{text}"),
        Level::Trace => tracing::trace!(container = id, name, stage, "{text}"),
    }
}

/// The state is whole whenever the lock is free; a panic elsewhere does not
/// spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
