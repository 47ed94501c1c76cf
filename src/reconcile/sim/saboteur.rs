//! Broken loops, which the simulation must find out: a registry that does what
//! a broken executor would, and plans as a broken planner would make them.

use std::{
    cell::Cell,
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{
    model::{registered::Registered, service::Service},
    reconcile::{Action, Plan, state::catalog::Catalog},
    registry::{Capabilities, Registry, RegistryError},
};

/// The break in a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sabotage {
    /// Nothing.
    None,
    /// The executor registers after it has deregistered.
    OldBeforeNew,
    /// A registration is left out and said to be done.
    Omits,
    /// A deregistration is left out and said to be done.
    Keeps,
    /// A deregistration takes out another service of the container, too.
    Neighbour,
    /// All IDs that begin with this host's name are taken for its own.
    Prefix,
    /// The last write is made again after each read.
    Rewrites,
    /// Checks that are gone are not taken out.
    KeepsChecks,
    /// A service that was put into maintenance stays in it.
    KeepsMaintenance,
    /// The planner puts deregistrations first.
    PlansRemovalsFirst,
    /// The planner does not ask whose an unwanted service is.
    PlansForeignRemovals,
    /// The forecast knows no guard.
    ForecastsUnguarded,
    /// That a container has ended is believed, whichever run of it that is about.
    BelievesAnyDeath,
    /// A resync takes every container that is listed for what it was.
    BelievesAnyList,
}

thread_local! {
    static PLANNER: Cell<Sabotage> = const { Cell::new(Sabotage::None) };
}

/// Break the planner of this thread, or mend it.
pub(super) fn sabotage_plans(sabotage: Sabotage) {
    PLANNER.set(sabotage);
}

/// Make a plan what the broken planner would have planned.
pub(in crate::reconcile) fn spoil(plan: &mut Plan) {
    if PLANNER.get() == Sabotage::PlansRemovalsFirst {
        plan.actions.reverse();
        for action in &mut plan.actions {
            if let Action::Deregister { successors, .. } = action {
                successors.clear();
            }
        }
    }
}

/// Whether the broken planner would take out what is registered under an ID.
pub(in crate::reconcile) fn removes_what_is_foreign(catalog: &Catalog, id: &str) -> bool {
    PLANNER.get() == Sabotage::PlansForeignRemovals
        && catalog.wanted(id).is_none()
        && catalog.registered(id).is_some()
}

/// Whether any word of a death is believed.
pub(in crate::reconcile) fn believes_any_death() -> bool {
    PLANNER.get() == Sabotage::BelievesAnyDeath
}

/// Whether every container that is listed is taken for what it was.
pub(in crate::reconcile) fn believes_any_list() -> bool {
    PLANNER.get() == Sabotage::BelievesAnyList
}

/// Whether the forecast is broken.
pub(super) fn forecasts_unguarded() -> bool {
    PLANNER.get() == Sabotage::ForecastsUnguarded
}

/// A registry that does what a broken loop would do.
pub(super) struct Saboteur {
    inner: Arc<dyn Registry>,
    sabotage: Sabotage,
    last: Mutex<Option<Service>>,
}

impl Saboteur {
    pub(super) fn wrap(inner: Arc<dyn Registry>, sabotage: Sabotage) -> Arc<dyn Registry> {
        Arc::new(Self { inner, sabotage, last: Mutex::default() })
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Option<Service>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl Registry for Saboteur {
    async fn probe(&self) -> Result<String, RegistryError> {
        self.inner.probe().await
    }

    async fn read(&self) -> Result<BTreeMap<String, Registered>, RegistryError> {
        let read = self.inner.read().await?;
        let last = self.last().clone();
        if let (Sabotage::Rewrites, Some(service)) = (self.sabotage, last) {
            self.inner.replace(&service).await?;
        }
        if self.sabotage == Sabotage::Prefix {
            for id in read.keys().filter(|id| id.starts_with("h:")) {
                self.inner.deregister(id).await?;
            }
        }
        Ok(read)
    }

    async fn has(&self, id: &str) -> Result<bool, RegistryError> {
        self.inner.has(id).await
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn register(&self, service: &Service) -> Result<(), RegistryError> {
        self.inner.register(service).await
    }

    async fn set_maintenance(&self, id: &str, reason: Option<&str>) -> Result<(), RegistryError> {
        match (self.sabotage, reason) {
            (Sabotage::KeepsMaintenance, None) => Ok(()),
            _ => self.inner.set_maintenance(id, reason).await,
        }
    }

    async fn maintenance(&self) -> Result<BTreeMap<String, String>, RegistryError> {
        self.inner.maintenance().await
    }

    async fn replace(&self, service: &Service) -> Result<(), RegistryError> {
        *self.last() = Some(service.clone());
        match self.sabotage {
            Sabotage::Omits if service.id.ends_with(":443") => Ok(()),
            Sabotage::KeepsChecks => self.inner.register(service).await,
            Sabotage::OldBeforeNew => {
                let (inner, service) = (self.inner.clone(), service.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    inner.replace(&service).await
                });
                Ok(())
            }
            _ => self.inner.replace(service).await,
        }
    }

    async fn deregister(&self, id: &str) -> Result<(), RegistryError> {
        match (self.sabotage, id.strip_suffix(":80")) {
            (Sabotage::Keeps, _) => Ok(()),
            (Sabotage::Neighbour, Some(container)) => {
                self.inner.deregister(id).await?;
                self.inner.deregister(&format!("{container}:443")).await
            }
            _ => self.inner.deregister(id).await,
        }
    }
}
