//! Other daemons on the same registry that look as if they were this one: with this
//! host's name for another engine, or with another name for this engine. Neither would
//! show itself before the next sync.

use std::{collections::BTreeSet, time::Duration};

use tracing::{debug, error};

use super::Shared;
use crate::{
    error::error_chain,
    model::{
        marks::{META_ENGINE, META_HOST},
        registered::Registered,
    },
    reconcile::{
        job::{Job, JobError, Next},
        state::State,
    },
    telemetry::event,
};

/// The time between two looks for them.
const PERIOD: Duration = Duration::from_secs(5);

impl Shared {
    /// Whether other daemons' services have come or gone since the last read.
    pub(super) async fn neighbours(&self) -> Result<Next, JobError> {
        let mut next = vec![(Job::Neighbours, PERIOD)];
        let (engine, former) = {
            let catalog = &self.state().catalog;
            (catalog.engine().map(String::from), catalog.formerly_named())
        };
        let found = self.registry.neighbours(&self.rules.host.hostname, engine.as_deref()).await;
        let mut found = match found {
            Ok(found) => found,
            // That the registry fails others say, and what this is for can wait.
            Err(error) => {
                debug!(error = error_chain(&error), "other daemons are not looked for");
                return Ok(next);
            }
        };
        // An agent may know no filters.
        found.retain(|_, service| self.state().catalog.is_neighbours(service));
        // What was this host's own when it was asked is renamed meanwhile, and the answer older than that.
        let others = found.values().filter(|service| !former.contains(&service.id));
        others.for_each(|service| self.say_other_name(service));
        let ids: BTreeSet<_> = found.into_keys().collect();
        let State { catalog, verified, .. } = &mut *self.state();
        let known = verified.known_neighbours.after(catalog.changes(), || catalog.neighbours());
        let before = std::mem::replace(&mut verified.neighbours, ids.clone());
        if ids != known && ids != before {
            next.push((Job::Sync, Duration::ZERO));
        }
        Ok(next)
    }

    /// Say once of another daemon that it has this engine's containers, too.
    fn say_other_name(&self, service: &Registered) {
        let mut state = self.state();
        let (former, own) = (state.catalog.former_name(&service.id), &self.rules.host.hostname);
        let name = service.meta.get(META_HOST).filter(|name| *name != own && former.is_none());
        let Some(name) = name else { return };
        if service.meta.contains_key(META_ENGINE)
            && state.reports.is_news(&format!("daemon {name}"))
        {
            error!(
                event = event::OTHER_DAEMON,
                other = name,
                host = own,
                "another daemon registers this engine's containers under another host name; what \
                 it has stays as it is, and each service is there twice: stop one of the two"
            );
        }
    }
}
