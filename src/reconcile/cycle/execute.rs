//! Carrying a plan out.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use tracing::{debug, error, info, warn};

use super::{Shared, lock};
use crate::{
    error::error_chain,
    model::{
        container::ContainerId,
        service::Service,
        timed::{Timed, Timer},
    },
    reconcile::{
        difference::sides,
        job::JobError,
        lifecycle::{MAINTENANCE, OnExit},
        state::{
            State,
            history::ChangeKind,
            meters::Operation,
            plan::{Action, Plan, Reason, Successor, is_due},
        },
    },
    registry::RegistryError,
    telemetry::event,
    text::counted,
};

/// Says why a service is deregistered, for people.
pub(super) type Why<'a> = dyn Fn(&str) -> String + Send + Sync + 'a;

impl Shared {
    /// Carry out a plan. An action that fails does not hold up the others.
    pub(super) async fn execute(
        &self,
        container: &ContainerId,
        plan: Plan,
        why: &Why<'_>,
    ) -> Result<(), JobError> {
        for conflict in plan.conflicts {
            error!(
                event = event::ID_TAKEN,
                container.id = &*container.0,
                container.name = self.state().name_of(container),
                id = conflict.id,
                reason = format!("the ID is taken by {}", conflict.taken_by),
                "not registered: the ID is taken by {}",
                conflict.taken_by
            );
        }
        let mut first = Ok(());
        for action in plan.actions {
            let id = action.id().to_string();
            let turn = lock(&self.turns).entry(id.clone()).or_default().clone();
            let result = {
                let _turn = turn.lock().await;
                self.act(container, action, why).await
            };
            drop(turn);
            lock(&self.turns).retain(|other, turn| *other != id || Arc::strong_count(turn) > 1);
            if let Err(error) = result {
                first = first.and(Err(error));
            }
        }
        first
    }

    async fn act(
        &self,
        container: &ContainerId,
        action: Action,
        why: &Why<'_>,
    ) -> Result<(), JobError> {
        let id = action.id();
        let (twins, told) = {
            let mut state = self.state();
            if !is_due(&state.catalog, container, &action) {
                debug!(service = id, "it is not to be done any more since the plan was made");
                return Ok(());
            }
            if state.guard.reserves(id, container) {
                return Err(JobError::Reserved(id.to_string()));
            }
            let missing =
                |(by, successor): &&Successor| !state.catalog.has_successor(by, successor);
            if let Some((_, successor)) = action.successors().find(missing) {
                return Err(JobError::Awaits { id: id.to_string(), successor: successor.clone() });
            }
            let told = Told::of(&state, container, &action);
            state.catalog.begin_write(id, container, action.service());
            (state.catalog.overwritten(container, id), told)
        };
        self.act_on_overwritten(&action, &twins).await;
        let timer = Timer::start();
        let result = match &action {
            // Also what is new to this daemon may have checks in the registry: of
            // a write that reached it late, or of a service that it did not show.
            Action::Register { service, .. } => self.registry.replace(service).await,
            Action::Deregister { id, .. } => self.registry.deregister(id).await,
        };
        let timed = timer.stop();
        self.note_write(&action, &result);
        if result.is_ok() {
            told.say(container, &action, why);
        }
        self.note_done(container, &action, &result, timed, why);
        result.map_err(JobError::from)
    }

    /// Note for those who ask afterwards what was done.
    fn note_done(
        &self,
        container: &ContainerId,
        action: &Action,
        result: &Result<(), RegistryError>,
        timed: Timed,
        why: &Why<'_>,
    ) {
        let (kind, reason) = match (result, action) {
            (Ok(()), Action::Register { reason, .. }) => {
                (ChangeKind::Registered, reason.to_string())
            }
            (Ok(()), Action::Deregister { id, .. }) => (ChangeKind::Deregistered, why(id)),
            (Err(error), _) => (ChangeKind::Failed, error_chain(error)),
        };
        let (operation, planned) = match action {
            Action::Register { reason, .. } => (Operation::Register, reason.to_string()),
            Action::Deregister { id, .. } => (Operation::Deregister, why(id)),
        };
        self.note_written(container, action.id(), operation, &planned, timed, result);
        let time = self.time();
        self.state().note_change(container, Some(action.id()), kind, reason, time);
    }

