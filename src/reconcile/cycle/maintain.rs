//! Maintenance, by which the services of a container that is ending are drained.

use tracing::info;

use super::Shared;
use crate::{
    model::{container::ContainerId, timed::Timer},
    reconcile::{
        job::JobError,
        lifecycle::{DrainBy, MAINTENANCE},
        state::meters::Operation,
    },
    telemetry::event,
};

impl Shared {
    /// Put the services of an ending container into maintenance, and those of
    /// one that lives on out of it.
    pub(super) async fn maintain(
        &self,
        container: &ContainerId,
        ending: bool,
    ) -> Result<(), JobError> {
        let wanted = ending && self.rules.lifecycle.drain_by == DrainBy::Maintenance;
        let reason = format!("{MAINTENANCE}the container is ending");
        let words = if wanted { "in maintenance" } else { "out of maintenance" };
        let differing: Vec<_> = {
            let catalog = &self.state().catalog;
            let ids = catalog.had(container).into_iter();
            ids.filter(|id| catalog.maintained.differs(id, wanted)).collect()
        };
        let mut first = Ok(());
        for id in differing {
            let reason = wanted.then_some(reason.as_str());
            let before = self.state().catalog.maintained.begin(&id);
            let timer = Timer::start();
            let result = self.registry.set_maintenance(&id, reason).await;
            let timed = timer.stop();
            self.note_written(container, &id, Operation::Maintenance, words, timed, &result);
            match &result {
                Ok(()) => {
                    self.state().catalog.maintained.note(&id, wanted.then_some(true));
                }
                Err(error) if error.is_transient() => {}
                Err(_) => self.state().catalog.maintained.note(&id, before),
            }
            if let Err(error) = result {
                first = first.and(Err(error.into()));
                continue;
            }
            let new = if wanted { "on" } else { "off" };
            let name = self.state().name_of(container);
            info!(
                event = event::MAINTENANCE,
                container.id = &*container.0,
                container.name = name,
                id,
                new,
                "{words}: {} {id}",
                container.short()
            );
        }
        first
    }
}
