//! Reading everything: what is registered, which containers run, and whether the
//! registry still has what it was told.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::atomic::Ordering,
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use tracing::{error, info, warn};

use super::{
    Action, Job,
    catalog::Drift,
    lifecycle::MAINTENANCE,
    look::{LookError, Next, Shared, lock},
    plan::{cleanup, leftovers},
};
use crate::{
    container::ContainerId,
    error::error_chain,
    registry::{Registered, RegistryError},
};

impl Shared {
    /// Read what is registered and which containers run, and return all that
    /// are to be looked at: those that run, those that were known to, and those
    /// that something is registered for.
    pub(super) async fn sync(&self) -> Result<Next, LookError> {
        self.identify().await?;
        // Once it is done it is not done again when what follows fails, so that a
        // registry of which every second answer fails does not have to give two good
        // ones in a row.
        if !self.maintained_known.load(Ordering::Relaxed) {
            self.find_maintained().await?;
            self.maintained_known.store(true, Ordering::Relaxed);
        }
        lock(&self.catalog).begin_read();
        let read = self.registry.read().await?;
        // What was read counts at once. Whether what was not is gone takes a while.
        let changed = lock(&self.catalog).see(&read);
        let unreadable = self.unreadable(&read).await?;
        let (drift, known) = {
            let mut catalog = lock(&self.catalog);
            let mut drift = catalog.end_read(read, &unreadable);
            drift.changed.extend(changed);
            (drift, catalog.services() + catalog.uncertain())
        };
        report_drift(&drift, known);
        let running = self.source.list().await?;
        if self.lifecycle.maintains() {
            self.maintained_known.store(false, Ordering::Relaxed);
        }
        info!("Syncing services on {} containers", running.len());
        let mut all = lock(&self.catalog).containers();
        all.extend(running);
        // Somebody may have taken out what they wait with.
        all.extend(lock(&self.guard).waiting());
        Ok(all.into_iter().map(|id| (Job::Look(id), Duration::ZERO)).collect())
    }

    /// Ask the engine who it is. If it is another one than before, everything
    /// has changed; whether it is.
    pub(super) async fn identify(&self) -> Result<bool, LookError> {
        // One answer after the other, so that the last one counts.
        let _turn = self.identifying.lock().await;
        // The connection may be lost once more before this is answered.
        let connection = self.connections.load(Ordering::Relaxed);
        let engine = self.source.engine().await?;
        let before = std::mem::replace(&mut *lock(&self.engine), engine.clone());
        self.identified.store(connection, Ordering::Relaxed);
        if before == engine {
            return Ok(false);
        }
        lock(&self.catalog).set_engine(engine.as_deref());
        if before.is_some() {
            warn!("this is another container engine than before");
            lock(&self.guard).begin();
        }
        Ok(before.is_some())
    }

    /// The services that a read lacks because the token may not read them, also
    /// those of others: what is in the way of a registration still is. An agent
    /// leaves such services out without a word; asked for one by its ID, it says so.
    async fn unreadable(
        &self,
        read: &BTreeMap<String, Registered>,
    ) -> Result<HashSet<String>, LookError> {
        let missing = lock(&self.catalog).missing(read);
        let lookups = missing.into_iter().map(|(id, name)| {
            let registry = self.registry.clone();
            async move {
                let found = registry.has(&id).await;
                (id, name, found)
            }
        });
        let lookups: Vec<_> = stream::iter(lookups).buffered(16).collect().await;
        let (mut stay, mut forbidden) = (HashSet::new(), BTreeSet::new());
        for (id, name, found) in lookups {
            match found {
                Ok(false) => continue,
                // The token may read it again, or it has come back, since the read.
                Ok(true) => {}
                Err(RegistryError::Forbidden { .. }) => drop(forbidden.insert(name)),
                Err(error) => return Err(error.into()),
            }
            stay.insert(id);
        }
        if !forbidden.is_empty() {
            error!(
                services = stay.len(),
                names = forbidden.len(),
                "the token may not read what was registered (service:read); it is left as it was"
            );
        }
        Ok(stay)
    }

    /// Find out which services this daemon, or a former one of this host, has left in
    /// maintenance.
    async fn find_maintained(&self) -> Result<(), LookError> {
        let maintained = match self.registry.maintenance().await {
            Ok(maintained) => maintained,
            Err(error) if error.is_transient() => return Err(error.into()),
            Err(error) => {
                let error = error_chain(&error);
                warn!(error, "services that a former daemon left in maintenance stay in it");
                return Ok(());
            }
        };
        let ours = |reason: &String| reason.starts_with(MAINTENANCE);
        let read = maintained.into_iter().map(|(id, reason)| (id, ours(&reason)));
        lock(&self.catalog).see_maintained(read);
        Ok(())
    }

    /// See whether the registry still has what it was told.
    pub(super) async fn watch(&self) -> Result<Next, LookError> {
        let sentinels = lock(&self.catalog).sentinels();
        for sentinel in sentinels {
            if self.has_lost(&sentinel).await? {
                return Ok(vec![(Job::Sync, Duration::ZERO)]);
            }
        }
        Ok(Next::new())
    }

    async fn has_lost(&self, sentinel: &String) -> Result<bool, LookError> {
        if self.lookups_lie.load(Ordering::Relaxed) || self.registry.has(sentinel).await? {
            return Ok(false);
        }
        let read = self.registry.read().await?;
        if !read.contains_key(sentinel) {
            return Ok(true);
        }
        // It may have been registered again between the two.
        if !self.registry.has(sentinel).await? && lock(&self.catalog).sentinels().contains(sentinel)
        {
            self.lookups_lie.store(true, Ordering::Relaxed);
            warn!("the registry does not find by its ID what it has; it is not watched");
        }
        Ok(false)
    }

    /// Report to the TTL checks of a container's services.
    pub(super) async fn beat(&self, container: &ContainerId) -> Result<Next, LookError> {
        let Some(beat) = lock(&self.beats).get(container).cloned() else { return Ok(Next::new()) };
        for (service, checks) in &beat.services {
            let registered = lock(&self.catalog).registered(&service.id).is_some();
            if registered {
                self.registry.beat(service, checks, beat.status, &beat.output).await?;
            }
        }
        Ok(vec![(Job::Beat(container.clone()), beat.every)])
    }

    /// Remove what is left of containers that went while no daemon ran, where
    /// only all containers together can tell; what registrator left behind, only
    /// if that is wanted. All containers must have been looked at.
    pub(super) async fn clean_up(&self) -> Result<Next, LookError> {
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
            let nobody = ContainerId(String::new());
            plan.actions.retain(|action| !lock(&self.guard).reserves(action.id(), &nobody));
            plan
        };
        for action in &plan.actions {
            if let Action::Deregister { id, .. } = action {
                info!("dangling: {id}");
            }
        }
        self.execute(&ContainerId("dangling".into()), plan).await?;
        Ok(Next::new())
    }
}

/// Say what others have changed of this daemon's services.
fn report_drift(drift: &Drift, left: usize) {
    if !drift.gone.is_empty() && left == 0 {
        let lost = drift.gone.len();
        warn!("the registry has lost all {lost} services of this daemon; registering them again");
        return;
    }
    for id in &drift.gone {
        warn!(service = id, "somebody else has deregistered it; registering it again");
    }
    for (id, fields) in &drift.changed {
        warn!(service = id, fields = fields.join(", "), "somebody else has changed it; mending it");
    }
}
