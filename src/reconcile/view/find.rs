//! Which containers a word stands for.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, future, stream};

use super::Explainer;
use crate::{
    error::error_chain,
    model::{
        container::{Container, ContainerId},
        registered::Registered,
    },
    pipeline::Outcome,
};

/// Containers that are read at once.
const AT_ONCE: usize = 16;

impl Explainer {
    /// The containers that a word stands for: by their own names and identifiers,
    /// or else by their services.
    pub(super) async fn find(
        &self,
        what: &str,
        registered: &BTreeMap<String, Registered>,
    ) -> Result<Vec<Container>, String> {
        let source = &self.shared.source;
        let read = |id: ContainerId| async move {
            source.inspect(&id).await.map_err(|error| error_chain(&error))
        };
        // A service's ID may have a form that no container's name has.
        if what.chars().all(|c| c.is_ascii_alphanumeric() || "_.-/".contains(c))
            && let Some(container) = read(ContainerId(what.into())).await?
        {
            return Ok(vec![container]);
        }
        let known = self.by_services(what, registered);
        let (ids, search) = match known.is_empty() {
            false => (known, false),
            // It may have been vetoed, so that nothing is known of it.
            true => {
                let all = source.list().await.map_err(|error| error_chain(&error))?;
                (all.into_iter().collect(), true)
            }
        };
        let containers: Vec<_> = stream::iter(ids.into_iter().map(read))
            .buffered(AT_ONCE)
            .filter_map(|container| future::ready(container.transpose()))
            .collect()
            .await;
        // One that cannot be read may be the one that is meant, and may not.
        let (mut found, mut fault) = (Vec::new(), None);
        for container in containers {
            match container {
                Ok(container) if search && !self.offers(&container, what).await => {}
                Ok(container) => found.push(container),
                Err(error) => fault = Some(error),
            }
        }
        match fault {
            Some(fault) if found.is_empty() => Err(fault),
            _ => Ok(found),
        }
    }

    /// The containers that want, or have, a service of this ID or name.
    fn by_services(
        &self,
        what: &str,
        registered: &BTreeMap<String, Registered>,
    ) -> BTreeSet<ContainerId> {
        let marked = registered.values().filter(|one| one.id == what || one.name == what);
        let mut found: BTreeSet<_> = marked.filter_map(|one| self.container_of(one)).collect();
        found.extend(self.shared.state().catalog.wanting(what));
        found
    }

    /// Whether a container would offer, or was vetoed, a service of this ID or name.
    async fn offers(&self, container: &Container, what: &str) -> bool {
        if !container.state.is_running() {
            return false;
        }
        let evaluated = self.shared.pipeline().evaluate(container, &self.shared.rules.host).await;
        let Outcome { candidates, services, vetoed, .. } = match evaluated {
            Ok(outcome) => outcome,
            Err(error) => *error.so_far,
        };
        let vetoed = vetoed.into_iter().map(|veto| veto.service);
        candidates
            .into_iter()
            .chain(services)
            .chain(vetoed)
            .any(|one| one.id == what || one.name == what)
    }
}
