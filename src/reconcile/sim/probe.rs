//! The simulation's questions to a running loop beyond what it shows to the world. All that
//! the simulation knows of the loop's inside stands here.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    docker::Source,
    model::container::{Container, ContainerId},
    reconcile::{Options, Rehearsal, cycle::Shared},
    registry::Registry,
};

/// A loop that runs.
pub(super) struct Probe(Arc<Shared>);

impl Probe {
    pub(super) fn of(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// A rehearsal of the loop from now on, between these parts.
    pub(super) fn rehearsal(
        &self,
        source: Arc<dyn Source>,
        registry: Arc<dyn Registry>,
        options: &Options,
    ) -> Rehearsal {
        Rehearsal::of(&self.0, source, registry, options)
    }

    /// The identity of the container engine, as the daemon knows it.
    pub(super) fn engine(&self) -> Option<String> {
        self.0.state().engine.identity().map(String::from)
    }

    /// Whether the daemon takes a container for one that was told to end.
    pub(super) fn is_ending(&self, container: &Container) -> bool {
        self.0.ending(container).is_some()
    }

    /// The IDs of the services that the bulk guard holds.
    pub(super) fn held(&self) -> BTreeSet<String> {
        self.0.state().guard.held().map(|held| held.services).unwrap_or_default()
    }

    /// Whether the bulk guard holds a container.
    pub(super) fn holds(&self, container: &ContainerId) -> bool {
        self.0.state().guard.holds(container)
    }

    /// Whether a container's plan waits, during the trial of a change, too.
    pub(super) fn waits(&self, container: &ContainerId) -> bool {
        self.0.state().catalog.waits(container)
    }

    /// How many reads that are taken over have begun.
    pub(super) fn reads(&self) -> u64 {
        self.0.state().catalog.reads()
    }
}
