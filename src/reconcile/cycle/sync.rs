//! Reading everything: what is registered, and which containers run.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::{Shared, execute::nobody};
use crate::{
    error::error_chain,
    model::{container::ContainerId, registered::Registered, service::addressable},
    reconcile::{
        job::{Job, JobError, Next, looks},
        lifecycle::MAINTENANCE,
        state::{
            catalog::{Catalog, Drift},
            plan::{Action, cleanup, leftovers},
        },
    },
    registry::RegistryError,
    telemetry::event,
};

impl Shared {
    /// Read what is registered and which containers run, and return all that
    /// are to be looked at: those that run, those that were known to, and those
    /// that something is registered for; but for those for which nothing can be to do.
    pub(super) async fn sync(&self) -> Result<Next, JobError> {
        self.identify().await?;
        // Once it is done it is not done again when what follows fails, so that a
        // registry of which every second answer fails does not have to give two good
        // ones in a row.
        let known = self.state().maintained_known;
        if !known {
            self.find_maintained().await?;
            self.state().maintained_known = true;
        }
        self.state().catalog.begin_read();
        let read = self.addressable(self.registry.read().await?);
        // What was read counts at once. Whether what was not is gone takes a while.
        let changed = self.state().catalog.see(&read);
        let (unreadable, unsettled) = self.unreadable(&read).await;
        {
            let state = &mut *self.state();
            let catalog = &mut state.catalog;
            let mut drift = catalog.end_read(read, &unreadable);
            catalog.keep_unseen(&unsettled);
            drift.changed.extend(changed);
            report_drift(&drift, catalog);
            state.meters.counts.drift += drift.services();
        }
        let running = self.source.survey().await?;
        let (count, now) = (running.len(), Instant::now());
        info!(event = event::SYNCING, count, "Syncing services on {count} containers");
        let mut state = self.state();
        if self.rules.lifecycle.maintains() {
            state.maintained_known = false;
        }
        let mut all = state.catalog.containers();
        state.named_all = state.looks_at_all(&self.rules);
        for listed in running {
            match state.is_settled(&self.rules, &listed, now) {
                true => drop(all.remove(&listed.id)),
                false => drop(all.insert(listed.id)),
            }
        }
        // Somebody may have taken out what they wait with.
        all.extend(state.guard.waiting());
        let mut next = looks(all);
        // What could not be looked up is asked for again.
        next.extend((!unsettled.is_empty()).then_some((Job::Watch, LOOK_UP_AGAIN)));
        Ok(next)
    }

    /// The services of a read, without those that the registry cannot be asked for. These are in
    /// nobody's way, and nobody can take them out.
    fn addressable(&self, mut read: BTreeMap<String, Registered>) -> BTreeMap<String, Registered> {
        let strange: BTreeSet<_> =
            read.keys().filter(|id| addressable(id).is_err()).cloned().collect();
        read.retain(|id, _| !strange.contains(id));
        let verified = &mut self.state().verified;
        let new: Vec<_> = strange.difference(&verified.unaddressable).take(10).collect();
        for id in &new {
            let short: String = id.chars().take(80).collect();
            let fault = addressable(id).err().unwrap_or_default();
            warn!(
                event = event::UNADDRESSABLE,
                id = short,
                reason = fault,
                "a service has an ID that the registry cannot be asked for; it stays as it is"
            );
        }
        verified.unaddressable = strange;
        verified.strange.retain(|id| read.contains_key(id));
        read
    }

    /// Ask the engine who it is. If it is another one than before, everything
    /// has changed; whether it is.
    pub(super) async fn identify(&self) -> Result<bool, JobError> {
        // One answer after the other, so that the last one counts.
        let _turn = self.identifying.lock().await;
        // The connection may be lost once more before this is answered.
        let connection = self.state().engine.connection();
        let engine = self.source.engine().await?;
        Ok(self.state().note_engine(engine, connection))
    }