    /// Note the outcome of a write.
    fn note_write(&self, action: &Action, result: &Result<(), RegistryError>) {
        let (id, catalog) = (action.id(), &mut self.state().catalog);
        match result {
            Ok(()) => catalog.end_write(id),
            Err(error) if !error.is_transient() => {
                catalog.refuse_write(id);
                // A permission may be given at any time.
                let refused = !matches!(error, RegistryError::Forbidden { .. });
                if let Some(service) = action.service().filter(|_| refused) {
                    catalog.note_refusal(service);
                }
            }
            Err(_) => catalog.lose_write(id),
        }
    }

    /// Do what registrator did to services of one container that have the same
    /// ID: each was written. The last write counts, and it follows this one.
    async fn act_on_overwritten(&self, action: &Action, twins: &[Arc<Service>]) {
        for twin in twins {
            let result = match action {
                Action::Register { .. } => self.registry.register(twin).await,
                Action::Deregister { id, .. } => self.registry.deregister(id).await,
            };
            if let Err(error) = result {
                warn!(
                    event = event::TWIN_NOT_WRITTEN,
                    service = twin.name,
                    id = twin.id,
                    reason = error_chain(&error),
                    "one of several services with one ID was not written"
                );
            }
        }
    }

    /// Do with all services what is to be done when the daemon ends.
    pub(in crate::reconcile) async fn leave(&self, on_exit: OnExit) {
        if on_exit == OnExit::Leave {
            return;
        }
        let all = self.state().catalog.ours();
        let count = all.len();
        let reason = format!("{MAINTENANCE}the daemon has ended");
        stream::iter(all)
            .for_each_concurrent(16, async |id| {
                let done = match on_exit {
                    OnExit::Leave => return,
                    OnExit::Maintenance => self.registry.set_maintenance(&id, Some(&reason)).await,
                    OnExit::Deregister => self.registry.deregister(&id).await,
                };
                if let Err(error) = done {
                    warn!(
                        event = event::NOT_LEFT,
                        id,
                        reason = error_chain(&error),
                        "a service is left as it is"
                    );
                }
            })
            .await;
        let words = match on_exit {
            OnExit::Deregister => "deregistered",
            _ => "in maintenance",
        };
        info!(
            event = event::LEFT,
            count,
            reason = words,
            "{words}: {}, as lifecycle.on-exit says",
            counted(count, "service", "services")
        );
    }
}

/// The facts that are told of a write besides what is written.
struct Told {
    /// The container's name, if it is known.
    name: Option<String>,
    /// The service's name.
    service: Option<String>,
    /// The fields that differ, as they were and as they are.
    old: Option<String>,
    new: Option<String>,
}

impl Told {
    /// To be asked before the write is noted.
    fn of(state: &State, container: &ContainerId, action: &Action) -> Self {
        let registered = state.catalog.registered(action.id());
        let service = action.service().map(|service| service.name.clone());
        let changed = match action {
            Action::Register { service, reason: Reason::Changed(_), .. } => {
                registered.map(|old| sides(service, old))
            }
            _ => None,
        };
        let (old, new) = changed.unzip();
        Self {
            name: state.name_of(container),
            service: service.or_else(|| registered.map(|old| old.name.clone())),
            old,
            new,
        }
    }

    fn say(self, container: &ContainerId, action: &Action, why: &Why<'_>) {
        let Self { name, service, old, new } = self;
        let (id, short) = (action.id(), container.short());
        // What is nobody's has no container.
        let container = (*container != nobody()).then_some(&*container.0);
        match action {
            Action::Register { reason, .. } => info!(
                event = event::REGISTERED,
                reason = reason.to_string(),
                container.id = container,
                container.name = name,
                service,
                id,
                old,
                new,
                "{reason}: {short} {id}"
            ),
            Action::Deregister { .. } => info!(
                event = event::DEREGISTERED,
                reason = why(id),
                container.id = container,
                container.name = name,
                service,
                id,
                "removed: {short} {id}"
            ),
        }
    }
}

/// The identifier that stands for containers that are gone and have left services behind.
pub(super) fn nobody() -> ContainerId {
    ContainerId("dangling".into())
}
