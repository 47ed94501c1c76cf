//! Other daemons on the same registry that look as if they were this one: with this
//! host's name for another engine, or with another name for this engine. Neither would
//! show itself before the next sync.

use std::{collections::BTreeSet, time::Duration};

use tracing::{debug, error};

use super::{
    Job,
    look::{LookError, Next, Shared, lock},
    provenance::{META_ENGINE, META_HOST},
};
use crate::{error::error_chain, registry::Registered};

/// The time between two looks for them.
const PERIOD: Duration = Duration::from_secs(5);

impl Shared {
    /// Whether other daemons' services have come or gone since the last read.
    pub(super) async fn neighbours(&self) -> Result<Next, LookError> {
        let mut next = vec![(Job::Neighbours, PERIOD)];
        let engine = lock(&self.catalog).engine().map(String::from);
        let found = self.registry.neighbours(&self.host.hostname, engine.as_deref()).await;
        let mut found = match found {
            Ok(found) => found,
            // That the registry fails others say, and what this is for can wait.
            Err(error) => {
                debug!(error = error_chain(&error), "other daemons are not looked for");
                return Ok(next);
            }
        };
        // An agent may know no filters.
        found.retain(|_, service| lock(&self.catalog).is_neighbours(service));
        found.values().for_each(|service| self.say_other_name(service));
        let ids: BTreeSet<_> = found.into_keys().collect();
        let known = lock(&self.catalog).neighbours();
        let before = std::mem::replace(&mut *lock(&self.strangers), ids.clone());
        if ids != known && ids != before {
            next.push((Job::Sync, Duration::ZERO));
        }
        Ok(next)
    }

    /// Say once of another daemon that it has this engine's containers, too.
    fn say_other_name(&self, service: &Registered) {
        let former = lock(&self.catalog).former_name(&service.id).is_some();
        let name = service.meta.get(META_HOST).filter(|name| **name != self.host.hostname);
        let Some(name) = name.filter(|_| !former) else { return };
        if service.meta.contains_key(META_ENGINE)
            && lock(&self.said).insert(format!("daemon {name}"))
        {
            error!(
                other = name,
                host = self.host.hostname,
                "another daemon registers this engine's containers under another host name; what \
                 it has stays as it is, and each service is there twice: stop one of the two"
            );
        }
    }
}