    /// The services that a read lacks because the token may not read them, also
    /// those of others: what is in the way of a registration still is. An agent
    /// leaves such services out without a word; asked for one by its ID, it says so.
    /// And among them those of which a lookup told nothing: that is no other one's trouble.
    async fn unreadable(
        &self,
        read: &BTreeMap<String, Registered>,
    ) -> (HashSet<String>, HashSet<String>) {
        let missing = self.state().catalog.missing(read);
        let (mut stay, mut forbidden) = (HashSet::new(), BTreeSet::new());
        let mut unsettled = HashSet::new();
        for (id, name, found) in self.look_up(missing).await {
            match found {
                Ok(false) => continue,
                // The token may read it again, or it has come back, since the read.
                Ok(true) => {}
                Err(RegistryError::Forbidden { .. }) => drop(forbidden.insert(name)),
                Err(error) => {
                    debug!(service = id, error = error_chain(&error), "it cannot be looked up");
                    unsettled.insert(id.clone());
                }
            }
            stay.insert(id);
        }
        if !forbidden.is_empty() {
            error!(
                event = event::UNREADABLE,
                count = stay.len(),
                names = ?forbidden.iter().take(10).collect::<Vec<_>>(),
                "the token may not read what was registered (service:read); it is left as it was"
            );
        }
        if !unsettled.is_empty() {
            let some: Vec<_> = unsettled.iter().take(10).collect();
            warn!(
                event = event::NOT_LOOKED_UP,
                count = unsettled.len(),
                ids = ?some,
                "services that a read does not show cannot be looked up; they are left as they were"
            );
        }
        (stay, unsettled)
    }

    /// Look up services, given with whatever else is known of them.
    pub(super) async fn look_up<T>(
        &self,
        services: Vec<(String, T)>,
    ) -> Vec<(String, T, Result<bool, RegistryError>)> {
        let can = self.registry.capabilities();
        let lookups = services.into_iter().map(|(id, known)| {
            let registry = self.registry.clone();
            async move {
                let found = if can.lookups { registry.has(&id).await } else { Ok(false) };
                (id, known, found)
            }
        });
        stream::iter(lookups).buffered(16).collect().await
    }

    /// Find out which services this daemon, or a former one of this host, has left in
    /// maintenance.
    async fn find_maintained(&self) -> Result<(), JobError> {
        let read = match self.registry.capabilities().maintenance {
            true => self.registry.maintenance().await,
            false => Ok(BTreeMap::new()),
        };
        let maintained = match read {
            Ok(maintained) => maintained,
            Err(error) if error.is_transient() => return Err(error.into()),
            Err(error) => {
                let reason = error_chain(&error);
                warn!(
                    event = event::STAYS_IN_MAINTENANCE,
                    reason, "services that a former daemon left in maintenance stay in it"
                );
                return Ok(());
            }
        };
        let ours = |reason: &String| reason.starts_with(MAINTENANCE);
        let read = maintained.into_iter().map(|(id, reason)| (id, ours(&reason)));
        self.state().catalog.maintained.see(read);
        Ok(())
    }

    /// Remove what is left of containers that went while no daemon ran, where
    /// only all containers together can tell; what registrator left behind, only
    /// if that is wanted. All containers must have been looked at.
    pub(super) async fn clean_up(&self) -> Result<Next, JobError> {
        let plan = {
            let state = self.state();
            let mut plan = leftovers(&state.catalog);
            if self.rules.cleanup {
                plan.actions.extend(cleanup(&state.catalog, &self.rules.addresses()).actions);
            }
            let nobody = ContainerId("".into());
            plan.actions.retain(|action| !state.guard.reserves(action.id(), &nobody));
            plan
        };
        for action in &plan.actions {
            if let Action::Deregister { id, .. } = action {
                info!(event = event::DANGLING, id, "dangling: {id}");
            }
        }
        let why = |_: &str| "it was left behind by a container that is gone".to_string();
        let done = self.execute(&nobody(), plan, &why).await;
        self.tell_leftovers();
        done?;
        Ok(Next::new())
    }
}

/// The pause before services that could not be looked up are looked up again.
const LOOK_UP_AGAIN: Duration = Duration::from_millis(200);

/// Say what others have changed of this daemon's services.
pub(super) fn report_drift(drift: &Drift, catalog: &Catalog) {
    let has_any = || catalog.services().next().is_some() || catalog.uncertain() > 0;
    if !drift.gone.is_empty() && !has_any() {
        let lost = drift.gone.len();
        warn!(
            event = event::LOST_ALL,
            count = lost,
            "the registry has lost all {lost} services of this daemon; registering them again"
        );
        return;
    }
    for id in &drift.gone {
        let (container, name) = whose(catalog, id);
        warn!(
            event = event::LOST,
            container.id = container,
            container.name = name,
            id,
            "somebody else has deregistered it; registering it again"
        );
    }
    for (id, fields) in &drift.changed {
        let ((container, name), fields) = (whose(catalog, id), fields.join(", "));
        warn!(
            event = event::MEDDLED,
            container.id = container,
            container.name = name,
            id,
            fields,
            "somebody else has changed it; mending it"
        );
    }
}

/// The container that wants a service of this ID, and its name.
fn whose<'a>(catalog: &'a Catalog, id: &str) -> (Option<&'a str>, Option<&'a str>) {
    catalog.claimant(id).map(|(container, name)| (&*container.0, name)).unzip()
}
