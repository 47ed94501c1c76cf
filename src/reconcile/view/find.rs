//! Which containers a word stands for.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, future, stream};

use super::{Explainer, Explanation};
use crate::{
    error::error_chain,
    model::{
        container::{Container, ContainerId},
        registered::Registered,
        service::Service,
    },
    pipeline::Outcome,
    text::shown,
};

/// The containers that the beginning of a name, identifier or ID stands for.
#[derive(Debug)]
pub enum Meant {
    /// Nothing begins so.
    Nothing,
    /// These containers.
    These(Vec<Explanation>),
    /// Several: what each is, for people.
    Several(Vec<String>),
}

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
        let mut known = self.by_services(what, registered);
        // A whole ID or name, also of a service that nobody here has, is meant before the beginning of an identifier.
        let whole = registered.values().any(|one| one.id == what || one.name == what);
        // A service's ID may have a form that no container's name has.
        if what.chars().all(|c| c.is_ascii_alphanumeric() || "_.-/".contains(c)) {
            match read(ContainerId(what.into())).await {
                Ok(Some(container)) if container.name == what || (known.is_empty() && !whole) => {
                    return Ok(vec![container]);
                }
                // Its identifier begins like the name of a service.
                Ok(Some(container)) if !known.is_empty() => drop(known.insert(container.id)),
                Ok(_) => {}
                // So an engine may answer where several identifiers begin so.
                Err(fault) => {
                    let all = source.list().await.map_err(|error| error_chain(&error))?;
                    if !all.iter().any(|id| id.0.starts_with(what)) {
                        return Err(fault);
                    }
                }
            }
        }
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

    /// The containers of which `what` begins the name or identifier, or the ID or name of a
    /// service.
    ///
    /// # Errors
    ///
    /// Containers cannot be read; the words say which.
    pub async fn beginning(&self, what: &str) -> Result<Meant, String> {
        let source = &self.shared.source;
        let ids = source.list().await.map_err(|error| error_chain(&error))?;
        let read = stream::iter(ids.into_iter().map(|id| async move { source.inspect(&id).await }));
        let mut read = read.buffered(AT_ONCE);
        let (mut meant, mut words) = (Vec::new(), Vec::new());
        while let Some(container) = read.next().await {
            // One that is gone, or cannot be read, is not known by what it offers.
            let Ok(Some(container)) = container else { continue };
            let (name, short) = (shown(&container.name).into_owned(), container.id.short());
            let before = words.len();
            if container.name.starts_with(what) || container.id.0.starts_with(what) {
                words.push(format!("container {name}  {short}"));
            } else {
                let offered = self.offered(&container).await;
                let like = |one: &Service| one.id.starts_with(what) || one.name.starts_with(what);
                // A service is one, also where a stage renames it: the last name stands.
                let like = offered.into_iter().filter(like).map(|one| (one.id, one.name));
                let like: BTreeMap<_, _> = like.collect();
                words.extend(like.iter().map(|(id, service)| {
                    let (id, service) = (shown(id), shown(service));
                    format!("service {id}  {service}, of container {name}  {short}")
                }));
            }
            if words.len() > before {
                meant.push(container);
            }
        }
        words.sort();
        Ok(match meant.len() {
            0 => Meant::Nothing,
            1 => {
                let registry = &self.shared.registry;
                let registered = match &self.registered {
                    Some(registered) => registered.clone(),
                    None => registry.read().await.map_err(|error| error_chain(&error))?,
                };
                Meant::These(vec![self.container(meant.remove(0), &registered).await])
            }
            _ => Meant::Several(words),
        })
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
        let mut offered = self.offered(container).await.into_iter();
        offered.any(|one| one.id == what || one.name == what)
    }

    /// The services that a container would offer, with its candidates and the vetoed ones.
    async fn offered(&self, container: &Container) -> Vec<Service> {
        if !container.state.is_running() {
            return Vec::new();
        }
        let (pipeline, mut container) = (self.shared.pipeline(), container.clone());
        let Ok(host) = self.shared.surroundings(&pipeline, &mut container).await else {
            return Vec::new();
        };
        let evaluated = pipeline.evaluate(&container, &host).await;
        let Outcome { candidates, services, vetoed, .. } = match evaluated {
            Ok(outcome) => outcome,
            Err(error) => *error.so_far,
        };
        let vetoed = vetoed.into_iter().map(|veto| veto.service);
        candidates.into_iter().chain(services).chain(vetoed).collect()
    }
}
