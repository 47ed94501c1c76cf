//! A tally of the services granted to the containers of a host.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::{Bounds, Size, counted, weighed};
use crate::{model::container::ContainerId, pipeline::StageError};

/// The size that each container was granted last.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Tally(Mutex<Granted>);

#[derive(Debug, Default)]
struct Granted {
    of: HashMap<ContainerId, Size>,
    all: Size,
}

impl Tally {
    /// Grant a container what it asks for: what is left, or at least its part of
    /// the whole, so that nobody can take what the others need.
    ///
    /// # Errors
    ///
    /// There is not enough left, and it asks for more than its part. It keeps what it
    /// was granted before.
    pub(in crate::pipeline) fn grant(
        &self,
        bounds: &Bounds,
        id: &ContainerId,
        asked: Size,
    ) -> Result<(), StageError> {
        let mut granted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = granted.of.get(id).copied().unwrap_or_default();
        let services = granted.all.services - before.services + asked.services;
        let bytes = granted.all.bytes - before.bytes + asked.bytes;
        let others = granted.of.len() - usize::from(granted.of.contains_key(id));
        let part = |whole: usize| whole / (others + 1);
        if asked.services > part(bounds.all_services) {
            counted(services, bounds.all_services, "services with those of all", "all-services")?;
        }
        if asked.bytes > part(bounds.all_bytes) {
            weighed(bytes, bounds.all_bytes, "services with those of all", "all-bytes")?;
        }
        granted.all = Size { services, bytes };
        match asked.services {
            0 => granted.of.remove(id),
            _ => granted.of.insert(id.clone(), asked),
        };
        Ok(())
    }

    /// A container asks for nothing any more.
    pub(in crate::pipeline) fn forget(&self, id: &ContainerId) {
        let mut granted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(size) = granted.of.remove(id) {
            granted.all.services -= size.services;
            granted.all.bytes -= size.bytes;
        }
    }
}
